"""Call gates of 16, 32 and 64 bits, to the same or an inner level (Vol. 3A §5.8.3 “Call Gates”)."""

from __future__ import annotations

from vmxon.arch.exceptions import Vector
from vmxon.arch.segments import SystemType
from vmxon.microcode import IntType, load, microcode, store, u16, u32, u64
from vmxon.processor.descriptors import (
    KIND,
    PRESENT,
    accessed_pointer,
    descriptor_base,
    descriptor_rights,
    dpl_of,
    holds,
    is_code,
    is_conforming,
    read_descriptor,
    read_wide_half,
    selector_code,
    set_segment,
)
from vmxon.processor.exceptions import general_protection, not_present, stack_fault
from vmxon.processor.inner_stack import (
    check_inner_stack,
    find_inner_stack,
    find_wide_stack,
    frame_pointer,
    inner_stack_offset,
    set_inner_stack,
    set_wide_inner_stack,
    stack_frame,
)
from vmxon.processor.memory import readable, writable_system
from vmxon.processor.returns import check_target
from vmxon.processor.segmentation import BIG, LONG, canonical, is_null, refresh_privilege, segment_linear
from vmxon.processor.stack import set_stack_pointer, stack_offset
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.state import Segment

RSP = 4
RSP0_OFFSET = 4


@microcode
def gate_target(cpu: Cpu, selector: u64, gate: u64) -> tuple[u64, u64]:
    """The offset of the entry point, and the descriptor of its code segment, still to be checked for privilege."""
    offset = gate & 0xFFFF
    if descriptor_rights(gate) & KIND == SystemType.CALL_GATE:
        offset = offset | (gate >> 32 & 0xFFFF_0000)
    if cpu.long_mode != 0:
        offset = offset | read_wide_half(cpu, selector, u32(Vector.GP)) << 32
    code = gate >> 16 & 0xFFFF
    if is_null(code):
        general_protection(cpu, 0)
    descriptor = read_descriptor(cpu, code, u32(Vector.GP))
    rights = descriptor_rights(descriptor)
    if not is_code(rights) or dpl_of(rights) > cpu.cpl:
        general_protection(cpu, selector_code(cpu, code))
    if cpu.long_mode != 0 and rights & (LONG | BIG) != LONG:
        general_protection(cpu, selector_code(cpu, code))
    return offset, descriptor


@microcode
def jump_through_gate(cpu: Cpu, selector: u64, gate: u64) -> None:
    """JMP never changes the level: code that does not conform must be of this one."""
    offset, descriptor = gate_target(cpu, selector, gate)
    code = gate >> 16 & 0xFFFF
    rights = descriptor_rights(descriptor)
    if not is_conforming(rights) and dpl_of(rights) != cpu.cpl:
        general_protection(cpu, selector_code(cpu, code))
    if rights & PRESENT == 0:
        not_present(cpu, selector_code(cpu, code))
    check_target(cpu, descriptor, offset)
    accessed = accessed_pointer(cpu, code, descriptor)
    set_segment(cpu, u64(Segment.CS), (code & 0xFFFC) | u64(cpu.cpl), descriptor, accessed)
    cpu.next_rip = offset
    refresh_privilege(cpu)


@microcode
def call_through_gate(cpu: Cpu, selector: u64, gate: u64) -> None:
    """CALL pushes in the gate's width; code of an inner level gets its own stack."""
    offset, descriptor = gate_target(cpu, selector, gate)
    code = gate >> 16 & 0xFFFF
    rights = descriptor_rights(descriptor)
    if rights & PRESENT == 0:
        not_present(cpu, selector_code(cpu, code))
    inner = not is_conforming(rights) and dpl_of(rights) < cpu.cpl
    if cpu.long_mode != 0:
        call_wide(cpu, code, descriptor, offset, inner)
    elif descriptor_rights(gate) & KIND == SystemType.CALL_GATE:
        if inner:
            call_inner(cpu, u32, gate, descriptor, offset)
        else:
            call_same(cpu, u32, code, descriptor, offset)
    elif inner:
        call_inner(cpu, u16, gate, descriptor, offset)
    else:
        call_same(cpu, u16, code, descriptor, offset)
    cpu.next_rip = offset
    refresh_privilege(cpu)


