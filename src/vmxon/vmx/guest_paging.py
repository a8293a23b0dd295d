"""EPT and the guest's paging structures: “EPT paging-write control” and “guest-paging verification” (Vol. 3C §29.3.3.2 “EPT Violations”).

A page whose EPT entry has paging-write access may be written by page walks, to set accessed and dirty flags, where it may not be written
otherwise. A page whose EPT entry asks for verification can be reached only through paging structures in such pages.
"""

from __future__ import annotations

from vmxon.microcode import inline, u8, u64
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.vmx.controls import TertiaryProcessorBased as Tertiary
from vmxon.vmx.ept_entries import EptPage
from vmxon.vmx.ept_events import LINEAR, WALK

PAGING_WRITE, VERIFY = 1 << 11, 1 << 9
"""Marks of a mapping, in its low bits: what the last EPT entry says."""


@inline
def guest_paging_marks(cpu: Cpu, entry: int) -> int:
    """The marks of a mapping whose last EPT entry is `entry`, as u64."""
    marks = u64(0)
    if cpu.vmx_tertiary & (Tertiary.ept_paging_write.mask | Tertiary.guest_paging_verification.mask) != 0:
        if entry & EptPage.paging_write.mask != 0:
            marks = u64(PAGING_WRITE)
        if entry & EptPage.verify_paging.mask != 0:
            marks = marks | VERIFY
    return marks


@inline
def paging_writes(cpu: Cpu, access: int, marks: int) -> bool:
    """A write that EPT refuses is one by the page walk, to a page with paging-write access."""
    return access & WALK != 0 and marks & PAGING_WRITE != 0 and cpu.vmx_tertiary & Tertiary.ept_paging_write.mask != 0


@inline
def verified(cpu: Cpu, access: int, marks: int) -> bool:
    """False where the translation of a linear address must be verified, and a paging structure lacked paging-write access."""
    good = True
    if cpu.vmx_tertiary & Tertiary.guest_paging_verification.mask != 0:
        if access & WALK != 0:
            if marks & PAGING_WRITE == 0:
                cpu.paging_unverified = u8(1)
        elif access & LINEAR != 0 and marks & VERIFY != 0:
            good = cpu.paging_unverified == 0
    return good
