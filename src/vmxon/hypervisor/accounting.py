"""How often a guest left, why, and how long the hypervisor took."""

from __future__ import annotations

from vmxon.vmx.exit_reasons import ExitReason


class Accounting:
    """Counts and wall-clock seconds by exit reason."""

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.seconds: dict[int, float] = {}

    def add(self, reason: int, seconds: float) -> None:
        """One exit and the time until the next entry."""
        self.counts[reason] = self.counts.get(reason, 0) + 1
        self.seconds[reason] = self.seconds.get(reason, 0.0) + seconds

    def rows(self) -> list[tuple[str, int, float]]:
        """Reason, count, seconds; most frequent first."""
        order = sorted(self.counts, key=lambda reason: -self.counts[reason])
        return [(title(reason), self.counts[reason], self.seconds[reason]) for reason in order]


def title(reason: int) -> str:
    """The manual's name of a basic exit reason."""
    return ExitReason(reason).name.replace("_", " ")
