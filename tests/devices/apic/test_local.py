"""The local APIC on its own (Vol. 3A ch. 11)."""

import pytest

from vmxon.arch.apic import ApicMode
from vmxon.arch.apic import ApicRegister as R
from vmxon.devices.apic import LocalApic
from vmxon.devices.clock import VirtualClock

MASKED = 1 << 16


class Processor:
    """What the APIC has told its processor."""

    def __init__(self):
        self.line, self.nmis, self.inits, self.priority, self.deadline = False, 0, 0, 0, None

    def set_interrupt(self, level):
        self.line = level

    def signal_nmi(self):
        self.nmis += 1

    def signal_init(self):
        self.inits += 1

    def set_task_priority(self, level):
        self.priority = level

    def read_deadline(self):
        return self.deadline

    def clear_deadline(self):
        self.deadline = None


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def core():
    return Processor()


@pytest.fixture
def apic(clock, core):
    """An APIC that software has enabled; the 8259 answers 0x20."""
    apic = LocalApic(clock, core, lambda: 0x20)
    apic.write(R.SPURIOUS_VECTOR, 0x1FF)
    return apic


@pytest.mark.parametrize(
    ("register", "value"),
    [
        *((R.ID, 0), (R.VERSION, 0x0105_0014), (R.TASK_PRIORITY, 0), (R.PROCESSOR_PRIORITY, 0)),
        *((R.LOGICAL_DESTINATION, 0), (R.DESTINATION_FORMAT, 0xFFFF_FFFF), (R.SPURIOUS_VECTOR, 0xFF), (R.ERROR_STATUS, 0)),
        *((R.LVT_TIMER, MASKED), (R.LVT_THERMAL, MASKED), (R.LVT_PERFORMANCE, MASKED)),
        *((R.LVT_LINT0, MASKED), (R.LVT_LINT1, MASKED), (R.LVT_ERROR, MASKED)),
        *((R.COMMAND, 0), (R.COMMAND_HIGH, 0), (R.INITIAL_COUNT, 0), (R.CURRENT_COUNT, 0), (R.DIVIDE_CONFIGURATION, 0)),
    ],
)
def test_state_after_reset(clock, core, register, value):
    assert LocalApic(clock, core).read(register) == value


@pytest.mark.parametrize(
    ("register", "kept"),
    [
        *((R.TASK_PRIORITY, 0xFF), (R.LOGICAL_DESTINATION, 0xFF00_0000), (R.DESTINATION_FORMAT, 0xFFFF_FFFF)),
        *((R.SPURIOUS_VECTOR, 0x13FF), (R.LVT_TIMER, 0x7_00FF), (R.LVT_THERMAL, 0x1_07FF), (R.LVT_LINT0, 0x1_A7FF)),
        *((R.LVT_ERROR, 0x1_00FF), (R.DIVIDE_CONFIGURATION, 0xB), (R.COMMAND_HIGH, 0xFF00_0000), (R.ID, 0), (R.VERSION, 0x0105_0014)),
    ],
)
def test_reserved_bits_are_dropped(apic, register, kept):
    apic.write(register, 0xFFFF_FFFF)
    assert apic.read(register) == kept


def test_priorities(apic, core):
    apic.accept(0x31)
    apic.accept(0x45)
    assert (core.line, apic.read(R.REQUESTS + 1), apic.read(R.REQUESTS + 2)) == (True, 1 << 17, 1 << 5)
    assert apic.acknowledge() == 0x45
    assert (core.line, apic.read(R.PROCESSOR_PRIORITY), apic.read(R.IN_SERVICE + 2)) == (False, 0x40, 1 << 5)
    apic.accept(0x4F)
    assert not core.line, "the same priority class does not interrupt"
    apic.write(R.END_OF_INTERRUPT, 0)
    assert core.line
    assert [apic.acknowledge(), apic.end(), apic.acknowledge(), apic.end()] == [0x4F, None, 0x31, None]
    assert not core.line


@pytest.mark.parametrize(
    ("task", "service", "priority"),
    [(0x00, None, 0x00), (0x35, None, 0x35), (0x35, 0x31, 0x35), (0x35, 0x41, 0x40), (0x41, 0x4F, 0x41)],
)
def test_processor_priority(apic, task, service, priority):
    if service:
        apic.accept(service)
        apic.acknowledge()
    apic.write(R.TASK_PRIORITY, task)
    assert apic.read(R.PROCESSOR_PRIORITY) == priority


def test_task_priority_holds_back_and_is_cr8(apic, core):
    apic.write(R.TASK_PRIORITY, 0x5A)
    apic.accept(0x5F)
    assert (core.line, core.priority) == (False, 5)
    apic.write(R.TASK_PRIORITY, 0x4F)
    assert core.line


