"""Isolation: a proof by looking, that a guest's tree of tables leads to its own frames and nowhere else."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from vmxon.hypervisor.memory.guest_memory import GuestMemory
from vmxon.hypervisor.memory.page_manager import PAGE
from vmxon.hypervisor.memory.virtual_memory import VirtualMemory
from vmxon.hypervisor.shadow.paging import ShadowPaging

ADDRESS = 0x000F_FFFF_FFFF_F000
LARGE = 1 << 7
SHADOW_PRESENT, EPT_PRESENT = 1, 7
"""Bits of which one makes an entry present."""


@dataclass(frozen=True, slots=True)
class Leak:
    """An entry that leads where it must not."""

    table: int
    index: int
    entry: int
    why: str

    def __str__(self) -> str:
        return f"table {self.table:#x}, entry {self.index}: {self.entry:#x} {self.why}"


def find_leaks(memory: GuestMemory, paging: VirtualMemory) -> list[Leak]:
    """Walk every tree from its root; leaves must be the guest's frames or the empty bus, links the hypervisor's tables."""
    checker = _Checker(memory, frozenset(paging.tables), SHADOW_PRESENT if isinstance(paging, ShadowPaging) else EPT_PRESENT)
    if isinstance(paging, ShadowPaging):
        for table in list(paging.shadow.by_source.values()):
            checker.walk(table.frame, table.source.level)
    else:
        checker.walk(memory.address_space.tables[0], 4)
    return checker.leaks


class _Checker:
    def __init__(self, memory: GuestMemory, tables: frozenset[int], present: int) -> None:
        self.memory, self.tables, self.present = memory, tables, present
        self.leaks: list[Leak] = []
        self._seen: set[int] = set()

    def walk(self, table: int, level: int) -> None:
        """Look at one table and at those that it leads to."""
        if table in self._seen:
            return
        self._seen.add(table)
        for index, entry in enumerate(struct.unpack("<512Q", self.memory.root.read(table, PAGE))):
            if not entry & self.present:
                continue
            address = entry & ADDRESS
            if level > 1 and not entry & LARGE:
                if address in self.tables:
                    self.walk(address, level - 1)
                else:
                    self.leaks.append(Leak(table, index, entry, "leads to a frame that is no table of this guest"))
            else:
                size = PAGE << 9 * (level - 1)
                self._leaf(table, index, entry, address & -size, size)

    def _leaf(self, table: int, index: int, entry: int, address: int, size: int) -> None:
        memory = self.memory
        if address >= memory.root.engine.memory_size or memory.base <= address <= memory.base + memory.size - size:
            return
        self.leaks.append(Leak(table, index, entry, "maps memory that is not the guest's"))
