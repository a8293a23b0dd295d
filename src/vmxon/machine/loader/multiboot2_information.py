"""The boot information of Multiboot 2 (§3.6 “Boot information format”): a list of tags."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from vmxon.machine.loader.image import MemoryWrite, Module, SectionTable
from vmxon.machine.loader.information import CONVENTIONAL_END, KIB, LOADER_NAME, LOWEST, MOST, c_string, memory_map

TEXT_SCREEN = struct.pack("<QIIIBBH", 0xB8000, 160, 80, 25, 16, 2, 0)
"""The framebuffer tag of 80 × 25 characters of text (§3.6.12)."""
OLD_ROOT, NEW_ROOT = 20, 36
"""Bytes of the ACPI root pointer of version 1 and of version 2."""


class Tag(IntEnum):
    """Types of tags; those not made here are for machines with EFI, a network or a boot drive."""

    END = 0
    COMMAND_LINE = 1
    LOADER_NAME = 2
    MODULE = 3
    MEMORY = 4
    MEMORY_MAP = 6
    FRAMEBUFFER = 8
    SECTIONS = 9
    OLD_ACPI = 14
    NEW_ACPI = 15
    LOAD_BASE = 21


@dataclass(slots=True)
class Information:
    """Everything that the kernel is told; `base` is where a relocatable image went."""

    memory_size: int
    command_line: str
    modules: Sequence[tuple[Module, MemoryWrite]]
    sections: SectionTable | None
    root_pointer: int
    base: int | None
    copies: list[tuple[int, int, int]] = field(default_factory=list)
    """What only memory knows: address, place in the information, length."""

    def build(self) -> bytes:
        """The structure, to lie on 8 bytes."""
        data = bytearray(8)
        self.copies = []
        for kind, content in self._tags():
            at = len(data)
            data += struct.pack("<II", kind, 8 + len(content)) + content
            data += bytes(-len(data) % 8)
            if kind in (Tag.OLD_ACPI, Tag.NEW_ACPI):
                self.copies.append((self.root_pointer, at + 8, len(content)))
        struct.pack_into("<I", data, 0, len(data))
        return bytes(data)

    def _tags(self) -> list[tuple[Tag, bytes]]:
        rows = b"".join(struct.pack("<QQII", row.start, row.end - row.start, row.kind, 0) for row in memory_map(self.memory_size))
        lower = min(self.memory_size, CONVENTIONAL_END) // KIB
        upper = min(max(0, self.memory_size - LOWEST) // KIB, MOST)
        tags = [
            (Tag.COMMAND_LINE, c_string(self.command_line)),
            (Tag.LOADER_NAME, LOADER_NAME),
            *((Tag.MODULE, _module(module, write)) for module, write in self.modules),
            (Tag.MEMORY, struct.pack("<II", lower, upper)),
            (Tag.MEMORY_MAP, struct.pack("<II", 24, 0) + rows),
            (Tag.FRAMEBUFFER, TEXT_SCREEN),
        ]
        if self.sections is not None:
            table = self.sections
            tags.append((Tag.SECTIONS, struct.pack("<III", table.rows, table.row_size, table.names) + table.headers))
        if self.root_pointer:
            tags += [(Tag.OLD_ACPI, bytes(OLD_ROOT)), (Tag.NEW_ACPI, bytes(NEW_ROOT))]
        if self.base is not None:
            tags.append((Tag.LOAD_BASE, struct.pack("<I", self.base)))
        return [*tags, (Tag.END, b"")]


def _module(module: Module, write: MemoryWrite) -> bytes:
    return struct.pack("<II", write.address, write.end) + c_string(module.command_line or module.name)
