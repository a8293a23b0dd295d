"""Paging: from linear to physical addresses (Vol. 3A ch. 4), with second-stage translation where VMX is in the way."""

from __future__ import annotations

from vmxon.arch.paging import BITS_4_LEVELS
from vmxon.microcode import inline, load, microcode, store, u8, u32, u64
from vmxon.processor.code_pages import invalidate_code
from vmxon.processor.exceptions import general_protection, page_fault
from vmxon.processor.memory_map import NOWHERE, TO_READ, TO_WRITE, place
from vmxon.processor.protection_keys import denied_by_key
from vmxon.processor.slots import apic_access, second_stage_walk
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.tlb import SUPERVISOR, USER
from vmxon.processor.tlb_pages import GLOBAL, PGE

READ, WRITE, EXECUTE = 1, 2, 4
"""Kinds of access, and permissions in the low bits of what a walk gives."""
HLAT_FAULT = 1 << 7
"""Error-code bit: HLAT paging has no translation."""
RESTART = 1 << 11
"""In an entry of HLAT paging: ordinary paging translates the address."""
WALK = 8
"""The access is to a paging structure (second stage only)."""
LARGE_2M, LARGE_1G = 8, 16
"""Marks in the low bits of what a walk gives: the linear page belongs to a large page."""
USER_LINEAR, WRITABLE_LINEAR, NO_EXECUTE_LINEAR = 32, 64, 128
"""Further marks, for the second stage: what the paging entries say of the linear page."""
FRAME = 0x000F_FFFF_FFFF_F000

PRESENT, WRITABLE, USER_PAGE, ACCESSED, DIRTY, LARGE = 1, 2, 4, 32, 64, 128
NO_EXECUTE = 1 << 63
CR0_WP, CR0_PG = 1 << 16, 1 << 31
CR4_PSE, CR4_PAE, CR4_LA57, CR4_SMEP, CR4_SMAP = 1 << 4, 1 << 5, 1 << 12, 1 << 20, 1 << 21
EFER_NXE = 1 << 11


@microcode
def read_entry(cpu: Cpu, physical: u64, linear: u64) -> u64:
    """A 64-bit paging entry at a guest-physical address; outside RAM it reads all ones."""
    address = physical
    if cpu.second_stage != 0:
        cpu.fault_address = linear
        address = second_stage_walk(cpu, physical, u64(READ | WALK)) & ~u64(0xFFF) | physical & 0xFFF
        if address & ~u64(0xFFF) == cpu.apic_access_page:
            apic_access(cpu, linear, u64(8), u64(READ | WALK))
    at = place(cpu, address, TO_READ)
    if at == NOWHERE:
        return ~u64(0)
    return load(u64, cpu.memory + at)


@microcode
def mark_entry(cpu: Cpu, physical: u64, linear: u64, value: u64, wide: bool) -> None:
    """Write back an entry with its accessed or dirty bit set."""
    address = physical
    if cpu.second_stage != 0:
        cpu.fault_address = linear
        address = second_stage_walk(cpu, physical, u64(READ | WRITE | WALK)) & ~u64(0xFFF) | physical & 0xFFF
    at = place(cpu, address, TO_WRITE)
    if at != NOWHERE:
        invalidate_code(cpu, at, u64(8) if wide else u64(4))
        if wide:
            store(u64, cpu.memory + at, value)
        else:
            store(u32, cpu.memory + at, u32(value))


@inline
def fault_code(cpu: Cpu, access: int, space: int) -> int:
    """Error-code bits that do not depend on the walk: W/R, U/S, I/D (Vol. 3A §4.7 “Page-Fault Exceptions”)."""
    code = u32(0)
    if access & WRITE != 0:
        code = code | 2
    if space == USER:
        code = code | 4
    if access & EXECUTE != 0 and (cpu.efer & EFER_NXE != 0 and cpu.cr4 & CR4_PAE != 0 or cpu.cr4 & CR4_SMEP != 0):
        code = code | 16
    return code


@inline
def hlat_translates(cpu: Cpu, linear: int) -> bool:
    """The hypervisor's own tables translate the address (Vol. 3A §4.5.1 “Ordinary Paging and HLAT Paging”)."""
    every = cpu.hlat_prefix == 0
    return cpu.hlat_pointer != 0 and (every or ~linear >> (u64(64) - cpu.hlat_prefix) == 0)


