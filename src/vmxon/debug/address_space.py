"""Linear addresses as the processor would translate them now, looked up without a trace: no accessed bit, no fault, no TLB entry.

    space = AddressSpace(processor)
    space.read(0xFFFF_FFFF_8010_0000, 16)
    for page in space.pages(): …

Vol. 3A ch. 4 “Paging”; in VMX non-root operation under EPT also Vol. 3C §29.3 “The Extended Page Table Mechanism (EPT)”.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from vmxon.arch.control import Cr0, Cr4
from vmxon.machine.processor import Processor
from vmxon.processor.memory_map import NOWHERE, TO_READ, TO_WRITE
from vmxon.vmx.controls import EptPointer

PAGE = 4096
FRAME = 0x000F_FFFF_FFFF_F000
PRESENT, WRITABLE, USER, WRITE_THROUGH, CACHE_DISABLE, ACCESSED, DIRTY, LARGE, GLOBAL = (1 << bit for bit in range(9))
NO_EXECUTE = 1 << 63
EPT_ANY_RIGHT = 7
LOW_4G = 0xFFFF_FFFF


class Page(NamedTuple):
    """One page of a linear address space."""

    linear: int
    physical: int
    size: int
    """Bytes: 4 KiB, 2 MiB, 4 MiB or 1 GiB."""
    entry: int
    """The paging entry that maps it."""
    rights: int
    """WRITABLE and USER as all levels together grant them, NO_EXECUTE where any level says so."""


class AddressSpace:
    """A snapshot of the registers that select the tables; the tables themselves are read when asked."""

    def __init__(self, processor: Processor) -> None:
        state = processor.state
        self.engine = processor.engine
        self.paged = bool(state.cr0 & Cr0.pg.mask)
        self.pae, self.pse = bool(state.cr4 & Cr4.pae.mask), bool(state.cr4 & Cr4.pse.mask)
        self.long = bool(state.long_mode)
        self.width = state.linear_bits
        self.root = state.cr3
        self.pointers = list(state.pdpte)
        self.ept_root = state.ept_pointer & FRAME if state.second_stage else None
        self.ept_shift = 12 + 9 * EptPointer.walk_length.get(state.ept_pointer)

    # One address.
    def page_of(self, linear: int) -> Page | None:
        """The page that holds a linear address; None where there is none."""
        if not self.long:
            linear &= LOW_4G
        elif not self._canonical(linear):
            return None
        if not self.paged:
            return Page(linear & ~(PAGE - 1), linear & ~(PAGE - 1), PAGE, PRESENT | WRITABLE | USER, WRITABLE | USER)
        table, shift, rights = self._top(linear)
        if table is None:
            return None
        while True:
            entry = self._entry(table, linear, shift)
            if not entry & PRESENT:
                return None
            rights = _narrowed(rights, entry)
            if self._maps(entry, shift):
                return self._page(linear >> shift << shift, entry, shift, rights)
            table, shift = entry & FRAME, shift - self._step

    def _canonical(self, linear: int) -> bool:
        return linear >> (self.width - 1) in {0, (1 << (65 - self.width)) - 1}

    @property
    def _step(self) -> int:
        return 9 if self.pae else 10

    def _top(self, linear: int) -> tuple[int | None, int, int]:
        """The first table to look into, the shift of its index, the rights before it."""
        every = WRITABLE | USER
        if not self.pae:
            return self.root & 0xFFFF_F000, 22, every
        if self.long:
            return self.root & FRAME, self.width - 9, every
        pointer = self.pointers[linear >> 30 & 3]
        return (pointer & FRAME if pointer & PRESENT else None), 21, every

    def _entry(self, table: int, linear: int, shift: int) -> int:
        index = linear >> shift & ((1 << self._step) - 1)
        size = 8 if self.pae else 4
        return int.from_bytes(self._guest_physical(table + index * size, size), "little")

    def _maps(self, entry: int, shift: int) -> bool:
        """Whether an entry maps a page and does not point to a table."""
        return shift == 12 or (bool(entry & LARGE) and shift < 39 and (self.pae or self.pse))

    def _page(self, linear: int, entry: int, shift: int, rights: int) -> Page:
        frame = entry & (0xFFFF_F000 if not self.pae else FRAME)
        physical = frame >> shift << shift
        if shift == 22:  # PSE-36 (Vol. 3A Table 4-4 “Format of a 32-Bit Page-Directory Entry that Maps a 4-MByte Page”)
            physical = entry & 0xFFC0_0000 | (entry >> 13 & 0xFF) << 32
        return Page(linear, physical, 1 << shift, entry, rights)

    # Guest-physical memory.
    def host_physical(self, physical: int) -> int | None:
        """Where EPT puts a guest-physical address; the same address where there is no EPT."""
        if self.ept_root is None:
            return physical
        table, shift = self.ept_root, self.ept_shift
        while True:
            entry = int.from_bytes(self.engine.read_physical(table + (physical >> shift & 511) * 8, 8), "little")
            if not entry & EPT_ANY_RIGHT:
                return None
            if shift == 12 or (entry & LARGE and shift < 39):
                return (entry & FRAME) >> shift << shift | physical & ((1 << shift) - 1)
            table, shift = entry & FRAME, shift - 9

    def _guest_physical(self, physical: int, size: int) -> bytes:
        """Bytes that lie in one page; zeros, which are no entry, where there is no memory."""
        host = self.host_physical(physical)
        if host is None or self.engine.place(host, TO_READ) == NOWHERE:
            return bytes(size)
        return self.engine.read_physical(host, size)

    def _parts(self, linear: int, size: int, access: int) -> Iterator[tuple[int | None, int]]:
        """Host-physical address and size of each part that lies in one page; None where nothing is mapped or no memory answers."""
        while size > 0:
            part = min(size, PAGE - linear % PAGE)
            page = self.page_of(linear)
            host = None if page is None else self.host_physical(page.physical + linear % page.size)
            yield (host if host is not None and self.engine.place(host, access) != NOWHERE else None), part
            linear, size = linear + part & (1 << 64) - 1, size - part

    def read(self, linear: int, size: int) -> bytes:
        """The bytes from a linear address on, up to the first that cannot be read."""
        data = bytearray()
        for host, part in self._parts(linear, size, TO_READ):
            if host is None:
                break
            data += self.engine.read_physical(host, part)
        return bytes(data)

    def read_physical(self, address: int, size: int) -> bytes:
        """The bytes from a host-physical address on, up to the first that is no memory."""
        data = bytearray()
        while size > 0 and self.engine.place(address, TO_READ) != NOWHERE:
            part = min(size, PAGE - address % PAGE)
            data += self.engine.read_physical(address, part)
            address, size = address + part, size - part
        return bytes(data)

    def write(self, linear: int, data: bytes) -> bool:
        """Write memory; False, with nothing written, where part of it is not mapped or no RAM. Page rights do not matter."""
        parts = list(self._parts(linear, len(data), TO_WRITE))
        if any(host is None for host, _ in parts):
            return False
        done = 0
        for host, part in parts:
            assert host is not None
            self.engine.write_physical(host, data[done : done + part])
            done += part
        return True

    # All of it.
    def pages(self) -> Iterator[Page]:
        """Every page in the order of addresses; tables that contain themselves make very many."""
        if not self.paged:
            return
        if not self.pae or self.long:
            table, shift, rights = self._top(0)
            assert table is not None
            yield from self._below(table, shift, 0, rights)
            return
        for index, pointer in enumerate(self.pointers):
            if pointer & PRESENT:
                yield from self._below(pointer & FRAME, 21, index << 30, WRITABLE | USER)

    def _below(self, table: int, shift: int, base: int, rights: int) -> Iterator[Page]:
        count = 1 << self._step
        raw = self._guest_physical(table, PAGE)
        for index, entry in enumerate(struct.unpack(f"<{count}{'Q' if self.pae else 'I'}", raw)):
            if not entry & PRESENT:
                continue
            linear = base | index << shift
            if shift == self.width - 9 and index & 0x100:
                linear |= (1 << 64) - (1 << self.width)
            narrowed = _narrowed(rights, entry)
            if self._maps(entry, shift):
                yield self._page(linear, entry, shift, narrowed)
            else:
                yield from self._below(entry & FRAME, shift - self._step, linear, narrowed)


def _narrowed(rights: int, entry: int) -> int:
    """The rights that remain below an entry."""
    return rights & (entry | NO_EXECUTE) | entry & NO_EXECUTE
