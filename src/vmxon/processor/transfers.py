"""Far JMP and CALL: code segments, call gates, tasks (Vol. 3A §5.8 “Privilege Level Checking When Transferring Program Control …”)."""

from __future__ import annotations

from vmxon.arch.exceptions import Vector
from vmxon.arch.segments import SystemType
from vmxon.microcode import IntType, microcode, store, u8, u32, u64
from vmxon.processor.call_gates import call_through_gate, jump_through_gate
from vmxon.processor.descriptors import (
    BUSY,
    KIND,
    NOT_SYSTEM,
    PRESENT,
    accessed_pointer,
    descriptor_rights,
    dpl_of,
    is_code,
    is_conforming,
    read_descriptor,
    selector_code,
    set_real_segment,
    set_segment,
)
from vmxon.processor.exceptions import general_protection, not_present
from vmxon.processor.flags import read_rflags
from vmxon.processor.inner_stack import stack_frame
from vmxon.processor.returns import check_target
from vmxon.processor.segmentation import BIG, LONG, is_null, protected, refresh_privilege
from vmxon.processor.stack import set_stack_pointer
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.state import Segment
from vmxon.processor.tasks import TaskSource, switch_task

RSP = 4


@microcode
def jump_far(cpu: Cpu, selector: u64, offset: u64) -> None:
    """JMP to selector:offset (Vol. 2A “JMP—Jump”)."""
    if not protected(cpu):
        enter_real(cpu, selector, offset)
        return
    descriptor = target_descriptor(cpu, selector)
    rights = descriptor_rights(descriptor)
    if is_code(rights):
        check_code_target(cpu, selector, descriptor)
        check_target(cpu, descriptor, offset)
        enter_code(cpu, selector, descriptor, offset)
    elif is_call_gate(cpu, rights):
        check_gate(cpu, selector, rights)
        jump_through_gate(cpu, selector, descriptor)
    else:
        switch_to(cpu, TaskSource.JMP, selector, descriptor)


@microcode
def call_far(cpu: Cpu, kind: IntType, selector: u64, offset: u64) -> None:
    """CALL selector:offset with operands of type `kind` (Vol. 2A “CALL—Call Procedure”)."""
    if not protected(cpu):
        frame = stack_frame(cpu, kind, u64(2 * kind.bytes))
        if offset > u64(cpu.segments[Segment.CS].limit):
            general_protection(cpu, 0)
        push_return(cpu, kind, frame)
        enter_real(cpu, selector, offset)
        return
    descriptor = target_descriptor(cpu, selector)
    rights = descriptor_rights(descriptor)
    if is_code(rights):
        check_code_target(cpu, selector, descriptor)
        frame = stack_frame(cpu, kind, u64(2 * kind.bytes))
        check_target(cpu, descriptor, offset)
        accessed = accessed_pointer(cpu, selector, descriptor)
        push_return(cpu, kind, frame)
        set_segment(cpu, u64(Segment.CS), (selector & 0xFFFC) | u64(cpu.cpl), descriptor, accessed)
        cpu.next_rip = offset
        refresh_privilege(cpu)
    elif is_call_gate(cpu, rights):
        check_gate(cpu, selector, rights)
        call_through_gate(cpu, selector, descriptor)
    else:
        switch_to(cpu, TaskSource.CALL, selector, descriptor)


@microcode
def push_return(cpu: Cpu, kind: IntType, frame: u64) -> None:
    """CS and the address of the next instruction, at host address `frame`."""
    store(kind, frame, kind(cpu.next_rip))
    store(kind, frame + kind.bytes, kind(cpu.segments[Segment.CS].selector))
    set_stack_pointer(cpu, cpu.gpr[RSP] - 2 * kind.bytes)


@microcode
def enter_real(cpu: Cpu, selector: u64, offset: u64) -> None:
    """CS:IP in real-address and virtual-8086 mode."""
    if offset > u64(cpu.segments[Segment.CS].limit):
        general_protection(cpu, 0)
    set_real_segment(cpu, u64(Segment.CS), selector)
    cpu.next_rip = offset
    refresh_privilege(cpu)


@microcode
def enter_code(cpu: Cpu, selector: u64, descriptor: u64, offset: u64) -> None:
    """Go on at `offset` of a checked code segment, at the same CPL."""
    accessed = accessed_pointer(cpu, selector, descriptor)
    set_segment(cpu, u64(Segment.CS), (selector & 0xFFFC) | u64(cpu.cpl), descriptor, accessed)
    cpu.next_rip = offset
    refresh_privilege(cpu)


@microcode
def target_descriptor(cpu: Cpu, selector: u64) -> u64:
    """What the selector of a far transfer names; #GP(0) for null, #GP(selector) outside the table."""
    if is_null(selector):
        general_protection(cpu, 0)
    return read_descriptor(cpu, selector, u32(Vector.GP))


@microcode
def check_code_target(cpu: Cpu, selector: u64, descriptor: u64) -> None:
    """Direct transfers: conforming code of the same or an inner level, other code of exactly this level; present."""
    rights = descriptor_rights(descriptor)
    if is_conforming(rights):
        if dpl_of(rights) > cpu.cpl:
            general_protection(cpu, selector_code(cpu, selector))
    elif dpl_of(rights) != cpu.cpl or u8(selector) & 3 > cpu.cpl:
        general_protection(cpu, selector_code(cpu, selector))
    if cpu.long_mode != 0 and rights & (LONG | BIG) == LONG | BIG:
        general_protection(cpu, selector_code(cpu, selector))
    if rights & PRESENT == 0:
        not_present(cpu, selector_code(cpu, selector))


@microcode
def is_call_gate(cpu: Cpu, rights: u32) -> bool:
    """A call gate of the present mode: IA-32e mode has only the one of 64 bits."""
    kind = rights & KIND
    return kind == SystemType.CALL_GATE or (kind == SystemType.CALL_GATE_16 and cpu.long_mode == 0)


@microcode
def check_gate(cpu: Cpu, selector: u64, rights: u32) -> None:
    """Gate and TSS: DPL at least CPL and RPL, present; #GP or #NP of the selector."""
    if dpl_of(rights) < cpu.cpl or dpl_of(rights) < u8(selector) & 3:
        general_protection(cpu, selector_code(cpu, selector))
    if rights & PRESENT == 0:
        not_present(cpu, selector_code(cpu, selector))


@microcode
def switch_to(cpu: Cpu, source: int, selector: u64, descriptor: u64) -> None:
    """Far transfer to a task gate or TSS; whatever else the selector names is #GP(selector)."""
    rights = descriptor_rights(descriptor)
    kind = rights & KIND
    tss = kind & ~u32(BUSY | 8) == SystemType.AVAILABLE_TSS_16
    if rights & NOT_SYSTEM != 0 or cpu.long_mode != 0 or (kind != SystemType.TASK_GATE and not tss):
        general_protection(cpu, selector_code(cpu, selector))
    if dpl_of(rights) < cpu.cpl or dpl_of(rights) < u8(selector) & 3:
        general_protection(cpu, selector_code(cpu, selector))
    if kind == SystemType.TASK_GATE:
        if rights & PRESENT == 0:
            not_present(cpu, selector_code(cpu, selector))
        switch_task(cpu, descriptor >> 16 & 0xFFFF, source, cpu.next_rip, read_rflags(cpu))
    else:
        switch_task(cpu, selector, source, cpu.next_rip, read_rflags(cpu))
