import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmxon.devices.bus import FULL, MEMORY_SPACE, MOST_COUNTED, Bus, BusOverlap, Device, reads, reads_string, writes, writes_string


class Registers(Device, span=8):
    """Four byte registers, and a 16-bit one at offset 4."""

    def __init__(self) -> None:
        self.bytes = [0, 0, 0, 0]
        self.word = 0xBEEF

    @reads(0)
    def zero(self) -> int:
        return self.bytes[0]

    @writes(0)
    def set_zero(self, value: int) -> None:
        self.bytes[0] = value

    @reads(1)
    def one(self) -> int:
        return self.bytes[1]

    @writes(1)
    def set_one(self, value: int) -> None:
        self.bytes[1] = value

    @reads(4, 2)
    def read_word(self) -> int:
        return self.word

    @writes(4, 2)
    def write_word(self, value: int) -> None:
        self.word = value

    @writes(6)
    def write_only(self, value: int) -> None:
        self.bytes[3] = value

    @reads_string(4)
    def string(self, size: int, count: int) -> bytes:
        return b"S" * size * count

    @writes_string(4)
    def set_string(self, size: int, data: bytes) -> None:
        self.word = len(data)


@pytest.fixture
def bus() -> Bus:
    bus = Bus("port")
    bus.attach(0x100, Registers())
    return bus


@pytest.mark.parametrize(
    ("address", "size", "value"),
    [
        (0x104, 2, 0xBEEF),  # the 16-bit register
        (0x104, 1, 0xFF),  # which has no byte access
        (0x104, 4, 0xFFFF_BEEF),  # split in halves, the lower one claimed
        (0x100, 2, 0x2211),  # split into bytes
        (0x0FF, 4, 0xFF22_11FF),
        (0x106, 1, 0xFF),  # only written
        (0x102, 1, 0xFF),  # a hole
        (0xFFFF, 4, 0xFFFF_FFFF),  # wraps at the end of the port space
    ],
)
def test_reads_go_to_the_widest_register_or_are_split(bus: Bus, address: int, size: int, value: int) -> None:
    bus.write(0x100, 2, 0x2211)
    assert bus.read(address, size) == value


def test_wide_write_reaches_each_half(bus: Bus) -> None:
    bus.write(0x104, 4, 0x1234_5678)
    assert bus.read(0x104, 2) == 0x5678
    bus.write(0x104, 2, 0xABCD_EF01)  # only 16 bits count
    assert bus.read(0x104, 2) == 0xEF01


def test_strings_use_the_fast_path_or_single_accesses(bus: Bus) -> None:
    assert bus.read_string(0x104, 2, 3) == b"SSSSSS"
    bus.write_string(0x104, 2, b"12345678")
    assert bus.read(0x104, 2) == 8
    bus.write_string(0x100, 1, b"abc")
    assert bus.read_string(0x100, 1, 3) == b"ccc"
    assert bus.read_string(0x300, 2, 2) == b"\xff" * 4


def test_holes_may_be_filled_but_registers_may_not() -> None:
    bus = Bus("port")
    bus.attach(0x100, Registers())
    bus.attach(0x102, type("Hole", (Device,), {"go": reads(0)(lambda self: 7)}, span=1)())
    assert bus.read(0x102, 1) == 7
    with pytest.raises(BusOverlap, match=r"^port 0x104 \(Registers\) is taken by Registers$"):
        bus.attach(0x104, Registers())


def test_overlap_attaches_nothing() -> None:
    bus = Bus("port")
    bus.attach(0x101, Registers())
    with pytest.raises(BusOverlap):
        bus.attach(0x100, Registers())
    assert bus.read(0x100, 1) == 0xFF


def test_address_beyond_the_space() -> None:
    with pytest.raises(ValueError, match=r"port 0x10000 .* must be at most 0xffff"):
        Bus("port").attach(0xFFFC, Registers())


def test_unclaimed_accesses_are_counted(bus: Bus) -> None:
    bus.read(0x200, 2)
    bus.write(0x200, 1, 0)
    bus.read(0x106, 1)  # claimed, though only for writing
    assert bus.unclaimed_reads == {0x200: 1, 0x201: 1}
    assert bus.unclaimed_writes == {0x200: 1}


def test_declaration_errors() -> None:
    with pytest.raises(TypeError, match=r"Bad.go: offset 0x8 must be below the span 0x8"):
        type("Bad", (Device,), {"go": reads(8)(lambda self: 0)}, span=8)
    with pytest.raises(TypeError, match=r"Twice.b: a already has offset 0x0"):
        type("Twice", (Device,), {"a": reads(0)(lambda self: 0), "b": reads(0)(lambda self: 0)}, span=8)


@given(st.integers(0, 0xFFFF), st.sampled_from([1, 2, 4]), st.integers(0, 2**64))
def test_any_access_answers_within_its_size(address: int, size: int, value: int) -> None:
    bus = Bus("port")
    bus.attach(0, Registers())
    bus.attach(0xFFF8, Registers())
    bus.write(address, size, value)
    assert 0 <= bus.read(address, size) <= FULL[size]


