import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmxon.devices.bus import Bus
from vmxon.devices.clock import SECOND, VirtualClock
from vmxon.devices.interrupt import Line
from vmxon.devices.power import PM_TIMER_HZ, PowerManagement

BASE = 0x600
STATUS, ENABLE, CONTROL, TIMER, GENERAL_STATUS, GENERAL_ENABLE = (BASE + at for at in (0, 2, 4, 8, 12, 14))
HALF = 1 << 23
"""Ticks between two changes of bit 23."""


class Machine:
    def __init__(self, timer_bits: int = 24) -> None:
        self.clock, self.irq9, self.bus, self.offs = VirtualClock(), Line(), Bus("port"), 0
        self.power = PowerManagement(self.clock, self.irq9, self.turn_off, timer_bits)
        self.bus.attach(BASE, self.power)

    def turn_off(self) -> None:
        self.offs += 1

    def run_to_tick(self, tick: int) -> None:
        self.clock.run_until(-(-tick * SECOND // PM_TIMER_HZ))


@pytest.fixture
def m() -> Machine:
    return Machine()


@pytest.mark.parametrize(
    ("register", "written", "read"),
    [
        (STATUS, 0xFFFF, 0),
        (ENABLE, 0xFFFF, 0x0721),
        (ENABLE, 0x0100, 0x0100),
        (CONTROL, 0xDFFF, 0x1C03),  # SLP_EN (bit 13) and GBL_RLS (bit 2) read as 0
        (CONTROL, 0x1401, 0x1401),
        (GENERAL_STATUS, 0xFFFF, 0),
        (GENERAL_ENABLE, 0xA5C3, 0xA5C3),
    ],
)
def test_registers(m: Machine, register: int, written: int, read: int) -> None:
    m.bus.write(register, 2, written)
    assert m.bus.read(register, 2) == read
    assert [m.bus.read(register + at, 1) for at in range(2)] == [read & 0xFF, read >> 8]


@pytest.mark.parametrize(
    ("written", "off"),
    [(0x2000, 1), (0x0000, 0), (0x1C00, 0), (0x2400, 0), (0x3400, 0), (0x2001, 1)],
)
def test_only_soft_off_turns_the_power_off(m: Machine, written: int, off: int) -> None:
    m.bus.write(CONTROL, 2, written)
    assert m.offs == off


@given(st.integers(0, 20 * SECOND), st.sampled_from([24, 32]))
def test_timer_counts_virtual_time(now: int, bits: int) -> None:
    m = Machine(bits)
    m.clock.run_until(now)
    assert m.bus.read(TIMER, 4) == now * 3_579_545 // SECOND % (1 << bits)
    m.bus.write(TIMER, 4, 0)
    assert m.bus.read(TIMER, 4) == now * 3_579_545 // SECOND % (1 << bits)


def test_timer_wraps_at_its_width() -> None:
    for bits, seen in ((24, 0), (32, 1 << 24)):
        m = Machine(bits)
        m.run_to_tick(1 << 24)
        assert m.bus.read(TIMER, 4) == seen


def test_timer_status_is_set_at_each_change_of_the_highest_bit(m: Machine) -> None:
    for change in range(1, 4):
        m.run_to_tick(change * HALF - 1)
        assert m.bus.read(STATUS, 2) == 0
        m.run_to_tick(change * HALF)
        assert m.bus.read(STATUS, 2) == 1
        m.bus.write(STATUS, 2, 0xFFFE)
        assert m.bus.read(STATUS, 2) == 1
        m.bus.write(STATUS, 2, 1)
        assert m.bus.read(STATUS, 2) == 0


def test_timer_interrupts_when_enabled(m: Machine) -> None:
    m.bus.write(CONTROL, 2, 1)
    assert m.clock.next_deadline() is None
    m.bus.write(ENABLE, 2, 1)
    m.run_to_tick(HALF - 1)
    assert not m.irq9.level
    m.run_to_tick(HALF)
    assert m.irq9.level
    m.bus.write(STATUS, 2, 1)
    assert not m.irq9.level
    m.run_to_tick(2 * HALF)
    assert m.irq9.level
    m.bus.write(ENABLE, 2, 0)
    assert not m.irq9.level
    assert m.clock.next_deadline() is None


@pytest.mark.parametrize(
    ("enabled", "acpi", "level"), [(0x100, True, True), (0x100, False, False), (0x001, True, False), (0x721, True, True)]
)
def test_power_button(m: Machine, enabled: int, acpi: bool, level: bool) -> None:
    m.power.enable_acpi(acpi)
    m.bus.write(ENABLE, 2, enabled)
    m.power.press_power_button()
    assert m.bus.read(STATUS, 2) == 0x100
    assert m.irq9.level is level
    m.bus.write(STATUS + 1, 1, 1)
    assert m.bus.read(STATUS, 2) == 0
    assert not m.irq9.level


def test_acpi_can_be_turned_on_after_the_event(m: Machine) -> None:
    m.bus.write(ENABLE, 2, 0x100)
    m.power.press_power_button()
    assert not m.irq9.level
    m.power.enable_acpi(True)
    assert m.irq9.level
    assert m.bus.read(CONTROL, 2) == 1
    m.power.enable_acpi(False)
    assert not m.irq9.level
    assert m.bus.read(CONTROL, 2) == 0


def test_state_returns(m: Machine) -> None:
    m.bus.write(CONTROL, 2, 1)
    m.bus.write(ENABLE, 2, 0x101)
    m.bus.write(GENERAL_ENABLE, 2, 0x1234)
    m.run_to_tick(HALF)
    copy = Machine()
    copy.clock.restore(m.clock.state())
    copy.power.restore(m.power.state())
    assert copy.power.state() == m.power.state()
    assert [copy.bus.read(BASE + at, 2) for at in range(0, 16, 2)] == [m.bus.read(BASE + at, 2) for at in range(0, 16, 2)]
