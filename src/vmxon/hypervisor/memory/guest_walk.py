"""From a guest's linear address to its guest-physical one, by the guest's own page tables (Vol. 3A ch. 4 “Paging”)."""

from __future__ import annotations

from dataclasses import dataclass

from vmxon.arch.control import Cr0, Cr4, Efer
from vmxon.hypervisor.memory.guest_memory import GuestMemory
from vmxon.hypervisor.memory.page_manager import PAGE

PRESENT, WRITABLE, USER, LARGE = 1, 2, 4, 1 << 7
ADDRESS = 0x000F_FFFF_FFFF_F000
WRITE_FAULT, USER_FAULT = 2, 4
LONG = (39, 30, 21, 12)
PAE = (30, 21, 12)
LEGACY = (22, 12)


@dataclass(frozen=True, slots=True)
class PageFault:
    """The guest's own tables refuse the access."""

    linear: int
    error_code: int


@dataclass(frozen=True, slots=True)
class Paging:
    """The guest's registers that decide."""

    cr0: int
    cr3: int
    cr4: int
    efer: int
    user: bool
    """The access is made at CPL 3."""


def translate(memory: GuestMemory, paging: Paging, linear: int, write: bool) -> int | PageFault:
    """The guest-physical address of a byte."""
    if not paging.cr0 & Cr0.pg.mask:
        return linear & 0xFFFF_FFFF
    long = bool(paging.efer & Efer.lma.mask)
    wide = long or bool(paging.cr4 & Cr4.pae.mask)
    shifts = LONG if long else PAE if wide else LEGACY
    size = 8 if wide else 4
    mask = 511 if wide else 1023
    code = WRITE_FAULT * write | USER_FAULT * paging.user
    rights = WRITABLE | USER
    large_shifts = (30, 21) if long else (21,) if wide else (22,) if paging.cr4 & Cr4.pse.mask else ()
    table = paging.cr3 & (ADDRESS if long else 0xFFFF_FFE0 if wide else 0xFFFF_F000)
    for level, shift in enumerate(shifts):
        index = linear >> shift & (3 if shifts is PAE and level == 0 else mask)
        entry = int.from_bytes(memory.read(table + size * index, size), "little")
        if not entry & PRESENT:
            return PageFault(linear, code)
        if not (shifts is PAE and level == 0):
            rights &= entry
        large = shift in large_shifts and bool(entry & LARGE)
        if large or shift == shifts[-1]:
            if _refuses(paging, rights, write):
                return PageFault(linear, code | PRESENT)
            offset = (1 << shift) - 1
            frame = entry & ADDRESS if wide else entry & 0xFFFF_F000
            if shifts is LEGACY and large:
                frame = entry & 0xFFC0_0000 | (entry >> 13 & 0xFF) << 32
            return frame & ~offset | linear & offset
        table = entry & ADDRESS if wide else entry & 0xFFFF_F000
    raise AssertionError("the last level always answers")


def _refuses(paging: Paging, rights: int, write: bool) -> bool:
    """Protection, for a data access."""
    if paging.user and not rights & USER:
        return True
    return write and not rights & WRITABLE and bool(paging.user or paging.cr0 & Cr0.wp.mask)


def table_pages(memory: GuestMemory, paging: Paging) -> int:
    """How many pages hold the guest's own tables, from the CR3 of now on."""
    if not paging.cr0 & Cr0.pg.mask:
        return 0
    long = bool(paging.efer & Efer.lma.mask)
    wide = long or bool(paging.cr4 & Cr4.pae.mask)
    shifts, size, mask = (LONG if long else PAE, 8, ADDRESS) if wide else (LEGACY, 4, 0xFFFF_F000)
    large = LARGE if wide or paging.cr4 & Cr4.pse.mask else 0
    seen: set[int] = set()
    tables = {paging.cr3 & (0xFFFF_FFE0 if shifts is PAE else mask)}
    for shift in shifts:
        seen |= tables
        below: set[int] = set()
        for table in tables:
            entries = memoryview(memory.read(table, 4 * size if shifts is PAE and shift == 30 else PAGE)).cast("Q" if wide else "I")
            below.update(entry & mask for entry in entries if entry & PRESENT and not (shift in (30, 22, 21) and entry & large))
        tables = {table for table in below if table < memory.size} - seen
    return len(seen)