@microcode
def call_same(cpu: Cpu, kind: IntType, code: u64, descriptor: u64, offset: u64) -> None:
    """Push CS:EIP on the present stack."""
    frame = stack_frame(cpu, kind, u64(2 * kind.bytes))
    check_target(cpu, descriptor, offset)
    accessed = accessed_pointer(cpu, code, descriptor)
    write_return(cpu, kind, frame)
    set_stack_pointer(cpu, cpu.gpr[RSP] - 2 * kind.bytes)
    set_segment(cpu, u64(Segment.CS), (code & 0xFFFC) | u64(cpu.cpl), descriptor, accessed)


@microcode
def call_inner(cpu: Cpu, kind: IntType, gate: u64, descriptor: u64, offset: u64) -> None:
    """Switch stacks; push SS:ESP, copy the parameters, push CS:EIP."""
    code = gate >> 16 & 0xFFFF
    level = u64(dpl_of(descriptor_rights(descriptor)))
    parameters = gate >> 32 & 0x1F
    stack, top = find_inner_stack(cpu, level)
    stack_descriptor = check_inner_stack(cpu, stack, level)
    size = (parameters + 4) * kind.bytes
    bottom = inner_stack_offset(stack_descriptor, top - size)
    if not holds(stack_descriptor, bottom, size):
        stack_fault(cpu, selector_code(cpu, stack))
    linear = u64(u32(descriptor_base(stack_descriptor) + bottom))
    return_frame = writable_system(cpu, linear, 2 * kind.bytes)
    stack_frame_pointer = writable_system(cpu, u64(u32(linear + (parameters + 2) * kind.bytes)), 2 * kind.bytes)
    check_target(cpu, descriptor, offset)
    code_accessed = accessed_pointer(cpu, code, descriptor)
    stack_accessed = accessed_pointer(cpu, stack, stack_descriptor)
    # The copies lie below the new stack pointer until it is loaded: a fault half-way leaves nothing that counts.
    copy_parameters(cpu, kind, parameters, linear + 2 * kind.bytes)
    write_return(cpu, kind, return_frame)
    store(kind, stack_frame_pointer, kind(cpu.gpr[RSP]))
    store(kind, stack_frame_pointer + kind.bytes, kind(cpu.segments[Segment.SS].selector))
    set_inner_stack(cpu, stack, stack_descriptor, stack_accessed, bottom, top)
    set_segment(cpu, u64(Segment.CS), (code & 0xFFFC) | level, descriptor, code_accessed)


@microcode
def copy_parameters(cpu: Cpu, kind: IntType, count: u64, target: u64) -> None:
    """Copy `count` values from the top of the present stack to linear address `target`."""
    index = u64(0)
    while index < count:
        offset = stack_offset(cpu, cpu.gpr[RSP] + index * kind.bytes)
        linear = segment_linear(cpu, u64(Segment.SS), offset, u64(kind.bytes), False)
        value = load(kind, readable(cpu, linear, kind.bytes))
        store(kind, writable_system(cpu, u64(u32(target + index * kind.bytes)), kind.bytes), value)
        index += 1


@microcode
def write_return(cpu: Cpu, kind: IntType, frame: u64) -> None:
    """Store EIP of the next instruction and CS at host address `frame`."""
    store(kind, frame, kind(cpu.next_rip))
    store(kind, frame + kind.bytes, kind(cpu.segments[Segment.CS].selector))


@microcode
def call_wide(cpu: Cpu, code: u64, descriptor: u64, offset: u64, inner: bool) -> None:
    """The 64-bit gate: no parameters; an inner level starts at RSPn of the TSS with a null SS."""
    level = u64(dpl_of(descriptor_rights(descriptor))) if inner else u64(cpu.cpl)
    size = u64(32) if inner else u64(16)
    top = cpu.gpr[RSP]
    if inner:
        top = find_wide_stack(cpu, level * 8 + RSP0_OFFSET)
    bottom = top - size
    if not canonical(cpu, bottom) or not canonical(cpu, top - 1):
        stack_fault(cpu, 0)
    frame = frame_pointer(cpu, u64, bottom, size, level != 3)
    check_target(cpu, descriptor, offset)
    accessed = accessed_pointer(cpu, code, descriptor)
    write_return(cpu, u64, frame)
    if inner:
        store(u64, frame + 16, cpu.gpr[RSP])
        store(u64, frame + 24, u64(cpu.segments[Segment.SS].selector))
        set_wide_inner_stack(cpu, level)
    cpu.gpr[RSP] = bottom
    set_segment(cpu, u64(Segment.CS), (code & 0xFFFC) | level, descriptor, accessed)
