"""Extended page tables: the second stage of address translation (Vol. 3C §29.3 “The Extended Page Table Mechanism (EPT)”).

A walk gives host-physical | permissions, or faults as vmx/ept_events.py says. With accessed and dirty flags, accesses to the
guest's paging structures count as writes.
"""

from __future__ import annotations

from vmxon.arch.msr_vmx import EptVpidCapabilities
from vmxon.microcode import implements, inline, microcode, u64
from vmxon.processor.guest_physical import hold_mapping, holds_mapping, place_of
from vmxon.processor.slots import second_stage_walk
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.vmx.controls import EptPointer, SecondaryProcessorBased
from vmxon.vmx.ept_entries import MUST_BE_ZERO, EptEntry, EptPage, EptPage1G, EptPage2M, EptPage4K, EptTableEntry
from vmxon.vmx.ept_events import (
    ACCESSES,
    EPT_CAPABILITIES,
    EXECUTE,
    READ,
    USER_EXECUTE,
    USER_LINEAR,
    WALK,
    WRITE,
    fill_log,
    misconfigure,
    mode_based,
    violate,
)
from vmxon.vmx.guest_paging import PAGING_WRITE, guest_paging_marks, paging_writes, verified
from vmxon.vmx.page_log import log_full, log_page
from vmxon.vmx.physical import read_quad, write_physical
from vmxon.vmx.qualifications import EptViolationQualification as Violation
from vmxon.vmx.sub_pages import sub_page_writable

FRAME = EptTableEntry.table.mask
RESERVED_TYPES = 1 << 2 | 1 << 3 | 1 << 7
"""Memory types that no leaf may have, as a set."""
TOP_SHIFT, TOP_SHIFT_5 = 39, 48
"""Lowest address bit that the top table of four and of five levels translates."""
FIVE_LEVELS = 4
"""EPTP's walk length of five levels."""
NOT_CONVERTIBLE = EptPage.suppress_ve.mask


@implements(second_stage_walk)
def ept_walk(cpu: Cpu, physical: u64, access: u64) -> u64:
    """Translate one guest-physical address for one access, by a mapping that the processor holds or by a walk, which sets accessed
    and dirty flags where EPTP enables them."""
    flags = cpu.ept_pointer & EptPointer.accessed_dirty.mask != 0
    wanted = access & ACCESSES
    if flags and access & WALK != 0:
        wanted = wanted | READ | WRITE
    if holds_mapping(cpu, physical):
        held = cpu.guest_mappings[place_of(physical)]
        missing = needed(cpu, access, wanted) & ~held
        if (missing == 0 or missing == WRITE and paging_writes(cpu, access, held)) and verified(cpu, access, held):
            return held & (FRAME | ACCESSES)
    full = flags and log_full(cpu)
    unmarked = False
    present = present_bits(cpu)
    table = cpu.ept_pointer & FRAME
    shift = u64(TOP_SHIFT)
    if cpu.ept_pointer >> EptPointer.walk_length.low & 7 == FIVE_LEVELS:
        shift = u64(TOP_SHIFT_5)
    allowed = u64(ACCESSES | USER_EXECUTE)
    place = u64(0)
    entry = u64(0)
    if shift == TOP_SHIFT and physical >> 48 != 0:
        violate(cpu, physical, access, wanted, u64(0), u64(NOT_CONVERTIBLE))
    while True:
        place = table + (physical >> shift & 511) * 8
        entry = read_quad(cpu, place)
        if entry & present == 0:
            violate(cpu, physical, access, wanted, u64(0), entry)
        leaf = shift == 12 or (entry & EptPage.page_size.mask != 0 and shift < TOP_SHIFT)
        if misconfigured(cpu, entry, shift, leaf):
            misconfigure(cpu, physical)
        allowed = allowed & entry
        if leaf:
            break
        if flags and entry & EptEntry.accessed.mask == 0:
            if full:
                unmarked = True
            else:
                write_physical(cpu, u64, place, entry | EptEntry.accessed.mask)
        table = entry & FRAME
        shift -= 9
    marks = guest_paging_marks(cpu, entry)
    refused = needed(cpu, access, wanted) & ~allowed
    if refused != 0:
        if refused != WRITE or not (paging_writes(cpu, access, marks) or sub_page_writes(cpu, physical, access, entry, shift)):
            violate(cpu, physical, access, wanted, allowed, entry)
    if not verified(cpu, access, marks):
        violate(cpu, physical, access, wanted | Violation.paging_verification.mask, allowed, entry)
    if flags:
        marked = entry | EptEntry.accessed.mask
        if wanted & WRITE != 0:
            marked = marked | EptPage.dirty.mask
        if full and (unmarked or marked != entry):
            fill_log(cpu)
        if marked != entry:
            write_physical(cpu, u64, place, marked)
            if (marked ^ entry) & EptPage.dirty.mask != 0:
                log_page(cpu, physical)
        if marked & EptPage.dirty.mask == 0:
            # A later write must come here again, to set the dirty flag.
            allowed = allowed & ~u64(WRITE)
            marks = marks & ~u64(PAGING_WRITE)
    offset = (u64(1) << shift) - 1
    page = (entry & FRAME & ~offset) | (physical & offset & ~u64(0xFFF))
    hold_mapping(cpu, physical, page | allowed & (ACCESSES | USER_EXECUTE) | marks)
    return page | allowed & ACCESSES