def test_spurious_vector_where_the_request_vanished(apic):
    apic.accept(0x31)
    apic.write(R.TASK_PRIORITY, 0xF0)
    assert (apic.acknowledge(), apic.in_service.highest) == (0xFF, 0)


def test_software_disabled_masks_and_accepts_nothing(apic, core):
    apic.write(R.LVT_LINT0, 0x700)
    apic.write(R.SPURIOUS_VECTOR, 0xFF)
    apic.accept(0x40)
    apic.write(R.LVT_LINT1, 0x400)
    assert (core.line, apic.read(R.LVT_LINT0), apic.read(R.LVT_LINT1)) == (False, 0x1_0700, 0x1_0400)


def test_virtual_wire(apic, core):
    apic.write(R.LVT_LINT0, 0x700)
    apic.set_pin(0, True)
    assert (core.line, apic.acknowledge()) == (True, 0x20)
    apic.set_pin(0, False)
    assert not core.line
    apic.set_pin(0, True)
    apic.write(R.LVT_LINT0, 0x1_0700)
    assert not core.line


def test_past_a_disabled_apic(apic, core):
    apic.set_mode(ApicMode.DISABLED)
    apic.set_pin(0, True)
    assert (core.line, apic.acknowledge()) == (True, 0x20)
    apic.set_pin(1, True)
    assert core.nmis == 1


def test_nmi_of_lint1_is_an_edge(apic, core):
    apic.write(R.LVT_LINT1, 0x400)
    for level in (True, True, False, True):
        apic.set_pin(1, level)
    assert core.nmis == 2


def test_level_triggered_pin_asks_again_after_its_end(apic, core):
    apic.write(R.LVT_LINT0, 0x8000 | 0x51)
    apic.set_pin(0, True)
    assert apic.read(R.LVT_LINT0) == 0xC051
    assert apic.acknowledge() == 0x51
    assert (apic.read(R.TRIGGER_MODE + 2), core.line) == (1 << 17, False)
    apic.end()
    assert core.line
    apic.acknowledge()
    apic.set_pin(0, False)
    apic.end()
    assert (core.line, apic.read(R.LVT_LINT0)) == (False, 0x8051)


@pytest.mark.parametrize(
    ("command", "high", "pending", "nmis", "inits"),
    [
        *((0x4_0041, 0, 0x41, 0, 0), (0x8_0041, 0, 0x41, 0, 0), (0xC_0041, 0, 0, 0, 0)),  # self, all, others
        *((0x41, 0, 0x41, 0, 0), (0x41, 0xFF00_0000, 0x41, 0, 0), (0x41, 0x0100_0000, 0, 0, 0)),  # physical
        *((0x841, 0x0200_0000, 0x41, 0, 0), (0x841, 0x0500_0000, 0, 0, 0)),  # logical, flat model; LDR is 02
        *((0x141, 0, 0x41, 0, 0), (0x400, 0, 0, 1, 0), (0x4500, 0, 0, 0, 1), (0x8500, 0, 0, 0, 0)),  # lowest, NMI, INIT, de-assert
        *((0x610, 0, 0, 0, 0), (0x200, 0, 0, 0, 0)),  # start-up, SMI
        (0x4_0441, 0, 0, 0, 0),  # NMI to itself by shorthand does not exist
    ],
)
def test_interrupt_command(apic, core, command, high, pending, nmis, inits):
    apic.write(R.LOGICAL_DESTINATION, 0x0200_0000)
    apic.write(R.COMMAND_HIGH, high)
    apic.write(R.COMMAND, command)
    assert (apic.requests.highest, core.nmis, core.inits) == (pending, nmis, inits)


@pytest.mark.parametrize(("destination", "arrives"), [(0x12, True), (0x11, False), (0x22, False), (0xF2, True)])
def test_cluster_model(apic, destination, arrives):
    apic.write(R.DESTINATION_FORMAT, 0)
    apic.write(R.LOGICAL_DESTINATION, 0x1200_0000)
    apic.write(R.COMMAND_HIGH, destination << 24)
    apic.write(R.COMMAND, 0x841)
    assert bool(apic.requests.highest) is arrives


def test_x2apic_mode(apic):
    apic.set_mode(ApicMode.X2APIC)
    assert (apic.read(R.ID), apic.read(R.LOGICAL_DESTINATION)) == (0, 1)
    apic.write(R.COMMAND, 0x2_0000_0841)
    assert apic.requests.highest == 0, "another member of the cluster"
    apic.write(R.COMMAND, 0x1_0000_0841)
    assert (apic.read(R.COMMAND), apic.requests.highest) == (0x1_0000_0841, 0x41)
    apic.write(R.SELF_IPI, 0x52)
    assert apic.requests.highest == 0x52


