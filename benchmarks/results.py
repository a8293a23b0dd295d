"""What was measured, the ratios between the systems, and the goals that these are held against."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

VMXON, BOCHS, QEMU = "vmxon", "Bochs", "QEMU TCG"


@dataclass(frozen=True, slots=True)
class Row:
    """One workload: its work (instructions, or round trips) and the best seconds of each system that could run it."""

    name: str
    work: int
    round_trips: bool
    seconds: dict[str, float]

    def rate(self, system: str) -> float | None:
        """Work a second."""
        return self.work / self.seconds[system] if system in self.seconds else None

    def ratio(self, system: str) -> float | None:
        """How many times as fast as `system` vmxon is."""
        return self.seconds[system] / self.seconds[VMXON] if system in self.seconds else None


@dataclass(frozen=True, slots=True)
class Goal:
    """One number to reach; `value` is None where it could not be measured."""

    what: str
    value: float | None
    bound: float
    unit: str
    at_least: bool = True

    @property
    def met(self) -> bool | None:
        """None where it could not be measured."""
        if self.value is None:
            return None
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    def __str__(self) -> str:
        wanted = f"{'≥' if self.at_least else '≤'} {self.bound:g}{self.unit}"
        if self.value is None:
            return f"{self.what}: not measured (goal {wanted})"
        return f"{self.what}: {self.value:.2f}{self.unit} (goal {wanted}: {'met' if self.met else 'MISSED'})"


@dataclass(slots=True)
class Results:
    """Everything that one run of the benchmarks found out."""

    rows: list[Row] = field(default_factory=list)
    cold_start: float | None = None
    warm_start: float | None = None
    notes: list[str] = field(default_factory=list)

    def ratios(self, system: str, round_trips: bool) -> list[float]:
        """The ratios of one kind of workload that both ran."""
        found = (row.ratio(system) for row in self.rows if row.round_trips == round_trips)
        return [ratio for ratio in found if ratio is not None]

    def goals(self) -> list[Goal]:
        """The numbers to reach for the interpreter tier, VM exits and starting."""
        work, trips = self.ratios(BOCHS, round_trips=False), self.ratios(BOCHS, round_trips=True)
        return [
            Goal("instructions against Bochs, geometric mean", geometric_mean(work), 5, "×"),
            Goal("instructions against Bochs, lowest", min(work, default=None), 4, "×"),
            Goal("VM exits against Bochs, lowest", min(trips, default=None), 3, "×"),
            Goal("first start ever, engine build included", self.cold_start, 10, " s", at_least=False),
            Goal("start to the first instruction of the guest", self.warm_start, 0.5, " s", at_least=False),
        ]


def geometric_mean(values: Iterable[float]) -> float | None:
    """None of nothing."""
    logarithms = [math.log(value) for value in values]
    return math.exp(sum(logarithms) / len(logarithms)) if logarithms else None
