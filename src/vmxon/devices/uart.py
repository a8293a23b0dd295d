"""Serial port: a 16550A.

Source: Texas Instruments PC16550D data sheet (SNLS378), “Registers” and “FIFO Interrupt Mode Operation”. OUT2 gates the
interrupt, as on every PC. Linux's 8250 driver decides “16550A” by loopback, FIFO bits, and registers that do not exist.

Not there: time and noise: a byte is sent when it is written, whatever the divisor and the line control say, so parity and framing
errors and breaks never come.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import ClassVar

from vmxon.arch.bits import Word, field, flag
from vmxon.devices.bus import Device, PortSpace, reads, writes
from vmxon.devices.interrupt import Signal

FIFO_DEPTH = 16
TRIGGERS = (1, 4, 8, 14)
NO_INTERRUPT, MODEM_STATUS, HOLDING_EMPTY, DATA_AVAILABLE, LINE_STATUS, TIMEOUT = 1, 0, 2, 4, 6, 12


class InterruptEnable(Word, width=8):
    """IER, offset 1."""

    data_available = flag(0, "received data, and the FIFO's timeout")
    holding_empty = flag(1, "the transmit holding register became empty")
    line_status = flag(2, "errors and break")
    modem_status = flag(3, "a modem input changed")


class FifoControl(Word, width=8):
    """FCR, offset 2, written."""

    enable = flag(0, "both FIFOs work")
    clear_receive = flag(1, "drop what was received")
    clear_transmit = flag(2, "drop what waits to be sent")
    trigger = field(7, 6, "fill of the receive FIFO that interrupts: 1, 4, 8 or 14 bytes")


class LineControl(Word, width=8):
    """LCR, offset 3."""

    word_length = field(1, 0, "data bits minus five")
    stop_bits = flag(2, "more than one stop bit")
    parity = field(5, 3, "parity bit")
    send_break = flag(6, "hold the output low")
    divisor_latch = flag(7, "offsets 0 and 1 address the divisor")


class ModemControl(Word, width=8):
    """MCR, offset 4."""

    terminal_ready = flag(0, "DTR")
    request_to_send = flag(1, "RTS")
    out1 = flag(2, "OUT1")
    out2 = flag(3, "OUT2: lets the interrupt through")
    loopback = flag(4, "outputs are wired to inputs inside the chip")


class LineStatus(Word, width=8):
    """LSR, offset 5."""

    data_ready = flag(0, "a received byte waits")
    overrun = flag(1, "a byte was lost")
    parity_error = flag(2, "never set")
    framing_error = flag(3, "never set")
    break_received = flag(4, "never set")
    holding_empty = flag(5, "the transmit holding register is empty")
    idle = flag(6, "the shift register is empty too")


class ModemStatus(Word, width=8):
    """MSR, offset 6."""

    changes = field(3, 0, "which of the four inputs changed since the last read")
    clear_to_send = flag(4, "CTS")
    data_set_ready = flag(5, "DSR")
    ring = flag(6, "RI")
    carrier = flag(7, "DCD")


READY_TO_SEND = int(LineStatus(0).replace(holding_empty=True, idle=True))
CONNECTED = ModemStatus(0).replace(clear_to_send=True, data_set_ready=True, carrier=True)


class Uart16550(Device, span=8):
    """A serial port whose output goes to `sink`, one byte at a time, without delay; `receive` is its other end."""

    saves: ClassVar[tuple[str, ...]] = (
        "enables", "fifo_control", "line_control", "modem_control", "modem_status", "divisor", "scratch",
        "fifo", "incoming", "overrun", "holding_event",
    )  # fmt: skip

    def __init__(self, sink: Callable[[int], None], interrupt: Signal) -> None:
        self.sink = sink
        self.interrupt = interrupt
        self.enables = InterruptEnable(0)
        self.fifo_control = FifoControl(0)
        self.line_control = LineControl(0)
        self.modem_control = ModemControl(0)
        self.modem_status = CONNECTED
        self.divisor = 12
        self.scratch = 0
        self.fifo: deque[int] = deque()
        self.incoming: deque[int] = deque()
        """Bytes of the other end that have not reached the FIFO: nothing is lost while the guest is slow."""
        self.overrun = False
        self.holding_event = False
        """The holding register became empty and nobody was told yet."""

    def connect(self, ports: PortSpace, base: int = 0x3F8) -> None:
        """Attach at `base`; COM1 is 0x3F8 on IRQ 4, COM2 0x2F8 on IRQ 3."""
        ports.attach(base, self)

    def receive(self, data: bytes) -> None:
        """Send bytes to the guest."""
        self.incoming.extend(data)
        self._update()

    # -- interrupts ----------------------------------------------------------------------------------------------------

    def _cause(self) -> int:
        """The interrupt of highest priority, as IIR names it."""
        enables = self.enables
        if enables.line_status and self.overrun:
            return LINE_STATUS
        if enables.data_available and self.fifo:
            full = not self.fifo_control.enable or len(self.fifo) >= TRIGGERS[self.fifo_control.trigger]
            return DATA_AVAILABLE if full else TIMEOUT  # four character times pass at once
        if enables.holding_empty and self.holding_event:
            return HOLDING_EMPTY
        if enables.modem_status and self.modem_status.changes:
            return MODEM_STATUS
        return NO_INTERRUPT

    def _update(self) -> None:
        depth = FIFO_DEPTH if self.fifo_control.enable else 1
        while self.incoming and len(self.fifo) < depth and not self.modem_control.loopback:
            self.fifo.append(self.incoming.popleft())
        connected = self.modem_control.out2 and not self.modem_control.loopback
        self.interrupt.set(connected and self._cause() != NO_INTERRUPT)

    # -- registers -----------------------------------------------------------------------------------------------------

    @reads(0)
    def read_data(self) -> int:
        if self.line_control.divisor_latch:
            return self.divisor & 0xFF
        value = self.fifo.popleft() if self.fifo else 0
        self._update()
        return value

    @writes(0)
    def write_data(self, value: int) -> None:
        if self.line_control.divisor_latch:
            self.divisor = self.divisor & 0xFF00 | value
            return
        self.holding_event = False
        self._update()  # the wire falls, so that an edge-triggered controller sees the next event
        if not self.modem_control.loopback:
            self.sink(value)
        elif len(self.fifo) < (FIFO_DEPTH if self.fifo_control.enable else 1):
            self.fifo.append(value)
        else:
            self.overrun = True
            if not self.fifo_control.enable:  # “destroying the previous character”
                self.fifo[0] = value
        self.holding_event = True
        self._update()

    @reads(1)
    def read_enables(self) -> int:
        return self.divisor >> 8 if self.line_control.divisor_latch else self.enables

    @writes(1)
    def write_enables(self, value: int) -> None:
        if self.line_control.divisor_latch:
            self.divisor = self.divisor & 0xFF | value << 8
            return
        old, self.enables = self.enables, InterruptEnable(value & 0x0F)
        if self.enables.holding_empty and not old.holding_empty:
            self.holding_event = True  # the register is empty now: Linux's THRE test relies on this
        self._update()

    @reads(2)
    def interrupt_identification(self) -> int:
        cause = self._cause()
        if cause == HOLDING_EMPTY:
            self.holding_event = False
            self._update()
        return cause | (0xC0 if self.fifo_control.enable else 0)

    @writes(2)
    def write_fifo_control(self, value: int) -> None:
        new = FifoControl(value)
        switched = new.enable != self.fifo_control.enable
        if switched or new.clear_receive:
            self.fifo.clear()
        self.fifo_control = FifoControl(value & 0xC9 if new.enable else 0)
        self._update()

    @reads(3)
    def read_line_control(self) -> int:
        return self.line_control

    @writes(3)
    def write_line_control(self, value: int) -> None:
        self.line_control = LineControl(value)

    @reads(4)
    def read_modem_control(self) -> int:
        return self.modem_control

    @writes(4)
    def write_modem_control(self, value: int) -> None:
        self.modem_control = control = ModemControl(value & 0x1F)
        self._set_modem_inputs(
            CONNECTED
            if not control.loopback
            else ModemStatus(0).replace(
                clear_to_send=control.request_to_send,
                data_set_ready=control.terminal_ready,
                ring=control.out1,
                carrier=control.out2,
            )
        )
        self._update()

    def _set_modem_inputs(self, inputs: ModemStatus) -> None:
        """Take new levels; RI counts as changed only when it goes away (“Trailing Edge of Ring Indicator”)."""
        old = self.modem_status
        changed = (old ^ inputs) >> 4
        if inputs.ring:
            changed &= ~0b0100
        self.modem_status = inputs.replace(changes=old.changes | changed)

    @reads(5)
    def line_status(self) -> int:
        status = READY_TO_SEND | bool(self.fifo)  # guests poll this once for each byte that they print
        if self.overrun:
            status |= LineStatus.overrun.mask
            self.overrun = False
            self._update()
        return status

    @reads(6)
    def read_modem_status(self) -> int:
        status = self.modem_status
        self.modem_status = status.replace(changes=0)
        self._update()
        return status

    @reads(7)
    def read_scratch(self) -> int:
        return self.scratch

    @writes(7)
    def write_scratch(self, value: int) -> None:
        self.scratch = value

    @writes(5)
    @writes(6)
    def ignore(self, value: int) -> None:
        """Line and modem status are read only (“intended for factory testing”)."""