def test_init_resets_the_registers(apic, core):
    apic.write(R.TASK_PRIORITY, 0x30)
    apic.accept(0x41)
    apic.write(R.COMMAND, 0x4500)
    assert (core.inits, core.line, core.priority, apic.read(R.SPURIOUS_VECTOR), apic.requests.highest) == (1, False, 0, 0xFF, 0)


def test_errors(apic):
    apic.write(R.LVT_ERROR, 0xFE)
    apic.write(R.COMMAND, 0x4_000F)
    assert (apic.read(R.ERROR_STATUS), apic.requests.highest) == (0, 0xFE)
    apic.accept(0x0F)
    apic.read(0x3D)
    apic.write(R.ERROR_STATUS, 0)
    assert apic.read(R.ERROR_STATUS) == 0xE0
    apic.write(R.ERROR_STATUS, 0)
    assert apic.read(R.ERROR_STATUS) == 0


def test_state_survives_a_snapshot(apic, clock, core):
    apic.accept(0x41)
    apic.write(R.LVT_TIMER, 0x2_0050)
    apic.write(R.INITIAL_COUNT, 1000)
    other = LocalApic(clock, core)
    other.restore(apic.state())
    assert (other.state(), other.acknowledge()) == (apic.state(), 0x41)


@pytest.mark.parametrize(("code", "divisor"), [(0, 2), (1, 4), (2, 8), (3, 16), (8, 32), (9, 64), (10, 128), (11, 1)])
def test_divide_configuration(apic, clock, code, divisor):
    apic.write(R.DIVIDE_CONFIGURATION, code)
    apic.write(R.LVT_TIMER, 0x41)
    apic.write(R.INITIAL_COUNT, 1000)
    clock.run_until(100 * divisor)
    assert apic.read(R.CURRENT_COUNT) == 900
    clock.run_until(1000 * divisor - 1)
    assert (apic.read(R.CURRENT_COUNT), apic.requests.highest) == (1, 0)
    clock.run_until(1000 * divisor)
    assert (apic.read(R.CURRENT_COUNT), apic.requests.highest) == (0, 0x41)


def test_periodic_timer(apic, clock):
    apic.write(R.DIVIDE_CONFIGURATION, 11)
    apic.write(R.LVT_TIMER, 0x2_0041)
    apic.write(R.INITIAL_COUNT, 10_000)
    for period in range(1, 4):
        clock.run_until(period * 10_000 - 1)
        assert apic.requests.highest == 0
        clock.run_until(period * 10_000)
        assert (apic.acknowledge(), apic.end()) == (0x41, None)
    clock.run_until(32_500)
    assert apic.read(R.CURRENT_COUNT) == 7_500


def test_shortest_period_does_not_hold_the_clock(apic, clock):
    apic.write(R.DIVIDE_CONFIGURATION, 11)
    apic.write(R.LVT_TIMER, 0x2_0041)
    apic.write(R.INITIAL_COUNT, 1)
    fired = clock.sequence
    clock.run_until(1_000_000)
    assert clock.sequence - fired <= 1001


def test_deadline(apic, clock, core):
    core.deadline = 5_000
    apic.follow_deadline()
    assert core.deadline is None, "outside TSC-deadline mode the MSR stays 0"
    apic.write(R.LVT_TIMER, 0x4_0041)
    core.deadline = 5_000
    apic.follow_deadline()
    apic.write(R.INITIAL_COUNT, 100)
    clock.run_until(4_999)
    assert (apic.requests.highest, apic.read(R.INITIAL_COUNT)) == (0, 0)
    clock.run_until(5_000)
    assert (apic.requests.highest, core.deadline) == (0x41, None)


def test_mode_change_disarms_the_deadline(apic, clock, core):
    apic.write(R.LVT_TIMER, 0x4_0041)
    core.deadline = 5_000
    apic.follow_deadline()
    apic.write(R.LVT_TIMER, 0x41)
    clock.run_until(6_000)
    assert (apic.requests.highest, core.deadline) == (0, None)


def test_an_error_entry_whose_vector_is_an_error(apic, core):
    apic.write(R.LVT_ERROR, 5)
    apic.write(R.COMMAND, 0x0004_0003)
    assert not core.line
    apic.write(R.ERROR_STATUS, 0)
    assert apic.read(R.ERROR_STATUS) == 0b0110_0000, "illegal vector sent, and one received"
