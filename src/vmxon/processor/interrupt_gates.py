"""Transfers through the interrupt table in real-address, protected and virtual-8086 mode (Vol. 3A §6.12, §20.1.4, §20.3).

Each function checks and translates everything, then commits. The event is in cpu.delivering_*; faults carry EXT accordingly.
IA-32e mode is in processor/interrupt_gates_64.py.
"""

from __future__ import annotations

from vmxon.arch.control import Dr6
from vmxon.arch.exceptions import Vector
from vmxon.arch.flags import Rflags
from vmxon.arch.segments import SystemType
from vmxon.microcode import IntType, inline, load, microcode, store, u16, u32, u64
from vmxon.processor.descriptors import (
    KIND,
    PRESENT,
    accessed_pointer,
    descriptor_limit,
    descriptor_rights,
    dpl_of,
    is_code,
    is_conforming,
    read_descriptor,
    selector_code,
    set_null_segment,
    set_real_segment,
    set_segment,
)
from vmxon.processor.exceptions import HARDWARE_EXCEPTION, general_protection, not_present
from vmxon.processor.flags import read_rflags
from vmxon.processor.inner_stack import (
    check_inner_stack,
    find_inner_stack,
    inner_stack_frame,
    inner_stack_offset,
    set_inner_stack,
    stack_frame,
)
from vmxon.processor.memory import readable_system
from vmxon.processor.segmentation import SegmentRules, event_is_external, is_null, refresh_privilege
from vmxon.processor.stack import set_stack_pointer
from vmxon.processor.state import CodeSize, Segment
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.tasks import TaskSource, switch_task
from vmxon.processor.virtual_8086 import enter_8086_handler, is_redirected

RSP = 4
INJECTED = 2
"""cpu.delivering of the event that VM entry injects; 1 for all others."""
FIRST_SOFTWARE, PRIVILEGED_SOFTWARE = 4, 5
IDT = 2
"""The bit of an error code that says “entry of the IDT”."""
CLEARED = Rflags.tf.mask | Rflags.nt.mask | Rflags.rf.mask | Rflags.vm.mask
CLEARED_REAL = Rflags.if_.mask | Rflags.tf.mask | Rflags.rf.mask | Rflags.ac.mask


@inline
def entry_code(cpu: Cpu) -> int:
    """The error code that names the entry of the IDT, as u32."""
    return cpu.delivering_vector << 3 | IDT | u32(event_is_external(cpu))


@microcode
def return_address(cpu: Cpu) -> u64:
    """What is pushed as instruction pointer: this instruction, or the next one for INT n, INT1, INT3 and INTO."""
    address = cpu.rip
    if cpu.delivering_soft >= FIRST_SOFTWARE:
        address = cpu.rip + u64(cpu.delivering_length)
    return address if cpu.code_size == CodeSize.BITS64 else u64(u32(address))


@microcode
def pushed_flags(cpu: Cpu) -> u64:
    """The flags image: RF is set for faults, so that the instruction breakpoint does not hit again (Vol. 3B §18.3.1.1).

    An event that VM entry injects keeps the RF of the guest (Vol. 3C §27.6.1.1 “Details of Vectored-Event Injection”).
    """
    flags = read_rflags(cpu)
    if cpu.delivering == INJECTED:
        return flags
    if cpu.delivering_soft == HARDWARE_EXCEPTION and cpu.delivering_vector != Vector.DF and cpu.delivering_vector != Vector.MC:
        if cpu.delivering_vector != Vector.DB or cpu.fault_qualification & Dr6.bd.mask != 0:
            flags = flags | Rflags.rf.mask
    return flags


@microcode
def check_entry(cpu: Cpu, rights: u32) -> None:
    """INT n, INT3 and INTO need a gate whose DPL is at least CPL; the gate must be present; #GP or #NP of the entry."""
    software = cpu.delivering_soft >= FIRST_SOFTWARE and cpu.delivering_soft != PRIVILEGED_SOFTWARE
    if software and dpl_of(rights) < cpu.cpl:
        general_protection(cpu, entry_code(cpu))
    if rights & PRESENT == 0:
        not_present(cpu, entry_code(cpu))


