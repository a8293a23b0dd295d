"""The command `vmxon-system-x86_64`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from vmxon.cli.endings import abandon_output, fail, forgive_terminals, report
from vmxon.cli.qemu.option import Listing
from vmxon.cli.qemu.table import parse
from vmxon.cli.termination import unwinding
from vmxon.errors import ExitStatus

PROGRAM = "vmxon-system-x86_64"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; the result is the exit status of the process."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    forgive_terminals()
    try:
        status = _run(words)
        sys.stdout.flush()
    except BrokenPipeError:
        return abandon_output()
    except KeyboardInterrupt:
        return fail(PROGRAM, "interrupted", ExitStatus.INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the last door: nothing past it but a traceback
        return report(PROGRAM, error, words)
    return status


def _run(words: list[str]) -> int:
    try:
        draft = parse(words)
    except Listing as listing:
        sys.stdout.write(listing.text)
        return ExitStatus.SUCCESS
    from vmxon.cli.qemu.run import start

    with unwinding():
        return start(draft)
