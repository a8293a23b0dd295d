"""The software TLB's address spaces: each (VPID, EPT root, PCID) has four numbers, one for each class of access.

An entry's tags are a linear page with the number of its space in the low 12 bits, so that a flush takes fresh numbers and touches no
entry. Numbers run out after a thousand flushes; then the table is cleared.
"""

from __future__ import annotations

from vmxon.microcode import inline, load, microcode, store, u64
from vmxon.processor.state import CodeSize, Segment
from vmxon.processor.state import ProcessorState as Cpu

TLB_OFFSET = 0x4000
"""Byte offset of the entries from the start of the processor's state."""
TLB_ENTRIES = 2048
TLB_SIZE = TLB_ENTRIES * 32
READ, WRITE, EXECUTE, ADDEND = 0, 8, 16, 24
"""Offsets inside an entry: three tags, and what to add to a linear address to get the host address."""

USER, SUPERVISOR, SUPERVISOR_AC = 0, 1, 2
"""Classes of access; the last one is a supervisor whose RFLAGS.AC overrides SMAP."""
LAST_NUMBER = 4092
SPACES = 64
PCIDE, AC = 1 << 17, 1 << 18

# Keys of spaces: PCID in bits 63:52, EPT root in 51:12.
IN_USE, SECOND_STAGE = 1, 2
EPT_ROOT = 0x000F_FFFF_FFFF_F000


@inline
def slot_offset(linear: int) -> int:
    """Byte offset of the entry of a linear address within the table."""
    return (linear >> 7) & ((TLB_ENTRIES - 1) << 5)


@inline
def slot_address(cpu: Cpu, linear: int) -> int:
    """Host address of the entry of a linear address."""
    return cpu.tlb_address + slot_offset(linear)


@microcode
def select_space(cpu: Cpu) -> None:
    """Recompute what depends on mode, privilege, AC, PCID, VPID and EPTP; call it after any of them changed."""
    key = u64(IN_USE)
    if cpu.cr4 & PCIDE != 0:
        key = key | (cpu.cr3 & 0xFFF) << 52
    if cpu.second_stage != 0:
        key = key | (cpu.ept_pointer & EPT_ROOT) | SECOND_STAGE
    cpu.tag_key = key
    base = u64(0)
    index = u64(0)
    while index < cpu.tag_count:
        if cpu.tag_keys[index] == key and cpu.tag_vpids[index] == cpu.vpid:
            base = cpu.tag_values[index]
            break
        index = index + 1
    if base == 0:
        base = fresh_space(cpu, key)
    cpu.tag_base = base
    select_class(cpu)


@microcode
def select_class(cpu: Cpu) -> None:
    """Recompute what depends on privilege, AC and code size only."""
    access = u64(USER)
    if cpu.cpl != 3:
        access = u64(SUPERVISOR_AC) if cpu.rflags_other & AC != 0 else u64(SUPERVISOR)
    cpu.tag_current = cpu.tag_base + access
    cpu.tag_system = cpu.tag_base + SUPERVISOR
    cpu.linear_mask = u64(0xFFFFFFFFFFFFFFFF) if cpu.code_size == CodeSize.BITS64 else u64(0xFFFFFFFF)
    if cpu.code_size != CodeSize.BITS64:
        code = cpu.segments[Segment.CS]
        if code.base != cpu.context_base or u64(code.limit) != cpu.context_limit:
            cpu.context_base = code.base
            cpu.context_limit = u64(code.limit)
            cpu.jump_generation = cpu.jump_generation + 1
    cpu.context = cpu.tag_current | u64(cpu.code_size) << 12 | cpu.jump_generation << 16


@microcode
def fresh_space(cpu: Cpu, key: u64) -> u64:
    """Give the space `key` four fresh numbers, and forget its old ones."""
    if cpu.tag_next > LAST_NUMBER:
        clear(cpu)
    base = cpu.tag_next
    cpu.tag_next = base + 4
    index = u64(0)
    free = u64(SPACES)
    while index < cpu.tag_count:
        known = cpu.tag_keys[index]
        if known == key and cpu.tag_vpids[index] == cpu.vpid:
            free = index
            break
        if known == 0 and free == SPACES:
            free = index
        index = index + 1
    if free == SPACES and cpu.tag_count < SPACES:
        free = cpu.tag_count
        cpu.tag_count = cpu.tag_count + 1
    elif free == SPACES:
        free = cpu.tag_victim & (SPACES - 1)
        cpu.tag_victim = cpu.tag_victim + 1
    cpu.tag_keys[free] = key
    cpu.tag_vpids[free] = cpu.vpid
    cpu.tag_values[free] = base
    return base


