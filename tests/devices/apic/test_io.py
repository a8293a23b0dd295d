"""The I/O APIC on its own (82093AA data sheet), and the way past it."""

import pytest

from vmxon.arch.apic import ApicMode
from vmxon.arch.apic import ApicRegister as R
from vmxon.arch.apic import DeliveryMode as D
from vmxon.devices.apic import InterruptMode, IoApic, LocalApic, Message
from vmxon.devices.bus import MEMORY_SPACE, Bus
from vmxon.devices.clock import VirtualClock

BASE = 0xFEC0_0000
MASKED, LEVEL, LOW_ACTIVE, LOGICAL, REMOTE = 1 << 16, 1 << 15, 1 << 13, 1 << 11, 1 << 14


class Machine:
    """An I/O APIC on a bus; `accepts` is what local APICs say."""

    def __init__(self):
        self.sent, self.accepts, self.bus = [], True, Bus("memory", MEMORY_SPACE)
        self.chip = IoApic(self.send)
        self.chip.connect(self.bus)
        self.pins = [self.chip.input(number) for number in range(24)]

    def send(self, message):
        self.sent.append(message)
        return self.accepts

    def read(self, register):
        self.bus.write(BASE, 4, register)
        return self.bus.read(BASE + 0x10, 4)

    def write(self, register, value):
        self.bus.write(BASE, 4, register)
        self.bus.write(BASE + 0x10, 4, value)

    def program(self, pin, low, destination=0):
        self.write(0x11 + 2 * pin, destination << 24)
        self.write(0x10 + 2 * pin, low)


@pytest.fixture
def machine():
    return Machine()


def test_registers_after_reset(machine):
    assert [machine.read(register) for register in (0, 1, 2, 3, 0x0F, 0x10, 0x11, 0x3E, 0x3F, 0x40)] == [
        *(0, 0x0017_0020, 0, 0, 0, MASKED, 0, MASKED, 0, 0)
    ]


@pytest.mark.parametrize(
    ("register", "kept"),
    [(0, 0x0F00_0000), (1, 0x0017_0020), (2, 0), (0x10, 0x1_AFFF), (0x11, 0xFF00_0000), (0x3F, 0xFF00_0000), (0x40, 0)],
)
def test_bits_that_software_sets(machine, register, kept):
    machine.write(register, 0xFFFF_FFFF)
    assert machine.read(register) == kept
    if register == 0:
        assert machine.read(2) == kept, "the arbitration ID follows"


def test_an_edge_is_sent_once(machine):
    machine.program(5, 0x45, 3)
    for level in (True, True, False, True):
        machine.pins[5](level)
    assert machine.sent == [Message(3, False, D.FIXED, 0x45, False)] * 2
    assert not machine.read(0x1A) & REMOTE


def test_a_masked_edge_is_lost(machine):
    machine.program(5, 0x45 | MASKED)
    machine.pins[5](True)
    machine.program(5, 0x45)
    assert not machine.sent


def test_a_level_asks_until_its_eoi_and_again_while_it_lasts(machine):
    machine.program(9, 0x49 | LEVEL)
    machine.pins[9](True)
    machine.pins[9](False)
    machine.pins[9](True)
    assert len(machine.sent) == 1
    assert machine.read(0x22) & REMOTE
    machine.chip.end(0x48)
    assert len(machine.sent) == 1, "another vector"
    machine.chip.end(0x49)
    assert len(machine.sent) == 2
    machine.pins[9](False)
    machine.bus.write(BASE + 0x40, 4, 0x49)
    assert len(machine.sent) == 2
    assert not machine.read(0x22) & REMOTE


def test_a_level_waits_behind_its_mask(machine):
    machine.pins[9](True)
    machine.program(9, 0x49 | LEVEL | MASKED)
    assert not machine.sent
    machine.program(9, 0x49 | LEVEL)
    assert len(machine.sent) == 1


def test_software_clears_remote_request_by_an_edge(machine):
    """What Linux does where it knows no EOI register."""
    machine.program(9, 0x49 | LEVEL)
    machine.pins[9](True)
    machine.program(9, 0x49 | MASKED)
    machine.program(9, 0x49 | LEVEL | MASKED)
    assert not machine.read(0x22) & REMOTE


def test_what_nobody_accepts_does_not_wait_for_an_eoi(machine):
    machine.accepts = False
    machine.program(9, 0x49 | LEVEL)
    machine.pins[9](True)
    assert not machine.read(0x22) & REMOTE


@pytest.mark.parametrize("trigger", [0, LEVEL])
@pytest.mark.parametrize("first", [False, True])
def test_an_input_that_is_active_low(machine, trigger, first):
    machine.pins[9](first)
    machine.program(9, 0x49 | LOW_ACTIVE | trigger | MASKED)
    machine.program(9, 0x49 | LOW_ACTIVE | trigger)
    assert len(machine.sent) == (1 if trigger and not first else 0)
    machine.sent.clear()
    machine.chip.end(0x49)
    machine.sent.clear()
    machine.pins[9](True)
    machine.chip.end(0x49)
    machine.pins[9](False)
    assert len(machine.sent) == 1


