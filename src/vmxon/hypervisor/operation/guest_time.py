"""A guest's own time: it passes while the guest runs or sleeps, and stands still while anybody else has the processor.

So what a guest computes, and when its devices interrupt it, does not depend on how many guests there are. The processor's counters
see it through TSC_OFFSET; since the preemption timer counts where a bit of the processor's own TSC changes, the two stay equal in
their low bits (Vol. 3C §26.5.1 “VMX-Preemption Timer”).
"""

from __future__ import annotations

from vmxon.machine.root import RootProcessor

WORD = (1 << 64) - 1
TIMER_SHIFT = 5
"""The preemption timer counts once in 32 ticks; IA32_VMX_MISC[4:0] of every model that has it."""
ENTRY_TICKS = 1
"""VMLAUNCH or VMRESUME is an instruction of the hypervisor's."""


class GuestTime:
    """Ticks of one guest since its start; one for each of its instructions, and those that it slept."""

    def __init__(self, root: RootProcessor) -> None:
        self.root = root
        self.now = 0
        self.slept = 0
        """Ticks of `now` that passed in HLT."""
        self.correction = 0
        """What the guest added to its time-stamp counter by WRMSR."""
        self._entered = 0

    @property
    def instructions(self) -> int:
        """Instructions of the guest so far; of those that the hypervisor did in its place, after an exit, only the iterations of a REP."""
        return self.now - self.slept

    @property
    def running(self) -> int:
        """`now` while the guest runs: it has entered, and has not left yet."""
        return self.now + max(0, self.root.time - self._entered)

    @property
    def counter(self) -> int:
        """The guest's time-stamp counter."""
        return self.now + self.correction & WORD

    def set_counter(self, value: int) -> None:
        """WRMSR of IA32_TIME_STAMP_COUNTER."""
        self.correction = value - self.now & WORD

    def enter(self) -> int:
        """Before VM entry: bring the low bits of both times together; gives TSC_OFFSET."""
        host = self.root.time + ENTRY_TICKS
        padding = self.now - host & (1 << TIMER_SHIFT) - 1
        if padding:
            self.root.idle_until(host + padding - ENTRY_TICKS)
        self._entered = host + padding
        return self.now - self._entered + self.correction & WORD

    def leave(self) -> None:
        """After a VM exit: what has passed was the guest's."""
        self.now += max(0, self.root.time - self._entered)

    def idle_until(self, tick: int) -> None:
        """The guest sleeps; nobody waits for it."""
        slept = max(0, tick - self.now)
        self.now += slept
        self.slept += slept

    def spend(self, ticks: int) -> None:
        """The hypervisor did so many iterations of an instruction in the guest's place."""
        self.now += ticks

    def timer(self, deadline: int) -> int:
        """Value of the preemption timer that ends the run just after a tick."""
        return max(1, (deadline >> TIMER_SHIFT) - (self.now >> TIMER_SHIFT) + 1)
