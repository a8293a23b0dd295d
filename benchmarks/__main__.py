"""`python -m benchmarks`: every workload on vmxon, Debian's Bochs and QEMU TCG, one after the other, as ratios."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console

from benchmarks import here, report
from benchmarks.peers import PeerFailed, Run, bochs, qemu
from benchmarks.results import BOCHS, QEMU, VMXON, Results, Row
from benchmarks.workloads import FIRST, WORKLOADS, Workload
from vmxon.errors import VmxonError

TIMEOUT = 120.0
WARM_STARTS = 3
Say = Callable[[str], None]


class WrongResult(Exception):
    """A system printed something else than the workload's result."""


def _best(name: str, system: str, expected: bytes, times: int, run: Callable[[], Run]) -> float:
    """The least seconds of `times` runs.

    Raises:
        WrongResult: one of them printed something else than `expected`.
    """
    best = float("inf")
    for _ in range(times):
        outcome = run()
        if outcome.printed != expected or outcome.seconds is None:
            raise WrongResult(f"{name} on {system} printed {outcome.printed!r}, expected {expected!r}")
        best = min(best, outcome.seconds)
    return best


def _measure(workload: Workload, folder: Path, times: int, quick: bool, say: Say) -> Row:
    image = workload.build(quick)
    path = folder / f"{workload.name}.elf"
    path.write_bytes(image)
    size = workload.size(quick)
    expected = b"S%016xE" % size.result
    work = size.count
    seconds: dict[str, float] = {}

    def ours() -> Run:
        nonlocal work
        measured = here.run(image, workload.name, TIMEOUT)
        if not workload.round_trips:
            work = measured.instructions
        return measured.run

    systems: list[tuple[str, bool, Callable[[], Run]]] = [
        (VMXON, True, ours),
        (BOCHS, bochs.installed(), lambda: bochs.run(path, TIMEOUT)),
        (QEMU, qemu.installed() and not workload.round_trips, lambda: qemu.run(path, TIMEOUT)),
    ]
    for system, can_run, run in systems:
        if can_run:
            say(f"{workload.name} on {system}")
            seconds[system] = _best(workload.name, system, expected, times, run)
    return Row(workload.name, work, workload.round_trips, seconds)


def _measure_starts(results: Results, folder: Path, say: Say) -> None:
    path = folder / "first.elf"
    path.write_bytes(FIRST.build(quick=True))
    with here.empty_cache() as cache:
        say("first start, engine build included")
        results.cold_start = here.start_seconds(path, cache)
        say("later starts")
        results.warm_start = min(here.start_seconds(path, cache) for _ in range(WARM_STARTS))


@click.command()
@click.argument("names", nargs=-1, metavar="[WORKLOAD]...")
@click.option("--quick", is_flag=True, help="A tenth of the work, once.")
@click.option("--times", type=click.IntRange(min=1), default=3, show_default=True, help="Runs of each; the best counts.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(names: tuple[str, ...], quick: bool, times: int, as_json: bool) -> None:
    """Time the workloads (all, or those named) on vmxon and the peers that are installed.

    Ends with status 1 where a system's result is wrong; a goal that is missed is printed, and no failure.
    """
    known = {workload.name: workload for workload in WORKLOADS}
    if unknown := set(names) - set(known):
        raise click.UsageError(f"no workload {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    results = Results()
    if quick:
        results.notes.append("quick: a tenth of the work, once; the ratios are rough")
    results.notes += [f"{system} is not installed" for system, peer in ((BOCHS, bochs), (QEMU, qemu)) if not peer.installed()]
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as name, Console(stderr=True).status("starting") as status:
        try:
            if not names:
                _measure_starts(results, Path(name), status.update)
            for workload in [known[name] for name in names] or WORKLOADS:
                results.rows.append(_measure(workload, Path(name), 1 if quick else times, quick, status.update))
        except (PeerFailed, VmxonError, WrongResult) as problem:
            sys.exit(str(problem))
    (report.show_json if as_json else report.show)(results)


if __name__ == "__main__":
    main()
