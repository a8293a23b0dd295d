import struct

import pytest

from tests.devices.ide.machine import RAM, Ram
from vmxon.devices.bus import Bus
from vmxon.devices.firmware_configuration import FirmwareConfiguration

FILES = {"etc/b": b"second", "etc/a": b"first file", "bootorder": b"/disk\0"}
READ, SKIP, SELECT, WRITE = 2, 4, 8, 16


class Machine:
    def __init__(self) -> None:
        self.bus, self.ram = Bus("port"), Ram()
        self.device = FirmwareConfiguration(self.ram, {0x03: struct.pack("<Q", 64 << 20)}, FILES)
        self.device.connect(self.bus)

    def entry(self, selector: int, size: int) -> bytes:
        self.bus.write(0x510, 2, selector)
        return bytes(self.bus.read(0x511, 1) for _ in range(size))

    def access(self, control: int, length: int, place: int, at: int = 0x1000) -> int:
        """One DMA access; what is left of its control word."""
        self.ram.write(at, struct.pack(">IIQ", control, length, place))
        self.bus.write(0x514, 4, int.from_bytes((at >> 32).to_bytes(4, "big"), "little"))
        self.bus.write(0x518, 4, int.from_bytes((at & 0xFFFF_FFFF).to_bytes(4, "big"), "little"))
        return int.from_bytes(self.ram.bytes[at : at + 4], "big")


@pytest.fixture
def m() -> Machine:
    return Machine()


@pytest.mark.parametrize(
    ("selector", "content"),
    [
        (0x00, b"QEMU"),
        (0x01, b"\x03\0\0\0"),
        (0x03, struct.pack("<Q", 64 << 20)),
        (0x20, b"/disk\0"),
        (0x21, b"first file"),
        (0x22, b"second"),
        (0x02, b""),
        (0x23, b""),
        (0xFFFF, b""),
    ],
)
def test_entries_and_the_zeros_behind_them(m: Machine, selector: int, content: bytes) -> None:
    assert m.entry(selector, len(content) + 3) == content + b"\0\0\0"
    assert m.entry(selector, len(content)) == content
    m.bus.write(0x510, 2, selector)
    assert m.bus.read_string(0x511, 1, len(content) + 2) == content + b"\0\0"


def test_the_directory_is_in_order_of_names(m: Machine) -> None:
    rows = [struct.pack(">IHH56s", len(FILES[name]), 0x20 + n, 0, name.encode()) for n, name in enumerate(sorted(FILES))]
    assert m.entry(0x19, 4 + 64 * 3) == struct.pack(">I", 3) + b"".join(rows)


def test_writes_change_nothing(m: Machine) -> None:
    m.bus.write(0x510, 2, 0x22)
    m.bus.write(0x511, 1, 0x41)
    assert bytes(m.bus.read(0x511, 1) for _ in range(6)) == b"second"
    assert m.bus.read_string(0x511, 2, 2) == b"\xff" * 4


def test_the_dma_port_says_what_it_is(m: Machine) -> None:
    assert (m.bus.read(0x514, 4), m.bus.read(0x518, 4)) == (0x554D_4551, 0x4746_4320)


@pytest.mark.parametrize(
    ("control", "length", "left", "stored"),
    [
        (0x22 << 16 | SELECT | READ, 6, 0, b"second"),
        (0x22 << 16 | SELECT | READ, 8, 0, b"second\0\0"),
        (0x22 << 16 | SELECT | SKIP, 3, 0, b""),
        (0x22 << 16 | SELECT | WRITE, 3, 1, b""),
        (0x22 << 16 | SELECT, 3, 0, b""),
        (0, 3, 0, b""),
        (READ, 4, 0, b"QEMU"),
        (0x99 << 16 | SELECT | READ, 4, 0, b"\0\0\0\0"),
    ],
)
def test_dma(m: Machine, control: int, length: int, left: int, stored: bytes) -> None:
    m.ram.write(0x2000, b"\xcc" * 16)
    assert m.access(control, length, 0x2000) == left
    assert m.ram.bytes[0x2000:0x2010] == stored.ljust(16, b"\xcc")


def test_dma_goes_on_where_it_stopped(m: Machine) -> None:
    m.access(0x21 << 16 | SELECT | READ, 2, 0x2000)
    m.access(SKIP, 4, 0)
    m.access(READ, 4, 0x3000)
    assert (m.ram.bytes[0x2000:0x2002], m.ram.bytes[0x3000:0x3004]) == (b"fi", b"file")


def test_dma_outside_memory(m: Machine) -> None:
    m.access(0x22 << 16 | SELECT | READ, 6, RAM - 3)
    assert m.ram.bytes[-3:] == b"sec"
    m.access(0x22 << 16 | SELECT | READ, 0x10_0001, 1 << 40)
    m.bus.write(0x514, 4, 0xFFFF_FFFF)
    m.bus.write(0x518, 4, 0xFFFF_FFFF)  # ones: an error, for they ask to write
    assert m.entry(0, 4) == b"QEMU"


def test_the_high_half_of_an_address_counts_once(m: Machine) -> None:
    m.bus.write(0x514, 4, int.from_bytes((1).to_bytes(4, "big"), "little"))
    m.bus.write(0x518, 4, 0)
    m.ram.write(0x2000, b"\xcc" * 4)
    m.ram.write(0x1000, struct.pack(">IIQ", READ, 4, 0x2000))
    m.bus.write(0x510, 2, 0)
    m.bus.write(0x518, 4, int.from_bytes((0x1000).to_bytes(4, "big"), "little"))
    assert m.ram.bytes[0x2000:0x2004] == b"QEMU"


def test_state_returns(m: Machine) -> None:
    m.entry(0x21, 3)
    copy = Machine()
    copy.device.restore(m.device.state())
    assert copy.bus.read(0x511, 1) == ord("s")


def test_a_file_can_be_made_when_it_is_selected(m: Machine) -> None:
    places = [b"A"]
    device = FirmwareConfiguration(m.ram, {}, {"made": lambda: places[0]})
    places[0] = b"B"
    device.select(0x20)
    places[0] = b"C"
    assert device.take(1) == b"B"
    device.select(0x20)
    assert device.take(1) == b"C"


@pytest.mark.parametrize("name", ["", "x" * 56, "é" * 28])
def test_a_name_must_fit(name: str) -> None:
    with pytest.raises(ValueError, match=f"the name '{name}' must have 1 to 55 bytes"):
        FirmwareConfiguration(Ram(), {}, {name: b""})
