"""Transfers through the interrupt table in IA-32e mode (Vol. 3A §6.14 “Exception and Interrupt Handling in 64-bit Mode”)."""

from __future__ import annotations

from vmxon.arch.flags import Rflags
from vmxon.arch.segments import SystemType
from vmxon.microcode import load, microcode, store, u32, u64
from vmxon.processor.descriptors import (
    KIND,
    accessed_pointer,
    descriptor_rights,
    dpl_of,
    is_conforming,
    selector_code,
    set_segment,
)
from vmxon.processor.exceptions import general_protection, stack_fault
from vmxon.processor.inner_stack import find_wide_stack, frame_pointer, set_wide_inner_stack
from vmxon.processor.interrupt_gates import (
    CLEARED,
    check_entry,
    entry_code,
    handler_descriptor,
    pushed_flags,
    return_address,
)
from vmxon.processor.memory import readable_system
from vmxon.processor.segmentation import BIG, LONG, canonical, event_is_external, refresh_privilege
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.state import Segment

RSP = 4
RSP0_OFFSET, IST0_OFFSET = 4, 28
"""Places in the 64-bit TSS; there is no IST0."""


@microcode
def transfer_long(cpu: Cpu) -> None:
    """Through a gate of 16 bytes to 64-bit code; SS:RSP is always pushed, RSP aligned to 16 before."""
    place = u64(cpu.delivering_vector) << 4
    if place + 15 > u64(cpu.idt_limit):
        general_protection(cpu, entry_code(cpu))
    pointer = readable_system(cpu, cpu.idt_base + place, 16)
    gate = load(u64, pointer)
    kind = descriptor_rights(gate) & KIND
    if kind != SystemType.INTERRUPT_GATE and kind != SystemType.TRAP_GATE:
        general_protection(cpu, entry_code(cpu))
    check_entry(cpu, descriptor_rights(gate))
    target = (gate & 0xFFFF) | (gate >> 32 & 0xFFFF_0000) | load(u64, pointer + 8) << 32
    selector = gate >> 16 & 0xFFFF
    descriptor = handler_descriptor(cpu, selector)
    rights = descriptor_rights(descriptor)
    if rights & (LONG | BIG) != LONG:
        general_protection(cpu, selector_code(cpu, selector))
    inner = not is_conforming(rights) and dpl_of(rights) < cpu.cpl
    level = u64(dpl_of(rights)) if inner else u64(cpu.cpl)
    top = stack_top(cpu, gate >> 32 & 7, inner, level)
    size = u64(40) + u64(cpu.delivering_has_error) * 8
    if not canonical(cpu, top - size) or not canonical(cpu, top - 1):
        stack_fault(cpu, u32(event_is_external(cpu)))
    if not canonical(cpu, target):
        general_protection(cpu, u32(event_is_external(cpu)))
    frame = frame_pointer(cpu, u64, top - size, size, level != 3)
    accessed = accessed_pointer(cpu, selector, descriptor)
    write_frame(cpu, frame)
    cpu.gpr[RSP] = top - size
    if inner:
        set_wide_inner_stack(cpu, level)
    set_segment(cpu, u64(Segment.CS), (selector & 0xFFFC) | level, descriptor, accessed)
    cpu.rflags_other = cpu.rflags_other & ~u64(CLEARED)
    if kind == SystemType.INTERRUPT_GATE:
        cpu.rflags_other = cpu.rflags_other & ~u64(Rflags.if_.mask)
    cpu.rip = target
    refresh_privilege(cpu)


@microcode
def stack_top(cpu: Cpu, ist: u64, inner: bool, level: u64) -> u64:
    """Where the handler's stack begins: an IST entry, the inner level's RSP, or the present RSP; aligned to 16 bytes."""
    top = cpu.gpr[RSP]
    if ist != 0:
        top = find_wide_stack(cpu, ist * 8 + IST0_OFFSET)
    elif inner:
        top = find_wide_stack(cpu, level * 8 + RSP0_OFFSET)
    return top & ~u64(15)


@microcode
def write_frame(cpu: Cpu, frame: u64) -> None:
    """Store error code, RIP, CS, RFLAGS, RSP and SS from `frame` upward, 8 bytes each."""
    place = frame + u64(cpu.delivering_has_error) * 8
    if cpu.delivering_has_error != 0:
        store(u64, frame, u64(cpu.delivering_error))
    store(u64, place, return_address(cpu))
    store(u64, place + 8, u64(cpu.segments[Segment.CS].selector))
    store(u64, place + 16, pushed_flags(cpu))
    store(u64, place + 24, cpu.gpr[RSP])
    store(u64, place + 32, u64(cpu.segments[Segment.SS].selector))
