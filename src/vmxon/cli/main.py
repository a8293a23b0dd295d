"""The command `vmxon`: finds the subcommand, and turns every error into one line and an exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

import click

from vmxon import __version__
from vmxon.cli.endings import abandon_output, fail, forgive_terminals, report
from vmxon.cli.termination import unwinding
from vmxon.errors import ExitStatus


class Subcommand(NamedTuple):
    """Where a command lives, and its line in `vmxon --help`, so that help imports none of them."""

    module: str
    help: str


SUBCOMMANDS = {
    "run": Subcommand("vmxon.cli.run", "Run an operating system as a guest of the hypervisor."),
    "boot": Subcommand("vmxon.cli.boot", "Start an image on the bare machine, VMX included."),
    "compare": Subcommand("vmxon.cli.compare", "Run a guest two ways and print what each costs."),
    "explain": Subcommand("vmxon.cli.explain", "Say what a VMX number or name means, and what to do."),
    "check": Subcommand("vmxon.cli.check", "Say which entry rules a VMCS dump breaks."),
    "diff": Subcommand("vmxon.cli.diff", "Compare two VMCS dumps by meaning."),
    "rules": Subcommand("vmxon.cli.rules", "List and show the rules of VM entry."),
    "course": Subcommand("vmxon.cli.course", "List, show and run the steps of the course."),
    "assemble": Subcommand("vmxon.cli.assemble", "Assemble files into a kernel for boot."),
    "grade": Subcommand("vmxon.cli.grade", "Run a folder of images against expected outputs."),
    "version": Subcommand("vmxon.cli.version", "Print the versions of vmxon and of what it stands on."),
}


class LazyGroup(click.Group):
    """A group that imports a subcommand's module when that subcommand runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in SUBCOMMANDS:
            return None
        command = import_module(SUBCOMMANDS[cmd_name].module).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, subcommand.help) for name, subcommand in SUBCOMMANDS.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Exit statuses"):
            formatter.write_dl([(str(int(status)), status.meaning) for status in ExitStatus])
            formatter.write_text("A guest that writes V to isa-debug-exit ends vmxon with (V << 1) | 1.")


@click.command("vmxon", cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="vmxon %(version)s")
def program() -> None:
    """Intel VMX you can pip install: an x86-64 PC with VMX, and a hypervisor that drives it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; the result is the exit status of the process."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if "_VMXON_COMPLETE" in os.environ:  # a shell asks for completions, by click's protocol
        program.main(words, prog_name="vmxon")
    forgive_terminals()
    try:
        status = _invoke(words)
        sys.stdout.flush()
    except BrokenPipeError:
        return abandon_output()
    except (KeyboardInterrupt, click.Abort):
        return fail("vmxon", "interrupted", ExitStatus.INTERRUPTED)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return ExitStatus.BAD_INPUT
    except click.ClickException as error:
        return fail("vmxon", _usage_line(error), ExitStatus.BAD_INPUT)
    except Exception as error:  # noqa: BLE001 - the last door: nothing past it but a traceback
        return report("vmxon", error, words)
    return status


def _invoke(words: list[str]) -> int:
    """Parse and run; `program.main` would end the process by itself, in its own words."""
    try:
        with unwinding(), program.make_context("vmxon", words) as context:
            result = program.invoke(context)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    return result if isinstance(result, int) else ExitStatus.SUCCESS


def _usage_line(error: click.ClickException) -> str:
    """Click's complaint as one sentence that ends in where to read more."""
    path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "vmxon"
    message = " ".join(error.format_message().split()).rstrip(".")
    return f"{message}; see {path} --help"
