"""The multiboot information structure (§3.3 “Boot information format”) and the memory map of the PC."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vmxon.arch.bits import Word, flag
from vmxon.engine.memory_layout import MemoryLayout
from vmxon.machine.loader.image import MemoryWrite, Module, SectionTable

INFORMATION = 0x1_0000
"""Where the structure goes when nothing is there."""
LOWEST = 0x10_0000
"""Where extended memory begins."""
CONVENTIONAL_END = 0x9_FC00
"""End of conventional memory; the last KiB below 640 KiB is the BIOS's."""
ROM = 0xE_0000
"""Where the BIOS begins: tables for the system, then code."""
ROOT_POINTER = ROM
"""Where the ACPI root pointer is (ACPI Specification 6.4, §5.2.5.1: 0xE0000 to 0xFFFFF, on 16 bytes)."""
LOADER_NAME = b"vmxon\0"
KIB = 1024
AVAILABLE, RESERVED = 1, 2
MOST = 0xFFFF_FFFF
"""What mem_upper can say; the memory map says the rest."""


class InformationFlags(Word, width=32):
    """Word 0: which members are valid."""

    memory = flag(0, "mem_lower and mem_upper")
    boot_device = flag(1, "boot_device")
    command_line = flag(2, "cmdline")
    modules = flag(3, "mods_count and mods_addr")
    sections = flag(5, "the section headers of an ELF kernel")
    memory_map = flag(6, "mmap_length and mmap_addr")
    loader_name = flag(9, "boot_loader_name")


@dataclass(frozen=True, slots=True)
class MemoryRange:
    """One row of the memory map: bytes from `start` up to `end`."""

    start: int
    end: int
    kind: int


def memory_map(memory_size: int) -> Iterator[MemoryRange]:
    """What INT 15H AX=E820H tells on a PC with so much memory."""
    yield MemoryRange(0, min(CONVENTIONAL_END, memory_size), AVAILABLE)
    yield MemoryRange(CONVENTIONAL_END, 0xA_0000, RESERVED)
    yield MemoryRange(ROM, LOWEST, RESERVED)
    for start, end in MemoryLayout.of_pc(memory_size).usable()[1:]:
        yield MemoryRange(start, end, AVAILABLE)


def build_information(
    address: int,
    memory_size: int,
    command_line: str,
    modules: Sequence[tuple[Module, MemoryWrite]],
    sections: SectionTable | None = None,
) -> bytes:
    """The structure as it lies at `address`, followed by what it points to."""
    fixed = struct.calcsize("<22I")
    rows = b"".join(struct.pack("<IQQI", 20, row.start, row.end - row.start, row.kind) for row in memory_map(memory_size))
    table = fixed + len(rows)
    strings = table + 16 * len(modules)
    text = bytearray()

    def put(line: bytes) -> int:
        at = address + strings + len(text)
        text.extend(line)
        return at

    name = put(LOADER_NAME)
    line = put(c_string(command_line))
    listed = b"".join(
        struct.pack("<IIII", write.address, write.end, put(c_string(module.command_line or module.name)), 0) for module, write in modules
    )
    flags = InformationFlags.make(memory=1, command_line=1, modules=1, memory_map=1, loader_name=1)
    words = [0] * 22
    words[1], words[2] = min(memory_size, 0xA_0000) // KIB, min(max(0, MemoryLayout.of_pc(memory_size).low - LOWEST) // KIB, MOST)
    words[1] = min(words[1], CONVENTIONAL_END // KIB)
    words[4] = line
    words[5], words[6] = len(modules), address + table if modules else 0
    words[11], words[12] = len(rows), address + fixed
    words[16] = name
    if sections is not None:
        flags = flags.replace(sections=True)
        text.extend(bytes(-(strings + len(text)) % 8))
        words[7:11] = sections.rows, sections.row_size, put(sections.headers), sections.names
    words[0] = int(flags)
    return struct.pack("<22I", *words) + rows + listed + bytes(text)


def c_string(line: str) -> bytes:
    """Text that ends in a zero byte."""
    return line.encode("utf-8", "surrogateescape").replace(b"\0", b"") + b"\0"
