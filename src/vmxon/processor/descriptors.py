"""Descriptors: finding them in the GDT and LDT, taking them apart, and loading segment registers from them."""

from __future__ import annotations

from vmxon.arch.exceptions import Vector
from vmxon.arch.segments import AccessRights, Descriptor, SegmentType, SystemType
from vmxon.microcode import inline, load, microcode, store, u8, u16, u32, u64
from vmxon.processor.exceptions import general_protection, not_present, raise_with_code, stack_fault
from vmxon.processor.memory import modifiable_system, readable_system
from vmxon.processor.segmentation import (
    ALL_ONES,
    UNUSABLE,
    SegmentRules,
    event_is_external,
    is_null,
    loadable,
    protected,
    refresh_privilege,
    refresh_segment,
)
from vmxon.processor.state import CodeSize, Segment
from vmxon.processor.state import ProcessorState as Cpu

NOWHERE = ALL_ONES
"""`locate_descriptor`: the table does not hold the entry."""

PRESENT = AccessRights.p.mask
NOT_SYSTEM = AccessRights.s.mask
KIND = AccessRights.type.mask | NOT_SYSTEM
"""S and type together: 0–15 are system types, 16–31 data and code."""
CODE_KIND = NOT_SYSTEM | SegmentType.code.mask
CONFORMING = NOT_SYSTEM | SegmentType.code.mask | SegmentType.expand_down_or_conforming.mask
WRITABLE_DATA = NOT_SYSTEM | SegmentType.writable_or_readable.mask
EXPANDS_DOWN = (SegmentType.code.mask | SegmentType.expand_down_or_conforming.mask) << Descriptor.type.low
EXPANDS_DOWN_DATA = SegmentType.expand_down_or_conforming.mask << Descriptor.type.low
BUSY = 2
"""The bit of a TSS type that tells busy from available."""
REAL_RIGHTS = NOT_SYSTEM | PRESENT | 3
"""Read-write data, accessed, DPL 0: what a load in real-address mode leaves."""
VIRTUAL_8086_RIGHTS = REAL_RIGHTS | 3 << AccessRights.dpl.low


@inline
def descriptor_rights(descriptor: int) -> int:
    """Access rights, as u32."""
    return u32(descriptor >> 40) & 0xF0FF


@inline
def descriptor_base(descriptor: int) -> int:
    """Bits 31:0 of the base, as u64."""
    return (descriptor >> 16 & 0xFF_FFFF) | (descriptor >> 32 & 0xFF00_0000)


@microcode
def descriptor_limit(descriptor: u64) -> u32:
    """The limit in bytes."""
    limit = u32(descriptor & 0xFFFF) | u32(descriptor >> 32 & 0xF_0000)
    if descriptor & Descriptor.g.mask != 0:
        return limit << 12 | 0xFFF
    return limit


@inline
def dpl_of(rights: int) -> int:
    """DPL, as u8."""
    return u8(rights >> AccessRights.dpl.low) & 3


@inline
def is_code(rights: int) -> bool:
    """A code segment."""
    return rights & CODE_KIND == CODE_KIND


@inline
def is_conforming(rights: int) -> bool:
    """A conforming code segment."""
    return rights & CONFORMING == CONFORMING


@inline
def is_writable_data(rights: int) -> bool:
    """A writable data segment: what SS may hold."""
    return rights & (CODE_KIND | WRITABLE_DATA) == WRITABLE_DATA


@microcode
def selector_code(cpu: Cpu, selector: u64) -> u32:
    """The error code that names a selector, with EXT (Vol. 3A §6.13 “Error Code”); of selector 0, EXT alone."""
    return u32(selector & 0xFFFC) | u32(event_is_external(cpu))


@microcode
def holds(descriptor: u64, offset: u64, size: u64) -> bool:
    """The `size` bytes at `offset` lie within the limits of a data segment that is not loaded yet."""
    limit = u64(descriptor_limit(descriptor))
    last = offset + (size - 1)
    if descriptor & EXPANDS_DOWN == EXPANDS_DOWN_DATA:
        highest = u64(0xFFFF_FFFF) if descriptor & Descriptor.db.mask != 0 else u64(0xFFFF)
        return offset > limit and last <= highest
    return last <= limit


@microcode
def locate_descriptor(cpu: Cpu, selector: u64, size: u64) -> u64:
    """Linear address of the `size` bytes that `selector` names, or NOWHERE."""
    offset = selector & 0xFFF8
    base = cpu.gdt_base
    limit = u64(cpu.gdt_limit)
    if selector & 4 != 0:
        base = cpu.segments[Segment.LDTR].base
        limit = u64(cpu.segments[Segment.LDTR].limit)
        if cpu.segments[Segment.LDTR].rights & UNUSABLE != 0:
            return u64(NOWHERE)
    if offset + (size - 1) > limit:
        return u64(NOWHERE)
    return base + offset if cpu.long_mode != 0 else u64(u32(base + offset))


