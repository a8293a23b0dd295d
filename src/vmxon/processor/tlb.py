"""The software TLB's address spaces: each (VPID, EPT root, PCID, key rights) has four numbers, one for each class of access.

An entry's tags are a linear page with the number of its space in the low 12 bits, so that a flush takes fresh numbers and touches no
entry. Numbers run out after a thousand flushes; then the table is cleared.
"""

from __future__ import annotations

from vmxon.microcode import inline, microcode, store, u64
from vmxon.processor.counters import change_privilege
from vmxon.processor.guest_physical import EPT_ROOT, forget_mappings, forget_mappings_of
from vmxon.processor.state import GUEST_MAPPINGS, CodeSize, Segment
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.tlb_policy import TlbPolicy, next_chance

TLB_OFFSET = 0x4000
"""Byte offset of the entries from the start of the processor's state."""
TLB_ENTRIES = 2048
TLB_SIZE = TLB_ENTRIES * 32
READ, WRITE, EXECUTE, ADDEND = 0, 8, 16, 24
"""Offsets inside an entry: three tags, and what to add to a linear address to get the host address."""

USER, SUPERVISOR, SUPERVISOR_AC, USER_ALIGNED = 0, 1, 2, 3
"""Classes of access; SUPERVISOR_AC is a supervisor whose RFLAGS.AC overrides SMAP, USER_ALIGNED a program that asks for alignment checks.

Data of the last class never enter the TLB, so that every access takes the slow path, where `memory.check_aligned` looks.
"""
LAST_NUMBER = 4092
SPACES = 64
PCIDE, AC, AM, PKE, PKS = 1 << 17, 1 << 18, 1 << 18, 1 << 22, 1 << 24

# Keys of spaces: PCID in bits 63:52, EPT root in 51:12.
IN_USE, SECOND_STAGE = 1, 2
EVICTED = 16
"""Entries that go at a chance under `TlbPolicy.RANDOM`, and one chance in eight takes everything."""
STRIDE = 127
"""Distance of those entries: coprime to the size of the table."""


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
    cpu.tag_rights_now = key_rights(cpu)
    base = u64(0)
    index = u64(0)
    while index < cpu.tag_count:
        if is_present(cpu, index, key):
            base = cpu.tag_values[index]
            break
        index = index + 1
    if base == 0:
        base = fresh_space(cpu, key)
    cpu.tag_base = base
    select_class(cpu)


@inline
def key_rights(cpu: Cpu) -> int:
    """The protection-key rights in force (Vol. 3A §4.6.2 “Protection Keys”)."""
    rights = u64(0)
    if cpu.long_mode != 0 and cpu.cr4 & (PKE | PKS) != 0:
        if cpu.cr4 & PKE != 0:
            rights = cpu.pkru
        if cpu.cr4 & PKS != 0:
            rights = rights | cpu.pkrs << 32
    return rights


@inline
def is_present(cpu: Cpu, index: int, key: int) -> bool:
    """The place is that of the space `key` under the present VPID and rights."""
    return cpu.tag_keys[index] == key and cpu.tag_vpids[index] == cpu.vpid and cpu.tag_rights[index] == cpu.tag_rights_now


@microcode
def select_class(cpu: Cpu) -> None:
    """Recompute what depends on privilege, AC and code size only; a chance to forget translations."""
    if cpu.tlb_policy != TlbPolicy.KEEP:
        forget_by_policy(cpu)
    if cpu.counters_used != 0:
        change_privilege(cpu)
    access = u64(USER)
    if cpu.cpl == 3:
        if cpu.rflags_other & AC != 0 and cpu.cr0 & AM != 0:
            access = u64(USER_ALIGNED)
    else:
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
    refresh_context(cpu)


@inline
def refresh_context(cpu: Cpu) -> None:
    """The key of the jump cache follows the space and the generation."""
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
        if is_present(cpu, index, key):
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
    cpu.tag_rights[free] = cpu.tag_rights_now
    cpu.tag_values[free] = base
    return base


@microcode
def clear(cpu: Cpu) -> None:
    """Forget every translation of every space."""
    pointer = cpu.tlb_address
    end = pointer + TLB_SIZE
    while pointer < end:
        empty_entry(pointer)
        pointer = pointer + 32
    forget_spaces(cpu)
    cpu.tag_count = u64(0)
    cpu.tag_next = u64(4)
    cpu.large_regions = u64(0)
    cpu.jump_generation = cpu.jump_generation + 1


@microcode
def forget_spaces(cpu: Cpu) -> None:
    """Forget every translation of every space; the caller selects the space again."""
    index = u64(0)
    while index < cpu.tag_count:
        cpu.tag_keys[index] = u64(0)
        index = index + 1


@microcode
def forget_by_policy(cpu: Cpu) -> None:
    """A chance to forget: everything, or what the generator says."""
    if cpu.tlb_policy == TlbPolicy.RANDOM:
        chance = next_chance(cpu)
        if chance & 7 != 0:
            evict(cpu, chance >> 8)
            return
    forget_spaces(cpu)
    forget_mappings(cpu)
    cpu.tag_base = fresh_space(cpu, cpu.tag_key)


@microcode
def evict(cpu: Cpu, chance: u64) -> None:
    """Empty some entries, and as many places of guest-physical mappings."""
    number = chance
    left = u64(EVICTED)
    while left != 0:
        empty_entry(cpu.tlb_address + (number & (TLB_ENTRIES - 1)) * 32)
        cpu.guest_pages[number & (GUEST_MAPPINGS - 1)] = u64(0)
        number = number + STRIDE
        left = left - 1
    cpu.jump_generation = cpu.jump_generation + 1


@inline
def empty_entry(entry: int) -> None:
    """No translation any more."""
    store(u64, entry + READ, ~u64(0))
    store(u64, entry + WRITE, ~u64(0))
    store(u64, entry + EXECUTE, ~u64(0))


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
    forget_mappings_of(cpu, ept_pointer)
    index = u64(0)
    while index < cpu.tag_count:
        key = cpu.tag_keys[index]
        if key & SECOND_STAGE != 0 and (key ^ ept_pointer) & EPT_ROOT == 0:
            cpu.tag_keys[index] = u64(0)
        index = index + 1


@microcode
def drop_second_stage(cpu: Cpu) -> None:
    """Forget all translations that came through any EPT root (INVEPT all-context); the caller selects the space again."""
    forget_mappings(cpu)
    index = u64(0)
    while index < cpu.tag_count:
        if cpu.tag_keys[index] & SECOND_STAGE != 0:
            cpu.tag_keys[index] = u64(0)
        index = index + 1


@microcode
def invalidate_everything(cpu: Cpu) -> None:
    """Forget all translations of all VPIDs and EPT roots."""
    clear(cpu)
    forget_mappings(cpu)
    select_space(cpu)
