"""INT 14h: the serial ports that the data area lists.

Source: IBM PS/2 and PC BIOS Interface Technical Reference, “Interrupt 14H, Asynchronous Communications”.
"""

from __future__ import annotations

from vmxon.machine.firmware.areas import Bda
from vmxon.machine.firmware.call import Call
from vmxon.machine.firmware.memory import BiosMemory, Ports

DATA, LINE_CONTROL, MODEM_CONTROL, LINE_STATUS, MODEM_STATUS = 0, 3, 4, 5, 6
DATA_READY, HOLDING_EMPTY = 0x01, 0x20
DIVISOR_LATCH = 0x80
TERMINAL_READY_AND_REQUEST = 3
TIMED_OUT = 0x80
DIVISORS = (1047, 768, 384, 192, 96, 48, 24, 12)
"""Of 110, 150, 300, 600, 1200, 2400, 4800 and 9600 baud."""


class SerialServices:
    """Polled input and output. A receiver without a byte times out at once: no time passes in here."""

    def __init__(self, memory: BiosMemory, ports: Ports) -> None:
        self.memory, self.ports = memory, ports

    def serve(self, call: Call) -> None:
        """INT 14h."""
        base = self.memory.word(Bda.SERIAL_PORTS + 2 * call.dx) if call.dx < 4 else 0
        if base == 0:
            call.ah = TIMED_OUT
            return
        match call.ah:
            case 0:
                self._initialize(base, call.al)
                self._status(base, call)
            case 1:
                if self._read(base + LINE_STATUS) & HOLDING_EMPTY:
                    self._write(base + DATA, call.al)
                    call.ah = self._read(base + LINE_STATUS) & ~TIMED_OUT
                else:
                    call.ah = TIMED_OUT
            case 2:
                status = self._read(base + LINE_STATUS)
                if status & DATA_READY:
                    call.al = self._read(base + DATA)
                    call.ah = status & 0x1E
                else:
                    call.ah = TIMED_OUT
            case 3:
                self._status(base, call)

    def _initialize(self, base: int, parameters: int) -> None:
        divisor = DIVISORS[parameters >> 5]
        self._write(base + LINE_CONTROL, DIVISOR_LATCH)
        self._write(base, divisor & 0xFF)
        self._write(base + 1, divisor >> 8)
        self._write(base + LINE_CONTROL, parameters & 0x1F)
        self._write(base + 1, 0)
        self._write(base + MODEM_CONTROL, TERMINAL_READY_AND_REQUEST)

    def _status(self, base: int, call: Call) -> None:
        call.ah, call.al = self._read(base + LINE_STATUS), self._read(base + MODEM_STATUS)

    def _read(self, port: int) -> int:
        return self.ports.read(port & 0xFFFF, 1)

    def _write(self, port: int, value: int) -> None:
        self.ports.write(port & 0xFFFF, 1, value)
