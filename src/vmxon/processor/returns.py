"""Far returns to the same or an outer level: the checks that RETF and IRET share (Vol. 2B “RET—Return From Procedure”)."""

from __future__ import annotations

from vmxon.arch.exceptions import Vector
from vmxon.microcode import IntType, load, microcode, u8, u16, u32, u64
from vmxon.processor.descriptors import (
    PRESENT,
    accessed_pointer,
    descriptor_limit,
    descriptor_rights,
    dpl_of,
    is_code,
    is_conforming,
    is_writable_data,
    read_descriptor,
    selector_code,
    set_null_segment,
    set_real_segment,
    set_segment,
)
from vmxon.processor.exceptions import general_protection, not_present, stack_fault
from vmxon.processor.memory import readable
from vmxon.processor.segmentation import (
    BIG,
    LONG,
    UNUSABLE,
    canonical,
    is_null,
    protected,
    refresh_privilege,
    refresh_segment,
    segment_linear,
)
from vmxon.processor.stack import set_stack_pointer, stack_offset
from vmxon.processor.state import CodeSize, Segment
from vmxon.processor.state import ProcessorState as Cpu

RSP = 4
DATA_SEGMENTS = (Segment.ES, Segment.DS, Segment.FS, Segment.GS)


@microcode
def return_far(cpu: Cpu, kind: IntType, release: u64) -> None:
    """RETF and RETF imm16 with operands of type `kind`; `release` bytes of parameters go."""
    offset = stack_word(cpu, kind, u64(0))
    selector = stack_word(cpu, kind, u64(kind.bytes)) & 0xFFFF
    if not protected(cpu):
        return_real(cpu, offset, selector, release + 2 * kind.bytes)
        return
    descriptor = check_return_code(cpu, selector)
    if selector & 3 == u64(cpu.cpl):
        check_target(cpu, descriptor, offset)
        set_segment(cpu, u64(Segment.CS), selector, descriptor, accessed_pointer(cpu, selector, descriptor))
        set_stack_pointer(cpu, cpu.gpr[RSP] + (release + 2 * kind.bytes))
    else:
        pointer = stack_word(cpu, kind, release + 2 * kind.bytes)
        stack = stack_word(cpu, kind, release + 3 * kind.bytes) & 0xFFFF
        stack_descriptor = check_return_stack(cpu, stack, selector, descriptor)
        check_target(cpu, descriptor, offset)
        commit_outer_return(cpu, selector, descriptor, stack, stack_descriptor)
        load_stack_pointer(cpu, pointer + release)
        drop_inner_segments(cpu)
    cpu.next_rip = offset
    refresh_privilege(cpu)


@microcode
def return_real(cpu: Cpu, offset: u64, selector: u64, release: u64) -> None:
    """RETF in real-address and virtual-8086 mode."""
    if offset > u64(cpu.segments[Segment.CS].limit):
        general_protection(cpu, 0)
    set_stack_pointer(cpu, cpu.gpr[RSP] + release)
    set_real_segment(cpu, u64(Segment.CS), selector)
    cpu.next_rip = offset
    refresh_privilege(cpu)


@microcode
def stack_word(cpu: Cpu, kind: IntType, distance: u64) -> u64:
    """The operand of type `kind` at `distance` bytes above the top of the stack; #SS(0), #PF."""
    offset = stack_offset(cpu, cpu.gpr[RSP] + distance)
    linear = segment_linear(cpu, u64(Segment.SS), offset, u64(kind.bytes), False)
    return u64(load(kind, readable(cpu, linear, kind.bytes)))


