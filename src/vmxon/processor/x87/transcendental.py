"""Transcendental functions on the register stack (Vol. 1 §8.3.7 “Trigonometric Instructions”, §8.3.9 “Logarithmic, …”)."""

from __future__ import annotations

from collections.abc import Callable

from vmxon.microcode import inline, microcode, u16, u32, u64
from vmxon.processor.floating.extended import (
    INDEFINITE,
    INDEFINITE_HEAD,
    INTEGER_BIT,
    denormal_flag,
    invalid_extended,
    is_infinite,
    is_negative,
    is_ordinary,
    propagate_extended,
    unpack_extended,
)
from vmxon.processor.floating.formats import INVALID, ROUNDED_UP, STACK_FAULT
from vmxon.processor.floating.logarithms import exponential
from vmxon.processor.floating.trigonometry import TOO_LARGE, circular, tangent
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.x87.arithmetic import replace_top
from vmxon.processor.x87.registers import C2, head, is_empty, pop, put, report, rotate, significand, underflow

ONE_HEAD = 0x3FFF
SINE, COSINE, TANGENT = range(3)
OfTwo = Callable[[u32, u64, u32, u64, u32], tuple[u32, u64, u32]]
"""A function of ST(1), ST(0) and the control word."""


@inline
def set_incomplete(cpu: Cpu, incomplete: bool) -> None:
    """C2: the operand was too large and stays."""
    cpu.x87_status = u16(u32(cpu.x87_status) & ~u32(C2) | (u32(incomplete) * C2))


@inline
def is_out_of_range(head: int, significand: int) -> bool:
    """A finite number of at least 2^63."""
    exponent, _ = unpack_extended(head, significand)
    return is_ordinary(head, significand) & (not is_infinite(head, significand)) & (exponent >= TOO_LARGE)


@microcode
def value_of(function: int, head: u32, significand: u64, control: u32) -> tuple[u32, u64, u32]:
    """Sine, cosine or tangent of a number below 2^63, a NaN or an infinity."""
    if not is_ordinary(head, significand):
        return propagate_extended(head, significand, head, significand)
    if is_infinite(head, significand):
        return invalid_extended()
    if significand == 0:
        if function == COSINE:
            return u32(ONE_HEAD), u64(INTEGER_BIT), u32(0)
        return head, significand, u32(0)
    flags = denormal_flag(head, significand)
    exponent, normal = unpack_extended(head, significand)
    if function == TANGENT:
        return tangent(is_negative(head), exponent, normal, control, flags)
    return circular(function, is_negative(head), exponent, normal, control, flags)


@microcode
def circular_top(cpu: Cpu, function: int) -> None:
    """ST(0) := sine or cosine of ST(0)."""
    set_incomplete(cpu, False)
    if is_empty(cpu, 0):
        underflow(cpu, u32(0), 0)
        return
    if is_out_of_range(head(cpu, 0), significand(cpu, 0)):
        set_incomplete(cpu, True)
        return
    new_head, result, flags = value_of(function, head(cpu, 0), significand(cpu, 0), u32(cpu.x87_control))
    replace_top(cpu, new_head, result, flags)


@microcode
def stack_fault_of_two(cpu: Cpu) -> None:
    """ST(0) is empty or ST(7) is not: the masked response puts the indefinite into both results."""
    flags = u32(INVALID | STACK_FAULT)
    if not is_empty(cpu, 0):
        flags = flags | ROUNDED_UP
    if not report(cpu, flags):
        put(cpu, 0, u32(INDEFINITE_HEAD), u64(INDEFINITE))
        rotate(cpu, 7)
        put(cpu, 0, u32(INDEFINITE_HEAD), u64(INDEFINITE))


@microcode
def circular_pair(cpu: Cpu, functions: tuple[int, int]) -> None:
    """ST(0) := a function of ST(0), then push another: sine and cosine."""
    set_incomplete(cpu, False)
    if is_empty(cpu, 0) | (not is_empty(cpu, 7)):
        stack_fault_of_two(cpu)
        return
    if is_out_of_range(head(cpu, 0), significand(cpu, 0)):
        set_incomplete(cpu, True)
        return
    control = u32(cpu.x87_control)
    first_head, first, flags = value_of(functions[0], head(cpu, 0), significand(cpu, 0), control)
    second_head, second, more = value_of(functions[1], head(cpu, 0), significand(cpu, 0), control)
    if not report(cpu, flags & ~u32(ROUNDED_UP) | more):
        put(cpu, 0, first_head, first)
        rotate(cpu, 7)
        put(cpu, 0, second_head, second)


@microcode
def tangent_top(cpu: Cpu) -> None:
    """ST(0) := tangent of ST(0), then push 1, or what is no number twice."""
    set_incomplete(cpu, False)
    if is_empty(cpu, 0) | (not is_empty(cpu, 7)):
        stack_fault_of_two(cpu)
        return
    own_head = head(cpu, 0)
    own = significand(cpu, 0)
    if is_out_of_range(own_head, own):
        set_incomplete(cpu, True)
        return
    new_head, result, flags = value_of(TANGENT, own_head, own, u32(cpu.x87_control))
    ordinary = is_ordinary(new_head, result)
    if not report(cpu, flags):
        put(cpu, 0, new_head, result)
        rotate(cpu, 7)
        put(cpu, 0, u32(ONE_HEAD) if ordinary else new_head, u64(INTEGER_BIT) if ordinary else result)


@microcode
def exponential_top(cpu: Cpu) -> None:
    """ST(0) := 2^ST(0) - 1."""
    if is_empty(cpu, 0):
        underflow(cpu, u32(0), 0)
        return
    new_head, result, flags = exponential(head(cpu, 0), significand(cpu, 0), u32(cpu.x87_control))
    replace_top(cpu, new_head, result, flags)


@inline
def of_two(cpu: Cpu, function: OfTwo) -> None:
    """ST(1) := function of ST(1) and ST(0), pop."""
    if is_empty(cpu, 0) | is_empty(cpu, 1):
        underflow(cpu, u32(1), 1)
        return
    new_head, result, flags = function(head(cpu, 1), significand(cpu, 1), head(cpu, 0), significand(cpu, 0), u32(cpu.x87_control))
    if not report(cpu, flags):
        put(cpu, 1, new_head, result)
        pop(cpu)
