"""SSE: who may use it, its exceptions, arithmetic on all elements (Vol. 1 §11.5 “SSE, SSE2, and SSE3 Exceptions”)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from vmxon.microcode import inline, microcode, u32, u64
from vmxon.processor.exceptions import device_not_available, general_protection, simd_error, undefined_opcode
from vmxon.processor.floating.formats import BEFORE, DOUBLE, SINGLE, Format
from vmxon.processor.floating.simd import (
    Operation,
    calculate,
    compare,
    extreme,
    satisfies,
    simd_control,
    square_root,
)
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.x87.compare import flags_of

CR0_EM, CR0_TS = 1 << 2, 1 << 3
CR4_OSFXSR, CR4_OSXMMEXCPT = 1 << 9, 1 << 10
MXCSR_INITIAL = 0x1F80
MXCSR_MASK = 0xFFFF
"""Bits of MXCSR that exist, DAZ included; the others must be written 0."""
LOW_SINGLE = 0xFFFF_FFFF


@inline
def check_sse(cpu: Cpu) -> None:
    """#UD where CR0.EM = 1 or CR4.OSFXSR = 0, then #NM where CR0.TS = 1 (Vol. 3A Table 2-2)."""
    if ((cpu.cr0 & (CR0_EM | CR0_TS)) | (~cpu.cr4 & CR4_OSFXSR)) != 0:
        sse_unavailable(cpu)


@microcode
def sse_unavailable(cpu: Cpu) -> NoReturn:
    """The exception of `check_sse`."""
    if ((cpu.cr0 & CR0_EM) | (~cpu.cr4 & CR4_OSFXSR)) != 0:
        undefined_opcode(cpu)
    device_not_available(cpu)


@inline
def load_mxcsr(cpu: Cpu, value: int) -> None:
    """MXCSR := value; #GP(0) where a reserved bit is 1."""
    if value & ~u32(MXCSR_MASK) != 0:
        general_protection(cpu, 0)
    cpu.mxcsr = value


@microcode
def report_simd(cpu: Cpu, flags: u32) -> None:
    """Record exception flags; an unmasked one is #XM, or #UD where CR4.OSXMMEXCPT = 0, before any result is written."""
    masks = cpu.mxcsr >> 7
    found = flags
    if flags & ~masks & BEFORE != 0:
        # An unmasked exception of the operands stops the instruction before results, and their exceptions, exist.
        found = flags & BEFORE
    cpu.mxcsr = cpu.mxcsr | found
    if found & ~masks & 0x3F != 0:
        if cpu.cr4 & CR4_OSXMMEXCPT == 0:
            undefined_opcode(cpu)
        simd_error(cpu)


@inline
def element(target: Format, half: int, position: int) -> int:
    """The pattern that starts at a bit of a half."""
    if target.precision == SINGLE.precision:
        return (half >> position) & LOW_SINGLE
    return half


def positions(target: Format) -> tuple[int, ...]:
    """Where the elements of a half start."""
    return (0, 32) if target.precision == SINGLE.precision else (0,)


@microcode
def half_arithmetic(operation: Operation, target: Format, left: u64, right: u64, control: u32) -> tuple[u64, u32]:
    """One operation on the elements of a half, and the flags of all."""
    result = u64(0)
    flags = u32(0)
    for position in positions(target):
        one = element(target, left, position)
        other = element(target, right, position)
        if operation in (Operation.MINIMUM, Operation.MAXIMUM):
            value, more = extreme(operation, target, one, other, control)
        else:
            value, more = calculate(operation, target, one, other, control)
        result = result | (value << position)
        flags = flags | more
    return result, flags


@microcode
def packed_arithmetic(
    cpu: Cpu, operation: Operation, target: Format, left_low: u64, left_high: u64, right_low: u64, right_high: u64
) -> tuple[u64, u64]:
    """left (operation) right, element by element."""
    control = simd_control(cpu.mxcsr)
    low, low_flags = half_arithmetic(operation, target, left_low, right_low, control)
    high, high_flags = half_arithmetic(operation, target, left_high, right_high, control)
    report_simd(cpu, low_flags | high_flags)
    return low, high


