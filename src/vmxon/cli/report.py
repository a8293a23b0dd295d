"""The table of VM exits at the end of a run: coloured on a terminal, plain columns in a pipe, JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TextIO

HEADINGS = ("VM exit", "count", "time", "each")


@dataclass(frozen=True, slots=True)
class ExitCount:
    """How often the guest left for one reason, and the wall-clock seconds that the hypervisor spent on it."""

    reason: str
    count: int
    seconds: float


def duration(seconds: float) -> str:
    """A time in the unit that keeps it readable: 812 ns, 4.21 µs, 13.0 ms, 2.50 s."""
    for limit, unit, factor in ((1e-6, "ns", 1e9), (1e-3, "µs", 1e6), (1.0, "ms", 1e3)):
        if float(f"{seconds:.3g}") < limit:
            return f"{_three_digits(seconds * factor)} {unit}"
    return f"{_three_digits(seconds)} s"


def _three_digits(value: float) -> str:
    decimals = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{decimals}f}"


def exit_rows(counts: Iterable[ExitCount]) -> list[tuple[str, str, str, str]]:
    """The cells of the table, most frequent reason first, a total at the end."""
    ordered = sorted((c for c in counts if c.count), key=lambda c: (-c.count, c.reason))
    total = ExitCount("total", sum(c.count for c in ordered), sum(c.seconds for c in ordered))
    return [_cells(c) for c in (*ordered, total)]


def _cells(row: ExitCount) -> tuple[str, str, str, str]:
    each = duration(row.seconds / row.count) if row.count else ""
    return (row.reason, f"{row.count:,}", duration(row.seconds), each)


def print_exits(counts: Sequence[ExitCount], stream: TextIO) -> None:
    """Print the table: drawn by rich where `stream` is a terminal, otherwise columns two blanks apart."""
    rows = exit_rows(counts)
    if stream.isatty():
        _print_rich(rows, stream)
        return
    widths = [max(len(row[column]) for row in (HEADINGS, *rows)) for column in range(len(HEADINGS))]
    for first, *others in (HEADINGS, *rows):
        numbers = (f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True))
        stream.write("  ".join((f"{first:<{widths[0]}}", *numbers)).rstrip() + "\n")


def _print_rich(rows: Sequence[tuple[str, str, str, str]], stream: TextIO) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column(HEADINGS[0])
    for heading in HEADINGS[1:]:
        table.add_column(heading, justify="right", no_wrap=True)
    for number, row in enumerate(rows, 1):
        last = number == len(rows)
        table.add_row(*map(Text, row), style="bold" if last else None, end_section=number == len(rows) - 1)
    Console(file=stream, highlight=False).print(table)


def print_json(counts: Iterable[ExitCount], stream: TextIO, **facts: str | int | float | None) -> None:
    """One JSON object on one line: the `facts` of the run, then its exits as they came."""
    exits = [{"reason": c.reason, "count": c.count, "seconds": c.seconds} for c in counts]
    stream.write(json.dumps({**facts, "exits": exits}, ensure_ascii=False) + "\n")
