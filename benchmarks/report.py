"""Results for people, drawn on a terminal and plain elsewhere, and for machines."""

from __future__ import annotations

import json
import sys

from rich.console import Console
from rich.table import Table

from benchmarks.results import BOCHS, QEMU, VMXON, Results, Row, geometric_mean

HEADINGS = ("workload", VMXON, BOCHS, "ratio", QEMU, "ratio")


def _rate(row: Row, system: str) -> str:
    rate = row.rate(system)
    if rate is None:
        return "–"
    return f"{rate / 1e3:,.0f} k/s" if row.round_trips else f"{rate / 1e6:,.1f} M/s"


def _ratio(ratio: float | None) -> str:
    return "–" if ratio is None else f"{ratio:.2f}×"


def _lines(results: Results) -> list[tuple[str, ...]]:
    lines: list[tuple[str, ...]] = [
        (row.name, _rate(row, VMXON), _rate(row, BOCHS), _ratio(row.ratio(BOCHS)), _rate(row, QEMU), _ratio(row.ratio(QEMU)))
        for row in results.rows
    ]
    for name, trips in (("geometric mean, instructions", False), ("geometric mean, VM exits", True)):
        means = [_ratio(geometric_mean(results.ratios(system, trips))) for system in (BOCHS, QEMU)]
        lines.append((name, "", "", means[0], "", means[1]))
    return lines


def show(results: Results) -> None:
    """On standard output: a drawn table on a terminal, columns of text in a pipe."""
    title = "instructions, or VM exits with their VM entries, per second; the best run of each; ratio: vmxon over the other"
    lines = _lines(results)
    if sys.stdout.isatty():
        console = Console()
        table = Table(*HEADINGS[:1], caption=title)
        for heading in HEADINGS[1:]:
            table.add_column(heading, justify="right")
        for line in lines:
            table.add_row(*line)
        console.print(table)
    else:
        widths = [max(map(len, column)) for column in zip(HEADINGS, *lines, strict=True)]
        for line in (HEADINGS, *lines):
            cells = [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
            print("  ".join([line[0].ljust(widths[0]), *cells]))
        print(title)
    for text in (*map(str, results.goals()), *results.notes):
        print(text)


def show_json(results: Results) -> None:
    """The same as one JSON object; seconds and rates are numbers, what was not measured is null."""
    document = {
        "workloads": [
            {
                "name": row.name,
                "unit": "round trips" if row.round_trips else "instructions",
                "work": row.work,
                "seconds": row.seconds,
                "ratios": {system: row.ratio(system) for system in (BOCHS, QEMU)},
            }
            for row in results.rows
        ],
        "cold_start_seconds": results.cold_start,
        "warm_start_seconds": results.warm_start,
        "goals": [
            {"what": goal.what, "value": goal.value, "bound": goal.bound, "at_least": goal.at_least, "met": goal.met}
            for goal in results.goals()
        ],
        "notes": results.notes,
    }
    print(json.dumps(document, indent=2, ensure_ascii=False))
