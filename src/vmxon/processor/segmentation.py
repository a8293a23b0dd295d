"""Segment registers in use: what the hidden parts allow, the mode that CS and SS select, and the full address check.

A load of a segment register fills base, limit and rights (processor/descriptors.py); `refresh_segment` derives from them what
every access tests. Changes of CS, SS, CR0, EFER.LMA or RFLAGS.VM are followed by `refresh_mode` or `refresh_privilege`.
"""

from __future__ import annotations

from enum import IntEnum

from vmxon.arch.control import Cr0, Cr4, Efer
from vmxon.arch.flags import Rflags
from vmxon.arch.paging import BITS_4_LEVELS, BITS_5_LEVELS
from vmxon.arch.segments import AccessRights, SegmentType
from vmxon.microcode import i64, inline, microcode, u8, u32, u64
from vmxon.processor.exceptions import general_protection, stack_fault
from vmxon.processor.state import CodeSize, Segment
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.tlb import select_class, select_space

ALL_ONES = (1 << 64) - 1
UNUSABLE = AccessRights.unusable.mask
LONG = AccessRights.l.mask
BIG = AccessRights.db.mask
CODE = SegmentType.code.mask
READABLE = WRITABLE = SegmentType.writable_or_readable.mask
EXPAND_DOWN = SegmentType.expand_down_or_conforming.mask


class SegmentRules(IntEnum):
    """How segment registers are loaded and what their hidden parts mean."""

    REAL, VIRTUAL_8086, PROTECTED, LONG = range(4)


@inline
def protected(cpu: Cpu) -> bool:
    """CR0.PE = 1 and RFLAGS.VM = 0: selectors name descriptors."""
    return cpu.segment_rules >= SegmentRules.PROTECTED


@inline
def is_null(selector: int) -> bool:
    """A null selector: entry 0 of the GDT, whatever its RPL."""
    return selector & 0xFFFC == 0


@inline
def canonical(cpu: Cpu, address: int) -> bool:
    """The bits above those that paging uses repeat the top one of them."""
    return repeats(address, cpu.linear_bits)


@inline
def loadable(cpu: Cpu, address: int) -> bool:
    """The same by what the processor can do: for MSRs, bases of segments and tables, and invalidations, whatever CR4.LA57 is."""
    return repeats(address, cpu.linear_width)


@inline
def repeats(address: int, width: int) -> bool:
    """The bits of an address above `width` (u8) repeat the top one below."""
    unused = 64 - u64(width)
    return u64(i64(address << unused) >> unused) == address


@microcode
def refresh_segment(cpu: Cpu, index: u64) -> None:
    """Derive the tests of a data access from base, limit and rights (Vol. 3A §5.3 “Limit Checking”).

    Where an access is not allowed at all, the range is empty for any offset below 2^64 - 1.
    """
    rights = cpu.segments[index].rights
    limit = u64(cpu.segments[index].limit)
    first = u64(0)
    span = limit
    readable = rights & UNUSABLE == 0
    writable = rights & UNUSABLE == 0
    if cpu.segment_rules == SegmentRules.LONG:
        span = u64(ALL_ONES)
        readable = True
        writable = True
    elif cpu.segment_rules != SegmentRules.VIRTUAL_8086:
        if rights & (CODE | EXPAND_DOWN) == EXPAND_DOWN:
            highest = u64(0xFFFF_FFFF) if rights & BIG != 0 else u64(0xFFFF)
            first = limit + 1
            span = highest - first
            if limit >= highest:
                readable = False
                writable = False
        if cpu.segment_rules == SegmentRules.PROTECTED:
            readable = readable and rights & (CODE | READABLE) != CODE
            writable = writable and rights & (CODE | WRITABLE) == WRITABLE
    cpu.segments[index].read_first = first if readable else u64(ALL_ONES)
    cpu.segments[index].read_span = span if readable else u64(0)
    cpu.segments[index].write_first = first if writable else u64(ALL_ONES)
    cpu.segments[index].write_span = span if writable else u64(0)
    cpu.segments[index].read_allowed = u8(readable)
    cpu.segments[index].write_allowed = u8(writable)


