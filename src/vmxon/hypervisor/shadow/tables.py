"""Shadow tables: what the processor walks, each derived from one guest table, shared by all roots that lead to it.

An entry of a shadow table is a remembered translation, so it may be as old as a TLB allows: the guest's later writes count from
the next INVLPG or load of CR3 on. Until its first write a guest table is write-protected; from then on it is *out of sync*, and
writable, up to the next synchronization, which compares what was read with what is there and forgets what differs.
"""

from __future__ import annotations

import struct
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

from vmxon.hypervisor.memory.guest_memory import GuestMemory
from vmxon.hypervisor.memory.page_manager import PAGE, PageManager
from vmxon.hypervisor.shadow.guest_tables import ACCESSED, ADDRESS, DIRTY, NO_EXECUTE, PRESENT, USER, WRITABLE
from vmxon.machine.root import RootProcessor

ENTRIES = 512
LARGE_PAGE = 1 << 7
REGION = 9
"""Frames of one 2-MiB page, as a power of two."""
LINK = PRESENT | WRITABLE | USER | ACCESSED
"""Rights of an entry that leads to another table: the page's own entry holds the rights of the whole way."""
POINTER = PRESENT
"""The same for PAE's four pointers, which have no rights."""


class Source(NamedTuple):
    """What a shadow table is derived from: two with equal sources are the same table."""

    kind: str
    """“long”, “pae” and “legacy” for guest tables, “direct” for a part of a large page, “pointers” for the root of 32-bit guests."""
    address: int
    """Guest-physical address of the guest's table, or of the first byte that is mapped directly; what a root stands for."""
    level: int
    """1 holds 4-KiB pages, 2 2-MiB pages, …"""
    part: int = 0
    """Which half or quarter of a guest table of 1024 entries."""
    rights: int = 0
    """Of the way to it."""
    role: int = 0
    """Bits of control registers that decide how the guest's entries are read."""

    @property
    def guest_table(self) -> bool:
        """A page of guest memory stands behind it."""
        return self.kind in ("long", "pae", "legacy")


@dataclass(slots=True)
class Fill:
    """One entry in use: the guest's entry as it was read, and the shadow table that it leads to."""

    value: int
    child: ShadowTable | None = None


@dataclass(eq=False, slots=True)
class ShadowTable:
    """One frame of the machine that holds entries."""

    source: Source
    frame: int
    filled: dict[int, Fill] = field(default_factory=dict)
    parents: set[tuple[ShadowTable, int]] = field(default_factory=set)

    def guest_index(self, index: int) -> tuple[int, int]:
        """Offset and size in bytes of the guest's entry behind an entry."""
        if self.source.kind != "legacy":
            return 8 * index, 8
        number = 256 * self.source.part + (index >> 1) if self.source.level == 2 else 512 * self.source.part + index
        return 4 * number, 4


