"""Loads, stores and exchanges (Vol. 1 §8.3.3 “Data Transfer Instructions”).

A store works out its value first (`…_to_store`), so that the memory write, which may fault, comes before any change
of state; then `finish_store` reports and pops.
"""

from __future__ import annotations

from vmxon.microcode import inline, microcode, u32, u64
from vmxon.processor.floating.extended import INDEFINITE, INDEFINITE_HEAD, QUIET, is_signaling
from vmxon.processor.floating.extended_convert import (
    DECIMAL_INDEFINITE_HIGH,
    DECIMAL_INDEFINITE_LOW,
    narrow,
    narrow_decimal,
    narrow_integer,
    widen,
)
from vmxon.processor.floating.formats import (
    BEFORE,
    INVALID,
    MODE_SHIFT,
    OVERFLOW,
    PRECISION,
    ROUNDED_UP,
    STACK_FAULT,
    TOWARD_ZERO,
    UNDERFLOW,
    Format,
)
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.x87.registers import (
    clear_c1,
    head,
    is_empty,
    pops,
    push,
    push_indefinite,
    put,
    report,
    significand,
)

UNDERFLOWED = INVALID | STACK_FAULT


@microcode
def load_real(cpu: Cpu, source: Format, bits: u64) -> None:
    """Push a single or double."""
    new_head, value, flags = widen(source, bits)
    if is_signaling(new_head, value):
        value = value | QUIET
        flags = u32(INVALID)
    push(cpu, new_head, value, flags)


@microcode
def load_register(cpu: Cpu, index: u32) -> None:
    """Push ST(index)."""
    if is_empty(cpu, index):
        push_indefinite(cpu, u32(UNDERFLOWED))
        return
    push(cpu, head(cpu, index), significand(cpu, index), u32(0))


@microcode
def real_to_store(cpu: Cpu, target: Format) -> tuple[u64, u32]:
    """ST(0) as a single or double, and flags."""
    if is_empty(cpu, 0):
        return u64(target.indefinite), u32(UNDERFLOWED)
    return narrow(target, head(cpu, 0), significand(cpu, 0), u32(cpu.x87_control))


@microcode
def integer_to_store(cpu: Cpu, width: int, truncates: int) -> tuple[u64, u32]:
    """ST(0) as a signed integer of `width` bits, and flags; rounded as the control word says, or toward zero."""
    if is_empty(cpu, 0):
        return u64(1 << (width - 1)), u32(UNDERFLOWED)
    control = u32(cpu.x87_control)
    if truncates:
        control = control | (TOWARD_ZERO << MODE_SHIFT)
    return narrow_integer(width, head(cpu, 0), significand(cpu, 0), control)


@microcode
def decimal_to_store(cpu: Cpu) -> tuple[u64, u32, u32]:
    """ST(0) as packed BCD (low, high), and flags."""
    if is_empty(cpu, 0):
        return u64(DECIMAL_INDEFINITE_LOW), u32(DECIMAL_INDEFINITE_HIGH), u32(UNDERFLOWED)
    return narrow_decimal(head(cpu, 0), significand(cpu, 0), u32(cpu.x87_control))


@microcode
def extended_to_store(cpu: Cpu) -> tuple[u64, u32, u32]:
    """ST(0) as it is (significand, head), and flags."""
    if is_empty(cpu, 0):
        return u64(INDEFINITE), u32(INDEFINITE_HEAD), u32(UNDERFLOWED)
    return significand(cpu, 0), head(cpu, 0), u32(0)


@inline
def is_refused(cpu: Cpu, flags: int) -> bool:
    """Whether an unmasked exception keeps a result out of memory."""
    return flags & ~u32(cpu.x87_control) & (BEFORE | OVERFLOW | UNDERFLOW) != 0


@microcode
def finish_store(cpu: Cpu, count: int, flags: u32) -> None:
    """Report what a store to memory met, and pop unless that is refused."""
    if is_refused(cpu, flags):
        report(cpu, flags & ~u32(PRECISION | ROUNDED_UP))
    else:
        report(cpu, flags)
        pops(cpu, count)


@microcode
def store_register(cpu: Cpu, count: int, index: u32) -> None:
    """ST(index) := ST(0), then pop."""
    if is_empty(cpu, 0):
        if not report(cpu, u32(UNDERFLOWED)):
            put(cpu, index, u32(INDEFINITE_HEAD), u64(INDEFINITE))
            pops(cpu, count)
        return
    clear_c1(cpu)
    put(cpu, index, head(cpu, 0), significand(cpu, 0))
    pops(cpu, count)


@microcode
def exchange(cpu: Cpu, index: u32) -> None:
    """Exchange ST(0) and ST(index); an empty one counts as the indefinite where invalid operations are masked."""
    top_empty = is_empty(cpu, 0)
    other_empty = is_empty(cpu, index)
    top_head = head(cpu, 0)
    top = significand(cpu, 0)
    other_head = head(cpu, index)
    other = significand(cpu, index)
    if top_empty:
        top_head = u32(INDEFINITE_HEAD)
        top = u64(INDEFINITE)
    if other_empty:
        other_head = u32(INDEFINITE_HEAD)
        other = u64(INDEFINITE)
    flags = u32(UNDERFLOWED) if top_empty | other_empty else u32(0)
    if not report(cpu, flags):
        put(cpu, 0, other_head, other)
        put(cpu, index, top_head, top)


@microcode
def move_if(cpu: Cpu, condition: bool, index: u32) -> None:
    """ST(0) := ST(index) where the condition holds; both must be there in any case (FCMOVcc)."""
    if is_empty(cpu, 0) | is_empty(cpu, index):
        if not report(cpu, u32(UNDERFLOWED)):
            put(cpu, 0, u32(INDEFINITE_HEAD), u64(INDEFINITE))
        return
    if condition:
        put(cpu, 0, head(cpu, index), significand(cpu, index))
