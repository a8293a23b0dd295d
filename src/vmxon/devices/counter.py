"""One counter of an 8254: its count and output as functions of the clock pulses that have passed.

Source: Intel 8254 data sheet (231164-005), “Mode Definitions” and “Read Operations”. Nothing is stepped: `tick` is the
number of pulses since power-on, and every answer follows from the pulse at which the count was loaded.
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum
from typing import ClassVar

from vmxon.devices.state import Saved


class Access(IntEnum):
    """Which bytes of the count the port carries."""

    LATCH = 0
    LOW = 1
    HIGH = 2
    BOTH = 3


class Mode(IntEnum):
    """What the output does."""

    INTERRUPT_ON_TERMINAL_COUNT = 0
    ONE_SHOT = 1
    RATE_GENERATOR = 2
    SQUARE_WAVE = 3
    SOFTWARE_STROBE = 4
    HARDWARE_STROBE = 5


PERIODIC = (Mode.RATE_GENERATOR, Mode.SQUARE_WAVE)
TRIGGERED = (Mode.ONE_SHOT, Mode.HARDWARE_STROBE)
PAUSABLE = (Mode.INTERRUPT_ON_TERMINAL_COUNT, Mode.SOFTWARE_STROBE)


def from_bcd(value: int) -> int:
    """Four decimal digits as a number; a digit above 9 counts as what it is."""
    return sum((value >> 4 * place & 15) * 10**place for place in range(4))


def to_bcd(value: int) -> int:
    """The last four decimal digits of a number."""
    return sum(value // 10**place % 10 << 4 * place for place in range(4))


def high_half(count: int) -> int:
    """Pulses of a square wave's period that its output is high."""
    return (count + 1) // 2


