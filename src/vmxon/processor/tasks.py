"""Task switches through 16- and 32-bit TSSs (Vol. 3A §7.3 “Task Switching”).

Everything about the two TSSs is checked and translated before the first write. Then the new task is the present one: what
goes wrong while its segments are loaded is an exception of the new task, at its first instruction (cpu.deferred).
"""

from __future__ import annotations

from enum import IntEnum

from vmxon.arch.control import Cr0
from vmxon.arch.exceptions import Vector
from vmxon.arch.flags import Rflags
from vmxon.arch.segments import SystemType
from vmxon.microcode import IntType, attempt, fault, inline, load, microcode, store, u8, u16, u32, u64
from vmxon.processor.breakpoints import debug_registers_changed
from vmxon.processor.control import uses_pdptes
from vmxon.processor.descriptors import (
    BUSY,
    KIND,
    PRESENT,
    descriptor_base,
    descriptor_limit,
    descriptor_rights,
    load_ldtr,
    read_descriptor,
    selector_code,
    set_system_segment,
    type_pointer,
)
from vmxon.processor.exceptions import abandon, general_protection, invalid_tss, not_present, raise_with_code
from vmxon.processor.flags import write_rflags
from vmxon.processor.inner_stack import stack_frame
from vmxon.processor.memory import readable_system, writable_system
from vmxon.processor.paging import load_pdptes
from vmxon.processor.segmentation import refresh_mode
from vmxon.processor.slots import intercept_task_switch
from vmxon.processor.stack import set_stack_pointer
from vmxon.processor.state import FaultKind, Segment
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.task_segments import load_task_segments, set_unloaded_segments
from vmxon.processor.time import ticks
from vmxon.processor.tlb_pages import invalidate_space

RSP = 4
WIDE_TSS = 8
ALL_FLAGS = 0x3F_7FD5
FLAGS_16 = 0x7FD5
LIMIT_32, LIMIT_16 = 0x67, 0x2B
"""Smallest limits of a TSS."""
DEBUG_TRAP = 1 << 15
"""DR6.BT."""
LOCAL_BREAKPOINTS = 0x155
"""DR7.L0–L3 and LE."""


class TaskSource(IntEnum):
    """What started the switch, numbered as in the exit qualification (Vol. 3C Table 28-2)."""

    CALL, IRET, JMP, GATE = range(4)


NESTING = (TaskSource.CALL, TaskSource.GATE)
"""The old task stays busy, the new one links to it and sets RFLAGS.NT."""


@microcode
def switch_task(cpu: Cpu, selector: u64, source: int, return_rip: u64, flags: u64) -> None:
    """Leave the present task for the one whose TSS `selector` names. The old task resumes at `return_rip` with `flags`.

    On success cpu.rip and cpu.next_rip are the new task's. The caller has checked privilege; #GP, #TS or #NP of `selector`
    leave the old task as it was.
    """
    new = task_descriptor(cpu, selector, source)
    wide = descriptor_rights(new) & WIDE_TSS != 0
    if u64(descriptor_limit(new)) < (u64(LIMIT_32) if wide else u64(LIMIT_16)):
        invalid_tss(cpu, selector_code(cpu, selector))
    intercept_task_switch(cpu, selector, u64(source))
    if cpu.segments[Segment.TR].rights & WIDE_TSS != 0:
        save_pointer = writable_system(cpu, cpu.segments[Segment.TR].base + 0x20, 0x40)
    else:
        save_pointer = writable_system(cpu, cpu.segments[Segment.TR].base + 0x0E, 0x1C)
    base = descriptor_base(new)
    new_pointer = readable_system(cpu, base, 0x68) if wide else readable_system(cpu, base, 0x2C)
    link_pointer = writable_system(cpu, base, 2) if source in NESTING else u64(0)
    new_type = type_pointer(cpu, selector)
    old_type = type_pointer(cpu, u64(cpu.segments[Segment.TR].selector))
    leave_task(cpu, source, save_pointer, return_rip, flags)
    if source in NESTING:
        store(u16, link_pointer, cpu.segments[Segment.TR].selector)
    else:
        store(u8, old_type, load(u8, old_type) & (~BUSY & 0xFF))
    store(u8, new_type, u8(new >> 40) | BUSY)
    set_system_segment(cpu, u64(Segment.TR), selector, new | BUSY << 40, base)
    cpu.cr0 = cpu.cr0 | Cr0.ts.mask
    cpu.dr[7] = cpu.dr[7] & ~u64(LOCAL_BREAKPOINTS)
    debug_registers_changed(cpu)
    nested = u64(Rflags.nt.mask) if source in NESTING else u64(0)
    entered = attempt(enter_task_32, cpu, new_pointer, nested) if wide else attempt(enter_task_16, cpu, new_pointer, nested)
    if entered and source == TaskSource.GATE and cpu.delivering_has_error != 0:
        entered = attempt(push_task_error, cpu)
    if not entered:
        defer_fault(cpu)


