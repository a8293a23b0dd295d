"""IRET, IRETD and IRETQ in every mode (Vol. 2A “IRET/IRETD/IRETQ—Interrupt Return”)."""

from __future__ import annotations

from vmxon.arch.flags import STATUS, Rflags
from vmxon.microcode import IntType, inline, microcode, u8, u16, u32, u64
from vmxon.processor.descriptors import accessed_pointer, set_real_segment, set_segment
from vmxon.processor.exceptions import general_protection
from vmxon.processor.flags import read_rflags, write_rflags
from vmxon.processor.returns import (
    check_return_code,
    check_return_stack,
    check_target,
    commit_outer_return,
    drop_inner_segments,
    load_stack_pointer,
    stack_word,
)
from vmxon.processor.segmentation import SegmentRules, protected, refresh_privilege
from vmxon.processor.slots import on_iret_unblock_nmi
from vmxon.processor.stack import set_stack_pointer
from vmxon.processor.state import CodeSize, Segment
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.tasks import return_to_linked_task
from vmxon.processor.time import ticks
from vmxon.processor.virtual_8086 import check_virtual_flags, lacks_iopl, need_extensions, set_virtual_interrupt_flag

RSP = 4
ANY_LEVEL_16 = STATUS | Rflags.tf.mask | Rflags.df.mask | Rflags.nt.mask
ANY_LEVEL_32 = ANY_LEVEL_16 | Rflags.rf.mask | Rflags.ac.mask | Rflags.id.mask
VIRTUAL_FLAGS = Rflags.vif.mask | Rflags.vip.mask
VIRTUAL_8086_FLAGS = ANY_LEVEL_32 | Rflags.if_.mask | Rflags.iopl.mask | Rflags.vm.mask | VIRTUAL_FLAGS


@microcode
def return_from_interrupt(cpu: Cpu, kind: IntType) -> None:
    """IRET with operands of type `kind`: pops instruction pointer, CS and flags, and more where the level changes."""
    if lacks_iopl(cpu):
        need_extensions(cpu, kind.bits)
    # A fault later in this instruction does not block NMIs again (Vol. 3A §6.7.1 “Handling Multiple NMIs”).
    on_iret_unblock_nmi(cpu)
    cpu.attention = u8(1)
    if not protected(cpu):
        return_real(cpu, kind)
    elif cpu.rflags_other & Rflags.nt.mask != 0:
        if cpu.long_mode != 0:
            general_protection(cpu, 0)
        return_to_linked_task(cpu, cpu.next_rip, read_rflags(cpu))
    else:
        return_protected(cpu, kind)


@microcode
def return_real(cpu: Cpu, kind: IntType) -> None:
    """Real-address mode, and virtual-8086 mode, which keeps IOPL and, with IOPL below 3, has VIF in the place of IF."""
    offset = stack_word(cpu, kind, u64(0))
    selector = stack_word(cpu, kind, u64(kind.bytes)) & 0xFFFF
    flags = stack_word(cpu, kind, u64(2 * kind.bytes))
    if offset > u64(cpu.segments[Segment.CS].limit):
        general_protection(cpu, 0)
    writable = u64(flags_of_level(kind)) | Rflags.if_.mask
    if lacks_iopl(cpu):
        check_virtual_flags(cpu, flags)
        set_virtual_interrupt_flag(cpu, flags)
        writable = u64(flags_of_level(kind))
    elif cpu.segment_rules == SegmentRules.REAL:
        writable = writable | Rflags.iopl.mask
    set_stack_pointer(cpu, cpu.gpr[RSP] + 3 * kind.bytes)
    set_real_segment(cpu, u64(Segment.CS), selector)
    write_rflags(cpu, flags, writable)
    resume(cpu, offset)


@inline
def flags_of_level(kind: IntType) -> int:
    """The static mask of flags that IRET of this operand size loads at any privilege level."""
    return ANY_LEVEL_16 if kind.bits == 16 else ANY_LEVEL_32


@inline
def resume(cpu: Cpu, offset: int) -> None:
    """Go on at `offset`; RF, if it was loaded, holds for one instruction."""
    cpu.next_rip = offset
    cpu.resume_ticks = ticks(cpu)
    refresh_privilege(cpu)


@microcode
def return_protected(cpu: Cpu, kind: IntType) -> None:
    """Protected and IA-32e mode; 64-bit mode always pops SS:RSP."""
    offset = stack_word(cpu, kind, u64(0))
    selector = stack_word(cpu, kind, u64(kind.bytes)) & 0xFFFF
    flags = stack_word(cpu, kind, u64(2 * kind.bytes))
    if kind.bits == 32 and flags & Rflags.vm.mask != 0 and cpu.cpl == 0 and cpu.long_mode == 0:
        return_to_virtual_8086(cpu, offset, selector, flags)
        return
    descriptor = check_return_code(cpu, selector)
    writable = writable_flags(cpu, kind)
    if selector & 3 == u64(cpu.cpl) and cpu.code_size != CodeSize.BITS64:
        check_target(cpu, descriptor, offset)
        set_segment(cpu, u64(Segment.CS), selector, descriptor, accessed_pointer(cpu, selector, descriptor))
        set_stack_pointer(cpu, cpu.gpr[RSP] + 3 * kind.bytes)
    else:
        pointer = stack_word(cpu, kind, u64(3 * kind.bytes))
        stack = stack_word(cpu, kind, u64(4 * kind.bytes)) & 0xFFFF
        stack_descriptor = check_return_stack(cpu, stack, selector, descriptor)
        check_target(cpu, descriptor, offset)
        commit_outer_return(cpu, selector, descriptor, stack, stack_descriptor)
        load_stack_pointer(cpu, pointer)
        drop_inner_segments(cpu)
    write_rflags(cpu, flags, writable)
    resume(cpu, offset)


@microcode
def writable_flags(cpu: Cpu, kind: IntType) -> u64:
    """The flags that IRET may load here: IF needs CPL <= IOPL; IOPL, VIF and VIP need CPL 0."""
    writable = u64(flags_of_level(kind))
    if u64(cpu.cpl) <= cpu.rflags_other >> Rflags.iopl.low & 3:
        writable = writable | Rflags.if_.mask
    if cpu.cpl == 0:
        writable = writable | Rflags.iopl.mask
        if kind.bits != 16:
            writable = writable | VIRTUAL_FLAGS
    return writable


@microcode
def return_to_virtual_8086(cpu: Cpu, offset: u64, selector: u64, flags: u64) -> None:
    """From level 0 to virtual-8086 mode: nine doublewords."""
    pointer = stack_word(cpu, u32, u64(12))
    stack = stack_word(cpu, u32, u64(16))
    extra = stack_word(cpu, u32, u64(20))
    data = stack_word(cpu, u32, u64(24))
    third = stack_word(cpu, u32, u64(28))
    fourth = stack_word(cpu, u32, u64(32))
    if offset & 0xFFFF != offset:
        general_protection(cpu, 0)
    write_rflags(cpu, flags, u64(VIRTUAL_8086_FLAGS))
    cpu.segments[Segment.CS].selector = u16(selector)
    cpu.segments[Segment.SS].selector = u16(stack)
    cpu.segments[Segment.ES].selector = u16(extra)
    cpu.segments[Segment.DS].selector = u16(data)
    cpu.segments[Segment.FS].selector = u16(third)
    cpu.segments[Segment.GS].selector = u16(fourth)
    refresh_privilege(cpu)
    index = u64(0)
    while index < 6:
        set_real_segment(cpu, index, u64(cpu.segments[index].selector))
        index += 1
    cpu.gpr[RSP] = pointer
    resume(cpu, offset)
