"""The guest's own page tables, read as the processor would read them, with its protection and its accessed and dirty bits.

Vol. 3A ch. 4 “Paging”: §4.6 “Access Rights”, §4.7 “Page-Fault Exceptions”, §4.8 “Accessed and Dirty Flags”.
"""

from __future__ import annotations

from dataclasses import dataclass

from vmxon.arch.control import Cr0, Cr4, Efer
from vmxon.arch.paging import MUST_BE_ZERO, Page1G, Page2M, Page4M32
from vmxon.hypervisor.memory.guest_memory import GuestMemory
from vmxon.hypervisor.memory.guest_walk import PageFault

PRESENT, WRITABLE, USER, ACCESSED, DIRTY, LARGE, GLOBAL = 1, 2, 4, 1 << 5, 1 << 6, 1 << 7, 1 << 8
NO_EXECUTE = 1 << 63
ADDRESS = 0x000F_FFFF_FFFF_F000
PAE_HIGH = 0x7FF0_0000_0000_0000
"""Bits 62:52, reserved in PAE paging."""
PROTECTION, WRITE, BY_USER, RESERVED, FETCH = 1, 2, 4, 8, 16
"""Bits of a page fault's error code."""
EVERYTHING = WRITABLE | USER


@dataclass(frozen=True, slots=True)
class GuestControl:
    """What the guest believes to be in its control registers."""

    cr0: int
    cr3: int
    cr4: int
    efer: int
    pointers: tuple[int, ...] = ()
    """The PDPTE registers, under PAE paging."""

    @property
    def paging(self) -> bool:
        """CR0.PG."""
        return bool(self.cr0 & Cr0.pg.mask)

    @property
    def long(self) -> bool:
        """4-level paging."""
        return self.paging and bool(self.efer & Efer.lma.mask)

    @property
    def wide(self) -> bool:
        """Entries of 8 bytes."""
        return bool(self.cr4 & Cr4.pae.mask)


@dataclass(frozen=True, slots=True)
class Access:
    """What the processor attempted."""

    linear: int
    write: bool
    user: bool
    fetch: bool
    allowed_by_ac: bool = True
    """CR4.SMAP does not stand in the way: RFLAGS.AC is 1 in an explicit access."""


@dataclass(frozen=True, slots=True)
class Step:
    """One entry on the way: where it lies in guest-physical memory, and its value with the accessed bit set."""

    place: int
    value: int
    shift: int
    """Lowest linear bit of what the entry covers."""


@dataclass(frozen=True, slots=True)
class Walk:
    """A translation that the guest's tables allow."""

    steps: tuple[Step, ...]
    physical: int
    """Guest-physical address of the page's first byte."""
    shift: int
    """The page is 1 << shift bytes large."""
    rights: int
    """WRITABLE, USER, NO_EXECUTE, GLOBAL of the whole way."""
    dirty: bool


