"""Entries of the EPT paging structures (Vol. 3C §29.3.2 “EPT Translation Mechanism”) and types of INVEPT and INVVPID.

An entry is present if any of its three access bits is 1 (four, under mode-based execute control).
"""

from __future__ import annotations

from enum import IntEnum

from vmxon.arch.bits import Word, field, flag


class EptEntry(Word, width=64):
    """What every EPT entry has at the same place."""

    read = flag(0, "reads allowed")
    write = flag(1, "writes allowed")
    execute = flag(2, "fetches allowed (of supervisor pages, under mode-based execute control)")
    accessed = flag(8, "used for a translation, where EPTP enables the flags")
    user_execute = flag(10, "fetches of user pages allowed, under mode-based execute control")


class EptTableEntry(EptEntry):
    """An entry that refers to the next EPT table."""

    page_size = flag(7, "0: refers to a table; reserved in PML5 and PML4 entries")
    table = field(51, 12, "bits 51:12 of the table's host-physical address")


class EptPage(EptEntry):
    """What the three kinds of leaf entry share."""

    memory_type = field(5, 3, "memory type of the page: 0 UC, 1 WC, 4 WT, 5 WP, 6 WB")
    ignore_pat = flag(6, "the guest's PAT does not count")
    page_size = flag(7, "1: maps a page; ignored in entries of page tables")
    dirty = flag(9, "written, where EPTP enables the flags")
    verify_paging = flag(57, "guest-paging verification")
    paging_write = flag(58, "writes by the page walk allowed")
    supervisor_shadow_stack = flag(60, "supervisor shadow-stack accesses allowed")
    suppress_ve = flag(63, "violations exit rather than raise #VE")


class EptPage4K(EptPage):
    """A page-table entry: a 4-KiB page."""

    frame = field(51, 12, "bits 51:12 of the page's host-physical address")
    sub_page_write = flag(61, "sub-page write permissions apply")


class EptPage2M(EptPage):
    """A page-directory entry that maps a 2-MiB page; bits 20:12 are reserved."""

    frame = field(51, 21, "bits 51:21 of the page's host-physical address")


class EptPage1G(EptPage):
    """A page-directory-pointer-table entry that maps a 1-GiB page; bits 29:12 are reserved."""

    frame = field(51, 30, "bits 51:30 of the page's host-physical address")


MUST_BE_ZERO: dict[type[EptEntry], int] = {
    EptTableEntry: 0x78,
    EptPage4K: 0,
    EptPage2M: 0x001F_F000,
    EptPage1G: 0x3FFF_F000,
}
"""Bits whose setting in a present entry is an EPT misconfiguration (§29.3.3.1 “EPT Misconfigurations”).

Besides: write without read, execute without read where execute-only is not supported, memory types 2, 3 and 7, address
bits from MAXPHYADDR upward, and `page_size` in PML5 and PML4 entries.
"""

MEMORY_TYPES = frozenset({0, 1, 4, 5, 6})
"""Legal values of `EptPage.memory_type`."""


class InveptType(IntEnum):
    """What INVEPT invalidates (Vol. 3C §31.3 “VMX Instructions”, INVEPT)."""

    SINGLE_CONTEXT = 1
    ALL_CONTEXTS = 2


class InvvpidType(IntEnum):
    """What INVVPID invalidates."""

    INDIVIDUAL_ADDRESS = 0
    SINGLE_CONTEXT = 1
    ALL_CONTEXTS = 2
    SINGLE_CONTEXT_RETAINING_GLOBALS = 3
