"""The segment registers of a task that is being entered: selectors first, then descriptors, faults as #TS (Vol. 3A Table 7-1)."""

from __future__ import annotations

from vmxon.arch.exceptions import Vector
from vmxon.arch.flags import Rflags
from vmxon.arch.segments import AccessRights
from vmxon.microcode import microcode, u8, u32, u64
from vmxon.processor.descriptors import (
    CODE_KIND,
    NOT_SYSTEM,
    PRESENT,
    WRITABLE_DATA,
    accessed_pointer,
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
from vmxon.processor.exceptions import invalid_tss, not_present, stack_fault
from vmxon.processor.segmentation import UNUSABLE, is_null, refresh_mode, refresh_segment
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.state import Segment

DATA_SEGMENTS = (Segment.ES, Segment.DS, Segment.FS, Segment.GS)


@microcode
def set_unloaded_segments(cpu: Cpu) -> None:
    """Segment registers whose selectors are loaded and whose hidden parts are not; SS keeps CPL, the RPL of CS."""
    index = u64(0)
    while index < 6:
        cpu.segments[index].rights = u32(UNUSABLE)
        cpu.segments[index].base = u64(0)
        cpu.segments[index].limit = u32(0)
        refresh_segment(cpu, index)
        index += 1
    level = u32(cpu.segments[Segment.CS].selector) & 3
    cpu.segments[Segment.SS].rights = level << AccessRights.dpl.low | UNUSABLE


@microcode
def load_task_segments(cpu: Cpu) -> None:
    """Load the hidden parts of all six; the mode was refreshed, so that CPL is the new task's."""
    if cpu.rflags_other & Rflags.vm.mask != 0:
        index = u64(0)
        while index < 6:
            set_real_segment(cpu, index, u64(cpu.segments[index].selector))
            index += 1
        return
    load_task_code(cpu, u64(cpu.segments[Segment.CS].selector))
    load_task_stack(cpu, u64(cpu.segments[Segment.SS].selector))
    refresh_mode(cpu)
    for segment in DATA_SEGMENTS:
        load_task_data(cpu, u64(segment), u64(cpu.segments[segment].selector))


@microcode
def load_task_code(cpu: Cpu, selector: u64) -> None:
    """CS: code; DPL equal to RPL, or at most that if conforming; present."""
    if is_null(selector):
        invalid_tss(cpu, selector_code(cpu, selector))
    descriptor = read_descriptor(cpu, selector, u32(Vector.TS))
    rights = descriptor_rights(descriptor)
    level = u8(selector) & 3
    if not is_code(rights) or dpl_of(rights) > level or (not is_conforming(rights) and dpl_of(rights) != level):
        invalid_tss(cpu, selector_code(cpu, selector))
    if rights & PRESENT == 0:
        not_present(cpu, selector_code(cpu, selector))
    set_segment(cpu, u64(Segment.CS), selector, descriptor, accessed_pointer(cpu, selector, descriptor))


@microcode
def load_task_stack(cpu: Cpu, selector: u64) -> None:
    """SS: writable data; RPL and DPL equal to CPL; present."""
    if is_null(selector):
        invalid_tss(cpu, selector_code(cpu, selector))
    descriptor = read_descriptor(cpu, selector, u32(Vector.TS))
    rights = descriptor_rights(descriptor)
    if u8(selector) & 3 != cpu.cpl or not is_writable_data(rights) or dpl_of(rights) != cpu.cpl:
        invalid_tss(cpu, selector_code(cpu, selector))
    if rights & PRESENT == 0:
        stack_fault(cpu, selector_code(cpu, selector))
    set_segment(cpu, u64(Segment.SS), selector, descriptor, accessed_pointer(cpu, selector, descriptor))


@microcode
def load_task_data(cpu: Cpu, segment: u64, selector: u64) -> None:
    """DS, ES, FS, GS: null, or data or readable code that CPL and RPL may use, present."""
    if is_null(selector):
        set_null_segment(cpu, segment, selector)
        return
    descriptor = read_descriptor(cpu, selector, u32(Vector.TS))
    rights = descriptor_rights(descriptor)
    if rights & NOT_SYSTEM == 0 or rights & (CODE_KIND | WRITABLE_DATA) == CODE_KIND:
        invalid_tss(cpu, selector_code(cpu, selector))
    if not is_conforming(rights) and (u8(selector) & 3 > dpl_of(rights) or cpu.cpl > dpl_of(rights)):
        invalid_tss(cpu, selector_code(cpu, selector))
    if rights & PRESENT == 0:
        not_present(cpu, selector_code(cpu, selector))
    set_segment(cpu, segment, selector, descriptor, accessed_pointer(cpu, selector, descriptor))
