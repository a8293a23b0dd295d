"""How long native code runs before Python looks for keys, Ctrl-C and the debugger."""

from __future__ import annotations

import time

from vmxon.machine.processor import Processor
from vmxon.processor.state import HostRequest

LONGEST_SLICE = 20_000_000
SHORTEST_SLICE = 100_000
PATIENCE = 0.01
"""Seconds that a key may wait while somebody types or debugs."""


class Slice:
    """A number of instructions that takes about `PATIENCE`; where a stretch is cut changes nothing for the guest."""

    def __init__(self) -> None:
        self.length = SHORTEST_SLICE

    def run(self, processor: Processor, budget: int) -> HostRequest:
        """Run up to `budget` instructions, fewer where they would take too long, and learn from the time that it took."""
        if budget <= self.length:
            return processor.run(budget)
        before = time.perf_counter()
        request = processor.run(self.length)
        if request == HostRequest.BUDGET:
            seconds = time.perf_counter() - before
            self.length = min(max(int(self.length * min(PATIENCE / max(seconds, 1e-9), 2)), SHORTEST_SLICE), LONGEST_SLICE)
        return request
