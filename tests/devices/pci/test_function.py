import pytest

from tests.devices.pci.machine import Echo, Machine, card
from vmxon.devices.bus import BusOverlap
from vmxon.devices.pci import BaseAddress, Identity, PciFunction, Space


@pytest.fixture
def m() -> Machine:
    machine = Machine()
    machine.bus.plug(4, card())
    return machine


@pytest.mark.parametrize(
    ("register", "size", "reset", "ones"),
    [
        (0x00, 4, 0x1000_1AF4, 0x1000_1AF4),
        (0x04, 2, 0x0000, 0x0107),
        (0x06, 2, 0x0000, 0x0000),
        (0x08, 1, 0x07, 0x07),
        (0x09, 1, 0x00, 0x00),
        (0x0B, 1, 0x02, 0x02),
        (0x0E, 1, 0x00, 0x00),
        (0x10, 4, 0x0000_0001, 0xFFFF_FFF1),  # 16 ports
        (0x14, 4, 0x0000_0000, 0xFFFF_F000),  # 4 KiB of memory
        (0x18, 4, 0, 0),
        (0x2C, 4, 0x5678_1234, 0x5678_1234),
        (0x30, 4, 0, 0),
        (0x3C, 1, 0x00, 0xFF),
        (0x3D, 1, 0x01, 0x01),
        (0x40, 4, 0, 0),
    ],
)
def test_registers(m: Machine, register: int, size: int, reset: int, ones: int) -> None:
    assert m.read(4, register, size) == reset
    m.write(4, register, (1 << 8 * size) - 1, size)
    assert m.read(4, register, size) == ones


@pytest.mark.parametrize(
    ("command", "ports", "memory"), [(0, False, False), (1, True, False), (2, False, True), (3, True, True), (4, False, False)]
)
def test_the_command_register_lets_it_answer(m: Machine, command: int, ports: bool, memory: bool) -> None:
    m.write(4, 0x10, 0xC000)
    m.write(4, 0x14, 0xE000_0000)
    m.write(4, 0x04, command, 2)
    assert m.ports.read(0xC005, 1) == (5 if ports else 0xFF)
    assert m.memory.read(0xE000_0010, 4) == (0x10 if memory else 0xFFFF_FFFF)


def test_a_window_moves(m: Machine) -> None:
    m.write(4, 0x04, 1, 2)
    for base in (0xC000, 0xC010, 0xD000):
        m.write(4, 0x10, base)
        assert m.ports.read(base + 3, 1) == 3
        m.ports.write(base + 8, 2, 0x1234)
    assert [m.ports.claims(base) for base in (0xC000, 0xC010, 0xD000)] == [False, False, True]
    window = m.bus.functions[4, 0].base_addresses[0].window
    assert isinstance(window, Echo)
    assert window.written == [(8, 2, 0x1234)] * 3
    m.write(4, 0x10, 0)
    assert not m.ports.claims(0xD000)


def test_the_lower_slot_answers_where_two_want_an_address(m: Machine) -> None:
    m.bus.plug(3, card(value=0x40))
    for slot in (4, 3):
        m.write(slot, 0x10, 0xC000)
        m.write(slot, 0x04, 1, 2)
    assert m.ports.read(0xC001, 1) == 0x41
    m.write(3, 0x10, 0xC010)
    assert (m.ports.read(0xC001, 1), m.ports.read(0xC011, 1)) == (1, 0x41)


@pytest.mark.parametrize("base", [0xCF0, 0xFFF0, 0xFFFF_FFF0])
def test_no_window_covers_the_configuration_ports_or_leaves_the_bus(m: Machine, base: int) -> None:
    m.write(4, 0x10, base)
    m.write(4, 0x04, 1, 2)
    assert m.read(4, 0) == 0x1000_1AF4
    assert m.ports.claims(base) is (base == 0xFFF0)


def test_state_returns_with_its_windows(m: Machine) -> None:
    m.write(4, 0x10, 0xC000)
    m.write(4, 0x04, 1, 2)
    saved = m.bus.functions[4, 0].state()
    m.write(4, 0x10, 0xD000)
    m.bus.functions[4, 0].restore(saved)
    assert [m.ports.claims(base) for base in (0xC000, 0xD000)] == [True, False]
    assert m.read(4, 0x10) == 0xC001


def test_a_slot_holds_one() -> None:
    m = Machine()
    with pytest.raises(BusOverlap, match=r"PCI slot 1, function 0 \(PciFunction\) is taken"):
        m.bus.plug(1, card())


@pytest.mark.parametrize(("number", "size"), [(0, 24), (6, 16), (-1, 16)])
def test_a_base_address_is_a_power_of_two(number: int, size: int) -> None:
    line = f"base address {number} must be 0 to 5 and its size a power of two, not {size:#x}"
    with pytest.raises(ValueError, match=line):
        PciFunction(Identity(1, 1, 0), [BaseAddress(number, Space.IO, size, Echo())])
