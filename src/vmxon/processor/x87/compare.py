"""Comparisons and classification (Vol. 1 §8.3.6 “Comparison and Classification Instructions”)."""

from __future__ import annotations

from vmxon.microcode import microcode, u16, u32, u64
from vmxon.processor.flags import CARRY, PARITY, ZERO
from vmxon.processor.floating.extended import (
    compare_extended,
    is_denormal,
    is_infinite,
    is_nan,
    is_negative,
    is_unsupported,
    is_zero,
)
from vmxon.processor.floating.formats import INVALID, STACK_FAULT
from vmxon.processor.floating.simd import EQUAL, LESS, UNORDERED
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.x87.registers import C0, C1, C2, C3, head, is_empty, pops, report, set_conditions, significand

RESULT = C0 | C2 | C3


@microcode
def conditions_of(outcome: u32) -> u32:
    """C3, C2, C0 of an outcome (Vol. 2A “FCOM/FCOMP/FCOMPP”, Table 3-21)."""
    if outcome == LESS:
        return u32(C0)
    if outcome == EQUAL:
        return u32(C3)
    if outcome == UNORDERED:
        return u32(RESULT)
    return u32(0)


@microcode
def conclude(cpu: Cpu, count: int, outcome: u32, flags: u32) -> None:
    """Report a comparison in C3, C2, C0 and pop, unless an unmasked exception forbids the pop."""
    refused = report(cpu, flags)
    cpu.x87_status = u16((u32(cpu.x87_status) & ~u32(RESULT)) | conditions_of(outcome))
    if not refused:
        pops(cpu, count)


@microcode
def compare_with(cpu: Cpu, signal_quiet: int, count: int, other_head: u32, other: u64, denormal: u32, other_empty: bool) -> None:
    """Compare ST(0) with a number."""
    if is_empty(cpu, 0) | other_empty:
        conclude(cpu, count, u32(UNORDERED), u32(INVALID | STACK_FAULT))
        return
    outcome, flags = compare_extended(signal_quiet, head(cpu, 0), significand(cpu, 0), other_head, other, denormal)
    conclude(cpu, count, outcome, flags)


@microcode
def compare_register(cpu: Cpu, signal_quiet: int, count: int, index: u32) -> None:
    """Compare ST(0) with ST(index)."""
    compare_with(cpu, signal_quiet, count, head(cpu, index), significand(cpu, index), u32(0), is_empty(cpu, index))


@microcode
def compare_to_flags(cpu: Cpu, signal_quiet: int, count: int, index: u32) -> u64:
    """Compare ST(0) with ST(index); gives ZF, PF, CF in their RFLAGS places (FCOMI, FUCOMI)."""
    outcome = u32(UNORDERED)
    flags = u32(INVALID | STACK_FAULT)
    if not (is_empty(cpu, 0) | is_empty(cpu, index)):
        outcome, flags = compare_extended(
            signal_quiet, head(cpu, 0), significand(cpu, 0), head(cpu, index), significand(cpu, index), u32(0)
        )
    if not report(cpu, flags):
        pops(cpu, count)
    return flags_of(outcome)


@microcode
def flags_of(outcome: u32) -> u64:
    """ZF, PF, CF of an outcome: as for unsigned integers, all three where unordered (Vol. 2A “COMISD”)."""
    if outcome == LESS:
        return u64(CARRY)
    if outcome == EQUAL:
        return u64(ZERO)
    if outcome == UNORDERED:
        return u64(ZERO | PARITY | CARRY)
    return u64(0)


@microcode
def examine_top(cpu: Cpu) -> None:
    """C3, C2, C0 tell the class of ST(0), C1 its sign, even where it is empty (FXAM)."""
    top_head = head(cpu, 0)
    top = significand(cpu, 0)
    kind = u32(C2)
    if is_empty(cpu, 0):
        kind = u32(C3 | C0)
    elif is_unsupported(top_head, top):
        kind = u32(0)
    elif is_nan(top_head, top):
        kind = u32(C0)
    elif is_infinite(top_head, top):
        kind = u32(C2 | C0)
    elif is_zero(top_head, top):
        kind = u32(C3)
    elif is_denormal(top_head, top):
        kind = u32(C3 | C2)
    set_conditions(cpu, kind | (u32(C1) if is_negative(top_head) else u32(0)))
