"""The command `vmxon`: finds the subcommand, and turns every error into one line and an exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from typing import NamedTuple

import click

from vmxon import __version__
from vmxon.cli.termination import unwinding
from vmxon.errors import ExitStatus, ImageError, StorageError, VmxonError, printable

DEBUG_VARIABLE = "VMXON_DEBUG"


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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal without “µ” shows a question mark, and no error
            stream.reconfigure(errors="replace")
    try:
        status = _invoke(words)
        sys.stdout.flush()
    except BrokenPipeError:
        return _abandon_output()
    except (KeyboardInterrupt, click.Abort):
        return _fail("interrupted", ExitStatus.INTERRUPTED)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return ExitStatus.BAD_INPUT
    except click.ClickException as error:
        return _fail(_usage_line(error), ExitStatus.BAD_INPUT)
    except Exception as error:  # noqa: BLE001 - the last door: nothing past it but a traceback
        return _report(error, words)
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


def _report(error: Exception, words: Sequence[str]) -> int:
    """One line for what went wrong: ours by their own words, anything else as a bug."""
    from pathlib import Path
    from traceback import extract_tb, format_exception

    if os.environ.get(DEBUG_VARIABLE) == "1":
        sys.stderr.write("".join(format_exception(error)))
    known = _known(error)
    if known is not None:
        return _fail(str(known), known.status, known.details)
    last = [frame for frame in extract_tb(error.__traceback__) if not frame.filename.startswith("<")][-1]
    what = printable(f"{type(error).__name__}: {error}".rstrip(": "))
    line = f"this is a bug in vmxon: {what} ({Path(last.filename).name}:{last.lineno})"
    command = printable(" ".join(["vmxon", *words]))
    return _fail(f"{line}; please report it with what {DEBUG_VARIABLE}=1 {command} prints", ExitStatus.BUG)


def _known(error: Exception) -> VmxonError | None:
    """`error` as one of ours, where it is the host's or the user's and not a bug."""
    if isinstance(error, VmxonError):
        return error
    if isinstance(error, MemoryError):
        return VmxonError("the host has too little memory for this guest", advice="give a smaller --memory")
    if isinstance(error, OSError) and StorageError.describes(error):
        return StorageError.of(error)
    disk = sys.modules.get("vmxon.devices.disk")  # loaded if it raised; devices may not import our errors
    return ImageError(str(error)) if isinstance(error, getattr(disk, "DiskImageError", ())) else None


def _fail(line: str, status: ExitStatus, details: Sequence[str] = ()) -> int:
    """Print one line, and what belongs below it, to standard error."""
    try:
        sys.stdout.flush()
        sys.stderr.write("\n".join([f"vmxon: {line}", *details, ""]))
        sys.stderr.flush()
    except BrokenPipeError:
        return _abandon_output()
    return status


def _abandon_output() -> int:
    """Stop writing: the interpreter's own flush at exit must find no broken pipe."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(nowhere, stream.fileno())
    return ExitStatus.BROKEN_PIPE
