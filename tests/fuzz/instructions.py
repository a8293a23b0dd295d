"""The instruction campaign: random instructions in three modes give what Unicorn gives."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, as_completed

from tests.fuzz.campaign import Outcome, Report
from tests.isa.differential import CASES_OF_SEED, Tally, compare


def run_seeds(first: int, count: int) -> Tally:
    """The cases of `count` consecutive seeds."""
    from tests.isa.native import Native

    tally = Tally()
    compare(range(first, first + count), Native().run, tally)
    return tally


def run(count: int, seed: int, processes: int, report: Report) -> Outcome:
    """At least `count` cases, on several processes."""
    seeds = -(-count // CASES_OF_SEED)
    portion = max(1, min(10, seeds // processes))
    total = Tally()
    with ProcessPoolExecutor(processes) as pool:
        jobs = [pool.submit(run_seeds, seed + at, min(portion, seeds - at)) for at in range(0, seeds, portion)]
        for job in as_completed(jobs):
            part = job.result()
            total.cases += part.cases
            total.faults += part.faults
            total.known += part.known
            total.failures += part.failures
            report(total.cases, part.failures)
    notes = [f"{total.faults:,} faults, {total.known.total():,} known bugs of Unicorn"]
    notes += [f"{number:8,}  {reason}" for reason, number in total.known.most_common()]
    return Outcome(total.cases, total.failures, notes)
