"""How the hypervisor gets the processor back where there is no preemption timer: the machine's timer raises INTR, which exits."""

from __future__ import annotations

from vmxon.machine.outcome import Outcome
from vmxon.machine.root import SLICE, RootProcessor


class TimerLine(RootProcessor):
    """A processor with a one-shot timer on its interrupt line; under “external-interrupt exiting” the guest cannot mask it."""

    alarm: int | None = None
    """The tick at which the line rises."""

    def enter(self, name: str = "VMRESUME", code: bytes = b"\x0f\x01\xc3") -> Outcome | None:
        """As ever; after the exit the timer is quiet."""
        self._raise_when_due()
        outcome = super().enter(name, code)
        self.state.interrupt_line = 0
        return outcome

    def interrupt(self) -> None:
        """The line rises now: the guest exits behind its instruction."""
        self.state.interrupt_line = self.state.attention = 1

    def _raise_when_due(self) -> int:
        """Ticks until the alarm; the line rises where there are none left."""
        left = SLICE if self.alarm is None else self.alarm - self.time
        if left <= 0:
            self.interrupt()
        return min(max(left, 1), SLICE)

    def _budget(self) -> int:
        return min(super()._budget(), self._raise_when_due())

    def _budget_of_entry(self) -> int:
        return min(super()._budget_of_entry(), self._raise_when_due())
