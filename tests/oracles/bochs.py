"""The same guest on Debian's Bochs and on the bare machine: two logs that must be equal."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.peers import bochs
from vmxon.errors import GuestStopped
from vmxon.machine.configuration import PcConfiguration
from vmxon.machine.loader import load_multiboot
from vmxon.machine.pc import Limits, Pc

MEMORY = 128 << 20
TIMEOUT = 60.0
INSTRUCTIONS = 50_000_000
DEBUGGER = "(0).["
"""How the line begins that Bochs's debugger prints at a triple fault, also at one that becomes a VM exit."""


def log_on_bochs(image: bytes) -> list[str]:
    """The lines that a multiboot ELF file prints on port 0xE9 of Bochs."""
    with tempfile.TemporaryDirectory(prefix="bochs-guest-") as folder:
        path = Path(folder, "guest.elf")
        path.write_bytes(image)
        printed = bochs.run(path, TIMEOUT, bochs.Machine(megabytes=MEMORY >> 20)).printed
    return [line for line in printed.decode("latin-1").splitlines() if not line.startswith(DEBUGGER)]


def log_here(image: bytes) -> list[str]:
    """The lines that it prints on our machine; where it stops is the last line, as Bochs has none for that."""
    log = bytearray()
    pc = Pc(PcConfiguration(memory_size=MEMORY, kernel=load_multiboot(image, "guest", MEMORY)), debug_console=log.append)
    try:
        pc.run(Limits(TIMEOUT, INSTRUCTIONS))
    except GuestStopped as stop:
        log += f"stopped: {stop}".encode()
    return log.decode("latin-1").splitlines()