@microcode
def check_return_code(cpu: Cpu, selector: u64) -> u64:
    """The descriptor that CS returns to: not null, code, RPL no inner level, DPL in keeping with it, present; #GP, #NP."""
    if is_null(selector):
        general_protection(cpu, 0)
    descriptor = read_descriptor(cpu, selector, u32(Vector.GP))
    rights = descriptor_rights(descriptor)
    level = u8(selector) & 3
    if level < cpu.cpl or not is_code(rights) or dpl_of(rights) > level:
        general_protection(cpu, selector_code(cpu, selector))
    if not is_conforming(rights) and dpl_of(rights) != level:
        general_protection(cpu, selector_code(cpu, selector))
    if cpu.long_mode != 0 and rights & (LONG | BIG) == LONG | BIG:
        general_protection(cpu, selector_code(cpu, selector))
    if rights & PRESENT == 0:
        not_present(cpu, selector_code(cpu, selector))
    return descriptor


@microcode
def targets_64_bit(cpu: Cpu, descriptor: u64) -> bool:
    """The code segment runs in 64-bit mode."""
    return cpu.long_mode != 0 and descriptor_rights(descriptor) & LONG != 0


@microcode
def check_target(cpu: Cpu, descriptor: u64, offset: u64) -> None:
    """The target lies within the limit, or is canonical in 64-bit mode; #GP(0)."""
    if targets_64_bit(cpu, descriptor):
        if not canonical(cpu, offset):
            general_protection(cpu, 0)
    elif offset > u64(descriptor_limit(descriptor)):
        general_protection(cpu, 0)


@microcode
def check_return_stack(cpu: Cpu, stack: u64, selector: u64, descriptor: u64) -> u64:
    """The descriptor of the outer SS, 0 for the null selector that 64-bit code below level 3 may have; #GP, #SS."""
    if is_null(stack):
        if not targets_64_bit(cpu, descriptor) or selector & 3 == 3 or stack & 3 != selector & 3:
            general_protection(cpu, 0)
        return u64(0)
    stack_descriptor = read_descriptor(cpu, stack, u32(Vector.GP))
    rights = descriptor_rights(stack_descriptor)
    level = u8(selector) & 3
    if u8(stack) & 3 != level or not is_writable_data(rights) or dpl_of(rights) != level:
        general_protection(cpu, selector_code(cpu, stack))
    if rights & PRESENT == 0:
        stack_fault(cpu, selector_code(cpu, stack))
    return stack_descriptor


@microcode
def commit_outer_return(cpu: Cpu, selector: u64, descriptor: u64, stack: u64, stack_descriptor: u64) -> None:
    """Load CS and SS and refresh the mode."""
    code_accessed = accessed_pointer(cpu, selector, descriptor)
    if stack_descriptor == 0:
        set_segment(cpu, u64(Segment.CS), selector, descriptor, code_accessed)
        set_null_segment(cpu, u64(Segment.SS), stack)
        cpu.segments[Segment.SS].rights = u32(UNUSABLE) | u32(selector & 3) << 5
    else:
        stack_accessed = accessed_pointer(cpu, stack, stack_descriptor)
        set_segment(cpu, u64(Segment.CS), selector, descriptor, code_accessed)
        set_segment(cpu, u64(Segment.SS), stack, stack_descriptor, stack_accessed)
    refresh_privilege(cpu)


@microcode
def load_stack_pointer(cpu: Cpu, pointer: u64) -> None:
    """RSP, ESP or SP, whichever the new SS uses."""
    if cpu.code_size == CodeSize.BITS64:
        cpu.gpr[RSP] = pointer
    elif cpu.stack_shift == 32:
        cpu.gpr[RSP] = u64(u32(pointer))
    else:
        cpu.gpr[RSP] = (cpu.gpr[RSP] & ~u64(0xFFFF)) | (pointer & 0xFFFF)


@microcode
def drop_inner_segments(cpu: Cpu) -> None:
    """After a return to an outer level: DS, ES, FS and GS that the new CPL may not use become null."""
    for segment in DATA_SEGMENTS:
        rights = cpu.segments[segment].rights
        if rights & UNUSABLE == 0 and dpl_of(rights) < cpu.cpl and not is_conforming(rights):
            cpu.segments[segment].selector = u16(0)
            cpu.segments[segment].rights = u32(UNUSABLE)
            refresh_segment(cpu, u64(segment))
