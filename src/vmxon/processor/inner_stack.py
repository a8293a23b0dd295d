"""The stack of a more privileged level, which interrupts and call gates switch to (Vol. 3A §5.8.5 “Stack Switching”)."""

from __future__ import annotations

from vmxon.arch.exceptions import Vector
from vmxon.arch.segments import AccessRights, Descriptor
from vmxon.microcode import IntType, load, microcode, u16, u32, u64
from vmxon.processor.descriptors import (
    PRESENT,
    descriptor_base,
    descriptor_rights,
    dpl_of,
    holds,
    is_writable_data,
    read_descriptor,
    selector_code,
    set_segment,
)
from vmxon.processor.exceptions import invalid_tss, stack_fault
from vmxon.processor.memory import readable_system, writable, writable_system
from vmxon.processor.segmentation import UNUSABLE, is_null, refresh_segment, segment_linear
from vmxon.processor.stack import stack_offset
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.state import Segment

RSP = 4
WIDE_TSS = 8
"""The type bit of a TSS that is not 16-bit."""


@microcode
def find_inner_stack(cpu: Cpu, level: u64) -> tuple[u64, u64]:
    """Selector and pointer of the stack of privilege `level`, from a 16- or 32-bit TSS; #TS(TSS) if it is too short."""
    base = cpu.segments[Segment.TR].base
    limit = u64(cpu.segments[Segment.TR].limit)
    if cpu.segments[Segment.TR].rights & WIDE_TSS == 0:
        if level * 4 + 5 > limit:
            invalid_tss(cpu, selector_code(cpu, u64(cpu.segments[Segment.TR].selector)))
        pointer = readable_system(cpu, base + level * 4 + 2, 4)
        return u64(load(u16, pointer + 2)), u64(load(u16, pointer))
    if level * 8 + 9 > limit:
        invalid_tss(cpu, selector_code(cpu, u64(cpu.segments[Segment.TR].selector)))
    pointer = readable_system(cpu, base + level * 8 + 4, 6)
    return u64(load(u16, pointer + 4)), u64(load(u32, pointer))


@microcode
def find_wide_stack(cpu: Cpu, offset: u64) -> u64:
    """The stack pointer at `offset` of the 64-bit TSS: RSP0–2 at 4, 12, 20; IST1–7 from 36; #TS(TSS) if it is too short."""
    if offset + 7 > u64(cpu.segments[Segment.TR].limit):
        invalid_tss(cpu, selector_code(cpu, u64(cpu.segments[Segment.TR].selector)))
    return load(u64, readable_system(cpu, cpu.segments[Segment.TR].base + offset, 8))


@microcode
def check_inner_stack(cpu: Cpu, selector: u64, level: u64) -> u64:
    """The descriptor of the new SS; #TS(SS) unless it is writable data of exactly that level, #SS(SS) if not present."""
    if is_null(selector):
        invalid_tss(cpu, selector_code(cpu, selector))
    descriptor = read_descriptor(cpu, selector, u32(Vector.TS))
    rights = descriptor_rights(descriptor)
    if selector & 3 != level or u64(dpl_of(rights)) != level or not is_writable_data(rights):
        invalid_tss(cpu, selector_code(cpu, selector))
    if rights & PRESENT == 0:
        stack_fault(cpu, selector_code(cpu, selector))
    return descriptor


@microcode
def inner_stack_frame(cpu: Cpu, kind: IntType, selector: u64, descriptor: u64, top: u64, size: u64) -> u64:
    """Host pointer of `size` bytes below `top` on the new stack; #SS(SS) where they do not fit."""
    offset = inner_stack_offset(descriptor, top - size)
    if not holds(descriptor, offset, size):
        stack_fault(cpu, selector_code(cpu, selector))
    return frame_pointer(cpu, kind, u64(u32(descriptor_base(descriptor) + offset)), size, True)


@microcode
def inner_stack_offset(descriptor: u64, pointer: u64) -> u64:
    """A stack pointer reduced to the width that the stack segment gives it."""
    return u64(u32(pointer)) if descriptor & Descriptor.db.mask != 0 else pointer & 0xFFFF


@microcode
def set_inner_stack(cpu: Cpu, selector: u64, descriptor: u64, accessed: u64, pointer: u64, top: u64) -> None:
    """Load SS and the stack pointer; where that has 16 bits, ESP keeps the high half of `top`, the value in the TSS."""
    set_segment(cpu, u64(Segment.SS), selector, descriptor, accessed)
    if descriptor & Descriptor.db.mask != 0:
        cpu.gpr[RSP] = u64(u32(pointer))
    else:
        cpu.gpr[RSP] = (top & 0xFFFF_0000) | (pointer & 0xFFFF)


@microcode
def set_wide_inner_stack(cpu: Cpu, level: u64) -> None:
    """Load SS with the null selector that IA-32e mode gives to a new inner level."""
    cpu.segments[Segment.SS].selector = u16(level)
    cpu.segments[Segment.SS].base = u64(0)
    cpu.segments[Segment.SS].limit = u32(0)
    cpu.segments[Segment.SS].rights = u32(level) << AccessRights.dpl.low | UNUSABLE
    refresh_segment(cpu, u64(Segment.SS))


@microcode
def stack_frame(cpu: Cpu, kind: IntType, size: u64) -> u64:
    """Host pointer of `size` bytes, words of type `kind`, below the top of the stack; #SS(0), with EXT while an event is delivered."""
    offset = stack_offset(cpu, cpu.gpr[RSP] - size)
    return frame_pointer(cpu, kind, segment_linear(cpu, u64(Segment.SS), offset, size, True), size, cpu.cpl != 3)


@microcode
def frame_pointer(cpu: Cpu, kind: IntType, linear: u64, size: u64, supervisor: bool) -> u64:
    """Host pointer for writing a frame of one of the sizes that gates and far calls push.

    Words are pushed from the top down, so the uppermost, or in the page below the first that lies there, is the one that faults.
    """
    word = linear + (size - kind.bytes)
    pointer = writable_system(cpu, word, kind.bytes) if supervisor else writable(cpu, word, kind.bytes)
    if (word ^ linear) >> 12 != 0:
        top = word >> 12
        while word >> 12 == top:
            word -= kind.bytes
        pointer = writable_system(cpu, word, kind.bytes) if supervisor else writable(cpu, word, kind.bytes)
    for candidate in (4, 6, 8, 10, 12, 16, 18, 20, 24, 32, 36, 40, 48):
        if size == candidate:
            pointer = writable_system(cpu, linear, candidate) if supervisor else writable(cpu, linear, candidate)
    return pointer
