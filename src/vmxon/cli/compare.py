"""`vmxon compare`: what a choice costs, by running the same guest both ways."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from dataclasses import asdict, dataclass

import click

from vmxon.cli.images import Program, find_program
from vmxon.cli.options import MachineOptions, machine_options
from vmxon.cli.report import duration
from vmxon.errors import GuestStopped

MODES = ("ept", "shadow")
KIB = 1024


@dataclass(frozen=True, slots=True)
class PagingRun:
    """One run of the guest under one way to virtualize memory."""

    paging: str
    ended: str
    exits: dict[str, int]
    table_bytes: int
    faults: int
    seconds: float
    instructions: int
    memory_hash: str
    """SHA-256 of guest memory at the end."""


def run_once(program: Program | None, machine: MachineOptions, paging: str) -> PagingRun:
    """Run the guest to its end, or to the time limit, and measure."""
    from vmxon.cli.machines import find_model, open_drives
    from vmxon.hypervisor.guest import bundled_guest
    from vmxon.hypervisor.memory.virtual_memory import PagingMode
    from vmxon.hypervisor.virtual_machine import VirtualMachine
    from vmxon.machine.loader import load_files, load_multiboot

    if program is None:
        image = load_multiboot(bundled_guest(), "the bundled guest", machine.memory)
    else:
        modules = [(module.path, module.command_line) for module in program.modules]
        image = load_files(program.kernel, machine.memory, program.append, modules)
    guest = VirtualMachine(
        find_model(machine.model),
        machine.memory,
        serial=lambda _: None,
        debug_console=lambda _: None,
        drives=open_drives(machine.drives),
        paging=PagingMode(paging),
    )
    guest.load(image)
    started = time.monotonic()
    try:
        ended = f"status {guest.run(machine.timeout)}"
    except GuestStopped as error:
        ended = error.what
    seconds = time.monotonic() - started
    exits = {reason: count for reason, count, _ in guest.accounting.rows()}
    digest = hashlib.sha256(guest.memory.view).hexdigest()
    tables = guest.paging.most_tables * 4 * KIB
    return PagingRun(paging, ended, exits, tables, guest.paging.faults, seconds, guest.time.instructions, digest)


def table(runs: list[PagingRun]) -> str:
    """The runs side by side."""
    reasons = sorted({reason for run in runs for reason in run.exits}, key=lambda reason: -max(run.exits.get(reason, 0) for run in runs))
    rows = [("", *(run.paging for run in runs))]
    rows += [(f"exits: {reason}", *(f"{run.exits.get(reason, 0):,}" for run in runs)) for reason in reasons]
    rows.append(("exits, all", *(f"{sum(run.exits.values()):,}" for run in runs)))
    rows.append(("page-table memory", *(f"{run.table_bytes // KIB:,} KiB" for run in runs)))
    rows.append(("faults handled", *(f"{run.faults:,}" for run in runs)))
    rows.append(("guest instructions", *(f"{run.instructions:,}" for run in runs)))
    rows.append(("time", *(duration(run.seconds) for run in runs)))
    rows.append(("memory at the end", *(run.memory_hash[:12] for run in runs)))
    rows.append(("ended", *(run.ended for run in runs)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = (
        "  ".join((f"{first:<{widths[0]}}", *(f"{cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=True)))).rstrip()
        for first, *cells in rows
    )
    return "\n".join(lines)


@click.group("compare", short_help="Run a guest two ways and print what each costs.")
def command() -> None:
    """Run a guest two ways and print what each costs."""


@command.command("paging", short_help="EPT and shadow paging side by side.")
@click.argument("image", required=False)
@machine_options
def paging(*, image: str | None, kernel: str | None, modules: tuple[str, ...], append: str, machine: MachineOptions) -> int:
    """Run IMAGE (the bundled guest without one) under EPT and under shadow paging: exits, page-table memory, faults, time.

    A guest that does not end by itself needs --timeout; a difference in memory is no error where the guest sees the time.
    """
    if image is not None and kernel is not None:
        raise click.UsageError("IMAGE and --kernel name the guest twice")
    name = kernel if kernel is not None else image
    program = None if name is None else find_program(name, append, modules)
    runs = [run_once(program, machine, mode) for mode in MODES]
    sys.stdout.write((json.dumps([asdict(run) for run in runs]) if machine.json else table(runs)) + "\n")
    return 0