class Counter8254(Saved):
    """A 16-bit down counter in one of six modes."""

    saves: ClassVar[tuple[str, ...]] = (
        "gate", "mode", "access", "bcd", "count", "start", "paused", "held", "waiting", "switch",
        "low_byte", "high_read_next", "latched", "status_latch",
    )  # fmt: skip

    def __init__(self, gate: bool) -> None:
        self.gate = gate
        self.mode = Mode.INTERRUPT_ON_TERMINAL_COUNT
        self.access = Access.BOTH
        self.bcd = False
        self.count: int | None = None
        """The count in effect; None until one is written."""
        self.start: int | None = None
        """The pulse that loads the count; None while nothing counts (no count, no trigger, gate low)."""
        self.paused: int | None = None
        """Pulses that modes 0 and 4 had counted when the gate went low."""
        self.held = 0
        """What the counting element shows before `start`."""
        self.waiting: int | None = None
        """A count that waits for the end of the period (modes 2, 3) or for a trigger (modes 1, 5)."""
        self.switch: int | None = None
        """The pulse at which a periodic mode takes the waiting count."""
        self.low_byte: int | None = None
        self.high_read_next = False
        self.latched: deque[int] = deque()
        self.status_latch: int | None = None

    @property
    def modulus(self) -> int:
        """What a count of 0 means."""
        return 10_000 if self.bcd else 0x1_0000

    def program(self, mode: int, access: Access, bcd: bool, tick: int) -> None:
        """A control word: the output takes its idle level and nothing counts until a count is written."""
        self._stop(tick)
        self.mode = Mode(mode & 3 if mode > 5 else mode)
        self.access, self.bcd = access, bcd
        self.count = self.paused = self.waiting = self.switch = self.low_byte = self.status_latch = None
        self.high_read_next = False
        self.latched.clear()

    def write(self, value: int, tick: int) -> None:
        """One byte of a count, in the order that the control word chose."""
        match self.access:
            case Access.LOW:
                self._load(value, tick)
            case Access.HIGH:
                self._load(value << 8, tick)
            case _ if self.low_byte is None:
                self.low_byte = value
                if self.mode is Mode.INTERRUPT_ON_TERMINAL_COUNT:  # “Writing the first byte disables counting.”
                    self._stop(tick)
                    self.count = self.paused = None
            case _:
                low, self.low_byte = self.low_byte, None
                self._load(value << 8 | low, tick)

    def _stop(self, tick: int) -> None:
        self.held = self.value(tick)
        self.start = None

    def _load(self, value: int, tick: int) -> None:
        count = (from_bcd(value) if self.bcd else value) or self.modulus
        if self.mode in TRIGGERED:
            self.waiting = count
            return
        if self.mode in PERIODIC:
            count = max(count, 2)  # 1 is illegal
            if self._started(tick):
                self.waiting, self.switch = count, self._switch_after(tick)
                return
        self._stop(tick)
        self.count, self.waiting, self.switch = count, None, None
        if self.gate:
            self.start, self.paused = tick + 1, None
        elif self.mode in PAUSABLE:
            self.held, self.paused = count % self.modulus, 0

    def _started(self, tick: int) -> bool:
        self._settle(tick)
        return self.start is not None and tick >= self.start

    def _elapsed(self, tick: int) -> tuple[int, int]:
        """The count in effect and the pulses since it was loaded; only where something counts."""
        assert self.count is not None
        assert self.start is not None
        return self.count, tick - self.start

    def _switch_after(self, tick: int) -> int:
        """The pulse at which a periodic mode reloads: each period in mode 2, each half period in mode 3."""
        count, elapsed = self._elapsed(tick)
        position = elapsed % count
        high = high_half(count)
        return tick - position + (high if self.mode is Mode.SQUARE_WAVE and position < high else count)

    def _settle(self, tick: int) -> None:
        """Take a waiting count whose time has come."""
        if self.switch is None or tick < self.switch or self.waiting is None:
            return
        count, elapsed = self._elapsed(self.switch)
        self.count, self.start = self.waiting, self.switch
        if elapsed % count:  # mode 3 went low: the new count begins with its low half
            self.start -= high_half(self.count)
        self.waiting = self.switch = None

    def set_gate(self, gate: bool, tick: int) -> None:
        """Drive GATE: a rising edge triggers modes 1 and 5 and restarts 2 and 3; a low level stops 0, 2, 3 and 4."""
        if gate == self.gate:
            return
        self.gate = gate
        self._settle(tick)
        if self.mode in PAUSABLE:
            if gate and self.paused is not None:
                self.start, self.paused = tick - self.paused, None
            elif not gate and self.start is not None:
                elapsed = max(tick - self.start, 0)
                self.held = self.value(max(tick, self.start))
                self.start, self.paused = None, elapsed
        elif gate:
            self.count = self.waiting or self.count
            self.waiting = self.switch = None
            if self.count is not None:
                self.held = self.value(tick)
                self.start = tick + 1
        elif self.mode in PERIODIC:
            self._stop(tick)
            self.switch = None

    def value(self, tick: int) -> int:
        """The counting element, as a number."""
        if not self._started(tick):
            return self.held
        count, elapsed = self._elapsed(tick)
        match self.mode:
            case Mode.RATE_GENERATOR:
                value = count - elapsed % count
            case Mode.SQUARE_WAVE:  # counts by two; an odd count loses its last bit when it is loaded
                high, position = high_half(count), elapsed % count
                value = (count & ~1) - 2 * (position if position < high else position - high)
            case _:
                value = count - elapsed
        return value % self.modulus

    def output(self, tick: int) -> bool:
        """The level of OUT."""
        if not self._started(tick):
            return self._idle_output()
        count, elapsed = self._elapsed(tick)
        match self.mode:
            case Mode.INTERRUPT_ON_TERMINAL_COUNT | Mode.ONE_SHOT:
                return elapsed >= count
            case Mode.RATE_GENERATOR:
                return elapsed % count != count - 1
            case Mode.SQUARE_WAVE:
                return elapsed % count < high_half(count)
        return elapsed != count

    def _idle_output(self) -> bool:
        if self.mode is not Mode.INTERRUPT_ON_TERMINAL_COUNT:
            return True
        return self.paused is not None and self.count is not None and self.paused >= self.count

    def next_rise(self, tick: int) -> int | None:
        """The first pulse after `tick` at which OUT goes from low to high, or None."""
        self._settle(tick)
        if self.start is None or self.count is None:
            return None
        match self.mode:
            case Mode.RATE_GENERATOR | Mode.SQUARE_WAVE:
                periods = max(tick - self.start, 0) // self.count + 1
                rise = self.start + periods * self.count
                if self.switch is not None and self.waiting is not None and self.switch < rise:
                    rise = self.switch + self.waiting - high_half(self.waiting)
            case Mode.INTERRUPT_ON_TERMINAL_COUNT | Mode.ONE_SHOT:
                rise = self.start + self.count
            case _:
                rise = self.start + self.count + 1
        return rise if rise > tick else None

    def latch(self, tick: int) -> None:
        """Keep the count for the next reads; a second latch before them is ignored."""
        if not self.latched:
            value = self._shown(tick)
            both = [value & 0xFF, value >> 8]
            self.latched.extend(both if self.access is Access.BOTH else both[self.access - 1 : self.access])

    def read_back(self, tick: int, status: bool, count: bool) -> None:
        """Latch the status, the count, or both."""
        if count:
            self.latch(tick)
        if status and self.status_latch is None:
            self.status_latch = self.status(tick)

    def status(self, tick: int) -> int:
        """Status byte: OUT, null count, access, mode, BCD."""
        output = self.output(tick)
        running = self.paused is not None or (self.start is not None and tick >= self.start)
        null_count = not running or self.waiting is not None
        return output << 7 | null_count << 6 | self.access << 4 | self.mode << 1 | self.bcd

    def read(self, tick: int) -> int:
        """One byte: a latched status, a latched count, or the count as it runs."""
        if self.status_latch is not None:
            status, self.status_latch = self.status_latch, None
            return status
        if self.latched:
            return self.latched.popleft()
        value = self._shown(tick)
        if self.access is Access.BOTH:
            self.high_read_next = not self.high_read_next
            return value & 0xFF if self.high_read_next else value >> 8
        return value >> 8 if self.access is Access.HIGH else value & 0xFF

    def _shown(self, tick: int) -> int:
        value = self.value(tick)
        return to_bcd(value) if self.bcd else value & 0xFFFF
