"""The bundled guest: a small 64-bit kernel in our own assembly, assembled when it is first asked for."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from vmxon.machine.assembler import assemble

ORIGIN = 0x10_0000
PARTS = ("boot.s", "main.s", "interrupts.s", "task.s", "console.s", "bss.s")
"""The files, in the order in which they lie in memory."""


@cache
def bundled_guest() -> bytes:
    """The multiboot image."""
    folder = files(__package__)
    return assemble("\n".join((folder / part).read_text("utf-8") for part in PARTS), 64, ORIGIN)