@pytest.mark.parametrize("delivery", list(D))
@pytest.mark.parametrize("trigger", [0, LEVEL])
def test_delivery_modes(machine, delivery, trigger):
    machine.program(7, 0x47 | delivery << 8 | LOGICAL | trigger, 2)
    machine.pins[7](True)
    level = bool(trigger) and delivery in (D.FIXED, D.LOWEST)
    expected = [] if delivery in (D.RESERVED, D.STARTUP) else [Message(2, True, delivery, 0x47, level)]
    assert machine.sent == expected
    assert bool(machine.read(0x1E) & REMOTE) is level


class Core:
    def __init__(self):
        self.line, self.nmis, self.inits = False, 0, 0

    def set_interrupt(self, level):
        self.line = level

    def signal_nmi(self):
        self.nmis += 1

    def signal_init(self):
        self.inits += 1

    def set_task_priority(self, level):
        pass

    def read_deadline(self):
        return None

    def clear_deadline(self):
        pass


class Pair:
    """A local APIC that software has enabled, and an I/O APIC that sends to it; the 8259 answers 0x20."""

    def __init__(self):
        self.core, self.ends = Core(), []
        self.local = LocalApic(VirtualClock(), self.core, lambda: 0x20, self.end)
        self.local.write(R.SPURIOUS_VECTOR, 0x1FF)

    def end(self, vector):
        self.ends.append(vector)

    def fixed(self, destination, logical=False, level=False):
        return self.local.receive(Message(destination, logical, D.FIXED, 0x41, level))


@pytest.fixture
def pair():
    return Pair()


@pytest.mark.parametrize(
    ("mode", "logical", "identity", "model", "arrives"),
    [
        *((ApicMode.XAPIC, False, 0, 0xF, True), (ApicMode.XAPIC, False, 1, 0xF, False), (ApicMode.XAPIC, False, 0xFF, 0xF, True)),
        *((ApicMode.XAPIC, True, 0x04, 0xF, True), (ApicMode.XAPIC, True, 0x02, 0xF, False), (ApicMode.XAPIC, True, 0xFF, 0xF, True)),
        *((ApicMode.XAPIC, True, 0x04, 0x0, True), (ApicMode.XAPIC, True, 0x14, 0x0, False), (ApicMode.XAPIC, True, 0xF4, 0x0, True)),
        *((ApicMode.X2APIC, False, 0, 0, True), (ApicMode.X2APIC, False, 1, 0, False), (ApicMode.X2APIC, False, 0xFF, 0, True)),
        *((ApicMode.X2APIC, True, 0x01, 0, True), (ApicMode.X2APIC, True, 0x02, 0, False)),
        *((ApicMode.DISABLED, False, 0, 0, False), (ApicMode.DISABLED, False, 0xFF, 0, False)),
    ],
)
def test_destinations_of_messages(pair, mode, logical, identity, model, arrives):
    pair.local.write(R.LOGICAL_DESTINATION, 0x0400_0000)
    pair.local.write(R.DESTINATION_FORMAT, model << 28)
    pair.local.set_mode(mode)
    assert pair.fixed(identity, logical) is arrives
    assert pair.core.line is arrives


def test_a_disabled_apic_accepts_no_interrupt_but_an_nmi(pair):
    pair.local.write(R.SPURIOUS_VECTOR, 0xFF)
    assert not pair.fixed(0)
    assert pair.local.receive(Message(0, False, D.NMI, 0, False))
    assert pair.core.nmis == 1


@pytest.mark.parametrize(("level", "suppressed", "told"), [(True, False, [0x41]), (False, False, []), (True, True, [])])
def test_an_eoi_is_broadcast_for_levels(pair, level, suppressed, told):
    pair.local.write(R.SPURIOUS_VECTOR, 0x11FF if suppressed else 0x1FF)
    pair.fixed(0, level=level)
    assert pair.local.acknowledge() == 0x41
    pair.local.write(R.END_OF_INTERRUPT, 0)
    assert pair.ends == told


def test_external_interrupt_by_message(pair):
    assert pair.local.receive(Message(0, False, D.EXTINT, 0, False))
    assert pair.core.line
    assert pair.local.acknowledge() == 0x20
    assert not pair.core.line


def test_init_by_message(pair):
    pair.local.receive(Message(0, False, D.INIT, 0, False))
    assert (pair.core.inits, pair.local.read(R.SPURIOUS_VECTOR)) == (1, 0xFF)


def test_interrupt_mode_register(pair):
    ports = Bus("port")
    InterruptMode(pair.local.lead_past).connect(ports)
    pair.local.set_pin(0, True)
    assert not pair.core.line, "LINT0 is masked"
    ports.write(0x23, 1, 0)
    assert not pair.core.line, "no register is selected"
    assert ports.read(0x23, 1) == 0xFF
    ports.write(0x22, 1, 0x70)
    assert ports.read(0x23, 1) == 1
    ports.write(0x23, 1, 0)
    assert pair.core.line
    assert pair.local.acknowledge() == 0x20
    ports.write(0x23, 1, 0xFF)
    assert not pair.core.line
    assert ports.read(0x23, 1) == 1


def test_state_returns(machine):
    machine.program(9, 0x49 | LEVEL)
    machine.pins[9](True)
    saved = machine.chip.state()
    other = Machine()
    for _ in range(2):
        other.chip.restore(saved)
        assert other.chip.state() == saved
        other.chip.end(0x49)
        assert len(other.sent) == 1
        other.sent.clear()
