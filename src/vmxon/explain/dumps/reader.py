"""Reading a dump of any format from text or a file."""

from __future__ import annotations

import sys
from pathlib import Path

from vmxon.errors import StorageError, VmxonError
from vmxon.explain.dumps.document import WIDTHS, parse, processor_of, read_json
from vmxon.explain.dumps.dump import Dump, Processor
from vmxon.explain.dumps.text import read_text

LARGEST = 16 << 20
"""Bytes: a kernel log with many dumps is far below."""
STDIN = "-"


def read_dump(text: str, where: str = "dump", number: int | None = None) -> Dump:
    """The dump in a text; of several the last, or the one with `number` (from 1).

    Raises:
        VmxonError: there is no dump that could be read.
    """
    body = text.lstrip("\ufeff \t\r\n")
    if body.startswith("{"):
        return read_json(body, where)
    return read_text(text, where, number)


def read_dump_file(path: str, number: int | None = None) -> Dump:
    """The dump in a file; “-” is standard input.

    Raises:
        VmxonError: no such file, or no dump in it.
    """
    return read_dump(_read(path), "standard input" if path == STDIN else path, number)


def read_capabilities(path: str) -> Processor:
    """A processor by the JSON of its capability MSRs, number or name → value; with physical_width and linear_width if known.

    Raises:
        VmxonError: no such file, or not such JSON.
    """
    found = parse(_read(path), path)
    if "capabilities" not in found:
        widths: dict[str, object] = {name: found.pop(name) for name in WIDTHS if name in found}
        found = {"capabilities": found, **widths}
    return processor_of(found, path)


def _read(path: str) -> str:
    try:
        if path == STDIN:
            data = sys.stdin.buffer.read(LARGEST + 1)
        else:
            with Path(path).open("rb") as file:
                data = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        if isinstance(error, OSError) and StorageError.describes(error):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise VmxonError(reason.lower(), where=path) from None
    if len(data) > LARGEST:
        raise VmxonError(f"it is larger than {LARGEST >> 20} MiB", where=path, advice="cut out the dump")
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    return data.decode(encoding, "replace")