@microcode
def find_descriptor(cpu: Cpu, selector: u64, vector: u32, size: u64) -> u64:
    """The same; `vector`(selector) where the table does not hold the entry."""
    linear = locate_descriptor(cpu, selector, size)
    if linear == NOWHERE:
        raise_with_code(cpu, vector, selector_code(cpu, selector))
    return linear


@microcode
def read_descriptor(cpu: Cpu, selector: u64, vector: u32) -> u64:
    """The 8 bytes that `selector` names; `vector`(selector) where the table does not hold them."""
    return load(u64, readable_system(cpu, find_descriptor(cpu, selector, vector, u64(8)), 8))


@microcode
def read_wide_half(cpu: Cpu, selector: u64, vector: u32) -> u64:
    """Bytes 8–15 of a system descriptor of IA-32e mode: base or offset bits 63:32 in the low half; `vector`(selector) if malformed."""
    linear = find_descriptor(cpu, selector, vector, u64(16))
    half = load(u64, readable_system(cpu, linear + 8, 8))
    if half >> 40 & 0x1F != 0:
        raise_with_code(cpu, vector, selector_code(cpu, selector))
    return half


@microcode
def type_pointer(cpu: Cpu, selector: u64) -> u64:
    """Host pointer for writing byte 5 (type, S, DPL, P) of a descriptor that was read before."""
    return modifiable_system(cpu, locate_descriptor(cpu, selector, u64(8)) + 5, 1)


@microcode
def accessed_pointer(cpu: Cpu, selector: u64, descriptor: u64) -> u64:
    """Where the accessed bit is still to be set, the pointer of `type_pointer`; else 0. The part of a load that can fault."""
    if descriptor & 1 << 40 != 0:
        return u64(0)
    return type_pointer(cpu, selector)


@microcode
def set_segment(cpu: Cpu, segment: u64, selector: u64, descriptor: u64, pointer: u64) -> None:
    """Load a code or data segment register from a checked descriptor; `pointer` comes from `accessed_pointer`."""
    if pointer != 0:
        store(u8, pointer, u8(descriptor >> 40) | 1)
    cpu.segments[segment].selector = u16(selector)
    cpu.segments[segment].base = descriptor_base(descriptor)
    cpu.segments[segment].limit = descriptor_limit(descriptor)
    cpu.segments[segment].rights = descriptor_rights(descriptor) | 1
    refresh_segment(cpu, segment)


@microcode
def set_null_segment(cpu: Cpu, segment: u64, selector: u64) -> None:
    """Load a null selector; SS keeps its DPL, which is CPL."""
    rights = u32(UNUSABLE)
    if segment == Segment.SS:
        rights = u32(UNUSABLE) | u32(cpu.cpl) << AccessRights.dpl.low
    cpu.segments[segment].selector = u16(selector)
    cpu.segments[segment].base = u64(0)
    cpu.segments[segment].limit = u32(0)
    cpu.segments[segment].rights = rights
    refresh_segment(cpu, segment)


@microcode
def set_real_segment(cpu: Cpu, segment: u64, selector: u64) -> None:
    """Load a segment register in real-address or virtual-8086 mode; the former keeps limit, size and granularity."""
    cpu.segments[segment].selector = u16(selector)
    cpu.segments[segment].base = (selector & 0xFFFF) << 4
    if cpu.segment_rules == SegmentRules.VIRTUAL_8086:
        cpu.segments[segment].limit = u32(0xFFFF)
        cpu.segments[segment].rights = u32(VIRTUAL_8086_RIGHTS)
    else:
        cpu.segments[segment].rights = cpu.segments[segment].rights & (AccessRights.db.mask | AccessRights.g.mask) | REAL_RIGHTS
    refresh_segment(cpu, segment)


@microcode
def load_data_segment(cpu: Cpu, segment: u64, selector: u64) -> None:
    """MOV, POP or a far-pointer load of ES, SS, DS, FS or GS with all checks (Vol. 2B “MOV—Move”)."""
    if not protected(cpu):
        set_real_segment(cpu, segment, selector)
    elif segment == Segment.SS:
        load_stack_segment(cpu, selector)
    elif is_null(selector):
        set_null_segment(cpu, segment, selector)
    else:
        descriptor = read_descriptor(cpu, selector, u32(Vector.GP))
        check_data_descriptor(cpu, selector, descriptor)
        set_segment(cpu, segment, selector, descriptor, accessed_pointer(cpu, selector, descriptor))
    if segment == Segment.SS:
        refresh_privilege(cpu)