@microcode
def refresh_segments(cpu: Cpu) -> None:
    """`refresh_segment` for the six that data accesses go through; the two flat ones of 64-bit mode never change."""
    index = u64(0)
    while index < 6:
        refresh_segment(cpu, index)
        index += 1
    for flat in (Segment.FLAT_DATA, Segment.FLAT_STACK):
        cpu.segments[flat].base = u64(0)
        cpu.segments[flat].read_first = u64(0)
        cpu.segments[flat].read_span = u64(ALL_ONES)
        cpu.segments[flat].write_first = u64(0)
        cpu.segments[flat].write_span = u64(ALL_ONES)


@microcode
def refresh_mode(cpu: Cpu) -> None:
    """Derive all that depends on mode and privilege, and select the address space: after changes of control registers."""
    derive_mode(cpu)
    select_space(cpu)


@microcode
def refresh_privilege(cpu: Cpu) -> None:
    """The same after changes of CS, SS or RFLAGS alone, which leave the address space as it is."""
    derive_mode(cpu)
    select_class(cpu)


@microcode
def derive_mode(cpu: Cpu) -> None:
    """Mode, CPL, code size and stack width from CS, SS, CR0, EFER and RFLAGS.VM.

    CPL is SS.DPL, which every transfer keeps so (Vol. 3C §25.4.1 “Guest Register State”).
    """
    rights = cpu.segments[Segment.CS].rights
    stack = cpu.segments[Segment.SS].rights
    cpu.long_mode = u8(cpu.efer & Efer.lma.mask != 0)
    cpu.linear_bits = u8(BITS_4_LEVELS)
    if cpu.long_mode != 0 and cpu.cr4 & Cr4.la57.mask != 0:
        cpu.linear_bits = u8(BITS_5_LEVELS)
    rules = u8(SegmentRules.PROTECTED)
    code_size = u8(CodeSize.BITS32) if rights & BIG != 0 else u8(CodeSize.BITS16)
    stack_shift = u8(32) if stack & BIG != 0 else u8(48)
    cpl = u8(stack >> 5) & 3
    if cpu.cr0 & Cr0.pe.mask == 0:
        rules = u8(SegmentRules.REAL)
        cpl = u8(0)
    elif cpu.rflags_other & Rflags.vm.mask != 0:
        rules = u8(SegmentRules.VIRTUAL_8086)
        cpl = u8(3)
    elif cpu.long_mode != 0 and rights & LONG != 0:
        rules = u8(SegmentRules.LONG)
        code_size = u8(CodeSize.BITS64)
        stack_shift = u8(0)
    changed = rules != cpu.segment_rules
    cpu.segment_rules = rules
    cpu.code_size = code_size
    cpu.stack_shift = stack_shift
    cpu.cpl = cpl
    if changed:
        refresh_segments(cpu)


@microcode
def segment_linear(cpu: Cpu, segment: u64, offset: u64, size: u64, write: bool) -> u64:
    """The linear address of `size` bytes at `offset`, fully checked: null, type, limit, canonical form; #GP(0) or #SS(0)."""
    if cpu.segment_rules == SegmentRules.LONG:
        linear = offset
        if segment >= Segment.FS:
            linear = cpu.segments[segment].base + offset
        if not canonical(cpu, linear) or not canonical(cpu, linear + (size - 1)):
            refuse_access(cpu, segment)
        return linear
    first = cpu.segments[segment].write_first if write else cpu.segments[segment].read_first
    span = cpu.segments[segment].write_span if write else cpu.segments[segment].read_span
    if offset - first > span or offset + (size - 1) - first > span:
        refuse_access(cpu, segment)
    return u64(u32(cpu.segments[segment].base + offset))


@microcode
def refuse_access(cpu: Cpu, segment: u64) -> None:
    """#SS(0) for an access through SS, #GP(0) for any other; with EXT while an event is delivered."""
    if segment == Segment.SS or segment == Segment.FLAT_STACK:
        stack_fault(cpu, u32(event_is_external(cpu)))
    general_protection(cpu, u32(event_is_external(cpu)))


@inline
def event_is_external(cpu: Cpu) -> bool:
    """An event other than INT n, INT3 and INTO is being delivered: error codes have EXT (Vol. 3A §6.13 “Error Code”)."""
    return cpu.delivering != 0 and cpu.delivering_soft != 4 and cpu.delivering_soft != 6