@microcode
def handler_descriptor(cpu: Cpu, selector: u64) -> u64:
    """The descriptor of the handler's code segment: code, no less privileged than CPL, present."""
    if is_null(selector):
        general_protection(cpu, selector_code(cpu, selector))
    descriptor = read_descriptor(cpu, selector, u32(Vector.GP))
    rights = descriptor_rights(descriptor)
    if not is_code(rights) or dpl_of(rights) > cpu.cpl:
        general_protection(cpu, selector_code(cpu, selector))
    if rights & PRESENT == 0:
        not_present(cpu, selector_code(cpu, selector))
    return descriptor


@microcode
def transfer_real(cpu: Cpu) -> None:
    """Through the interrupt vector table: 4 bytes an entry, three words pushed, no error code."""
    place = u64(cpu.delivering_vector) << 2
    if place + 3 > u64(cpu.idt_limit):
        general_protection(cpu, entry_code(cpu))
    entry = load(u32, readable_system(cpu, cpu.idt_base + place, 4))
    frame = stack_frame(cpu, u16, u64(6))
    if entry & 0xFFFF > cpu.segments[Segment.CS].limit:
        general_protection(cpu, u32(event_is_external(cpu)))
    store(u16, frame, u16(return_address(cpu)))
    store(u16, frame + 2, cpu.segments[Segment.CS].selector)
    store(u16, frame + 4, u16(read_rflags(cpu)))
    set_stack_pointer(cpu, cpu.gpr[RSP] - 6)
    cpu.rflags_other = cpu.rflags_other & ~u64(CLEARED_REAL)
    set_real_segment(cpu, u64(Segment.CS), u64(entry >> 16))
    cpu.rip = u64(entry & 0xFFFF)
    refresh_privilege(cpu)


@microcode
def transfer_protected(cpu: Cpu) -> None:
    """Through a gate of 8 bytes; from virtual-8086 mode too, but for software interrupts that CR4.VME redirects."""
    if cpu.delivering_soft == FIRST_SOFTWARE and is_redirected(cpu, u64(cpu.delivering_vector)):
        cpu.next_rip = return_address(cpu)
        enter_8086_handler(cpu, u64(cpu.delivering_vector))
        cpu.rip = cpu.next_rip
        return
    place = u64(cpu.delivering_vector) << 3
    if place + 7 > u64(cpu.idt_limit):
        general_protection(cpu, entry_code(cpu))
    gate = load(u64, readable_system(cpu, cpu.idt_base + place, 8))
    rights = descriptor_rights(gate)
    kind = rights & KIND
    narrow = kind == SystemType.INTERRUPT_GATE_16 or kind == SystemType.TRAP_GATE_16
    wide = kind == SystemType.INTERRUPT_GATE or kind == SystemType.TRAP_GATE
    if not narrow and not wide and kind != SystemType.TASK_GATE:
        general_protection(cpu, entry_code(cpu))
    check_entry(cpu, rights)
    if narrow:
        enter_handler(cpu, u16, gate, gate & 0xFFFF)
    elif wide:
        enter_handler(cpu, u32, gate, (gate & 0xFFFF) | (gate >> 32 & 0xFFFF_0000))
    else:
        switch_task(cpu, gate >> 16 & 0xFFFF, TaskSource.GATE, return_address(cpu), pushed_flags(cpu))