@microcode
def defer_fault(cpu: Cpu) -> None:
    """The new task's first exception: its instruction pointer is loaded, so the old instruction cannot carry it."""
    if cpu.fault_kind == FaultKind.EXCEPTION:
        cpu.deferred = u8(1)
        cpu.deferred_vector = cpu.fault_vector
        cpu.deferred_error = cpu.fault_error
        cpu.deferred_has_error = cpu.fault_has_error
        cpu.deferred_address = cpu.fault_address
        cpu.attention = u8(1)
        abandon(cpu)
    fault()


@microcode
def task_descriptor(cpu: Cpu, selector: u64, source: int) -> u64:
    """The descriptor of the new TSS: in the GDT, a TSS, busy exactly for IRET, present."""
    vector = u32(Vector.TS) if source == TaskSource.IRET else u32(Vector.GP)
    if selector & 4 != 0:
        raise_with_code(cpu, vector, selector_code(cpu, selector))
    descriptor = read_descriptor(cpu, selector, vector)
    rights = descriptor_rights(descriptor)
    wanted = u32(BUSY) if source == TaskSource.IRET else u32(0)
    if rights & (KIND & ~WIDE_TSS) != SystemType.AVAILABLE_TSS_16 | wanted:
        raise_with_code(cpu, vector, selector_code(cpu, selector))
    if rights & PRESENT == 0:
        not_present(cpu, selector_code(cpu, selector))
    return descriptor


@microcode
def leave_task(cpu: Cpu, source: int, pointer: u64, return_rip: u64, flags: u64) -> None:
    """Save the old task from its instruction pointer on."""
    saved = flags & ~u64(Rflags.nt.mask) if source == TaskSource.IRET else flags
    if cpu.segments[Segment.TR].rights & WIDE_TSS != 0:
        save_registers(cpu, u32, pointer, return_rip, saved)
        for number, segment in enumerate((Segment.ES, Segment.CS, Segment.SS, Segment.DS, Segment.FS, Segment.GS)):
            store(u16, pointer + 0x28 + 4 * number, cpu.segments[segment].selector)
    else:
        save_registers(cpu, u16, pointer, return_rip, saved)
        for number, segment in enumerate((Segment.ES, Segment.CS, Segment.SS, Segment.DS)):
            store(u16, pointer + 0x14 + 2 * number, cpu.segments[segment].selector)


@inline
def save_registers(cpu: Cpu, kind: IntType, pointer: int, return_rip: int, flags: int) -> None:
    """Instruction pointer, flags and the eight general registers, `kind` wide."""
    store(kind, pointer, kind(return_rip))
    store(kind, pointer + kind.bytes, kind(flags))
    for number in range(8):
        store(kind, pointer + (2 + number) * kind.bytes, kind(cpu.gpr[number]))


