"""Arithmetic on the register stack (Vol. 1 §8.3.5 “Basic Arithmetic Instructions”)."""

from __future__ import annotations

from vmxon.microcode import inline, microcode, u16, u32, u64
from vmxon.processor.floating.extended import INDEFINITE, INDEFINITE_HEAD, calculate_extended, root_extended
from vmxon.processor.floating.extended_convert import extract_extended, integral_extended
from vmxon.processor.floating.formats import INVALID, ROUNDED_UP, STACK_FAULT
from vmxon.processor.floating.remainder import NO_QUOTIENT, remainder_extended, scale_extended
from vmxon.processor.floating.simd import Operation
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.x87.registers import (
    C2,
    CONDITIONS,
    clear_c1,
    head,
    is_empty,
    pops,
    put,
    report,
    rotate,
    significand,
    underflow,
)


@microcode
def register_arithmetic(cpu: Cpu, operation: Operation, count: int, left: u32, right: u32, destination: u32) -> None:
    """ST(destination) := ST(left) (operation) ST(right), then `count` pops."""
    if is_empty(cpu, left) | is_empty(cpu, right):
        underflow(cpu, destination, count)
        return
    new_head, result, flags = calculate_extended(
        operation,
        head(cpu, left),
        significand(cpu, left),
        head(cpu, right),
        significand(cpu, right),
        u32(cpu.x87_control),
        u32(0),
    )
    if not report(cpu, flags):
        put(cpu, destination, new_head, result)
        pops(cpu, count)


@microcode
def memory_arithmetic(cpu: Cpu, operation: Operation, reverse: int, other_head: u32, other: u64, denormal: u32) -> None:
    """ST(0) := ST(0) (operation) other, or with the operands exchanged where `reverse` is 1."""
    if is_empty(cpu, 0):
        underflow(cpu, u32(0), 0)
        return
    control = u32(cpu.x87_control)
    if reverse == 1:
        new_head, result, flags = calculate_extended(operation, other_head, other, head(cpu, 0), significand(cpu, 0), control, denormal)
    else:
        new_head, result, flags = calculate_extended(operation, head(cpu, 0), significand(cpu, 0), other_head, other, control, denormal)
    if not report(cpu, flags):
        put(cpu, 0, new_head, result)


@inline
def replace_top(cpu: Cpu, new_head: int, result: int, flags: int) -> None:
    """Put a result into ST(0) unless an exception forbids it."""
    if not report(cpu, flags):
        put(cpu, 0, new_head, result)


@microcode
def square_root_top(cpu: Cpu) -> None:
    """ST(0) := √ST(0)."""
    if is_empty(cpu, 0):
        underflow(cpu, u32(0), 0)
        return
    new_head, result, flags = root_extended(head(cpu, 0), significand(cpu, 0), u32(cpu.x87_control))
    replace_top(cpu, new_head, result, flags)


@microcode
def round_top(cpu: Cpu) -> None:
    """ST(0) := ST(0) rounded to an integer."""
    if is_empty(cpu, 0):
        underflow(cpu, u32(0), 0)
        return
    new_head, result, flags = integral_extended(head(cpu, 0), significand(cpu, 0), u32(cpu.x87_control))
    replace_top(cpu, new_head, result, flags)


@microcode
def scale_top(cpu: Cpu) -> None:
    """ST(0) := ST(0) · 2^truncate(ST(1))."""
    if is_empty(cpu, 0) | is_empty(cpu, 1):
        underflow(cpu, u32(0), 0)
        return
    new_head, result, flags = scale_extended(head(cpu, 0), significand(cpu, 0), head(cpu, 1), significand(cpu, 1), u32(cpu.x87_control))
    replace_top(cpu, new_head, result, flags)


@microcode
def remainder_top(cpu: Cpu, nearest: int) -> None:
    """ST(0) := partial remainder of ST(0) / ST(1); C2 = 1 while it is incomplete, else C0, C3, C1 show the quotient."""
    if is_empty(cpu, 0) | is_empty(cpu, 1):
        cpu.x87_status = u16(cpu.x87_status & ~u16(C2))
        underflow(cpu, u32(0), 0)
        return
    new_head, result, flags, conditions = remainder_extended(
        nearest, head(cpu, 0), significand(cpu, 0), head(cpu, 1), significand(cpu, 1), u32(cpu.x87_control)
    )
    refused = report(cpu, flags)
    if refused | (conditions == NO_QUOTIENT):
        cpu.x87_status = u16(cpu.x87_status & ~u16(C2))
    else:
        cpu.x87_status = u16((u32(cpu.x87_status) & ~u32(CONDITIONS)) | conditions)
    if not refused:
        put(cpu, 0, new_head, result)


@microcode
def extract_top(cpu: Cpu) -> None:
    """ST(0) := exponent of ST(0), then push its significand."""
    exponent_head, exponent, fraction_head, fraction, flags = extract_extended(head(cpu, 0), significand(cpu, 0))
    overflows = not is_empty(cpu, 7)
    if is_empty(cpu, 0) | overflows:
        exponent_head = u32(INDEFINITE_HEAD)
        exponent = u64(INDEFINITE)
        fraction_head = u32(INDEFINITE_HEAD)
        fraction = u64(INDEFINITE)
        flags = u32(INVALID | STACK_FAULT)
        if overflows & (not is_empty(cpu, 0)):
            flags = flags | ROUNDED_UP
    if not report(cpu, flags):
        put(cpu, 0, exponent_head, exponent)
        rotate(cpu, 7)
        put(cpu, 0, fraction_head, fraction)


@microcode
def change_sign(cpu: Cpu, keep: u32, flip: u32) -> None:
    """ST(0)'s head := head & keep ^ flip (FABS, FCHS); NaNs and unsupported encodings raise nothing."""
    if is_empty(cpu, 0):
        underflow(cpu, u32(0), 0)
        return
    clear_c1(cpu)
    put(cpu, 0, (head(cpu, 0) & keep) ^ flip, significand(cpu, 0))
