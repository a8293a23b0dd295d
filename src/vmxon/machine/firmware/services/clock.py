"""INT 08h, INT 1Ah and INT 70h: the count of ticks, the time of day, and waits in microseconds.

Source: IBM PS/2 and PC BIOS Interface Technical Reference, “Interrupt 1AH, System-Timer and Real-Time Clock Services”.
"""

from __future__ import annotations

from collections.abc import Callable

from vmxon.devices.cmos import (
    CENTURY,
    DAY,
    HOURS,
    MINUTES,
    MONTH,
    REGISTER_B,
    REGISTER_C,
    SECONDS,
    YEAR,
    Control,
    Flags,
)
from vmxon.machine.firmware.areas import Bda
from vmxon.machine.firmware.call import Call
from vmxon.machine.firmware.memory import BiosMemory, Ports

TICKS_A_DAY = 0x1800B0
TICKS_AN_HOUR = 65_543
"""Of 54.925 ms, as the BIOS has always rounded them."""
PERIOD = 976
"""Microseconds between two interrupts of the clock chip at its rate of 1024 Hz."""
WAITED, COMPLETE = 1, 0x80
UNSUPPORTED = 0x86
INDEX, DATA = 0x70, 0x71


class ClockServices:
    """Ticks in the data area, time and date in the clock chip."""

    def __init__(self, memory: BiosMemory, ports: Ports) -> None:
        self.memory, self.ports = memory, ports
        self.functions: dict[int, Callable[[Call], None]] = {
            0x00: self._get_ticks,
            0x01: self._set_ticks,
            0x02: self._get_time,
            0x03: self._set_time,
            0x04: self._get_date,
            0x05: self._set_date,
        }

    def power_on(self) -> None:
        """Count from the time of day."""
        hours, minutes, seconds = (self._number(register) for register in (HOURS, MINUTES, SECONDS))
        ticks = (hours * 3600 + minutes * 60 + seconds) * TICKS_AN_HOUR // 3600
        self.memory.set_double(Bda.TICKS, min(ticks, TICKS_A_DAY - 1))

    def _number(self, register: int) -> int:
        value = self._read(register)
        return value if Control(self._read(REGISTER_B)).binary else (value >> 4) * 10 + (value & 15)

    def _read(self, register: int) -> int:
        self.ports.write(INDEX, 1, register)
        return self.ports.read(DATA, 1)

    def _write(self, register: int, value: int) -> None:
        self.ports.write(INDEX, 1, register)
        self.ports.write(DATA, 1, value & 0xFF)

    def tick(self, _: Call) -> None:
        """INT 08h: IRQ 0."""
        ticks = self.memory.double(Bda.TICKS) + 1
        if ticks >= TICKS_A_DAY:
            ticks = 0
            self.memory.set_byte(Bda.MIDNIGHT, 1)
        self.memory.set_double(Bda.TICKS, ticks)

    def serve(self, call: Call) -> None:
        """INT 1Ah; without PCI, AH=B1h is no function."""
        function = self.functions.get(call.ah)
        if function is None:
            call.fail(UNSUPPORTED)
        else:
            call.succeed()
            function(call)

    def _get_ticks(self, call: Call) -> None:
        ticks = self.memory.double(Bda.TICKS)
        call.cx, call.dx, call.al = ticks >> 16, ticks & 0xFFFF, self.memory.byte(Bda.MIDNIGHT)
        call.ah = 0
        self.memory.set_byte(Bda.MIDNIGHT, 0)

    def _set_ticks(self, call: Call) -> None:
        self.memory.set_double(Bda.TICKS, call.cx << 16 | call.dx)
        self.memory.set_byte(Bda.MIDNIGHT, 0)
        call.ah = 0

    def _get_time(self, call: Call) -> None:
        call.ch, call.cl, call.dh = (self._read(register) for register in (HOURS, MINUTES, SECONDS))
        call.dl = Control(self._read(REGISTER_B)).daylight_saving
        call.ah = 0

    def _set_time(self, call: Call) -> None:
        for register, value in ((HOURS, call.ch), (MINUTES, call.cl), (SECONDS, call.dh)):
            self._write(register, value)
        control = Control(self._read(REGISTER_B))
        self._write(REGISTER_B, control.replace(daylight_saving=bool(call.dl & 1), hours_24=True, set=False))
        call.ah = 0

    def _get_date(self, call: Call) -> None:
        call.ch, call.cl, call.dh, call.dl = (self._read(register) for register in (CENTURY, YEAR, MONTH, DAY))
        call.ah = 0

    def _set_date(self, call: Call) -> None:
        for register, value in ((CENTURY, call.ch), (YEAR, call.cl), (MONTH, call.dh), (DAY, call.dl)):
            self._write(register, value)
        call.ah = 0

    # Waits: the clock chip interrupts 1024 times a second, INT 70h counts down.
    @property
    def waiting(self) -> bool:
        """A wait is under way."""
        return bool(self.memory.byte(Bda.WAIT_ACTIVE) & WAITED)

    def start_wait(self, microseconds: int, flag_segment: int, flag_offset: int) -> None:
        """Set bit 7 of the flag's byte when the time is over."""
        memory = self.memory
        memory.set_word(Bda.WAIT_FLAG_POINTER, flag_offset)
        memory.set_word(Bda.WAIT_FLAG_POINTER + 2, flag_segment)
        memory.set_double(Bda.WAIT_MICROSECONDS, microseconds)
        memory.set_byte(Bda.WAIT_ACTIVE, WAITED)
        self._write(REGISTER_B, Control(self._read(REGISTER_B)).replace(periodic_interrupt=True))

    def end_wait(self) -> None:
        """No wait, and no more interrupts."""
        self.memory.set_byte(Bda.WAIT_ACTIVE, 0)
        self._write(REGISTER_B, Control(self._read(REGISTER_B)).replace(periodic_interrupt=False))

    def chip_interrupt(self, _: Call) -> None:
        """INT 70h: IRQ 8."""
        if not Flags(self._read(REGISTER_C)).periodic or not self.waiting:
            return
        memory = self.memory
        left = memory.double(Bda.WAIT_MICROSECONDS) - PERIOD
        memory.set_double(Bda.WAIT_MICROSECONDS, max(left, 0))
        if left <= 0:
            flag = (memory.word(Bda.WAIT_FLAG_POINTER + 2) << 4) + memory.word(Bda.WAIT_FLAG_POINTER)
            memory.set_byte(flag, memory.byte(flag) | COMPLETE)
            self.end_wait()