@microcode
def check_data_descriptor(cpu: Cpu, selector: u64, descriptor: u64) -> None:
    """DS, ES, FS, GS: data or readable code, DPL no higher than CPL and RPL unless conforming, present."""
    rights = descriptor_rights(descriptor)
    if rights & NOT_SYSTEM == 0 or rights & (CODE_KIND | WRITABLE_DATA) == CODE_KIND:
        general_protection(cpu, selector_code(cpu, selector))
    if not is_conforming(rights) and (u8(selector) & 3 > dpl_of(rights) or cpu.cpl > dpl_of(rights)):
        general_protection(cpu, selector_code(cpu, selector))
    if rights & PRESENT == 0:
        not_present(cpu, selector_code(cpu, selector))


@microcode
def load_stack_segment(cpu: Cpu, selector: u64) -> None:
    """SS in protected or IA-32e mode; the caller refreshes the mode."""
    if is_null(selector):
        if cpu.code_size != CodeSize.BITS64 or cpu.cpl == 3 or u8(selector) & 3 != cpu.cpl:
            general_protection(cpu, 0)
        set_null_segment(cpu, u64(Segment.SS), selector)
        return
    descriptor = read_descriptor(cpu, selector, u32(Vector.GP))
    rights = descriptor_rights(descriptor)
    if u8(selector) & 3 != cpu.cpl or not is_writable_data(rights) or dpl_of(rights) != cpu.cpl:
        general_protection(cpu, selector_code(cpu, selector))
    if rights & PRESENT == 0:
        stack_fault(cpu, selector_code(cpu, selector))
    set_segment(cpu, u64(Segment.SS), selector, descriptor, accessed_pointer(cpu, selector, descriptor))


@microcode
def load_ldtr(cpu: Cpu, selector: u64, vector: u32) -> None:
    """LDTR from the GDT; a null selector makes it unusable. `vector` is #GP for LLDT and #TS for a task switch."""
    if is_null(selector):
        set_null_segment(cpu, u64(Segment.LDTR), selector)
        return
    if selector & 4 != 0:
        raise_with_code(cpu, vector, selector_code(cpu, selector))
    descriptor = read_descriptor(cpu, selector, vector)
    rights = descriptor_rights(descriptor)
    if rights & KIND != SystemType.LDT:
        raise_with_code(cpu, vector, selector_code(cpu, selector))
    if rights & PRESENT == 0:
        if vector == Vector.TS:
            raise_with_code(cpu, vector, selector_code(cpu, selector))
        not_present(cpu, selector_code(cpu, selector))
    set_system_segment(cpu, u64(Segment.LDTR), selector, descriptor, system_base(cpu, selector, descriptor, vector))


@microcode
def load_task_register(cpu: Cpu, selector: u64) -> None:
    """LTR: an available TSS of the GDT, which becomes busy."""
    if is_null(selector):
        general_protection(cpu, 0)
    if selector & 4 != 0:
        general_protection(cpu, selector_code(cpu, selector))
    descriptor = read_descriptor(cpu, selector, u32(Vector.GP))
    kind = descriptor_rights(descriptor) & KIND
    if kind != SystemType.AVAILABLE_TSS and (kind != SystemType.AVAILABLE_TSS_16 or cpu.long_mode != 0):
        general_protection(cpu, selector_code(cpu, selector))
    if descriptor & Descriptor.p.mask == 0:
        not_present(cpu, selector_code(cpu, selector))
    base = system_base(cpu, selector, descriptor, u32(Vector.GP))
    pointer = type_pointer(cpu, selector)
    busy = descriptor | BUSY << Descriptor.type.low
    store(u8, pointer, u8(busy >> 40))
    set_system_segment(cpu, u64(Segment.TR), selector, busy, base)


@microcode
def system_base(cpu: Cpu, selector: u64, descriptor: u64, vector: u32) -> u64:
    """The whole base of an LDT or TSS descriptor, 64 bits in IA-32e mode and then canonical."""
    base = descriptor_base(descriptor)
    if cpu.long_mode != 0:
        base = base | read_wide_half(cpu, selector, vector) << 32
        if not loadable(cpu, base):
            raise_with_code(cpu, vector, selector_code(cpu, selector))
    return base


@microcode
def set_system_segment(cpu: Cpu, segment: u64, selector: u64, descriptor: u64, base: u64) -> None:
    """Load LDTR or TR from a checked descriptor."""
    cpu.segments[segment].selector = u16(selector)
    cpu.segments[segment].base = base
    cpu.segments[segment].limit = descriptor_limit(descriptor)
    cpu.segments[segment].rights = descriptor_rights(descriptor)
