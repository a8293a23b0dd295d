"""What all campaigns have in common: how they tell of progress and what they come to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

Report = Callable[[int, list[str]], None]
"""Called now and then with the cases so far and the failures since the last call."""


@dataclass(slots=True)
class Outcome:
    """A finished campaign."""

    cases: int
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Lines for the reader: what the cases were like."""