@inline
def present_bits(cpu: Cpu) -> int:
    """Any of these makes an entry present."""
    present = u64(ACCESSES)
    if mode_based(cpu):
        present = u64(ACCESSES | USER_EXECUTE)
    return present


@inline
def needed(cpu: Cpu, access: int, wanted: int) -> int:
    """The bits that every entry must have: under mode-based execute control, fetches of user pages have one of their own."""
    bits = wanted
    if wanted & EXECUTE != 0 and access & USER_LINEAR != 0 and mode_based(cpu):
        bits = wanted ^ (EXECUTE | USER_EXECUTE)
    return bits


@microcode
def sub_page_writes(cpu: Cpu, physical: u64, access: u64, entry: u64, shift: u64) -> bool:
    """A write that EPT refuses is allowed by the sub-page permissions of its 4-KiB page; updates of guest paging entries never are."""
    if cpu.vmx_secondary & SecondaryProcessorBased.sub_page_write_permissions.mask == 0:
        return False
    if shift != 12 or entry & EptPage4K.sub_page_write.mask == 0 or access & WALK != 0:
        return False
    return sub_page_writable(cpu, physical, access)


@microcode
def misconfigured(cpu: Cpu, entry: u64, shift: u64, leaf: bool) -> bool:
    """An entry that no EPT may hold (Vol. 3C §29.3.3.1 “EPT Misconfigurations”)."""
    capabilities = cpu.vmx_capability[EPT_CAPABILITIES]
    if entry & (READ | WRITE) == WRITE:
        return True
    # The entry is present: where it is not readable, it is executable.
    if entry & READ == 0 and capabilities & EptVpidCapabilities.execute_only.mask == 0:
        return True
    if (entry & FRAME) >> u64(cpu.physical_width) != 0:
        return True
    if not leaf:
        reserved = u64(MUST_BE_ZERO[EptTableEntry])
        if shift >= TOP_SHIFT:
            reserved = reserved | EptPage.page_size.mask
        return entry & reserved != 0
    if shift == 30 and (capabilities & EptVpidCapabilities.pages_1g.mask == 0 or entry & MUST_BE_ZERO[EptPage1G] != 0):
        return True
    if shift == 21 and (capabilities & EptVpidCapabilities.pages_2m.mask == 0 or entry & MUST_BE_ZERO[EptPage2M] != 0):
        return True
    return u64(RESERVED_TYPES) >> (entry >> EptPage.memory_type.low & 7) & 1 != 0