class ShadowTables:
    """All shadow tables of one guest, and where each guest frame is mapped writable."""

    def __init__(self, root: RootProcessor, pages: PageManager, memory: GuestMemory) -> None:
        self.root, self.pages, self.memory = root, pages, memory
        self.view = memory.view
        self.by_source: dict[Source, ShadowTable] = {}
        self.of_frame: defaultdict[int, set[ShadowTable]] = defaultdict(set)
        """Shadow tables by the guest frame that they are derived from."""
        self.out_of_sync: set[int] = set()
        """Guest frames of tables that the guest may write at the moment."""
        self.current: ShadowTable | None = None
        self.stale = False
        """The TLB may hold what the tables no longer say."""
        self.most = 0
        self._regions: Counter[int] = Counter()
        self._writable: defaultdict[int, set[tuple[ShadowTable, int]]] = defaultdict(set)
        self._large: defaultdict[int, set[tuple[ShadowTable, int]]] = defaultdict(set)
        self._direct: defaultdict[int, set[ShadowTable]] = defaultdict(set)

    # Entries.
    def store(self, table: ShadowTable, index: int, value: int) -> None:
        """Write an entry; nothing in such a frame is code, so no decoded instruction has to be dropped."""
        struct.pack_into("<Q", self.root.engine.memory, table.frame + 8 * index, value)

    def load(self, table: ShadowTable, index: int) -> int:
        """Read an entry."""
        value: int = struct.unpack_from("<Q", self.root.engine.memory, table.frame + 8 * index)[0]
        return value

    # Tables.
    def table(self, source: Source) -> ShadowTable:
        """The shadow table of a source; made, and the guest's table write-protected, where there is none.

        Raises:
            ConfigurationError: no frame is left.
        """
        found = self.by_source.get(source)
        if found is not None:
            if source.guest_table and source.address >> 12 in self.out_of_sync:
                self._forget_changes(found)
            return found
        frame = self.pages.allocate()
        self.root.write(frame, bytes(PAGE))
        made = self.by_source[source] = ShadowTable(source, frame)
        self.most = max(self.most, len(self.by_source))
        if source.kind == "direct" and source.level == 1:
            self._map_run(made)
        if source.guest_table:
            number = source.address >> 12
            if not self.of_frame[number]:
                self._regions[number >> REGION] += 1
                self._protect(number)
            self.of_frame[number].add(made)
        return made

    def may_write(self, number: int) -> bool:
        """No table in sync lies in a guest frame."""
        return not self.of_frame.get(number) or number in self.out_of_sync

    def may_be_large(self, number: int) -> bool:
        """A guest's 2-MiB run from frame `number` on is memory, and no table lies in it."""
        return not self._regions[number >> REGION] and (number << 12) + (PAGE << REGION) <= self.memory.size

    def link(self, table: ShadowTable, index: int, value: int, source: Source) -> ShadowTable:
        """Have an entry lead to the shadow table of a source."""
        fill = table.filled.get(index)
        if fill is not None and fill.child is not None and fill.child.source == source:
            fill.value = value
            return fill.child
        child = self.table(source)
        if fill is not None:
            self.clear(table, index)
        table.filled[index] = Fill(value, child)
        child.parents.add((table, index))
        self.store(table, index, child.frame | (POINTER if table.source.kind == "pointers" else LINK))
        return child

    def map_page(self, table: ShadowTable, index: int, value: int, guest: int, rights: int) -> None:
        """Have an entry map a page of guest memory: 4 KiB in a table of level 1, 2 MiB in one of level 2."""
        if index in table.filled:
            self.clear(table, index)
        number = guest >> 12
        table.filled[index] = Fill(value)
        if table.source.level == 2:
            self._large[number >> REGION].add((table, index))
            self.store(table, index, self.memory.base + guest | rights | LARGE_PAGE | ACCESSED | DIRTY | PRESENT)
            return
        if rights & WRITABLE and number << 12 < self.memory.size:
            self._writable[number].add((table, index))
        self.store(table, index, self.leaf(number, rights))

    def leaf(self, number: int, rights: int) -> int:
        """An entry that maps a guest frame; outside memory it is an empty bus, where nothing is executed."""
        address = number << 12
        if address >= self.memory.size:
            return self.memory.outside(address) | rights | NO_EXECUTE | ACCESSED | DIRTY | PRESENT
        return self.memory.base + address | rights | ACCESSED | DIRTY | PRESENT

    def _map_run(self, table: ShadowTable) -> None:
        """Fill a direct table of level 1: 512 pages in a row with equal rights, but for the guest's tables among them."""
        first, rights = table.source.address >> 12, table.source.rights
        entries = [self.leaf(first + index, rights if self.may_write(first + index) else rights & ~WRITABLE) for index in range(ENTRIES)]
        self.root.engine.memory[table.frame : table.frame + PAGE] = struct.pack("<512Q", *entries)
        self._direct[first >> REGION].add(table)

    def allow_write(self, table: ShadowTable, index: int) -> None:
        """A page of a direct table may be written again."""
        self.store(table, index, self.load(table, index) | WRITABLE)

    def clear(self, table: ShadowTable, index: int) -> None:
        """Forget an entry."""
        fill = table.filled.pop(index, None)
        if fill is None:
            return
        value = self.load(table, index)
        self.store(table, index, 0)
        self.stale = True
        if fill.child is not None:
            fill.child.parents.discard((table, index))
            if fill.child.source.kind == "direct" and not fill.child.parents:
                self.release(fill.child)
            if table.source.kind == "pointers" and not table.filled and table is not self.current:
                self.release(table)
            return
        number = (value & ADDRESS) - self.memory.base >> 12
        group = self._large[number >> REGION] if table.source.level == 2 else self._writable[number]
        group.discard((table, index))

    def release(self, table: ShadowTable) -> None:
        """Give a table's frame back."""
        for index in list(table.filled):
            self.clear(table, index)
        for parent, index in list(table.parents):
            self.clear(parent, index)
        if self.by_source.pop(table.source, None) is None:
            return
        number = table.source.address >> 12
        if table.source.guest_table:
            self.of_frame[number].discard(table)
            if not self.of_frame[number]:
                del self.of_frame[number]
                self.out_of_sync.discard(number)
                self._regions[number >> REGION] -= 1
        self._direct[number >> REGION].discard(table)
        self.stale = True
        self.pages.release(table.frame)

    def release_all(self) -> None:
        """Start over, as a TLB that is flushed."""
        for table in list(self.by_source.values()):
            if table.source in self.by_source:
                self.release(table)
        self.current = None

    # Synchronization.
    def desynchronize(self, number: int) -> None:
        """The guest writes to one of its tables: let it, until translations have to be forgotten."""
        if self.of_frame.get(number):
            self.out_of_sync.add(number)

    def synchronize(self, lowest_level: int = 1) -> None:
        """Make tables of `lowest_level` and above say what the guest's tables say, and watch them again."""
        for number in list(self.out_of_sync):
            tables = self.of_frame.get(number, ())
            if lowest_level > 1 and all(table.source.level < lowest_level for table in tables):
                continue
            for table in list(tables):
                self._forget_changes(table)
                if not table.filled and table is not self.current:
                    self.release(table)
            if number in self.out_of_sync:
                self.out_of_sync.discard(number)
                self._protect(number)

    def _forget_changes(self, table: ShadowTable) -> None:
        """Drop the entries whose guest entry has changed."""
        base = table.source.address
        for index, fill in list(table.filled.items()):
            offset, size = table.guest_index(index)
            if int.from_bytes(self.memory.read(base + offset, size), "little") != fill.value:
                self.clear(table, index)

    def _protect(self, number: int) -> None:
        """No entry maps a guest frame writable any more."""
        for table, index in list(self._large.pop(number >> REGION, ())):
            self.clear(table, index)
        for table, index in self._writable.pop(number, ()):
            self.store(table, index, self.load(table, index) & ~WRITABLE)
        for table in self._direct.get(number >> REGION, ()):
            index = number & ENTRIES - 1
            self.store(table, index, self.load(table, index) & ~WRITABLE)
        self.stale = True