@microcode
def clear(cpu: Cpu) -> None:
    """Forget every translation of every space."""
    pointer = cpu.tlb_address
    end = pointer + TLB_SIZE
    while pointer < end:
        store(u64, pointer + READ, ~u64(0))
        store(u64, pointer + WRITE, ~u64(0))
        store(u64, pointer + EXECUTE, ~u64(0))
        pointer = pointer + 32
    index = u64(0)
    while index < cpu.tag_count:
        cpu.tag_keys[index] = u64(0)
        index = index + 1
    cpu.tag_count = u64(0)
    cpu.tag_next = u64(4)
    cpu.large_regions = u64(0)
    cpu.jump_generation = cpu.jump_generation + 1


@microcode
def invalidate_all(cpu: Cpu) -> None:
    """Forget all translations of the present VPID, global ones too (MOV to CR0/CR4, VM entry and exit without VPID)."""
    drop_vpid(cpu, cpu.vpid)
    select_space(cpu)


@microcode
def drop_vpid(cpu: Cpu, vpid: u64) -> None:
    """Forget all translations of a VPID (INVVPID single-context); the caller selects the space again."""
    index = u64(0)
    while index < cpu.tag_count:
        if cpu.tag_vpids[index] == vpid:
            cpu.tag_keys[index] = u64(0)
        index = index + 1


@microcode
def drop_ept(cpu: Cpu, ept_pointer: u64) -> None:
    """Forget all translations that came through an EPT root (INVEPT single-context); the caller selects the space again."""
    index = u64(0)
    while index < cpu.tag_count:
        key = cpu.tag_keys[index]
        if key & SECOND_STAGE != 0 and (key ^ ept_pointer) & EPT_ROOT == 0:
            cpu.tag_keys[index] = u64(0)
        index = index + 1


@microcode
def drop_second_stage(cpu: Cpu) -> None:
    """Forget all translations that came through any EPT root (INVEPT all-context); the caller selects the space again."""
    index = u64(0)
    while index < cpu.tag_count:
        if cpu.tag_keys[index] & SECOND_STAGE != 0:
            cpu.tag_keys[index] = u64(0)
        index = index + 1


@microcode
def drop_pcid(cpu: Cpu, pcid: u64) -> None:
    """Forget the translations of one PCID of the present VPID (INVPCID single-context); the caller selects the space again."""
    index = u64(0)
    while index < cpu.tag_count:
        if cpu.tag_vpids[index] == cpu.vpid and cpu.tag_keys[index] >> 52 == pcid:
            cpu.tag_keys[index] = u64(0)
        index = index + 1


@microcode
def invalidate_space(cpu: Cpu) -> None:
    """Forget the translations of the present space: MOV to CR3 (Vol. 3A §4.10.4.1 “Operations that Invalidate …”)."""
    fresh_space(cpu, cpu.tag_key)
    select_space(cpu)


@microcode
def invalidate_everything(cpu: Cpu) -> None:
    """Forget all translations of all VPIDs and EPT roots."""
    clear(cpu)
    select_space(cpu)


@microcode
def invalidate_page(cpu: Cpu, linear: u64) -> None:
    """Forget every translation of one linear page, under any PCID and as a global page (INVLPG)."""
    cpu.jump_generation = cpu.jump_generation + 1
    if cpu.large_regions >> ((linear >> 21) & 63) & 1 != 0:
        invalidate_region(cpu, linear)
    else:
        drop_entry(cpu, slot_address(cpu, linear), linear >> 12, u64(12))
    select_class(cpu)


@microcode
def invalidate_region(cpu: Cpu, linear: u64) -> None:
    """Forget every entry that a large page over `linear` may have filled: 4 MiB around it, 1 GiB where such pages were used."""
    shift = u64(22)
    if cpu.large_regions + 1 == 0:
        shift = u64(30)
    pointer = cpu.tlb_address
    end = pointer + TLB_SIZE
    while pointer < end:
        drop_entry(cpu, pointer, linear >> shift, shift)
        pointer = pointer + 32


@inline
def drop_entry(cpu: Cpu, entry: int, page: int, shift: int) -> None:
    """Empty an entry whose tags name `page` (a linear address without its low `shift` bits)."""
    if load(u64, entry + READ) >> shift == page:
        store(u64, entry + READ, ~u64(0))
    if load(u64, entry + WRITE) >> shift == page:
        store(u64, entry + WRITE, ~u64(0))
    if load(u64, entry + EXECUTE) >> shift == page:
        store(u64, entry + EXECUTE, ~u64(0))

