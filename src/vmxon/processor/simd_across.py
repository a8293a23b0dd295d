"""Arithmetic whose elements meet their neighbours: ADDSUB, HADD, HSUB of SSE3, and ROUND and the dot products of SSE4.1."""

from __future__ import annotations

from vmxon.microcode import inline, microcode, u32, u64
from vmxon.processor.floating.convert import integral
from vmxon.processor.floating.formats import DOUBLE, MODE_SHIFT, PRECISION, SINGLE, Format
from vmxon.processor.floating.simd import Operation, calculate, simd_control
from vmxon.processor.simd import LOW_SINGLE, element, positions, report_simd, with_element
from vmxon.processor.state import ProcessorState as Cpu

ROUND_MODE, ROUND_BY_MXCSR, ROUND_SILENTLY = 3, 4, 8
"""The immediate of ROUND (Vol. 2B Figure 4-24 “Bit Control Fields of Immediate Byte for ROUNDxx Instruction”)."""


@microcode
def alternating(
    cpu: Cpu, target: Format, left_low: u64, left_high: u64, right_low: u64, right_high: u64
) -> tuple[u64, u64]:
    """ADDSUBPS and ADDSUBPD: even elements subtracted, odd ones added."""
    control = simd_control(cpu.mxcsr)
    if target.precision == DOUBLE.precision:
        low, low_flags = calculate(Operation.SUBTRACT, target, left_low, right_low, control)
        high, high_flags = calculate(Operation.ADD, target, left_high, right_high, control)
    else:
        low, low_flags = alternating_half(left_low, right_low, control)
        high, high_flags = alternating_half(left_high, right_high, control)
    report_simd(cpu, low_flags | high_flags)
    return low, high


@microcode
def alternating_half(left: u64, right: u64, control: u32) -> tuple[u64, u32]:
    """Two singles."""
    difference, flags = calculate(Operation.SUBTRACT, SINGLE, left & LOW_SINGLE, right & LOW_SINGLE, control)
    total, more = calculate(Operation.ADD, SINGLE, left >> 32, right >> 32, control)
    return difference | (total << 32), flags | more


@microcode
def neighbours(operation: Operation, target: Format, low: u64, high: u64, control: u32) -> tuple[u64, u32]:
    """A half of HADD or HSUB: the elements of one operand, first (operation) second."""
    if target.precision == DOUBLE.precision:
        return calculate(operation, target, low, high, control)
    first, flags = calculate(operation, target, low & LOW_SINGLE, low >> 32, control)
    second, more = calculate(operation, target, high & LOW_SINGLE, high >> 32, control)
    return first | (second << 32), flags | more


@microcode
def horizontal(
    cpu: Cpu, operation: Operation, target: Format, left_low: u64, left_high: u64, right_low: u64, right_high: u64
) -> tuple[u64, u64]:
    """HADDPS, HADDPD, HSUBPS, HSUBPD."""
    control = simd_control(cpu.mxcsr)
    low, low_flags = neighbours(operation, target, left_low, left_high, control)
    high, high_flags = neighbours(operation, target, right_low, right_high, control)
    report_simd(cpu, low_flags | high_flags)
    return low, high


@inline
def round_control(cpu: Cpu, order: int) -> int:
    """The control word of ROUND: its immediate (u32) may replace the rounding mode of MXCSR."""
    control = simd_control(cpu.mxcsr)
    own = (control & ~u32(ROUND_MODE << MODE_SHIFT)) | ((order & ROUND_MODE) << MODE_SHIFT)
    return control if order & ROUND_BY_MXCSR != 0 else own


@inline
def report_rounding(cpu: Cpu, order: int, flags: int) -> None:
    """Report flags, but for PRECISION where the immediate suppresses it."""
    report_simd(cpu, flags & ~u32(PRECISION) if order & ROUND_SILENTLY != 0 else flags)


@microcode
def packed_integral(cpu: Cpu, target: Format, order: u32, low: u64, high: u64) -> tuple[u64, u64]:
    """ROUNDPS and ROUNDPD."""
    control = round_control(cpu, order)
    new_low = u64(0)
    new_high = u64(0)
    flags = u32(0)
    for position in positions(target):
        value, more = integral(target, element(target, low, position), control)
        new_low = new_low | (value << position)
        flags = flags | more
        value, more = integral(target, element(target, high, position), control)
        new_high = new_high | (value << position)
        flags = flags | more
    report_rounding(cpu, order, flags)
    return new_low, new_high


@microcode
def scalar_integral(cpu: Cpu, target: Format, order: u32, left: u64, right: u64) -> u64:
    """ROUNDSS and ROUNDSD: the new lower half of the destination."""
    value, flags = integral(target, element(target, right, 0), round_control(cpu, order))
    report_rounding(cpu, order, flags)
    return with_element(target, left, value)


@microcode
def product_if(target: Format, chosen: bool, left: u64, right: u64, control: u32) -> tuple[u64, u32]:
    """left · right, or zero for an element that the immediate leaves out."""
    if chosen:
        return calculate(Operation.MULTIPLY, target, left, right, control)
    return u64(0), u32(0)


@microcode
def dot_doubles(cpu: Cpu, order: u32, left_low: u64, left_high: u64, right_low: u64, right_high: u64) -> tuple[u64, u64]:
    """DPPD: bits 5:4 of the immediate choose the products, bits 1:0 where the sum goes."""
    control = simd_control(cpu.mxcsr)
    first, first_flags = product_if(DOUBLE, order & 16 != 0, left_low, right_low, control)
    second, second_flags = product_if(DOUBLE, order & 32 != 0, left_high, right_high, control)
    report_simd(cpu, first_flags | second_flags)
    total, flags = calculate(Operation.ADD, DOUBLE, first, second, control)
    report_simd(cpu, flags)
    return total if order & 1 != 0 else u64(0), total if order & 2 != 0 else u64(0)


@microcode
def dot_singles(cpu: Cpu, order: u32, left_low: u64, left_high: u64, right_low: u64, right_high: u64) -> tuple[u64, u64]:
    """DPPS: bits 7:4 of the immediate choose the products, bits 3:0 where the sum goes."""
    control = simd_control(cpu.mxcsr)
    first, flags = product_if(SINGLE, order & 16 != 0, left_low & LOW_SINGLE, right_low & LOW_SINGLE, control)
    second, more = product_if(SINGLE, order & 32 != 0, left_low >> 32, right_low >> 32, control)
    flags = flags | more
    third, more = product_if(SINGLE, order & 64 != 0, left_high & LOW_SINGLE, right_high & LOW_SINGLE, control)
    flags = flags | more
    fourth, more = product_if(SINGLE, order & 128 != 0, left_high >> 32, right_high >> 32, control)
    report_simd(cpu, flags | more)
    lower, flags = calculate(Operation.ADD, SINGLE, first, second, control)
    upper, more = calculate(Operation.ADD, SINGLE, third, fourth, control)
    report_simd(cpu, flags | more)
    total, flags = calculate(Operation.ADD, SINGLE, lower, upper, control)
    report_simd(cpu, flags)
    low = (total if order & 1 != 0 else u64(0)) | (total << 32 if order & 2 != 0 else u64(0))
    high = (total if order & 4 != 0 else u64(0)) | (total << 32 if order & 8 != 0 else u64(0))
    return low, high
