"""`vmxon run`: an operating system as a guest of the hypervisor."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import click

from vmxon.cli.images import Program, find_program
from vmxon.cli.options import MachineOptions, hints_option, machine_options
from vmxon.cli.report import ExitCount, print_exits, print_json

PAGING = ("ept", "shadow")
"""The values of `hypervisor.virtual_memory.PagingMode`, which help need not import."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Which guest, on which machine, under which paging."""

    program: Program | None
    """None: the boot sector of a disk, without disks the bundled guest."""
    machine: MachineOptions
    paging: str = "ept"
    """A value of `PagingMode`."""
    hints: bool = False


def start(options: RunOptions) -> int:
    """Start the hypervisor and its guest, run to the end, and answer the exit status of the process."""
    from vmxon.cli.console import GuestConsole, show_build_progress
    from vmxon.cli.hints import record_hints
    from vmxon.cli.machines import find_model, open_drives
    from vmxon.hypervisor.guest import bundled_guest
    from vmxon.hypervisor.memory.virtual_memory import PagingMode
    from vmxon.hypervisor.virtual_machine import VirtualMachine
    from vmxon.machine.loader import load_files, load_multiboot
    from vmxon.machine.loader.information import ROOT_POINTER
    from vmxon.machine.loader.linux import LinuxEntry

    machine, program = options.machine, options.program
    model, drives = find_model(machine.model), open_drives(machine.drives)
    image = None
    if program is None and not any(drives):
        image = load_multiboot(bundled_guest(), "the bundled guest", machine.memory)
    elif program is not None:
        modules = [(module.path, module.command_line) for module in program.modules]
        image = load_files(program.kernel, machine.memory, program.append, modules, ROOT_POINTER, LinuxEntry(machine.entry))
    show_build_progress(sys.stderr)
    console = GuestConsole(machine)
    guest = VirtualMachine(
        model,
        machine.memory,
        serial=console.serial,
        debug_console=console.debug_console,
        drives=drives,
        paging=PagingMode(options.paging),
    )
    guest.root.processor.keep_translations(machine.tlb)
    guest.interactive = sys.stdin.isatty()
    history = record_hints(guest.root.processor, sys.stderr) if options.hints else None
    guest.root.history = history
    if image is not None:
        guest.load(image)
    else:
        guest.boot()
    started = time.monotonic()
    try:
        with console.attached(guest.devices.board, guest.inbox.post):
            return guest.run(machine.timeout)
    finally:
        if history is not None:
            history.hints()
        exits = [ExitCount(*row) for row in guest.accounting.rows()]
        if machine.json:
            seconds = time.monotonic() - started
            instructions = guest.root.processor.instructions
            print_json(exits, sys.stdout, status=guest.exit_value, seconds=seconds, instructions=instructions)
        elif exits:
            print_exits(exits, sys.stdout)


@click.command("run", short_help="Run an operating system as a guest of the hypervisor.")
@click.argument("images", nargs=-1, metavar="[IMAGE]...")
@machine_options
@click.option("--guests", type=click.IntRange(1, 64), help="Run so many guests, each with the one IMAGE.")
@hints_option
@click.option(
    "--paging",
    type=click.Choice(PAGING),
    default="ept",
    show_default=True,
    help="How guest memory is mapped.",
)
def command(
    *,
    images: tuple[str, ...],
    guests: int | None,
    kernel: str | None,
    modules: tuple[str, ...],
    append: str,
    machine: MachineOptions,
    paging: str,
    hints: bool,
) -> int:
    """Run an operating system as a guest of the hypervisor; IMAGE is short for --kernel IMAGE.

    Several images run at once, in turns on one processor; --append, --initrd and --drive are for each of them.
    Without an image, the boot sector of --drive runs, without that the bundled guest. At the end, VM exits are listed by reason.
    """
    if len(images) > 1 or guests is not None:
        from vmxon.cli.several import start as start_several

        if hints or machine.json or (kernel is not None and images):
            raise click.UsageError("several guests take neither --hints nor --json, nor a --kernel beside IMAGEs")
        if guests is not None and len(images) > 1:
            raise click.UsageError("--guests repeats one IMAGE")
        if (modules or append) and not (images or kernel):
            raise click.UsageError("--initrd and --append need a --kernel: the bundled guest takes neither")
        names = images or ((kernel,) if kernel is not None else ())
        programs: list[Program | None] = [find_program(name, append, modules) for name in names] or [None]
        return start_several(programs * (guests or 1), machine, paging)
    image = images[0] if images else None
    if image is not None and kernel is not None:
        raise click.UsageError("IMAGE and --kernel name the guest twice")
    guest = kernel if kernel is not None else image
    if guest is None and (modules or append):
        raise click.UsageError("--initrd and --append need a --kernel: the bundled guest takes neither")
    program = None if guest is None else find_program(guest, append, modules)
    return start(RunOptions(program, machine, paging, hints))
