"""Several guests at once: a live table on a terminal, what each printed, and a table at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vmxon.cli.options import MachineOptions
from vmxon.errors import ExitStatus

if TYPE_CHECKING:
    from rich.table import Table

    from vmxon.hypervisor.hypervisor import Guest

HEADINGS = ("guest", "state", "status", "instructions", "VM exits", "slices", "time")
REFRESH = 0.1
"""Seconds between two drawings of the live table."""
ROOM = 16 << 20
"""Bytes of the machine beyond the guests' memory."""


def cells(guest: Guest) -> tuple[str, ...]:
    """A guest's row."""
    job, exits = guest.job, sum(guest.machine.accounting.counts.values())
    status = "" if guest.status is None else str(guest.status)
    return guest.name, guest.condition.value, status, f"{job.instructions:,}", f"{exits:,}", f"{job.slices:,}", f"{job.seconds:.2f} s"


def draw(guests: Sequence[Guest]) -> Table:
    """All rows."""
    from rich.table import Table

    table = Table(*HEADINGS)
    for guest in guests:
        table.add_row(*cells(guest))
    return table


def start(images: Sequence[str | None], machine: MachineOptions) -> int:
    """Run one guest for each image, None being the bundled one, in turns; the first status that is not 0."""
    from rich.live import Live

    from vmxon.hypervisor.guest import bundled_guest
    from vmxon.hypervisor.hypervisor import Hypervisor

    hypervisor = Hypervisor((machine.memory + machine.memory // 256 + (4 << 20)) // 4096 * 4096 * len(images) + ROOM, machine.model)
    hypervisor.host.root.processor.keep_translations(machine.tlb)
    for number, image in enumerate(images, 1):
        guest = hypervisor.create(machine.memory, f"{number}")
        guest.load(bundled_guest() if image is None else image)
    guests, drawn = hypervisor.guests, time.monotonic()
    with Live(draw(guests), auto_refresh=False, transient=True) if sys.stdout.isatty() else _Quiet() as live:

        def show(_: object) -> None:
            nonlocal drawn
            if time.monotonic() - drawn > REFRESH and isinstance(live, Live):
                drawn = time.monotonic()
                live.update(draw(guests), refresh=True)

        hypervisor.scheduler.on_slice = show
        hypervisor.run(machine.timeout)
    for guest in guests:
        for line in guest.output.decode("utf-8", "replace").splitlines():
            sys.stdout.write(f"{guest.name}: {line}\n")
        if guest.job.error is not None:
            sys.stderr.write(f"{guest.name}: {guest.job.error}\n")
    _print(guests)
    return next((guest.status or ExitStatus.GUEST_FAILED for guest in guests if guest.status != 0), 0)


class _Quiet:
    """In place of the live table where there is no terminal."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


def _print(guests: Sequence[Guest]) -> None:
    rows = [HEADINGS, *map(cells, guests)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    for row in rows:
        sys.stdout.write("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() + "\n")