@microcode
def enter_task_32(cpu: Cpu, pointer: u64, nested: u64) -> None:
    """Load the task from a 32-bit TSS at host address `pointer`."""
    for number in range(8):
        cpu.gpr[number] = u64(load(u32, pointer + 0x28 + 4 * number))
    trap = load(u16, pointer + 0x64) & 1 != 0
    flags = u64(load(u32, pointer + 0x24)) | nested
    write_rflags(cpu, flags, u64(ALL_FLAGS))
    cpu.resume_ticks = ticks(cpu)
    enter_at(cpu, u64(load(u32, pointer + 0x20)))
    for number, segment in enumerate((Segment.ES, Segment.CS, Segment.SS, Segment.DS, Segment.FS, Segment.GS)):
        cpu.segments[segment].selector = load(u16, pointer + 0x48 + 4 * number)
    local = u64(load(u16, pointer + 0x60))
    if cpu.cr0 & Cr0.pg.mask != 0:
        new_cr3 = u64(load(u32, pointer + 0x1C))
        set_unloaded_segments(cpu)
        if new_cr3 != cpu.cr3:
            if uses_pdptes(cpu):
                load_pdptes(cpu, new_cr3)
            cpu.cr3 = new_cr3
        refresh_mode(cpu)
        invalidate_space(cpu)
    load_task(cpu, local)
    if trap:
        cpu.pending_debug = cpu.pending_debug | DEBUG_TRAP


@microcode
def enter_task_16(cpu: Cpu, pointer: u64, nested: u64) -> None:
    """Load the task from a 16-bit TSS, which has neither CR3 nor FS and GS; high halves of registers become 0."""
    for number in range(8):
        cpu.gpr[number] = u64(load(u16, pointer + 0x12 + 2 * number))
    write_rflags(cpu, u64(load(u16, pointer + 0x10)) | nested, u64(ALL_FLAGS))
    enter_at(cpu, u64(load(u16, pointer + 0x0E)))
    for number, segment in enumerate((Segment.ES, Segment.CS, Segment.SS, Segment.DS)):
        cpu.segments[segment].selector = load(u16, pointer + 0x22 + 2 * number)
    cpu.segments[Segment.FS].selector = u16(0)
    cpu.segments[Segment.GS].selector = u16(0)
    load_task(cpu, u64(load(u16, pointer + 0x2A)))


@inline
def enter_at(cpu: Cpu, address: int) -> None:
    """Faults from here on, and the next instruction, are at the new task's instruction pointer."""
    cpu.rip = address
    cpu.next_rip = address


@microcode
def load_task(cpu: Cpu, local: u64) -> None:
    """LDTR and the segment registers of the new task, with their #TS, #NP and #SS."""
    set_unloaded_segments(cpu)
    refresh_mode(cpu)
    load_ldtr(cpu, local, u32(Vector.TS))
    load_task_segments(cpu)
    refresh_mode(cpu)
    if cpu.rip > u64(cpu.segments[Segment.CS].limit):
        general_protection(cpu, 0)


@microcode
def return_to_linked_task(cpu: Cpu, return_rip: u64, flags: u64) -> None:
    """IRET with RFLAGS.NT: back to the task in the link field of this TSS."""
    link = u64(load(u16, readable_system(cpu, cpu.segments[Segment.TR].base, 2)))
    switch_task(cpu, link, TaskSource.IRET, return_rip, flags)


@microcode
def push_task_error(cpu: Cpu) -> None:
    """The error code of an exception that a task gate delivered, on the new task's stack."""
    if cpu.segments[Segment.TR].rights & WIDE_TSS != 0:
        store(u32, stack_frame(cpu, u32, u64(4)), cpu.delivering_error)
        set_stack_pointer(cpu, cpu.gpr[RSP] - 4)
    else:
        store(u16, stack_frame(cpu, u16, u64(2)), u16(cpu.delivering_error))
        set_stack_pointer(cpu, cpu.gpr[RSP] - 2)
