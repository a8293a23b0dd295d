import pytest

from vmxon.devices.bus import Bus
from vmxon.devices.clock import VirtualClock
from vmxon.devices.vga import LINE, WINDOW, Vga


class Machine:
    def __init__(self) -> None:
        self.clock, self.bus, self.memory = VirtualClock(), Bus("port"), bytearray(b" \x07" * (WINDOW // 2))
        self.vga = Vga(self.clock)
        self.vga.connect(self.bus)

    def out(self, port: int, value: int, size: int = 1) -> None:
        self.bus.write(port, size, value)

    def read(self, port: int) -> int:
        return self.bus.read(port, 1)

    def put(self, cell: int, text: bytes, attribute: int = 7) -> None:
        for place, code in enumerate(text):
            at = (cell + place) * 2 % WINDOW
            self.memory[at : at + 2] = bytes([code, attribute])


@pytest.fixture
def m() -> Machine:
    return Machine()


def test_screen_is_80_by_25(m: Machine) -> None:
    m.put(80, b"hello \x01\xdb", 0x1F)
    rows = m.vga.screen(memoryview(m.memory))
    assert (len(rows), {len(row) for row in rows}) == (25, {80})
    assert rows[1][0] == (ord("h"), 0x1F)
    assert rows[24][79] == (0x20, 0x07)
    assert m.vga.text(m.memory).splitlines()[1] == "hello ☺█"


@pytest.mark.parametrize("start", [80, 0x1000, 0x3FF0])
def test_start_address_scrolls_and_wraps(m: Machine, start: int) -> None:
    m.put(start, b"top")
    m.put(start + 80 * 24, b"bottom")
    m.out(0x3D4, 0x0C | (start >> 8) << 8, size=2)
    m.out(0x3D4, 0x0D | (start & 0xFF) << 8, size=2)
    lines = m.vga.text(m.memory).split("\n")
    assert (lines[0], lines[24]) == ("top", "bottom")


def test_cursor(m: Machine) -> None:
    for index, value in ((0x0E, 0x01), (0x0F, 0x45)):
        m.out(0x3D4, index)
        m.out(0x3D5, value)
    assert m.vga.cursor == (4, 5)
    assert m.read(0x3D5) == 0x45
    m.out(0x3D4, 0x200A, size=2)
    assert m.vga.cursor is None
    m.out(0x3D4, 0x000A, size=2)
    m.out(0x3D4, 0xFF0E, size=2)
    assert m.vga.cursor is None


def test_forty_columns_and_fifty_rows(m: Machine) -> None:
    for value in (0x0011, 0x2701, 0x1413, 0x4709):
        m.out(0x3D4, value, size=2)
    rows = m.vga.screen(m.memory)
    assert (len(rows), len(rows[0])) == (50, 40)


def test_protected_crtc_registers(m: Machine) -> None:
    m.out(0x3D4, 0x2701, size=2)
    assert m.vga.columns == 80
    m.out(0x3D4, 0x0007, size=2)
    assert m.read(0x3D5) == 0x0F  # line-compare bit 8 alone


def test_attribute_flip_flop(m: Machine) -> None:
    m.read(0x3DA)
    m.out(0x3C0, 0x31)
    m.out(0x3C0, 0x2A)
    m.out(0x3C0, 0x32)
    m.read(0x3DA)
    m.out(0x3C0, 0x31)
    assert m.read(0x3C0) == 0x31
    assert m.read(0x3C1) == 0x2A


def test_retrace_toggles_with_time(m: Machine) -> None:
    seen = []
    for line in (0, 399, 400, 412, 413, 414, 448, 449, 449 + 412):
        m.clock.run_until(line * LINE)
        seen.append(m.read(0x3DA))
    assert seen == [0, 0, 1, 9, 9, 1, 1, 0, 9]


def test_palette(m: Machine) -> None:
    assert m.vga.colours()[6] == (170, 85, 0)
    assert m.vga.colours()[15] == (255, 255, 255)
    m.out(0x3C8, 0x14)
    for value in (1, 2, 0x7F):
        m.out(0x3C9, value)
    m.out(0x3C7, 0x14)
    assert m.read(0x3C7) == 3
    assert [m.read(0x3C9) for _ in range(3)] == [1, 2, 0x3F]
    assert m.vga.colours()[6] == (4, 8, 255)


def test_monochrome_moves_the_crtc(m: Machine) -> None:
    m.out(0x3B4, 0x0A)
    assert m.read(0x3B4) == 0xFF
    m.out(0x3C2, 0x66)
    assert m.read(0x3CC) == 0x66
    m.out(0x3B4, 0x0A)
    assert (m.read(0x3B4), m.read(0x3D4), m.read(0x3DA)) == (0x0A, 0xFF, 0xFF)
    assert m.read(0x3BA) != 0xFF


@pytest.mark.parametrize(("index_port", "index", "value"), [(0x3C4, 2, 0x0F), (0x3CE, 6, 0x0E), (0x3CE, 8, 0x55)])
def test_indexed_registers_keep_their_bytes(m: Machine, index_port: int, index: int, value: int) -> None:
    m.out(index_port, index | value << 8, size=2)
    assert (m.read(index_port), m.read(index_port + 1)) == (index, value)
    m.out(index_port, 0x0F)
    assert m.read(index_port + 1) == 0


def test_short_memory_does_not_fail(m: Machine) -> None:
    assert m.vga.screen(b"") == []
    assert m.vga.screen(b"a\x07")[0][0] == (ord("a"), 7)


@pytest.mark.parametrize(
    ("index_port", "held"), [(0x3C4, "03 3d 0f 3f 0e 00 00 00"), (0x3CE, "0f 0f 0f 1f 03 7b 0f 0f ff 00 00 00 00 00 00 00")]
)
def test_reserved_bits_read_as_zero(index_port: int, held: str) -> None:
    bus = Bus("port")
    Vga(VirtualClock()).connect(bus)
    read = []
    for index in range(len(held.split())):
        bus.write(index_port, 1, index)
        bus.write(index_port + 1, 1, 0xFF)
        read.append(bus.read(index_port + 1, 1))
    assert bytes(read).hex(" ") == held
