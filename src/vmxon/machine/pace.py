"""The pace of virtual time: how many instructions make a second.

Delay loops, timer calibration and polled output take a number of instructions that grows with the pace, so a slow clock makes guests
finish sooner. The default was measured; see docs/decisions.
"""

from __future__ import annotations

from dataclasses import dataclass

INSTRUCTIONS_PER_SECOND = 10_000_000
NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Pace:
    """Instructions in a virtual second."""

    rate: int = INSTRUCTIONS_PER_SECOND

    def time_of(self, ticks: int) -> int:
        """Nanoseconds of virtual time at a tick."""
        return ticks * NANOSECONDS // self.rate

    def ticks_at(self, time: int) -> int:
        """The first tick at or after a time."""
        return -(-time * self.rate // NANOSECONDS)
