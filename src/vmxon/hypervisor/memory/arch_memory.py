"""ArchMemory: a guest's address space, as extended page tables that are built on demand (Vol. 3C §29.3)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from vmxon.hypervisor.memory.page_manager import PAGE, PageManager
from vmxon.machine.root import RootProcessor
from vmxon.vmx.controls import EptPointer
from vmxon.vmx.ept_entries import EptPage2M, EptPage4K, EptTableEntry

LEVELS = (39, 30, 21, 12)
"""Lowest guest-physical bit that indexes each table, top table first."""
LARGE = 2 << 20
WRITE_BACK = 6
ENTRY = 8
ADDRESS = EptTableEntry.table.mask
PRESENT = EptTableEntry.read.mask | EptTableEntry.write.mask | EptTableEntry.execute.mask
LARGE_LEVEL, SMALL_LEVEL = 2, 3


@dataclass(frozen=True, slots=True)
class Mapping:
    """A leaf of the tree: `size` bytes from `guest` on lie at `host`."""

    guest: int
    host: int
    size: int
    rights: int
    """Bits 2:0: read, write, execute."""


class ArchMemory:
    """A four-level EPT tree; frames for its tables come from the PageManager."""

    def __init__(self, root: RootProcessor, pages: PageManager) -> None:
        self.root, self.pages = root, pages
        self.tables = [self._new_table()]

    @property
    def pointer(self) -> EptPointer:
        """The value of the EPTP field."""
        return EptPointer.make(memory_type=WRITE_BACK, walk_length=len(LEVELS) - 1, root=self.tables[0] >> 12)

    def map_page(self, guest: int, host: int, size: int = PAGE, *, read: bool = True, write: bool = True, execute: bool = True) -> None:
        """Map one 4-KiB or 2-MiB page; both addresses are multiples of `size`, and nothing is mapped there yet."""
        if size not in (PAGE, LARGE) or guest % size or host % size:
            raise ValueError(f"guest-physical {guest:#x} to {host:#x} is no page of {size:#x} bytes")
        entry = self._entry(guest, LARGE_LEVEL if size == LARGE else SMALL_LEVEL)
        if self._load(entry) & PRESENT:
            raise ValueError(f"guest-physical {guest:#x} is mapped already")
        rights = {"read": read, "write": write, "execute": execute, "memory_type": WRITE_BACK}
        if size == LARGE:
            self._store(entry, EptPage2M.make(frame=host >> 21, page_size=1, **rights))
        else:
            self._store(entry, EptPage4K.make(frame=host >> 12, **rights))

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
        size = LARGE if level == LARGE_LEVEL else PAGE
        value = self._load(entry)
        return Mapping(guest & -size, value & ADDRESS & -size, size, value & PRESENT)

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
