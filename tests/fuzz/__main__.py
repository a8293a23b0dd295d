"""`make fuzz`: random instructions against Unicorn, the two rule books on random VMCSs, random entries, VMX instructions, EPT trees,
guests that attack the hypervisor, damaged disk images and kernels, calls of the firmware, and guests that attack IDE, PCI and fw_cfg.

Failures are printed with the seed that repeats them.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from tests.fuzz import devices, firmware, guests, images, instructions, kernels, rules, vmx
from tests.fuzz.campaign import Outcome

CAMPAIGNS = {
    "instructions": 1_000_000,
    "rules": 1_000_000,
    "images": 1_000_000,
    "kernels": 1_000_000,
    "firmware": 500_000,
    "entries": 2_000_000,
    "vmx": 2_000_000,
    "ept": 6_000_000,
    "guests": 10_000_000,
    "devices": 1_000_000,
}
"""How many cases (of the last five: steps) each is worth by default."""
FIRST_SEED = 1_000_000
SECONDS_BETWEEN_REPORTS = 10


class Progress:
    """One line every few seconds, and every failure at once."""

    def __init__(self, name: str) -> None:
        self.name, self.started, self.told = name, time.monotonic(), time.monotonic()

    def __call__(self, cases: int, failures: list[str]) -> None:
        for failure in failures[:5]:
            sys.stdout.write(f"{failure}\n")
        if time.monotonic() - self.told > SECONDS_BETWEEN_REPORTS:
            self.told = time.monotonic()
            sys.stdout.write(f"{self.name}: {cases:,} after {self.told - self.started:.0f} s\n")
            sys.stdout.flush()


def run(name: str, count: int, seed: int, processes: int) -> Outcome:
    """One campaign."""
    progress = Progress(name)
    match name:
        case "instructions":
            return instructions.run(count, seed, processes, progress)
        case "rules":
            return rules.run(count, seed, progress)
        case "entries":
            return vmx.run("entries", count, seed, progress)
        case "images":
            return images.run(count, seed, progress)
        case "kernels":
            return kernels.run(count, seed, progress)
        case "firmware":
            return firmware.run(count, seed, progress)
        case "devices":
            return devices.run(count, seed, progress)
        case "guests":
            return guests.run(count, seed, progress)
        case "vmx":
            return vmx.run("instructions", count, seed, progress)
        case _:
            return vmx.run("trees", count, seed, progress)


def main() -> int:
    """Exit status 1 where anything failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("campaign", nargs="*", help=f"{', '.join(CAMPAIGNS)}; all by default")
    parser.add_argument("--seed", type=int, default=FIRST_SEED, help="the first seed")
    parser.add_argument("--count", type=int, help="cases of each campaign")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="for instructions")
    options = parser.parse_args()
    unknown = set(options.campaign) - set(CAMPAIGNS)
    if unknown:
        parser.error(f"no campaign {', '.join(sorted(unknown))}")
    from vmxon.machine.processor import library

    library()  # built once, before the workers want it
    failed = False
    for name in options.campaign or CAMPAIGNS:
        started = time.monotonic()
        outcome = run(name, options.count or CAMPAIGNS[name], options.seed, options.processes)
        failed |= bool(outcome.failures)
        seconds = time.monotonic() - started
        sys.stdout.write(f"{name}: {outcome.cases:,} in {seconds:.0f} s, {len(outcome.failures)} failures\n")
        for note in outcome.notes:
            sys.stdout.write(f"  {note}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
