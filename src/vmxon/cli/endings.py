"""How a command ends: every error as one line on standard error and a status of `ExitStatus`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper

from vmxon.errors import ExitStatus, ImageError, StorageError, VmxonError, printable

DEBUG_VARIABLE = "VMXON_DEBUG"


def forgive_terminals() -> None:
    """A terminal without “µ” shows a question mark, and no error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def report(program: str, error: Exception, words: Sequence[str]) -> int:
    """One line for what went wrong: ours by their own words, anything else as a bug."""
    from pathlib import Path
    from traceback import extract_tb, format_exception

    if os.environ.get(DEBUG_VARIABLE) == "1":
        sys.stderr.write("".join(format_exception(error)))
    known = _known(error)
    if known is not None:
        return fail(program, str(known), known.status, known.details)
    last = [frame for frame in extract_tb(error.__traceback__) if not frame.filename.startswith("<")][-1]
    what = printable(f"{type(error).__name__}: {error}".rstrip(": "))
    line = f"this is a bug in vmxon: {what} ({Path(last.filename).name}:{last.lineno})"
    command = printable(" ".join([program, *words]))
    return fail(program, f"{line}; please report it with what {DEBUG_VARIABLE}=1 {command} prints", ExitStatus.BUG)


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


def fail(program: str, line: str, status: ExitStatus, details: Sequence[str] = ()) -> int:
    """Print one line, and what belongs below it, to standard error."""
    try:
        sys.stdout.flush()
        sys.stderr.write("\n".join([f"{program}: {line}", *details, ""]))
        sys.stderr.flush()
    except BrokenPipeError:
        return abandon_output()
    return status


def abandon_output() -> int:
    """Stop writing: the interpreter's own flush at exit must find no broken pipe."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(nowhere, stream.fileno())
    return ExitStatus.BROKEN_PIPE
