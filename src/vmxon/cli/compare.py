"""`vmxon compare`: what a choice costs, by running the same guest both ways."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import click

from vmxon.cli.images import Program, find_program
from vmxon.cli.options import MachineOptions, machine_options
from vmxon.cli.report import duration
from vmxon.errors import GuestStopped

MODES = ("ept", "shadow")
KIB, PAGE = 1024, 4096


@dataclass(frozen=True, slots=True)
class PagingRun:
    """One run of the guest under one way to virtualize memory."""

    paging: str
    ended: str
    exits: dict[str, int]
    table_bytes: int
    guest_table_bytes: int
    """The guest's own page tables, from its CR3 at the end."""
    faults: int
    seconds: float
    """Of the host's processor."""
    instructions: int
    memory_hash: str
    """SHA-256 of guest memory at the end."""


class Watcher:
    """Reads what a guest prints and calls `found` once a text has appeared."""

    def __init__(self, text: str, found: Callable[[], None]) -> None:
        self.wanted, self.found = text.encode(), found
        self._last = b""

    def put(self, value: int) -> None:
        """One byte of the guest's serial port or of port 0xE9."""
        self._last = (self._last + bytes((value & 0xFF,)))[-len(self.wanted) :]
        if self.wanted and self._last == self.wanted:
            self.found()


def run_once(program: Program | None, machine: MachineOptions, paging: str, until: str = "") -> PagingRun:
    """Run the guest to its end, to the text `until`, or to the time limit, and measure."""
    from vmxon.cli.machines import find_model, open_drives
    from vmxon.hypervisor.guest import bundled_guest
    from vmxon.hypervisor.memory.guest_walk import table_pages
    from vmxon.hypervisor.memory.virtual_memory import PagingMode
    from vmxon.hypervisor.virtual_machine import VirtualMachine
    from vmxon.machine.loader import load_files, load_multiboot
    from vmxon.machine.loader.information import ROOT_POINTER

    if program is None:
        image = load_multiboot(bundled_guest(), "the bundled guest", machine.memory)
    else:
        modules = [(module.path, module.command_line) for module in program.modules]
        image = load_files(program.kernel, machine.memory, program.append, modules, ROOT_POINTER)
    watcher = Watcher(until, lambda: guest.end(0))
    guest = VirtualMachine(
        find_model(machine.model),
        machine.memory,
        serial=watcher.put,
        debug_console=watcher.put,
        drives=open_drives(machine.drives),
        paging=PagingMode(paging),
    )
    guest.load(image)
    started = time.process_time()
    try:
        status = guest.run(machine.timeout)
        ended = f"printed {until!r}" if until else f"status {status}"
    except GuestStopped as error:
        ended = error.what
    seconds = time.process_time() - started
    exits = {reason: count for reason, count, _ in guest.accounting.rows()}
    digest = hashlib.sha256(guest.memory.view).hexdigest()
    tables = guest.paging.most_tables * PAGE
    own = table_pages(guest.memory, guest.paging.paging(user=False)) * PAGE
    return PagingRun(paging, ended, exits, tables, own, guest.paging.faults, seconds, guest.time.instructions, digest)


def rows(runs: Sequence[PagingRun]) -> list[tuple[str, ...]]:
    """What is compared, and each run's figure; the first row names the runs."""
    reasons = sorted({reason for run in runs for reason in run.exits}, key=lambda reason: -max(run.exits.get(reason, 0) for run in runs))
    lines = [("", *(run.paging for run in runs))]
    lines += [(f"exits: {reason}", *(f"{run.exits.get(reason, 0):,}" for run in runs)) for reason in reasons]
    lines.append(("exits, all", *(f"{sum(run.exits.values()):,}" for run in runs)))
    lines.append(("page-table memory", *(f"{run.table_bytes // KIB:,} KiB" for run in runs)))
    lines.append(("the guest's own page tables", *(f"{run.guest_table_bytes // KIB:,} KiB" for run in runs)))
    lines.append(("faults handled", *(f"{run.faults:,}" for run in runs)))
    lines.append(("guest instructions", *(f"{run.instructions:,}" for run in runs)))
    lines.append(("processor time", *(duration(run.seconds) for run in runs)))
    lines.append(("memory at the end", *(run.memory_hash[:12] for run in runs)))
    lines.append(("ended", *(run.ended for run in runs)))
    return lines


def table(runs: Sequence[PagingRun]) -> str:
    """The runs side by side."""
    cells = rows(runs)
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = (
        "  ".join((f"{first:<{widths[0]}}", *(f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True)))).rstrip()
        for first, *others in cells
    )
    return "\n".join(lines)


@click.group("compare", short_help="Run a guest two ways and print what each costs.")
def command() -> None:
    """Run a guest two ways and print what each costs."""


@command.command("paging", short_help="EPT and shadow paging side by side.")
@click.argument("image", required=False)
@machine_options
@click.option("--until", metavar="TEXT", default="", help="Stop the guest once it has printed TEXT.")
def paging(*, image: str | None, until: str, kernel: str | None, modules: tuple[str, ...], append: str, machine: MachineOptions) -> int:
    """Run IMAGE (the bundled guest without one) under EPT and under shadow paging: exits, page-table memory, faults, time.

    A guest that does not end by itself needs --until or --timeout; a difference in memory is no error where the guest sees the time.
    """
    if image is not None and kernel is not None:
        raise click.UsageError("IMAGE and --kernel name the guest twice")
    name = kernel if kernel is not None else image
    program = None if name is None else find_program(name, append, modules)
    runs = [run_once(program, machine, mode, until) for mode in MODES]
    sys.stdout.write((json.dumps([asdict(run) for run in runs]) if machine.json else table(runs)) + "\n")
    return 0