@microcode
def walk(cpu: Cpu, linear: u64, access: u64, space: u64) -> u64:
    """Translate for one kind of access by one class (tlb.USER, …).

    Gives the guest-physical page | LARGE_ marks | the permissions that need no further look: WRITE only where the dirty bit is
    set already. Raises #PF, or faults with SECOND_STAGE.
    """
    cpu.paging_unverified = u8(0)
    if cpu.cr0 & CR0_PG == 0:
        return linear & FRAME | (READ | WRITE | EXECUTE | USER_LINEAR | WRITABLE_LINEAR)
    if cpu.cr4 & CR4_PAE == 0:
        return walk_32(cpu, linear, access, space)
    table = cpu.cr3 & FRAME
    hlat = u32(0)
    if cpu.long_mode != 0 and hlat_translates(cpu, linear):
        table = cpu.hlat_pointer & FRAME
        hlat = u32(HLAT_FAULT)
    top = u64(39)
    if cpu.linear_bits != BITS_4_LEVELS:
        top = u64(48)
    shift = top
    rights = u64(WRITABLE | USER_PAGE)
    forbidden = cpu.physical_reserved
    if cpu.efer & EFER_NXE == 0:
        forbidden = forbidden | NO_EXECUTE
    blocked = u64(0)
    if cpu.long_mode == 0:
        table = cpu.pdpte[(linear >> 30) & 3]
        if table & PRESENT == 0:
            page_fault(cpu, linear, fault_code(cpu, access, space))
        table = table & FRAME
        shift = u64(21)
        forbidden = forbidden | 0x7FF0_0000_0000_0000
    entry = u64(0)
    address = u64(0)
    while True:
        address = table + (linear >> shift & 511) * 8
        entry = read_entry(cpu, address, linear)
        if entry & PRESENT == 0:
            page_fault(cpu, linear, fault_code(cpu, access, space) | hlat)
        large = entry & LARGE != 0 and shift != 12
        no_such_page = shift >= 39 or shift == 30 and cpu.gigabyte_pages == 0
        if entry & forbidden != 0 or large and (no_such_page or entry & ((u64(1) << shift) - 1) & 0x3FFF_E000 != 0):
            page_fault(cpu, linear, fault_code(cpu, access, space) | hlat | 9)
        if hlat != 0 and entry & RESTART != 0:
            hlat = u32(0)
            table = cpu.cr3 & FRAME
            shift = top
            rights = u64(WRITABLE | USER_PAGE)
            blocked = u64(0)
            continue
        rights = rights & entry
        blocked = blocked | entry & NO_EXECUTE
        if shift == 12 or large:
            break
        if entry & ACCESSED == 0:
            mark_entry(cpu, address, linear, entry | ACCESSED, True)
        table = entry & FRAME
        shift = shift - 9
    denied = u32(0)
    if cpu.tag_rights_now != 0:
        denied = denied_by_key(cpu, access, space, rights, entry)
    check_rights(cpu, linear, access, space, rights, blocked, denied)
    wanted = entry | ACCESSED
    if access & WRITE != 0:
        wanted = wanted | DIRTY
    if wanted != entry:
        mark_entry(cpu, address, linear, wanted, True)
    offset_mask = (u64(1) << shift) - 1
    return leaf(cpu, entry & FRAME & ~offset_mask | linear & offset_mask & FRAME, wanted, shift, rights, blocked)


@inline
def leaf(cpu: Cpu, page: int, entry: int, shift: int, rights: int, blocked: int) -> int:
    """What a walk gives: page, marks, and WRITE where later writes need no dirty-bit update."""
    result = page | (READ | EXECUTE) | (rights & USER_PAGE) << 3 | (rights & WRITABLE) << 5 | blocked >> 56
    if cpu.cr4 & PGE != 0:
        result = result | entry & GLOBAL
    if entry & DIRTY != 0:
        result = result | WRITE
    if shift == 30:
        result = result | LARGE_1G
    elif shift > 12:
        result = result | LARGE_2M
    return result