class Bytes:
    """A window over sixteen bytes that notes each access."""

    def __init__(self, size: int = 16) -> None:
        self.bytes, self.seen = bytearray(range(size)), []

    def read(self, offset: int, size: int) -> int:
        self.seen.append((offset, size))
        return int.from_bytes(self.bytes[offset : offset + size], "little")

    def write(self, offset: int, size: int, value: int) -> None:
        self.seen.append((offset, size, value))
        self.bytes[offset : offset + size] = value.to_bytes(size, "little")


@pytest.fixture
def memory() -> tuple[Bus, Bytes]:
    bus, window = Bus("memory", MEMORY_SPACE), Bytes()
    bus.open(0x1000, 16, window)
    return bus, window


@pytest.mark.parametrize(
    ("address", "size", "value", "seen"),
    [
        (0x1000, 1, 0, [(0, 1)]),
        (0x1003, 2, 0x0403, [(3, 2)]),
        (0x1001, 8, 0x0807_0605_0403_0201, [(1, 8)]),
        (0x100C, 8, 0xFFFF_FFFF_0F0E_0D0C, [(12, 4)]),  # half of it is outside
        (0x0FFE, 4, 0x0100_FFFF, [(0, 2)]),
        (0x1010, 4, 0xFFFF_FFFF, []),
    ],
)
def test_a_window_answers_what_lies_in_it(memory: tuple[Bus, Bytes], address: int, size: int, value: int, seen: list[object]) -> None:
    bus, window = memory
    assert bus.read(address, size) == value
    assert window.seen == seen


@pytest.mark.parametrize(
    ("address", "size", "seen"),
    [
        (0x1001, 8, [(1, 8, 0x8877_6655_4433_2211)]),
        (0x100C, 8, [(12, 4, 0x4433_2211)]),
        (0x0FFC, 8, [(0, 4, 0x8877_6655)]),
        (0x0FFF, 2, [(0, 1, 0x22)]),
    ],
)
def test_a_window_takes_what_lies_in_it(memory: tuple[Bus, Bytes], address: int, size: int, seen: list[object]) -> None:
    bus, window = memory
    bus.write(address, size, 0x8877_6655_4433_2211)
    assert window.seen == seen


def test_registers_come_before_windows(memory: tuple[Bus, Bytes]) -> None:
    bus, _ = memory
    bus.attach(0x1000, Registers())
    assert (bus.read(0x1004, 2), bus.read(0x1006, 2)) == (0xBEEF, 0x0706)


def test_windows_open_side_by_side_and_close(memory: tuple[Bus, Bytes]) -> None:
    bus, window = memory
    other = Bytes()
    bus.open(0x0FF0, 16, other)
    for base, size in ((0x1000, 1), (0x0FFF, 2), (0x100F, 1), (0x0F00, 0x1000)):
        with pytest.raises(BusOverlap, match=rf"^memory {base:#x} \(Bytes\) is taken by Bytes$"):
            bus.open(base, size, Bytes())
    assert bus.windows() == [(0x0FF0, 16, other), (0x1000, 16, window)]
    assert [bus.claims(address) for address in (0x0FEF, 0x0FF0, 0x100F, 0x1010)] == [False, True, True, False]
    with pytest.raises(ValueError, match=r"^memory 0x1000 is not where Bytes answers$"):
        bus.close(0x1000, other)
    bus.close(0x0FF0, other)
    assert not bus.claims(0x0FF0)


def test_a_guest_that_tries_every_address_fills_no_table_without_end() -> None:
    bus = Bus("memory", MEMORY_SPACE)
    for address in range(0, MOST_COUNTED + 8, 8):
        bus.read(address, 8)
    assert len(bus.unclaimed_reads) == MOST_COUNTED
    bus.read(0, 1)
    assert bus.unclaimed_reads[0] == 2
    assert bus.read(MEMORY_SPACE - 4, 8) == (1 << 64) - 1, "an access wraps at the end"


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_widths(size: int) -> None:
    assert FULL[size] == (1 << 8 * size) - 1


@pytest.mark.parametrize("size", [3, 5, 6, 7])
def test_parts_of_an_access_that_crosses_a_page(size: int) -> None:
    bus, device = Bus("memory", 1 << 52), Registers()
    bus.attach(0x1000, device)
    device.bytes[0], device.bytes[1] = 0x11, 0x22
    read = bus.read(0x1000, size)
    assert read & 0xFFFF == 0x2211
    assert read >> 8 * size == 0
    if size > 5:
        assert read >> 32 & 0xFFFF == 0xBEEF
    bus.write(0x1000, size, 0x77665544332255)
    assert device.bytes[0] == 0x55
    assert device.word == (0x6655 if size > 5 else 0xBEEF)
