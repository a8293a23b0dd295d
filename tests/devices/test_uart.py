import pytest

from vmxon.devices.bus import Bus
from vmxon.devices.interrupt import Line
from vmxon.devices.uart import Uart16550

DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR = range(0x3F8, 0x400)


class Machine:
    def __init__(self) -> None:
        self.sent, self.line, self.bus, self.edges = bytearray(), Line(), Bus("port"), 0
        self.line.connect(self.count)
        self.uart = Uart16550(self.sent.append, self.line)
        self.uart.connect(self.bus)

    def count(self, level: bool) -> None:
        self.edges += level

    def out(self, *pairs: tuple[int, int]) -> None:
        for port, value in pairs:
            self.bus.write(port, 1, value)

    def read(self, port: int) -> int:
        return self.bus.read(port, 1)


@pytest.fixture
def m() -> Machine:
    return Machine()


def test_reset_values_and_transmission(m: Machine) -> None:
    assert [m.read(port) for port in range(0x3F8, 0x400)] == [0, 0, 1, 0, 0, 0x60, 0xB0, 0]
    m.out((DATA, 65), (LCR, 0x83), (DATA, 0x34), (IER, 0x12), (LCR, 3), (DATA, 66))
    assert m.sent == b"AB"
    m.out((LCR, 0x80))
    assert (m.read(DATA), m.read(IER)) == (0x34, 0x12)


def test_linux_autoconfig_says_16550a(m: Machine) -> None:
    """The probes of Linux's 8250 driver, in its order (drivers/tty/serial/8250/8250_port.c, autoconfig)."""
    m.out((IER, 0))
    assert m.read(IER) & 0x0F == 0
    m.out((IER, 0x0F))
    assert m.read(IER) == 0x0F  # and bit 6 of a XScale does not exist
    m.out((IER, 0x4F))
    assert m.read(IER) == 0x0F
    m.out((IER, 0), (MCR, 0x1A))
    assert m.read(MSR) & 0xF0 == 0x90
    m.out((MCR, 0), (LCR, 0xBF), (2, 0), (LCR, 0), (IIR, 1))
    assert m.read(IIR) >> 6 == 3
    m.out((LCR, 0x80))
    assert m.read(IIR) != 0  # no 16650: offset 2 is not an EFR that reads as 0
    m.out((LCR, 0), (IIR, 0x21))
    assert m.read(IIR) >> 5 == 6  # no 64-byte FIFO


@pytest.mark.parametrize(
    ("enables", "prepare", "identification"),
    [
        (0x02, "empty", 0x02),
        (0x01, "data", 0x04),
        (0x0F, "data", 0x04),  # above the empty register
        (0x08, "modem", 0x00),
        (0x0A, "modem", 0x02),
        (0x0F, "overrun", 0x06),
        (0x00, "data", 0x01),
    ],
)
def test_interrupt_priorities(m: Machine, enables: int, prepare: str, identification: int) -> None:
    m.out((MCR, 0x18))  # loopback changes DCD
    m.out((IER, enables))
    if prepare in ("data", "overrun"):
        m.out((DATA, 1))
    if prepare == "overrun":
        m.out((DATA, 2))
    if prepare in ("empty", "data", "overrun"):
        m.read(MSR)
    assert m.read(IIR) == identification


def test_empty_register_interrupt_is_cleared_by_reading_iir_and_comes_again_with_each_byte(m: Machine) -> None:
    m.out((MCR, 8), (IER, 2))
    assert (m.line.level, m.edges) == (True, 1)
    assert m.read(IIR) == 0x02
    assert not m.line.level
    assert m.read(IIR) == 0x01
    m.out((DATA, 65))
    assert (m.line.level, m.edges) == (True, 2)
    m.out((DATA, 66))  # without reading IIR: the wire falls and rises
    assert m.edges == 3
    m.out((IER, 0))
    assert not m.line.level
    m.out((IER, 2))  # Linux's THRE test needs it again
    assert m.read(IIR) == 0x02


@pytest.mark.parametrize("control", [0x00, 0x18])
def test_out2_or_loopback_disconnects_the_interrupt(m: Machine, control: int) -> None:
    m.out((MCR, control), (IER, 3))
    m.uart.receive(b"x")
    assert not m.line.level
    m.out((MCR, 8))
    assert m.line.level


@pytest.mark.parametrize(("trigger", "level"), [(0x01, 1), (0x41, 4), (0x81, 8), (0xC1, 14)])
def test_fifo_trigger_levels(m: Machine, trigger: int, level: int) -> None:
    m.out((IIR, trigger), (IER, 1))
    m.uart.receive(b"x" * (level - 1))
    assert m.read(IIR) == (0xC1 if level == 1 else 0xCC)
    m.uart.receive(b"x")
    assert m.read(IIR) == 0xC4


def test_nothing_is_lost_while_the_guest_is_slow(m: Machine) -> None:
    m.out((IIR, 1))
    text = bytes(range(100))
    m.uart.receive(text)
    assert len(m.uart.fifo) == 16
    got = bytearray()
    while m.read(LSR) & 1:
        got.append(m.read(DATA))
    assert got == text
    assert m.read(DATA) == 0


def test_loopback_receives_what_it_sends_and_overruns(m: Machine) -> None:
    m.out((MCR, 0x10), (DATA, 0x5A), (DATA, 0x5B))
    assert m.sent == b""
    assert m.read(LSR) == 0x63
    assert m.read(LSR) == 0x61
    assert m.read(DATA) == 0x5B, "without a FIFO, the new character destroys the old one"
    m.out((IIR, 1), *((DATA, value) for value in range(17)))
    assert m.read(LSR) == 0x63
    assert [m.read(DATA) for _ in range(16)] == list(range(16)), "with one, the new character is lost"


@pytest.mark.parametrize(("control", "status"), [(0x11, 0x22), (0x12, 0x11), (0x14, 0x40), (0x18, 0x80)])
def test_loopback_wires_modem_outputs_to_inputs(m: Machine, control: int, status: int) -> None:
    m.out((MCR, 0x10))
    m.read(MSR)
    m.out((MCR, control))
    assert m.read(MSR) & 0xF0 == status & 0xF0
    m.out((MCR, control))
    assert m.read(MSR) & 0x0F == 0


def test_clearing_the_fifo_and_scratch(m: Machine) -> None:
    m.out((IIR, 1), (SCR, 0xA5))
    m.uart.receive(b"abc")
    m.out((IIR, 3))
    assert m.read(LSR) == 0x60
    assert m.read(SCR) == 0xA5
