"""`vmxon boot`: a multiboot kernel on the bare machine with VMX, without the hypervisor."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

import click

from vmxon.cli.images import Program, find_program
from vmxon.cli.options import MachineOptions, machine_options


@dataclass(frozen=True, slots=True)
class BootOptions:
    """What to boot, on which machine, and for how many instructions at most."""

    program: Program
    machine: MachineOptions
    count: int | None = None


def start(options: BootOptions) -> int:
    """Build the machine, run it to its end, and answer the exit status of the process."""
    pc = import_module("vmxon.machine.pc")
    return int(pc.boot(options))


@click.command("boot", short_help="Start an image on the bare machine, VMX included.")
@machine_options
@click.option(
    "--count", type=click.IntRange(min=1), metavar="N", help="Stop after this many instructions, with status 124."
)
def command(
    *, kernel: str | None, modules: tuple[str, ...], append: str, machine: MachineOptions, count: int | None
) -> int:
    """Run a multiboot kernel on the bare machine with VMX, without the hypervisor.

    The exit status is the one that the kernel writes to isa-debug-exit.
    """
    if kernel is None:
        raise click.UsageError("boot needs --kernel: booting from a disk is not supported yet")
    return start(BootOptions(find_program(kernel, append, modules), machine, count))
