"""`vmxon run`: an operating system as a guest of the hypervisor."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from importlib import import_module

import click

from vmxon.cli.images import Program, find_program
from vmxon.cli.options import MachineOptions, machine_options


class Paging(Enum):
    """How the hypervisor gives the guest its memory."""

    EPT = "ept"


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Which guest, on which machine, under which paging."""

    program: Program | None
    """None: the bundled guest."""
    machine: MachineOptions
    paging: Paging = Paging.EPT


def start(options: RunOptions) -> int:
    """Start the hypervisor and its guest, run to the end, and answer the exit status of the process."""
    session = import_module("vmxon.hypervisor.session")
    return int(session.run(options))


@click.command("run", short_help="Run an operating system as a guest of the hypervisor.")
@click.argument("image", required=False)
@machine_options
@click.option(
    "--paging",
    type=click.Choice([paging.value for paging in Paging]),
    default=Paging.EPT.value,
    show_default=True,
    help="How guest memory is mapped.",
)
def command(
    *,
    image: str | None,
    kernel: str | None,
    modules: tuple[str, ...],
    append: str,
    machine: MachineOptions,
    paging: str,
) -> int:
    """Run an operating system as a guest of the hypervisor; IMAGE is short for --kernel IMAGE.

    Without an image, the bundled guest runs. At the end, VM exits are listed by reason.
    """
    if image is not None and kernel is not None:
        raise click.UsageError("IMAGE and --kernel name the guest twice")
    guest = kernel if kernel is not None else image
    if guest is None and (modules or append):
        raise click.UsageError("--initrd and --append need a --kernel: the bundled guest takes neither")
    program = None if guest is None else find_program(guest, append, modules)
    return start(RunOptions(program, machine, Paging(paging)))