class GuestTables:
    """Walks the tables of one guest."""

    def __init__(self, memory: GuestMemory, physical_width: int, gigabyte_pages: bool) -> None:
        self.memory, self.view = memory, memory.view
        self.beyond = ADDRESS & ~((1 << physical_width) - 1)
        """Address bits that the processor does not have."""
        self.gigabyte_pages = gigabyte_pages

    def entry(self, place: int, size: int) -> int:
        """An entry of a table."""
        data = self.view[place : place + size] if place + size <= self.memory.size else self.memory.read(place, size)
        return int.from_bytes(data, "little")

    def walk(self, control: GuestControl, access: Access) -> Walk | PageFault:
        """Follow the tables; accessed and dirty bits are set where the access is allowed."""
        linear = access.linear
        code = WRITE * access.write | BY_USER * access.user
        no_execute = control.wide and bool(control.efer & Efer.nxe.mask)
        if access.fetch and (no_execute or control.cr4 & Cr4.smep.mask):
            code |= FETCH
        shifts, size, table, place = self._first(control, linear)
        if not table & PRESENT:
            return PageFault(linear, code)
        rights = EVERYTHING
        steps: list[Step] = []
        for shift in shifts:
            place = (place if not steps else steps[-1].value & (ADDRESS if size == 8 else 0xFFFF_F000)) + size * (
                linear >> shift & (511 if size == 8 else 1023)
            )
            value = self.entry(place, size)
            if not value & PRESENT:
                return PageFault(linear, code)
            leaf = shift == 12 or (bool(value & LARGE) and self._may_be_large(control, shift))
            wrong = self._reserved(control, shift, leaf, no_execute) if size == 8 else self._wrong_4m if leaf and shift == 22 else 0
            if value & wrong:
                return PageFault(linear, code | PROTECTION | RESERVED)
            rights = rights & (value | NO_EXECUTE) | value & NO_EXECUTE
            steps.append(Step(place, value, shift))
            if leaf:
                break
        last = steps[-1]
        if self._refuses(control, access, rights):
            return PageFault(linear, code | PROTECTION)
        self._mark(steps, size, access.write)
        if size == 4 and last.shift == 22:
            frame = last.value & 0xFFC0_0000 | (last.value >> 13 & 0xFF) << 32
        else:
            frame = last.value & (ADDRESS if size == 8 else 0xFFFF_F000) & -(1 << last.shift)
        dirty = access.write or bool(last.value & DIRTY)
        if last.value & GLOBAL and control.cr4 & Cr4.pge.mask:
            rights |= GLOBAL
        return Walk(tuple(steps), frame, last.shift, rights, dirty)

    def _first(self, control: GuestControl, linear: int) -> tuple[tuple[int, ...], int, int, int]:
        """Shifts of the levels, size of an entry, whether there is a first table (PRESENT), and where it is."""
        if control.long:
            return (39, 30, 21, 12), 8, PRESENT, control.cr3 & ADDRESS
        if control.wide:
            pointer = control.pointers[linear >> 30 & 3]
            return (21, 12), 8, pointer & PRESENT, pointer & ADDRESS
        return (22, 12), 4, PRESENT, control.cr3 & 0xFFFF_F000

    def _may_be_large(self, control: GuestControl, shift: int) -> bool:
        return shift == 21 or (shift == 30 and self.gigabyte_pages) or (shift == 22 and bool(control.cr4 & Cr4.pse.mask))

    def _reserved(self, control: GuestControl, shift: int, leaf: bool, no_execute: bool) -> int:
        """Bits that must be 0 in an entry of 8 bytes."""
        bits = self.beyond | (0 if no_execute else NO_EXECUTE) | (0 if control.long else PAE_HIGH)
        if not leaf:
            return bits | (LARGE if shift in (39, 30) else 0)
        return bits | {21: MUST_BE_ZERO[Page2M], 30: MUST_BE_ZERO[Page1G]}.get(shift, 0)

    @property
    def _wrong_4m(self) -> int:
        """Bits that must be 0 in an entry of 32-bit paging that maps 4 MiB."""
        return MUST_BE_ZERO[Page4M32] | (self.beyond >> 32 & 0xFF) << 13

    @staticmethod
    def _refuses(control: GuestControl, access: Access, rights: int) -> bool:
        """Protection of the page forbids the access."""
        if access.fetch and rights & NO_EXECUTE:
            return True
        if access.user:
            return not rights & USER or (access.write and not rights & WRITABLE)
        if rights & USER:
            if access.fetch and control.cr4 & Cr4.smep.mask:
                return True
            if not access.fetch and control.cr4 & Cr4.smap.mask and not access.allowed_by_ac:
                return True
        return access.write and not rights & WRITABLE and bool(control.cr0 & Cr0.wp.mask)

    def _mark(self, steps: list[Step], size: int, write: bool) -> None:
        """Accessed bits on the way, the dirty bit at its end; only the low byte of an entry changes."""
        for number, step in enumerate(steps):
            wanted = ACCESSED | (DIRTY if write and number == len(steps) - 1 else 0)
            if wanted & ~step.value:
                value = step.value | wanted
                if step.place < self.memory.size:
                    self.memory.root.write(self.memory.base + step.place, bytes((value & 0xFF,)))
                steps[number] = Step(step.place, value, step.shift)
