"""ArchMemory: a guest's address space, as extended page tables that are built on demand (Vol. 3C §29.3)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from vmxon.hypervisor.memory.page_manager import PAGE, PageManager
from vmxon.machine.root import RootProcessor
from vmxon.vmx.controls import EptPointer
from vmxon.vmx.ept_entries import EptPage, EptPage1G, EptPage2M, EptPage4K, EptTableEntry

LEVELS = (39, 30, 21, 12)
"""Lowest guest-physical bit that indexes each table, top table first."""
LARGE, HUGE = 2 << 20, 1 << 30
WRITE_BACK = 6
ENTRY = 8
ADDRESS = EptTableEntry.table.mask
PRESENT = EptTableEntry.read.mask | EptTableEntry.write.mask | EptTableEntry.execute.mask
ACCESSED, DIRTY = EptPage.accessed.mask, EptPage.dirty.mask
SMALL_LEVEL = 3
LEVEL = {HUGE: 1, LARGE: 2, PAGE: SMALL_LEVEL}
"""Which table of the walk holds the leaf of a page of each size."""
SIZE = {level: size for size, level in LEVEL.items()}


@dataclass(frozen=True, slots=True)
class Mapping:
    """A leaf of the tree: `size` bytes from `guest` on lie at `host`."""

    guest: int
    host: int
    size: int
    rights: int
    """Bits 2:0: read, write, execute."""
    flags: int = 0
    """`ACCESSED` and `DIRTY`, where the processor keeps them."""


def leaf(host: int, size: int, *, read: bool = True, write: bool = True, execute: bool = True) -> int:
    """The entry that maps a page."""
    rights = {"read": read, "write": write, "execute": execute, "memory_type": WRITE_BACK}
    if size == HUGE:
        return EptPage1G.make(frame=host >> 30, page_size=1, **rights)
    if size == LARGE:
        return EptPage2M.make(frame=host >> 21, page_size=1, **rights)
    return EptPage4K.make(frame=host >> 12, **rights)


class ArchMemory:
    """A four-level EPT tree; frames for its tables come from the PageManager."""

    def __init__(self, root: RootProcessor, pages: PageManager) -> None:
        self.root, self.pages = root, pages
        self.flagged = False
        """The processor keeps accessed and dirty flags; a change counts from the next write of the EPTP field on."""
        self.tables = [self._new_table()]

    @property
    def pointer(self) -> EptPointer:
        """The value of the EPTP field."""
        flags = {"accessed_dirty": 1} if self.flagged else {}
        return EptPointer.make(memory_type=WRITE_BACK, walk_length=len(LEVELS) - 1, root=self.tables[0] >> 12, **flags)

    def map_page(self, guest: int, host: int, size: int = PAGE, *, read: bool = True, write: bool = True, execute: bool = True) -> None:
        """Map one page of 4 KiB, 2 MiB or 1 GiB; both addresses are multiples of `size`, and nothing is mapped there yet.

        1 GiB needs a processor that has such pages (IA32_VMX_EPT_VPID_CAP bit 17).
        """
        if size not in LEVEL or guest % size or host % size:
            raise ValueError(f"guest-physical {guest:#x} to {host:#x} is no page of {size:#x} bytes")
        entry = self._entry(guest, LEVEL[size])
        if self._load(entry) & PRESENT:
            raise ValueError(f"guest-physical {guest:#x} is mapped already")
        self._store(entry, leaf(host, size, read=read, write=write, execute=execute))

    def split(self, guest: int) -> None:
        """Put pages of the next smaller size in the place of the page that maps an address; INVEPT must follow."""
        found = self._leaf(guest)
        if found is None or found[1] == SMALL_LEVEL:
            raise ValueError(f"guest-physical {guest:#x} is in no large page")
        entry, level = found
        value, part = self._load(entry), SIZE[level + 1]
        first, rights, flags = value & ADDRESS & -SIZE[level], value & PRESENT, value & (ACCESSED | DIRTY)
        table = self._new_table()
        self.tables.append(table)
        allowed = {name: bool(rights & bit) for bit, name in ((1, "read"), (2, "write"), (4, "execute"))}
        pages = (leaf(first + number * part, part, **allowed) | flags for number in range(512))
        self.root.write(table, struct.pack("<512Q", *pages))
        self._store(entry, EptTableEntry.make(read=1, write=1, execute=1, table=table >> 12) | value & ACCESSED)

    def leaves(self) -> Iterator[Mapping]:
        """Every page that is mapped, in the order of guest-physical addresses."""
        yield from self._leaves(self.tables[0], 0, 0)

    def _leaves(self, table: int, level: int, start: int) -> Iterator[Mapping]:
        step = 1 << LEVELS[level]
        for number, value in enumerate(struct.unpack("<512Q", self.root.read(table, PAGE))):
            if not value & PRESENT:
                continue
            guest = start + number * step
            if level == SMALL_LEVEL or value & EptTableEntry.page_size.mask:
                yield self._mapping(guest, value, level)
            else:
                yield from self._leaves(value & ADDRESS, level + 1, guest)

    def clear_flags(self, guest: int, flags: int) -> None:
        """Set accessed or dirty flags of the page that maps an address to 0; INVEPT must follow."""
        found = self._leaf(guest)
        if found is None:
            raise ValueError(f"guest-physical {guest:#x} is not mapped")
        self._store(found[0], self._load(found[0]) & ~flags)

    def unmap_page(self, guest: int) -> None:
        """Take a leaf out of the tree; INVEPT must follow before the guest runs. ValueError where there is none."""
        found = self._leaf(guest)
        if found is None:
            raise ValueError(f"guest-physical {guest:#x} is not mapped")
        self._store(found[0], 0)

    def lookup(self, guest: int) -> Mapping | None:
        """The leaf that maps an address."""
        found = self._leaf(guest)
        if found is None:
            return None
        entry, level = found
        return self._mapping(guest & -SIZE[level], self._load(entry), level)

    @staticmethod
    def _mapping(guest: int, value: int, level: int) -> Mapping:
        size = SIZE[level]
        return Mapping(guest, value & ADDRESS & -size, size, value & PRESENT, value & (ACCESSED | DIRTY))

    def _leaf(self, guest: int) -> tuple[int, int] | None:
        """Where the leaf of an address is, and its level."""
        table = self.tables[0]
        for level, shift in enumerate(LEVELS):
            entry = table + ENTRY * (guest >> shift & 511)
            value = self._load(entry)
            if not value & PRESENT:
                return None
            if level == SMALL_LEVEL or value & EptTableEntry.page_size.mask:
                return entry, level
            table = value & ADDRESS
        return None

    def _entry(self, guest: int, leaf: int) -> int:
        """Where the entry of level `leaf` is; tables on the way are made."""
        table = self.tables[0]
        for shift in LEVELS[:leaf]:
            entry = table + ENTRY * (guest >> shift & 511)
            value = self._load(entry)
            if value & EptTableEntry.page_size.mask:
                raise ValueError(f"guest-physical {guest:#x} is mapped already")
            if not value & PRESENT:
                self.tables.append(self._new_table())
                value = EptTableEntry.make(read=1, write=1, execute=1, table=self.tables[-1] >> 12)
                self._store(entry, value)
            table = value & ADDRESS
        return table + ENTRY * (guest >> LEVELS[leaf] & 511)

    def _new_table(self) -> int:
        table = self.pages.allocate()
        self.root.write(table, bytes(PAGE))
        return table

    def _load(self, address: int) -> int:
        value: int = struct.unpack("<Q", self.root.read(address, ENTRY))[0]
        return value

    def _store(self, address: int, value: int) -> None:
        self.root.write(address, struct.pack("<Q", value))