@microcode
def scalar_arithmetic(cpu: Cpu, operation: Operation, target: Format, left: u64, right: u64) -> u64:
    """The new lower half of the destination: its first element is replaced."""
    control = simd_control(cpu.mxcsr)
    one = element(target, left, 0)
    other = element(target, right, 0)
    if operation in (Operation.MINIMUM, Operation.MAXIMUM):
        value, flags = extreme(operation, target, one, other, control)
    else:
        value, flags = calculate(operation, target, one, other, control)
    report_simd(cpu, flags)
    return with_element(target, left, value)


@inline
def with_element(target: Format, half: int, value: int) -> int:
    """A half whose first element is replaced."""
    if target.precision == DOUBLE.precision:
        return value
    return (half & ~u64(LOW_SINGLE)) | value


@microcode
def scalar_root(cpu: Cpu, target: Format, left: u64, right: u64) -> u64:
    """The lower half of the destination with the root of the source's first element."""
    value, flags = square_root(target, element(target, right, 0), simd_control(cpu.mxcsr))
    report_simd(cpu, flags)
    return with_element(target, left, value)


@microcode
def packed_root(cpu: Cpu, target: Format, low: u64, high: u64) -> tuple[u64, u64]:
    """Square roots of all elements."""
    control = simd_control(cpu.mxcsr)
    new_low = u64(0)
    new_high = u64(0)
    flags = u32(0)
    for position in positions(target):
        value, more = square_root(target, element(target, low, position), control)
        new_low = new_low | (value << position)
        flags = flags | more
        value, more = square_root(target, element(target, high, position), control)
        new_high = new_high | (value << position)
        flags = flags | more
    report_simd(cpu, flags)
    return new_low, new_high


@microcode
def half_compare(target: Format, predicate: int, left: u64, right: u64, control: u32) -> tuple[u64, u32]:
    """All ones for each element whose predicate holds, and the flags of all."""
    result = u64(0)
    flags = u32(0)
    ones = LOW_SINGLE if target.precision == SINGLE.precision else (1 << 64) - 1
    for position in positions(target):
        holds, more = satisfies(target, predicate, element(target, left, position), element(target, right, position), control)
        if holds:
            result = result | (ones << position)
        flags = flags | more
    return result, flags


@microcode
def half_compare_any(target: Format, predicate: u32, left: u64, right: u64, control: u32) -> tuple[u64, u32]:
    """`half_compare` for a predicate of the immediate."""
    result = u64(0)
    flags = u32(0)
    for known in range(8):
        if predicate == known:
            result, flags = half_compare(target, known, left, right, control)
    return result, flags


@microcode
def packed_compare(
    cpu: Cpu, target: Format, predicate: u32, left_low: u64, left_high: u64, right_low: u64, right_high: u64
) -> tuple[u64, u64]:
    """CMPPS and CMPPD."""
    control = simd_control(cpu.mxcsr)
    low, low_flags = half_compare_any(target, predicate, left_low, right_low, control)
    high, high_flags = half_compare_any(target, predicate, left_high, right_high, control)
    report_simd(cpu, low_flags | high_flags)
    return low, high


@microcode
def scalar_compare(cpu: Cpu, target: Format, predicate: u32, left: u64, right: u64) -> u64:
    """CMPSS and CMPSD: the new lower half of the destination."""
    control = simd_control(cpu.mxcsr)
    # The element above must raise nothing: both sides get the same zero there.
    value, flags = half_compare_any(target, predicate, element(target, left, 0), element(target, right, 0), control)
    report_simd(cpu, flags)
    return with_element(target, left, value & LOW_SINGLE if target.precision == SINGLE.precision else value)


Estimate = Callable[[u64], u64]
"""`reciprocal_estimate` or `reciprocal_root_estimate`."""


@inline
def half_estimate(estimate: Estimate, half: int) -> int:
    """RCPPS or RSQRTPS on the two elements of a half."""
    return estimate(half & LOW_SINGLE) | (estimate(half >> 32) << 32)


@microcode
def compare_to_flags(cpu: Cpu, target: Format, signal_quiet: int, left: u64, right: u64) -> u64:
    """ZF, PF, CF of a comparison of first elements in their RFLAGS places (COMISS and its kin)."""
    outcome, flags = compare(target, signal_quiet, element(target, left, 0), element(target, right, 0), simd_control(cpu.mxcsr))
    report_simd(cpu, flags)
    return flags_of(outcome)
