"""Real-time clock and configuration memory: an MC146818 with the PC's 128 bytes.

Source: Motorola MC146818A data sheet, “Address Map”, “Registers”, “Interrupts”; memory-size bytes: Ralf Brown's CMOS
list. The time is the base time plus virtual time; nothing is stepped, flags are computed when somebody looks.

Not there: daylight saving, the square wave, an alarm that turns the machine on.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import ClassVar

from vmxon.arch.bits import Word, field, flag
from vmxon.devices.bus import Device, PortSpace, reads, writes
from vmxon.devices.clock import SECOND, Timer, VirtualClock
from vmxon.devices.interrupt import Signal

OSCILLATOR = 32_768
UPDATE = 244_000 + 1_984_000
"""Nanoseconds before a new second in which update-in-progress is set."""
SECONDS, SECONDS_ALARM, MINUTES, MINUTES_ALARM, HOURS, HOURS_ALARM, WEEKDAY, DAY, MONTH, YEAR = range(10)
REGISTER_A, REGISTER_B, REGISTER_C, REGISTER_D, CENTURY = 0x0A, 0x0B, 0x0C, 0x0D, 0x32
CLOCK_REGISTERS = (SECONDS, MINUTES, HOURS, WEEKDAY, DAY, MONTH, YEAR, CENTURY)
ALARMS = (SECONDS_ALARM, MINUTES_ALARM, HOURS_ALARM)
ANY = 0xC0
"""An alarm byte from here on matches every value."""
DAY_SECONDS = 86_400


class Control(Word, width=8):
    """Register B."""

    daylight_saving = flag(0, "kept, without effect")
    hours_24 = flag(1, "hours count to 23")
    binary = flag(2, "binary instead of two decimal digits")
    square_wave = flag(3, "kept, without effect")
    update_interrupt = flag(4, "interrupt at the end of each update")
    alarm_interrupt = flag(5, "interrupt when the alarm matches")
    periodic_interrupt = flag(6, "interrupt at the rate of register A")
    set = flag(7, "the time stands still, to be set")


class Flags(Word, width=8):
    """Register C; reading it clears it."""

    update = flag(4, "an update ended")
    alarm = flag(5, "the alarm matched")
    periodic = flag(6, "a period ended")
    requested = flag(7, "one of the three with its enable set: IRQ 8")


class Rates(Word, width=8):
    """Register A."""

    rate = field(3, 0, "periodic rate: 0 none, else 32768 Hz >> (rate - 1)")
    divider = field(6, 4, "2: a 32768 Hz crystal")
    updating = flag(7, "the time is about to change; read only")


class Cmos(Device, span=2):
    """RTC and CMOS memory behind ports 0x70 and 0x71; `memory_size` is the RAM below 4 GiB in bytes, `high_memory` the rest."""

    saves: ClassVar[tuple[str, ...]] = (
        "memory", "index", "nmi_masked", "base", "control", "rates", "flags", "seen", "timer",
    )  # fmt: skip

    def __init__(self, clock: VirtualClock, interrupt: Signal, base: datetime, memory_size: int, high_memory: int = 0) -> None:
        self.clock = clock
        self.interrupt = interrupt
        self.base = int((base if base.tzinfo else base.replace(tzinfo=UTC)).timestamp()) * SECOND - clock.now
        """Nanoseconds since 1970 at virtual time 0."""
        self.memory = bytearray(128)
        self.index = 0
        self.nmi_masked = False
        self.control = Control(0).replace(hours_24=True)
        self.rates = Rates(0).replace(rate=6, divider=2)
        self.flags = Flags(0)
        self.seen = clock.now
        """The virtual time up to which `flags` is known."""
        self.timer = Timer(clock, self._update)
        self._describe(memory_size, high_memory)

    def connect(self, ports: PortSpace) -> None:
        """Attach at 0x70 and 0x71."""
        ports.attach(0x70, self)

    def reset(self) -> None:
        """The RESET pin: no interrupt is enabled or requested; time and memory stay (“RESET”)."""
        self.control = self.control.replace(
            periodic_interrupt=False, alarm_interrupt=False, update_interrupt=False, square_wave=False
        )
        self.flags = Flags(0)
        self.index, self.nmi_masked = 0, False
        self._update()

    def _describe(self, memory_size: int, high_memory: int) -> None:
        """Equipment, memory sizes and their checksum."""
        kib = max(memory_size // 1024, 0)
        base = min(kib, 640)
        extended = min(max(kib - 1024, 0), 0xFFFF)
        above_16_mib = min(max(memory_size - (16 << 20), 0) >> 16, 0xFFFF)
        self.memory[0x14] = 0x06  # coprocessor, PS/2 port
        for register, value in ((0x15, base), (0x17, extended), (0x30, extended), (0x34, above_16_mib)):
            self.memory[register : register + 2] = value.to_bytes(2, "little")
        self.memory[0x5B:0x5E] = min(high_memory >> 16, 0xFF_FFFF).to_bytes(3, "little")
        self.memory[0x2E:0x30] = (sum(self.memory[0x10:0x2E]) & 0xFFFF).to_bytes(2, "big")

    # -- ports ---------------------------------------------------------------------------------------------------------

    @writes(0)
    def select(self, value: int) -> None:
        self.index = value & 0x7F
        self.nmi_masked = bool(value & 0x80)

    @reads(1)
    def read(self) -> int:
        index = self.index
        if index in CLOCK_REGISTERS:
            if not self.control.set:
                self._show_time()
        elif index == REGISTER_A:
            into_second = (self.base + self.clock.now) % SECOND
            return self.rates.replace(updating=not self.control.set and into_second >= SECOND - UPDATE)
        elif index == REGISTER_B:
            return self.control
        elif index == REGISTER_C:
            self._catch_up()
            flags, self.flags = self.flags, Flags(0)
            self._update()
            return flags
        elif index == REGISTER_D:
            return 0x80  # the battery is good
        return self.memory[index]

    @writes(1)
    def write(self, value: int) -> None:
        index = self.index
        if index in (REGISTER_C, REGISTER_D):
            return
        self._catch_up()
        if index == REGISTER_A:
            self.rates = Rates(value & 0x7F)
        elif index == REGISTER_B:
            self._set_control(Control(value))
        elif index in CLOCK_REGISTERS and not self.control.set:
            self._show_time()
            self.memory[index] = value
            self._take_time()
        else:
            self.memory[index] = value
        self._update()

    def _set_control(self, control: Control) -> None:
        was_set = self.control.set
        if control.set and not was_set:
            self._show_time()
        self.control = control.replace(update_interrupt=control.update_interrupt and not control.set)
        if was_set and not control.set:
            self._take_time()

    # -- time ----------------------------------------------------------------------------------------------------------

    def _encode(self, value: int) -> int:
        return value if self.control.binary else value // 10 << 4 | value % 10

    def _decode(self, value: int) -> int:
        return value if self.control.binary else (value >> 4) * 10 + (value & 15)

    def _encode_hour(self, hour: int) -> int:
        if self.control.hours_24:
            return self._encode(hour)
        return self._encode((hour - 1) % 12 + 1) | (0x80 if hour >= 12 else 0)

    def _decode_hour(self, value: int) -> int:
        if self.control.hours_24:
            return self._decode(value)
        return self._decode(value & 0x7F) % 12 + (12 if value & 0x80 else 0)

    def _show_time(self) -> None:
        """Fill the time registers."""
        now = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=(self.base + self.clock.now) // SECOND)
        memory = self.memory
        memory[SECONDS], memory[MINUTES] = self._encode(now.second), self._encode(now.minute)
        memory[HOURS] = self._encode_hour(now.hour)
        memory[WEEKDAY] = now.isoweekday() % 7 + 1
        memory[DAY], memory[MONTH] = self._encode(now.day), self._encode(now.month)
        memory[YEAR] = self._encode(now.year % 100)
        memory[CENTURY] = now.year // 1000 << 4 | now.year // 100 % 10  # decimal in both modes

    def _take_time(self) -> None:
        """Let the time run on from its registers; values that no date has are brought to the nearest one."""
        memory = self.memory
        century = (memory[CENTURY] >> 4) * 10 + (memory[CENTURY] & 15)
        year = min(max(century * 100 + self._decode(memory[YEAR]), 1970), 9000)
        month = min(max(self._decode(memory[MONTH]), 1), 12)
        first = datetime(year, month, 1, tzinfo=UTC)
        last_day = (datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC) - first).days
        date = first.replace(
            day=min(max(self._decode(memory[DAY]), 1), last_day),
            hour=min(self._decode_hour(memory[HOURS]), 23),
            minute=min(self._decode(memory[MINUTES]), 59),
            second=min(self._decode(memory[SECONDS]), 59),
        )
        into_second = (self.base + self.clock.now) % SECOND
        self.base = int(date.timestamp()) * SECOND + into_second - self.clock.now

    # -- interrupts ----------------------------------------------------------------------------------------------------

    def _period(self) -> int:
        """Oscillator pulses in a period, 0 for none; rates 1 and 2 are those of 8 and 9."""
        rate = self.rates.rate
        return 0 if rate == 0 else 1 << (rate + 6 if rate < 3 else rate - 1)

    def _next_second(self) -> int:
        return self.seen + SECOND - (self.base + self.seen) % SECOND

    def _next_period(self) -> int | None:
        period = self._period()
        if not period:
            return None
        pulse = (self.seen * OSCILLATOR // SECOND // period + 1) * period
        return -(-pulse * SECOND // OSCILLATOR)

    def _next_alarm(self) -> int | None:
        """The virtual time of the next second that the alarm bytes match, or None if no time of day does."""
        codes = [self.memory[register] for register in ALARMS]
        decoders = (self._decode, self._decode, self._decode_hour)
        second, minute, hour = (
            None if code >= ANY else decode(code) for code, decode in zip(codes, decoders, strict=True)
        )
        begin = (self.base + self.seen) // SECOND + 1
        moment = begin
        while moment <= begin + DAY_SECONDS:
            of_day = moment % DAY_SECONDS
            if hour is not None and of_day // 3600 != hour:
                moment += 3600 - of_day % 3600
            elif minute is not None and of_day // 60 % 60 != minute:
                moment += 60 - of_day % 60
            elif second is not None and of_day % 60 != second:
                moment += 1
            else:
                return moment * SECOND - self.base
        return None

    def _catch_up(self) -> None:
        """Set the flags of everything that happened since the last look."""
        now = self.clock.now
        if now <= self.seen:
            return
        update, alarm, periodic = self.flags.update, self.flags.alarm, self.flags.periodic
        period = self._next_period()
        periodic = periodic or (period is not None and period <= now)
        if not self.control.set:
            update = update or self._next_second() <= now
            if update and not alarm:
                match = self._next_alarm()
                alarm = match is not None and match <= now
        self.flags = self.flags.replace(update=update, alarm=alarm, periodic=periodic)
        self.seen = now

    def _update(self) -> None:
        """Drive IRQ 8, and wait for the next event that can raise it."""
        self._catch_up()
        control, flags = self.control, self.flags
        requested = bool(flags & control & 0x70)
        self.flags = flags.replace(requested=requested)
        self.interrupt.set(requested)
        times: list[int | None] = []
        if not requested:
            times.append(self._next_period() if control.periodic_interrupt else None)
            if not control.set:
                times.append(self._next_second() if control.update_interrupt else None)
                times.append(self._next_alarm() if control.alarm_interrupt else None)
        waiting = [time for time in times if time is not None]
        if waiting:
            self.timer.arm(min(waiting))
        else:
            self.timer.cancel()
