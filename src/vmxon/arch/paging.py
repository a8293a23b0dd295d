"""Entries of the paging structures (Vol. 3A §4.3 “32-Bit Paging” to §4.5 “4-Level and 5-Level Paging”).

Bits of `address` from MAXPHYADDR upward are reserved, and the execute-disable bit is reserved while IA32_EFER.NXE is 0:
both depend on the processor, so they are no part of `layout.reserved`.
"""

from __future__ import annotations

from enum import IntEnum

from vmxon.arch.bits import Word, field, flag

BITS_4_LEVELS, BITS_5_LEVELS = 48, 57
"""Bits of linear addresses that four and five levels of tables translate."""
PAGE_SIZE = 4096
"""Bytes of the smallest page and of every paging structure."""


class MemoryType(IntEnum):
    """Memory types by the encoding that PAT, the MTRRs and EPT share (Vol. 3A §12.12 “Page Attribute Table (PAT)”)."""

    UC = 0
    WC = 1
    WT = 4
    WP = 5
    WB = 6
    UC_MINUS = 7


class PagingEntry(Word, width=64):
    """What every entry of 4-level and 5-level paging has at the same place."""

    present = flag(0, "the entry is used")
    writable = flag(1, "writes allowed")
    user = flag(2, "user-mode accesses allowed")
    write_through = flag(3, "PWT: part of the memory type")
    cache_disable = flag(4, "PCD: part of the memory type")
    accessed = flag(5, "used for a translation")
    hlat_restart = flag(11, "with HLAT: restart with ordinary paging")
    execute_disable = flag(63, "no instruction fetches")


class TableEntry(PagingEntry):
    """An entry of a PML5, PML4, page-directory-pointer table or page directory that refers to the next table."""

    page_size = flag(7, "0: refers to a table; reserved in PML5 and PML4 entries")
    table = field(51, 12, "bits 51:12 of the table's physical address")


class Page4K(PagingEntry):
    """An entry of a page table: a 4-KiB page."""

    dirty = flag(6, "written")
    pat = flag(7, "part of the memory type")
    global_ = flag(8, "survives a load of CR3")
    frame = field(51, 12, "bits 51:12 of the page's physical address")
    protection_key = field(62, 59, "protection key")


class Page2M(PagingEntry):
    """An entry of a page directory that maps a 2-MiB page; bits 20:13 are reserved."""

    dirty = flag(6, "written")
    page_size = flag(7, "1: maps a page")
    global_ = flag(8, "survives a load of CR3")
    pat = flag(12, "part of the memory type")
    frame = field(51, 21, "bits 51:21 of the page's physical address")
    protection_key = field(62, 59, "protection key")


class Page1G(PagingEntry):
    """An entry of a page-directory-pointer table that maps a 1-GiB page; bits 29:13 are reserved."""

    dirty = flag(6, "written")
    page_size = flag(7, "1: maps a page")
    global_ = flag(8, "survives a load of CR3")
    pat = flag(12, "part of the memory type")
    frame = field(51, 30, "bits 51:30 of the page's physical address")
    protection_key = field(62, 59, "protection key")


class PaePointerEntry(Word, width=64):
    """One of the four PDPTEs of PAE paging, which MOV to CR3 loads into registers; bits 2:1 and 8:5 are reserved."""

    present = flag(0, "the entry is used")
    write_through = flag(3, "PWT: part of the memory type")
    cache_disable = flag(4, "PCD: part of the memory type")
    ignored = field(11, 9, "free for system software")
    table = field(51, 12, "bits 51:12 of the page directory's physical address")


class TableEntry32(Word, width=32):
    """A page-directory entry of 32-bit paging that refers to a page table."""

    present = flag(0, "the entry is used")
    writable = flag(1, "writes allowed")
    user = flag(2, "user-mode accesses allowed")
    write_through = flag(3, "PWT: part of the memory type")
    cache_disable = flag(4, "PCD: part of the memory type")
    accessed = flag(5, "used for a translation")
    page_size = flag(7, "0, or ignored while CR4.PSE is 0")
    table = field(31, 12, "bits 31:12 of the page table's physical address")


class Page4K32(Word, width=32):
    """A page-table entry of 32-bit paging: a 4-KiB page."""

    present = flag(0, "the entry is used")
    writable = flag(1, "writes allowed")
    user = flag(2, "user-mode accesses allowed")
    write_through = flag(3, "PWT: part of the memory type")
    cache_disable = flag(4, "PCD: part of the memory type")
    accessed = flag(5, "used for a translation")
    dirty = flag(6, "written")
    pat = flag(7, "part of the memory type")
    global_ = flag(8, "survives a load of CR3")
    frame = field(31, 12, "bits 31:12 of the page's physical address")


class Page4M32(Word, width=32):
    """A page-directory entry of 32-bit paging that maps a 4-MiB page; with PSE-36 it reaches 40 physical bits."""

    present = flag(0, "the entry is used")
    writable = flag(1, "writes allowed")
    user = flag(2, "user-mode accesses allowed")
    write_through = flag(3, "PWT: part of the memory type")
    cache_disable = flag(4, "PCD: part of the memory type")
    accessed = flag(5, "used for a translation")
    dirty = flag(6, "written")
    page_size = flag(7, "1: maps a page")
    global_ = flag(8, "survives a load of CR3")
    pat = flag(12, "part of the memory type")
    frame_high = field(20, 13, "bits 39:32 of the page's physical address")
    frame_low = field(31, 22, "bits 31:22 of the page's physical address")


MUST_BE_ZERO: dict[type[Word], int] = {
    TableEntry: 0,
    Page4K: 0,
    Page2M: 0x001F_E000,
    Page1G: 0x3FFF_E000,
    PaePointerEntry: 0xFFF0_0000_0000_01E6,
    TableEntry32: 0,
    Page4K32: 0,
    Page4M32: 0x0020_0000,
}
"""Bits whose setting raises #PF (for PDPTEs of PAE #GP) on every processor; other unnamed bits are ignored.

Reserved besides: address bits from MAXPHYADDR upward, `page_size` in PML5 and PML4 entries, execute-disable without
NXE, bits 62:52 of every entry of PAE paging.
"""
