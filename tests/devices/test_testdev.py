"""QEMU's pc-testdev, part by part."""

import pytest

from vmxon.devices.bus import MEMORY_SPACE, Bus
from vmxon.devices.interrupt import Line
from vmxon.devices.testdev import PcTestDevice


class Machine:
    def __init__(self) -> None:
        self.ports, self.memory = Bus("port"), Bus("memory", MEMORY_SPACE)
        self.lines = [Line() for _ in range(24)]
        self.device = PcTestDevice(self.lines)
        self.device.connect(self.ports, self.memory)


@pytest.fixture
def m() -> Machine:
    return Machine()


@pytest.mark.parametrize("number", [0, 1, 15, 16, 23])
def test_interrupt_lines(m: Machine, number: int) -> None:
    for value, level in ((1, True), (0, False), (0x80, True), (0, False)):
        m.ports.write(0x2000 + number, 1, value)
        assert [line.level for line in m.lines] == [n == number and level for n in range(24)]
    m.ports.write(0x2000 + number, 1, 1)
    assert m.ports.read(0x2000 + number, 1) == 0


def test_lines_are_one_byte_each(m: Machine) -> None:
    m.ports.write(0x2004, 2, 0x101)
    m.ports.write(0x2004, 4, 0x1010101)
    assert not any(line.level for line in m.lines)
    assert m.ports.read(0x2018, 1) == 0xFF


@pytest.mark.parametrize("base", [0xE0, 0xE8])
def test_the_register_in_every_width(m: Machine, base: int) -> None:
    m.ports.write(base, 4, 0x4433_2211)
    assert [m.ports.read(base + offset, 1) for offset in range(4)] == [0x11, 0x22, 0x33, 0x44]
    assert [m.ports.read(base, 2), m.ports.read(base + 2, 2), m.ports.read(base, 4)] == [0x2211, 0x4433, 0x4433_2211]
    m.ports.write(base + 1, 1, 0xAA)
    m.ports.write(base + 2, 2, 0xBBCC)
    assert m.ports.read(0xE0, 4) == 0xBBCC_AA11


def test_the_page_to_flush(m: Machine) -> None:
    m.ports.write(0xE4, 4, 0x12345)
    assert m.ports.read(0xE4, 4) == 0


@pytest.mark.parametrize("size", [1, 2, 4, 8])
@pytest.mark.parametrize("offset", [0, 1, 0xFFF8])
def test_memory_in_every_width(m: Machine, size: int, offset: int) -> None:
    value = 0x8877_6655_4433_2211 & (1 << 8 * size) - 1
    m.memory.write(0xFF00_0000 + offset, size, value)
    assert m.memory.read(0xFF00_0000 + offset, size) == value
    assert [m.memory.read(0xFF00_0000 + offset + n, 1) for n in range(8)] == [*value.to_bytes(size, "little"), *bytes(8 - size)]


def test_memory_ends(m: Machine) -> None:
    m.memory.write(0xFF00_FFFC, 8, 0x8877_6655_4433_2211)
    assert m.memory.read(0xFF00_FFFC, 8) == 0xFFFF_FFFF_4433_2211


def test_state_returns(m: Machine) -> None:
    m.ports.write(0xE0, 4, 7)
    m.memory.write(0xFF00_0001, 1, 9)
    other = Machine()
    other.device.data.restore(m.device.data.state())
    other.device.memory.restore(m.device.memory.state())
    assert (other.ports.read(0xE0, 4), other.memory.read(0xFF00_0000, 4)) == (7, 0x900)