@microcode
def check_rights(cpu: Cpu, linear: u64, access: u64, space: u64, rights: u64, blocked: u64, denied: u32) -> None:
    """#PF where the access is not allowed (Vol. 3A §4.6 “Access Rights”); `denied` is the error-code bit of a protection key."""
    bad = False
    user_page = rights & USER_PAGE != 0
    if space == USER:
        bad = not user_page
    elif user_page:
        if access & EXECUTE != 0:
            bad = cpu.cr4 & CR4_SMEP != 0
        else:
            bad = cpu.cr4 & CR4_SMAP != 0 and space == SUPERVISOR
    if access & WRITE != 0 and rights & WRITABLE == 0 and (space == USER or cpu.cr0 & CR0_WP != 0):
        bad = True
    if access & EXECUTE != 0 and blocked != 0:
        bad = True
    if bad or denied != 0:
        page_fault(cpu, linear, fault_code(cpu, access, space) | denied | 1)


@microcode
def walk_32(cpu: Cpu, linear: u64, access: u64, space: u64) -> u64:
    """32-bit paging (Vol. 3A §4.3 “32-Bit Paging”), with 4-MiB pages and PSE-36."""
    address = (cpu.cr3 & 0xFFFF_F000) + (linear >> 22) * 4
    word = read_entry(cpu, address & ~u64(7), linear)
    entry = word >> ((address & 4) * 8) & 0xFFFF_FFFF
    if entry & PRESENT == 0:
        page_fault(cpu, linear, fault_code(cpu, access, space))
    rights = entry & (WRITABLE | USER_PAGE)
    page = u64(0)
    shift = u64(12)
    if entry & LARGE != 0 and cpu.cr4 & CR4_PSE != 0:
        shift = u64(22)
        high = (entry >> 13 & 0xFF) << 32
        if entry & 1 << 21 != 0 or high & cpu.physical_reserved != 0:
            page_fault(cpu, linear, fault_code(cpu, access, space) | 9)
        page = entry & 0xFFC0_0000 | high | linear & 0x3F_F000
    else:
        if entry & ACCESSED == 0:
            mark_entry(cpu, address, linear, entry | ACCESSED, False)
        address = (entry & 0xFFFF_F000) + (linear >> 12 & 1023) * 4
        word = read_entry(cpu, address & ~u64(7), linear)
        entry = word >> ((address & 4) * 8) & 0xFFFF_FFFF
        if entry & PRESENT == 0:
            page_fault(cpu, linear, fault_code(cpu, access, space))
        rights = rights & entry
        page = entry & 0xFFFF_F000
    check_rights(cpu, linear, access, space, rights, u64(0), u32(0))
    wanted = entry | ACCESSED
    if access & WRITE != 0:
        wanted = wanted | DIRTY
    if wanted != entry:
        mark_entry(cpu, address, linear, wanted, False)
    return leaf(cpu, page, wanted, shift, rights, u64(0))


@microcode
def read_pdpte(cpu: Cpu, physical: u64) -> u64:
    """A PDPTE that a MOV to a control register loads: no linear address is behind this access."""
    address = physical
    if cpu.second_stage != 0:
        address = second_stage_walk(cpu, physical, u64(READ)) & ~u64(0xFFF) | physical & 0xFFF
    at = place(cpu, address, TO_READ)
    if at == NOWHERE:
        return ~u64(0)
    return load(u64, cpu.memory + at)


@microcode
def load_pdptes(cpu: Cpu, cr3: u64) -> None:
    """Load the four PDPTE registers from memory; #GP(0) where a present one has a reserved bit (Vol. 3A §4.4.1)."""
    table = cr3 & 0xFFFF_FFE0
    values = (u64(0), u64(0), u64(0), u64(0))
    first = read_pdpte(cpu, table)
    second = read_pdpte(cpu, table + 8)
    third = read_pdpte(cpu, table + 16)
    fourth = read_pdpte(cpu, table + 24)
    values = (first, second, third, fourth)
    for value in values:
        if value & PRESENT != 0 and value & (cpu.physical_reserved | 0xFFF0_0000_0000_01E6) != 0:
            general_protection(cpu, 0)
    cpu.pdpte[0] = first
    cpu.pdpte[1] = second
    cpu.pdpte[2] = third
    cpu.pdpte[3] = fourth
