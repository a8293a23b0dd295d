"""`make fuzz`: a million random instructions against Unicorn, on all processors. Failures print the seed that repeats them."""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed

from tests.isa.differential import CASES_OF_SEED, Tally, compare


def run_seeds(first: int, count: int) -> Tally:
    """The cases of `count` consecutive seeds."""
    from tests.isa.native import Native

    tally = Tally()
    compare(range(first, first + count), Native().run, tally)
    return tally


def main() -> int:
    """Exit status 1 where anything differed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=1_000_000, help="the first seed; each makes 1,000 cases")
    parser.add_argument("--count", type=int, default=1_000_000, help="cases in all")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    seeds = -(-options.count // CASES_OF_SEED)
    portion = max(1, min(50, seeds // options.processes))
    total, started = Tally(), time.monotonic()
    from vmxon.machine.processor import library

    library()  # built once, before the workers want it
    with ProcessPoolExecutor(options.processes) as pool:
        jobs = [pool.submit(run_seeds, options.seed + at, min(portion, seeds - at)) for at in range(0, seeds, portion)]
        for job in as_completed(jobs):
            part = job.result()
            total.cases += part.cases
            total.faults += part.faults
            total.known += part.known
            total.failures += part.failures
            for failure in part.failures[:5]:
                sys.stdout.write(failure + "\n")
    seconds = time.monotonic() - started
    sys.stdout.write(
        f"{total.cases:,} instructions in {seconds:.0f} s, {total.faults:,} faults, {total.known.total():,} known bugs of "
        f"Unicorn, {len(total.failures)} failures\n"
    )
    for reason, number in total.known.most_common():
        sys.stdout.write(f"{number:8,}  {reason}\n")
    return 1 if total.failures else 0


if __name__ == "__main__":
    sys.exit(main())
