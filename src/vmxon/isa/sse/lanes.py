"""Integer elements of a 64-bit half: taking them apart, an operation on each, putting them together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vmxon.isa.operands import MemoryOperand, MmxOperand, XmmOperand
from vmxon.microcode import IntType, inline, microcode, u64, unsigned
from vmxon.processor.mmx import check_mmx
from vmxon.processor.simd import check_sse
from vmxon.processor.state import ProcessorState as Cpu

BYTE, WORD, DOUBLEWORD, QUADWORD = (unsigned(bits) for bits in (8, 16, 32, 64))
"""Types of elements."""
Vector = XmmOperand | MemoryOperand
"""An XMM register or memory in its place."""
Register = XmmOperand | MmxOperand
Source = XmmOperand | MmxOperand | MemoryOperand
"""Operands of what exists for XMM and for MMX registers."""
Lane = Callable[[IntType, int, int], int]
"""An operation on two elements of a type, or on an element and a shift count."""


@dataclass(frozen=True, slots=True)
class Named:
    """An operation as a static argument: it shows as its name, so what is compiled for it has one name in every process."""

    operation: Lane

    def __repr__(self) -> str:
        return self.operation.__name__


@microcode
def each_lane(kind: IntType, named: Named, left: u64, right: u64) -> u64:
    """operation(kind, l, r) for the elements l, r of two halves."""
    result = u64(0)
    for position in range(0, 64, kind.bits):
        value = named.operation(kind, kind(left >> position), kind(right >> position))
        result = result | (u64(value) << position)
    return result


@inline
def check_vector(cpu: Cpu, operand: Register) -> None:
    """May the instruction use a register of this kind?"""
    if isinstance(operand, MmxOperand):
        check_mmx(cpu)
    else:
        check_sse(cpu)


@inline
def lanes(cpu: Cpu, destination: Register, source: Source, kind: IntType, operation: Lane) -> None:
    """destination := operation on each pair of elements."""
    check_vector(cpu, destination)
    if isinstance(destination, MmxOperand):
        destination.write_low(each_lane(kind, Named(operation), destination.read_low(), source.read_low()))
        return
    low, high = source.read_halves()
    destination.write_halves(
        each_lane(kind, Named(operation), destination.read_low(), low),
        each_lane(kind, Named(operation), destination.read_high(), high),
    )


@inline
def halves(cpu: Cpu, destination: Register, source: Source, operation: Callable[[int, int], int]) -> None:
    """destination := operation on each pair of 64-bit halves."""
    check_vector(cpu, destination)
    if isinstance(destination, MmxOperand):
        destination.write_low(operation(destination.read_low(), source.read_low()))
        return
    low, high = source.read_halves()
    destination.write_halves(operation(destination.read_low(), low), operation(destination.read_high(), high))


# Operations.
@inline
def add(kind: IntType, left: int, right: int) -> int:
    """Wrapping sum."""
    return left + right


@inline
def subtract(kind: IntType, left: int, right: int) -> int:
    """Wrapping difference."""
    return left - right


@inline
def clamp(value: int, lowest: int, highest: int) -> int:
    """A signed value limited to a range."""
    above = highest if value > highest else value
    return lowest if value < lowest else above


@inline
def add_signed(kind: IntType, left: int, right: int) -> int:
    """Sum with signed saturation."""
    wide = kind.signed.double
    return kind(clamp(wide(kind.signed(left)) + wide(kind.signed(right)), -(1 << (kind.bits - 1)), kind.mask >> 1))


@inline
def subtract_signed(kind: IntType, left: int, right: int) -> int:
    """Difference with signed saturation."""
    wide = kind.signed.double
    return kind(clamp(wide(kind.signed(left)) - wide(kind.signed(right)), -(1 << (kind.bits - 1)), kind.mask >> 1))


@inline
def add_unsigned(kind: IntType, left: int, right: int) -> int:
    """Sum with unsigned saturation."""
    total = left + right
    return kind(kind.mask) if total < left else total


@inline
def subtract_unsigned(kind: IntType, left: int, right: int) -> int:
    """Difference with unsigned saturation."""
    return kind(0) if left < right else left - right


@inline
def equal(kind: IntType, left: int, right: int) -> int:
    """All ones where equal."""
    return kind(kind.mask) if left == right else kind(0)


@inline
def greater(kind: IntType, left: int, right: int) -> int:
    """All ones where left > right as signed numbers."""
    return kind(kind.mask) if kind.signed(left) > kind.signed(right) else kind(0)


@inline
def average(kind: IntType, left: int, right: int) -> int:
    """(left + right + 1) / 2."""
    wide = kind.double
    return kind((wide(left) + wide(right) + 1) >> 1)


@inline
def minimum_unsigned(kind: IntType, left: int, right: int) -> int:
    """The smaller."""
    return left if left < right else right


@inline
def maximum_unsigned(kind: IntType, left: int, right: int) -> int:
    """The larger."""
    return left if left > right else right


@inline
def minimum_signed(kind: IntType, left: int, right: int) -> int:
    """The smaller signed number."""
    return left if kind.signed(left) < kind.signed(right) else right


@inline
def maximum_signed(kind: IntType, left: int, right: int) -> int:
    """The larger signed number."""
    return left if kind.signed(left) > kind.signed(right) else right


@inline
def multiply_low(kind: IntType, left: int, right: int) -> int:
    """The lower half of the product."""
    return left * right


@inline
def multiply_high_unsigned(kind: IntType, left: int, right: int) -> int:
    """The upper half of the unsigned product."""
    wide = kind.double
    return kind((wide(left) * wide(right)) >> kind.bits)


@inline
def multiply_high_signed(kind: IntType, left: int, right: int) -> int:
    """The upper half of the signed product."""
    wide = kind.signed.double
    return kind((wide(kind.signed(left)) * wide(kind.signed(right))) >> kind.bits)
