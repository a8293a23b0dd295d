import pytest

from tests.devices.pci.machine import Machine
from vmxon.devices.clock import VirtualClock
from vmxon.devices.interrupt import Line
from vmxon.devices.pci import HostBridge, PowerFunction
from vmxon.devices.power import PowerManagement


class Shadow:
    """What the host bridge says of the BIOS area."""

    def __init__(self) -> None:
        self.segments: dict[int, tuple[bool, bool]] = {}

    def set_segment(self, number: int, *, read: bool, write: bool) -> None:
        self.segments[number] = (read, write)


@pytest.fixture
def shadow() -> Shadow:
    return Shadow()


@pytest.fixture
def m(shadow: Shadow) -> Machine:
    machine = Machine()
    machine.bus.plug(0, HostBridge(shadow))
    machine.bus.plug(1, PowerFunction(PowerManagement(VirtualClock(), Line(), lambda: None)), 3)
    return machine


@pytest.mark.parametrize(
    ("slot", "function", "identity", "class_code"),
    [(0, 0, 0x1237_8086, 0x06_0000_02), (1, 0, 0x7000_8086, 0x06_0100_00), (1, 3, 0x7113_8086, 0x06_8000_03)],
)
def test_identities(m: Machine, slot: int, function: int, identity: int, class_code: int) -> None:
    assert m.read(slot, 0, function=function) == identity
    assert m.read(slot, 8, function=function) == class_code
    assert m.read(slot, 0x0E, 1, function) == (0x80 if (slot, function) == (1, 0) else 0)


@pytest.mark.parametrize(
    ("register", "segments"),
    [
        (0x59, {0: 0x30}),
        (0x5A, {1: 0x03, 2: 0x30}),
        (0x5B, {3: 0x03, 4: 0x30}),
        (0x5C, {5: 0x03, 6: 0x30}),
        (0x5D, {7: 0x03, 8: 0x30}),
        (0x5E, {9: 0x03, 10: 0x30}),
        (0x5F, {11: 0x03, 12: 0x30}),
    ],
)
def test_each_half_of_a_register_rules_a_segment(m: Machine, shadow: Shadow, register: int, segments: dict[int, int]) -> None:
    for segment, mask in segments.items():
        for value, attributes in ((0x11, (True, False)), (0x22, (False, True)), (0x33, (True, True))):
            m.write(0, register, value & mask, 1)
            expected = dict.fromkeys(range(13), (False, False)) | {segment: attributes}
            assert shadow.segments == expected
        m.write(0, register, 0, 1)


def test_reserved_attributes_read_as_zero(m: Machine) -> None:
    m.write(0, 0x58, 0xFFFF_FFFF)
    m.write(0, 0x5C, 0xFFFF_FFFF)
    assert (m.read(0, 0x58), m.read(0, 0x5C)) == (0x3333_3000, 0x3333_3333)


def test_the_attributes_return_with_a_snapshot(m: Machine, shadow: Shadow) -> None:
    bridge = m.bus.functions[0, 0]
    saved = bridge.state()
    m.write(0, 0x59, 0x30, 1)
    assert shadow.segments[0] == (True, True)
    bridge.restore(saved)
    assert shadow.segments[0] == (False, False)


def test_smram_can_be_locked_until_reset(m: Machine) -> None:
    bridge = m.bus.functions[0, 0]
    saved = bridge.state()
    assert m.read(0, 0x72, 1) == 0x02
    m.write(0, 0x72, 0x4A, 1)
    assert m.read(0, 0x72, 1) == 0x4A
    m.write(0, 0x72, 0x1A, 1)
    m.write(0, 0x72, 0x4A, 1)
    assert m.read(0, 0x72, 1) == 0x1A
    bridge.restore(saved)
    m.write(0, 0x72, 0x4A, 1)
    assert m.read(0, 0x72, 1) == 0x4A


@pytest.mark.parametrize(
    ("base", "enabled", "where"),
    [(0x601, 1, 0x600), (0x601, 0, None), (0xB000, 1, 0xB000), (0, 1, None), (0xFFFF, 1, 0xFFC0)],
)
def test_power_management_is_where_the_base_says(m: Machine, base: int, enabled: int, where: int | None) -> None:
    m.write(1, 0x40, base, function=3)
    m.write(1, 0x80, enabled, 1, 3)
    claimed = [port for port in (0x600, 0xB000, 0xFFC0) if m.ports.claims(port)]
    assert claimed == ([] if where is None else [where])
    if where is not None:
        m.ports.write(where + 2, 2, 0x0100)
        assert m.ports.read(where + 2, 2) == 0x0100


def test_power_management_says_that_smi_is_set_up(m: Machine) -> None:
    assert m.read(1, 0x58, function=3) & 1 << 25
    assert m.read(1, 0x3D, 1, 3) == 1


@pytest.mark.parametrize(
    ("function", "register", "size", "reset", "ones"),
    [
        (0, 0x04, 2, 0x0007, 0x0107),
        (0, 0x06, 2, 0x0200, 0x0200),
        (0, 0x4C, 1, 0x4D, 0x7F),
        (0, 0x4E, 2, 0x0003, 0x01FF),
        (0, 0x69, 1, 0x02, 0xFE),
        (0, 0x70, 1, 0x80, 0xEF),
        (0, 0x76, 2, 0x0C0C, 0x8F8F),
        (0, 0x78, 1, 0x02, 0xFF),
        (0, 0x82, 1, 0x00, 0x0F),
        (0, 0xA0, 1, 0x08, 0x1F),
        (0, 0xA8, 1, 0x0F, 0xFF),
        (3, 0x06, 2, 0x0280, 0x0280),
        (3, 0x40, 4, 0x0000_0001, 0x0000_FFC1),
        (3, 0x80, 1, 0x00, 0x01),
        (3, 0x90, 4, 0x0000_0001, 0x0000_FFF1),
        (3, 0xD2, 1, 0x00, 0x0F),
    ],
)
def test_registers_after_reset_and_what_can_be_written(
    m: Machine, function: int, register: int, size: int, reset: int, ones: int
) -> None:
    assert m.read(1, register, size, function) == reset
    m.write(1, register, (1 << 8 * size) - 1, size, function)
    assert m.read(1, register, size, function) == ones
