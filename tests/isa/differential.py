"""Runs of random cases through a subject and Unicorn; each failure names the seed that shows it again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tests.isa.cases import Case, Generator
from tests.isa.outcome import Outcome, differences
from tests.isa.unicorn_bugs import known_bug
from tests.isa.unicorn_oracle import Oracle, text_of

CASES_OF_SEED = 1000
"""Cases that one seed makes; longer runs use consecutive seeds."""


@dataclass(slots=True)
class Tally:
    """What a run came to."""

    cases: int = 0
    faults: int = 0
    known: Counter[str] = field(default_factory=Counter)
    """Differences that are Unicorn's, by reason."""
    failures: list[str] = field(default_factory=list)


def compare(seeds: Iterable[int], run: Callable[[Case], Outcome], tally: Tally, count: int = CASES_OF_SEED) -> None:
    """Run `count` cases of each seed."""
    oracle = Oracle()
    for seed in seeds:
        generator = Generator(seed)
        for number in range(count):
            case = generator.case()
            theirs, ours = oracle.run(case), run(case)
            tally.cases += 1
            tally.faults += ours.vector is not None
            found = differences(ours, theirs, case.undefined)
            if not found:
                continue
            reason = known_bug(case, ours, theirs)
            if reason is not None:
                tally.known[reason] += 1
            else:
                tally.failures.append(f"seed {seed}, case {number}: {text_of(case)}: {'; '.join(found)}")
