"""The timer of the local APIC: one-shot, periodic, TSC-deadline (Vol. 3A §11.5.4 “APIC Timer”).

It counts at 1 GHz, one count for each nanosecond of virtual time, divided as the divide configuration says.
"""

from __future__ import annotations

from collections.abc import Callable

from vmxon.devices.clock import Timer, VirtualClock
from vmxon.devices.state import Saved

ONE_SHOT, PERIODIC, DEADLINE = range(3)
SHORTEST = 1_000
"""Nanoseconds between two expiries of a periodic timer that are told apart; a faster one fires less often."""


class ApicTimer(Saved, saves=("mode", "initial", "configuration", "started", "alarm")):
    """Calls `expired` when it reaches 0."""

    def __init__(self, clock: VirtualClock, expired: Callable[[], None]) -> None:
        self.clock = clock
        self.expired = expired
        self.alarm = Timer(clock, self._fire)
        self.mode = ONE_SHOT
        self.initial = 0
        self.configuration = 0
        self.started = 0
        """When the present count began."""

    def reset(self) -> None:
        """The state after RESET."""
        self.alarm.cancel()
        self.mode = ONE_SHOT
        self.initial = self.configuration = 0

    @property
    def divisor(self) -> int:
        """Bits 3, 1 and 0 of the divide configuration: 2, 4, … 128, then 1."""
        code = self.configuration >> 1 & 4 | self.configuration & 3
        return 1 if code == 7 else 2 << code

    @property
    def current(self) -> int:
        """The current count."""
        if self.mode == DEADLINE or not self.initial:
            return 0
        passed = (self.clock.now - self.started) // self.divisor
        if self.mode == PERIODIC:
            return self.initial - passed % self.initial
        return max(0, self.initial - passed)

    def set_initial(self, value: int) -> None:
        """Start counting down from `value`; 0 stops. Ignored in TSC-deadline mode."""
        if self.mode != DEADLINE:
            self.initial = value
            self._start(value)

    def set_configuration(self, value: int) -> None:
        """Divide differently from now on; the count goes on where it is."""
        left = self.current
        self.configuration = value
        if left and self.mode != DEADLINE:
            self._start(left)

    def set_mode(self, mode: int) -> None:
        """Change the mode; to or from TSC-deadline disarms, otherwise the count goes on (Vol. 3A §11.5.4.1)."""
        if mode == self.mode:
            return
        left = self.current
        if DEADLINE in (mode, self.mode):
            self.initial = left = 0
            self.alarm.cancel()
        self.mode = mode
        if left:
            self._start(left)

    def set_deadline(self, when: int | None) -> None:
        """TSC-deadline mode: expire at `when` (nanoseconds); None disarms."""
        if when is None:
            self.alarm.cancel()
        else:
            self.alarm.arm(when)

    def _start(self, count: int) -> None:
        self.started = self.clock.now - (self.initial - count) * self.divisor
        if count:
            self.alarm.arm(self.clock.now + count * self.divisor)
        else:
            self.alarm.cancel()

    def _fire(self) -> None:
        if self.mode == PERIODIC:
            period = self.initial * self.divisor
            done = (self.clock.now + max(period, SHORTEST) - self.started) // period
            self.alarm.arm(self.started + done * period)
        self.expired()
