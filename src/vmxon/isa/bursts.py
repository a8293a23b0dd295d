"""How far a repeated string instruction may go in one sweep over host pointers, and how it counts.

A sweep stays inside one page, one segment and the address size on each side, and inside the instruction budget: each
iteration counts one instruction. Whatever a host pointer cannot reach in one go (devices, pages with code, page
crossings) goes by single elements, each checked and committed alone.
"""

from __future__ import annotations

from vmxon.isa.record import Record
from vmxon.isa.strings import backward
from vmxon.microcode import IntType, inline, select, u64
from vmxon.processor.memory import fast_segment_linear, readable, writable
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.tlb import READ, WRITE, slot_offset
from vmxon.processor.tlb_fast import tlb_field


@inline
def minimum(left: int, right: int) -> int:
    """The smaller of two u64."""
    return select(left < right, left, right)


@inline
def allowance(cpu: Cpu, count: int) -> int:
    """How many of `count` iterations may run before somebody must look: one is paid for; one only under single step."""
    return select(cpu.single_step != 0, u64(1), minimum(count, cpu.budget + 1))


@inline
def must_stop(cpu: Cpu) -> bool:
    """The budget is spent, single-stepping, or a device or a deferred store waits for this iteration to be complete."""
    spent = cpu.budget == 0
    return spent | (cpu.single_step != 0) | (cpu.store_count != 0) | (cpu.memory_latch_count != 0)


@inline
def run_at(cpu: Cpu, record: Record, kind: IntType, segment: int, offset: int, write: bool) -> tuple[int, int]:
    """Host pointer to the element at an offset (may fault), and how many elements are in reach of it: at least 1."""
    linear = fast_segment_linear(cpu, segment, offset, kind.bytes, write)
    if write:
        pointer = writable(cpu, linear, kind.bytes, segment)
    else:
        pointer = readable(cpu, linear, kind.bytes, segment)
    held = tlb_field(cpu, slot_offset(linear), WRITE if write else READ)
    direct = (held == (linear & ~0xFFF | cpu.tag_current)) & (not backward(cpu))
    register = cpu.segments[segment]
    in_segment = register.write_span - (offset - register.write_first) if write else register.read_span - (offset - register.read_first)
    in_address = (u64(0xFFFFFFFFFFFFFFFF) >> record.address_shift) - offset
    last = minimum(minimum(0xFFF - (linear & 0xFFF), in_address), in_segment)
    elements = (last + 1) >> (kind.bytes.bit_length() - 1)
    return pointer, select(direct & (elements != 0), elements, u64(1))