@microcode
def enter_handler(cpu: Cpu, kind: IntType, gate: u64, offset: u64) -> None:
    """An interrupt or trap gate of 16 or 32 bits; `kind` is the type of what it pushes."""
    selector = gate >> 16 & 0xFFFF
    descriptor = handler_descriptor(cpu, selector)
    rights = descriptor_rights(descriptor)
    inner = not is_conforming(rights) and dpl_of(rights) < cpu.cpl
    if cpu.segment_rules == SegmentRules.VIRTUAL_8086 and (not inner or dpl_of(rights) != 0):
        general_protection(cpu, selector_code(cpu, selector))
    flags = pushed_flags(cpu)
    if inner:
        enter_inner_handler(cpu, kind, selector, descriptor, offset, flags)
    else:
        enter_same_level(cpu, kind, selector, descriptor, offset, flags)
    cpu.rflags_other = cpu.rflags_other & ~u64(CLEARED)
    if gate & 1 << 40 == 0:
        cpu.rflags_other = cpu.rflags_other & ~u64(Rflags.if_.mask)
    cpu.rip = offset
    refresh_privilege(cpu)


@microcode
def check_handler_offset(cpu: Cpu, descriptor: u64, offset: u64) -> None:
    """The handler must start within the limit of its segment; #GP(EXT)."""
    if offset > u64(descriptor_limit(descriptor)):
        general_protection(cpu, u32(event_is_external(cpu)))


@microcode
def enter_same_level(cpu: Cpu, kind: IntType, selector: u64, descriptor: u64, offset: u64, flags: u64) -> None:
    """Push flags, CS, EIP and the error code on the present stack; load CS at the same CPL."""
    size = u64(kind.bytes * 3) + u64(cpu.delivering_has_error) * kind.bytes
    frame = stack_frame(cpu, kind, size)
    check_handler_offset(cpu, descriptor, offset)
    accessed = accessed_pointer(cpu, selector, descriptor)
    write_return(cpu, kind, frame, flags)
    set_stack_pointer(cpu, cpu.gpr[RSP] - size)
    set_segment(cpu, u64(Segment.CS), (selector & 0xFFFC) | u64(cpu.cpl), descriptor, accessed)


@microcode
def enter_inner_handler(cpu: Cpu, kind: IntType, selector: u64, descriptor: u64, offset: u64, flags: u64) -> None:
    """Switch to the stack of the handler's level, push the old stack there, and in virtual-8086 mode the data segments."""
    level = u64(dpl_of(descriptor_rights(descriptor)))
    virtual = cpu.segment_rules == SegmentRules.VIRTUAL_8086
    stack, top = find_inner_stack(cpu, level)
    stack_descriptor = check_inner_stack(cpu, stack, level)
    size = u64(kind.bytes * 9) if virtual else u64(kind.bytes * 5)
    size += u64(cpu.delivering_has_error) * kind.bytes
    frame = inner_stack_frame(cpu, kind, stack, stack_descriptor, top, size)
    check_handler_offset(cpu, descriptor, offset)
    code_accessed = accessed_pointer(cpu, selector, descriptor)
    stack_accessed = accessed_pointer(cpu, stack, stack_descriptor)
    end = write_return(cpu, kind, frame, flags)
    store(kind, end, kind(cpu.gpr[RSP]))
    store(kind, end + kind.bytes, kind(cpu.segments[Segment.SS].selector))
    if virtual:
        for number, segment in enumerate((Segment.ES, Segment.DS, Segment.FS, Segment.GS)):
            store(kind, end + (2 + number) * kind.bytes, kind(cpu.segments[segment].selector))
            set_null_segment(cpu, u64(segment), u64(0))
    bottom = inner_stack_offset(stack_descriptor, top - size)
    set_inner_stack(cpu, stack, stack_descriptor, stack_accessed, bottom, top)
    set_segment(cpu, u64(Segment.CS), (selector & 0xFFFC) | level, descriptor, code_accessed)


@inline
def write_return(cpu: Cpu, kind: IntType, frame: int, flags: int) -> int:
    """Store error code, EIP, CS and flags from `frame` upward; the pointer behind them."""
    place = frame + u64(cpu.delivering_has_error) * kind.bytes
    if cpu.delivering_has_error != 0:
        store(kind, frame, kind(cpu.delivering_error))
    store(kind, place, kind(return_address(cpu)))
    store(kind, place + kind.bytes, kind(cpu.segments[Segment.CS].selector))
    store(kind, place + 2 * kind.bytes, kind(flags))
    return place + 3 * kind.bytes
