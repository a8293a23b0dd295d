"""SSE arithmetic on one element, a single or double as u64 (Vol. 1 §11.5 “SSE, SSE2, and SSE3 Exceptions”).

Each function gives the result and the exception flags. `control` is what `simd_control` makes of MXCSR.
"""

from __future__ import annotations

from enum import Enum

from vmxon.microcode import inline, microcode, u32, u64
from vmxon.processor.floating.encoding import (
    is_denormal,
    is_infinite,
    is_nan,
    is_negative,
    is_signaling,
    is_zero,
    magnitude,
    pack,
    unpack,
    with_denormals_as_zero,
)
from vmxon.processor.floating.exact import add_exact, divide_exact, multiply_exact, root_exact
from vmxon.processor.floating.formats import (
    DENORMAL,
    DENORMALS_ARE_ZERO,
    DOWNWARD,
    FLUSH_TO_ZERO,
    INVALID,
    MODE_SHIFT,
    ROUNDED_UP,
    ZERO_DIVIDE,
    Format,
)
from vmxon.processor.floating.rounding import round_finite, rounding_mode


class Operation(Enum):
    """The operations with two operands and one result."""

    ADD, SUBTRACT, MULTIPLY, DIVIDE, MINIMUM, MAXIMUM = range(6)


@inline
def simd_control(mxcsr: int) -> int:
    """The control word of arithmetic from MXCSR (Vol. 1 §10.2.3 “MXCSR Control and Status Register”)."""
    masks = (mxcsr >> 7) & 0x3F
    mode = ((mxcsr >> 13) & 3) << MODE_SHIFT
    flush = mxcsr & FLUSH_TO_ZERO
    zeros = (mxcsr << 8) & DENORMALS_ARE_ZERO
    return masks | mode | flush | zeros


@inline
def propagate(target: Format, left: int, right: int) -> tuple[int, int]:
    """The result where an operand is NaN: the first NaN, quiet (Vol. 1 §4.8.3.5 “Operating on SNaNs and QNaNs”)."""
    chosen = left if is_nan(target, left) else right
    signaling = is_signaling(target, left) | is_signaling(target, right)
    return chosen | target.quiet, u32(INVALID) if signaling else u32(0)


@inline
def finish(target: Format, sign: bool, exponent: int, significand: int, control: int, flags: int) -> tuple[int, int]:
    """Round and pack an exact result that is not zero."""
    place, rounded, more = round_finite(target, sign, exponent, significand, control)
    return pack(target, sign, place, rounded), flags | (more & ~u32(ROUNDED_UP))


@microcode
def calculate(operation: Operation, target: Format, first: u64, second: u64, control: u32) -> tuple[u64, u32]:
    """first (operation) second, for the four operations of arithmetic."""
    left = with_denormals_as_zero(target, first, control)
    right = with_denormals_as_zero(target, second, control)
    if is_nan(target, left) | is_nan(target, right):
        return propagate(target, left, right)
    denormal = is_denormal(target, left) | is_denormal(target, right)
    flags = u32(DENORMAL) if denormal else u32(0)
    left_sign = is_negative(target, left)
    right_sign = is_negative(target, right) != (operation is Operation.SUBTRACT)
    if operation in (Operation.ADD, Operation.SUBTRACT):
        return sum_of(target, left_sign, magnitude(target, left), right_sign, magnitude(target, right), control, flags)
    sign = left_sign != right_sign
    if operation is Operation.MULTIPLY:
        return product_of(target, sign, magnitude(target, left), magnitude(target, right), control, flags)
    return quotient_of(target, sign, magnitude(target, left), magnitude(target, right), control, flags)


@microcode
def sum_of(target: Format, left_sign: bool, left: u64, right_sign: bool, right: u64, control: u32, flags: u32) -> tuple[u64, u32]:
    """Signed sum of two magnitudes that are no NaN."""
    if is_infinite(target, left) | is_infinite(target, right):
        if is_infinite(target, left) & is_infinite(target, right) & (left_sign != right_sign):
            return u64(target.indefinite), u32(INVALID)
        infinite_sign = left_sign if is_infinite(target, left) else right_sign
        return signed(target, infinite_sign, u64(target.infinity)), flags
    left_exponent, left_significand = unpack(target, left)
    right_exponent, right_significand = unpack(target, right)
    sign, exponent, significand = add_exact(left_sign, left_exponent, left_significand, right_sign, right_exponent, right_significand)
    if significand == 0:
        both = left_sign & right_sign
        downward = (left_sign != right_sign) & (rounding_mode(control) == DOWNWARD)
        return signed(target, both | downward, u64(0)), flags
    return finish(target, sign, exponent, significand, control, flags)


@microcode
def product_of(target: Format, sign: bool, left: u64, right: u64, control: u32, flags: u32) -> tuple[u64, u32]:
    """Product of two magnitudes that are no NaN."""
    infinite = is_infinite(target, left) | is_infinite(target, right)
    zero = (left == 0) | (right == 0)
    if infinite & zero:
        return u64(target.indefinite), u32(INVALID)
    if infinite | zero:
        return signed(target, sign, u64(target.infinity) if infinite else u64(0)), flags
    left_exponent, left_significand = unpack(target, left)
    right_exponent, right_significand = unpack(target, right)
    exponent, significand = multiply_exact(left_exponent, left_significand, right_exponent, right_significand)
    return finish(target, sign, exponent, significand, control, flags)


@microcode
def quotient_of(target: Format, sign: bool, left: u64, right: u64, control: u32, flags: u32) -> tuple[u64, u32]:
    """Quotient of two magnitudes that are no NaN."""
    if is_infinite(target, left) | is_infinite(target, right):
        if left == right:
            return u64(target.indefinite), u32(INVALID)
        return signed(target, sign, u64(target.infinity) if is_infinite(target, left) else u64(0)), flags
    if right == 0:
        if left == 0:
            return u64(target.indefinite), u32(INVALID)
        # A denormal dividend is not reported then: seen on processors, the manual is silent.
        return signed(target, sign, u64(target.infinity)), u32(ZERO_DIVIDE)
    if left == 0:
        return signed(target, sign, u64(0)), flags
    left_exponent, left_significand = unpack(target, left)
    right_exponent, right_significand = unpack(target, right)
    exponent, significand = divide_exact(left_exponent, left_significand, right_exponent, right_significand)
    return finish(target, sign, exponent, significand, control, flags)


@inline
def signed(target: Format, sign: bool, bits: int) -> int:
    """`bits` with a sign."""
    return bits | (u64(sign) << (target.fraction_bits + target.exponent_bits))


@microcode
def square_root(target: Format, operand: u64, control: u32) -> tuple[u64, u32]:
    """Square root of one element."""
    source = with_denormals_as_zero(target, operand, control)
    if is_nan(target, source):
        return propagate(target, source, source)
    if is_zero(target, source):
        return source, u32(0)
    if is_negative(target, source):
        return u64(target.indefinite), u32(INVALID)
    if is_infinite(target, source):
        return source, u32(0)
    flags = u32(DENORMAL) if is_denormal(target, source) else u32(0)
    exponent, significand = unpack(target, source)
    place, root = root_exact(exponent, significand)
    return finish(target, False, place, root, control, flags)


@inline
def is_less(target: Format, left: int, right: int) -> bool:
    """left < right for patterns that are no NaN."""
    left_sign = is_negative(target, left)
    right_sign = is_negative(target, right)
    both_zero = is_zero(target, left) & is_zero(target, right)
    below = right < left if left_sign else left < right
    differ = left_sign & (not both_zero)
    return differ if left_sign != right_sign else below


@microcode
def extreme(operation: Operation, target: Format, first: u64, second: u64, control: u32) -> tuple[u64, u32]:
    """MIN and MAX: the second operand where either is NaN or both are zero (Vol. 2B “MAXPS”, “MINPS”)."""
    left = with_denormals_as_zero(target, first, control)
    right = with_denormals_as_zero(target, second, control)
    if is_nan(target, left) | is_nan(target, right):
        return right, u32(INVALID)
    denormal = is_denormal(target, left) | is_denormal(target, right)
    flags = u32(DENORMAL) if denormal else u32(0)
    if operation is Operation.MINIMUM:
        takes_left = is_less(target, left, right)
    else:
        takes_left = is_less(target, right, left)
    return left if takes_left else right, flags


LESS, EQUAL, GREATER, UNORDERED = range(4)
"""Outcomes of a comparison."""


@microcode
def compare(target: Format, signal_quiet: int, first: u64, second: u64, control: u32) -> tuple[u32, u32]:
    """Outcome and flags of comparing two elements; a quiet NaN is invalid too where `signal_quiet` is 1."""
    left = with_denormals_as_zero(target, first, control)
    right = with_denormals_as_zero(target, second, control)
    if is_nan(target, left) | is_nan(target, right):
        signaling = is_signaling(target, left) | is_signaling(target, right) | (signal_quiet != 0)
        return u32(UNORDERED), u32(INVALID) if signaling else u32(0)
    denormal = is_denormal(target, left) | is_denormal(target, right)
    flags = u32(DENORMAL) if denormal else u32(0)
    if is_less(target, left, right):
        return u32(LESS), flags
    if is_less(target, right, left):
        return u32(GREATER), flags
    return u32(EQUAL), flags


@microcode
def satisfies(target: Format, predicate: int, first: u64, second: u64, control: u32) -> tuple[bool, u32]:
    """CMPccPS: whether predicate 0–7 (EQ LT LE UNORD NEQ NLT NLE ORD) holds, and flags (Vol. 2A “CMPPS”, Table 3-1)."""
    outcome, flags = compare(target, 1 if predicate & 3 in (1, 2) else 0, first, second, control)
    if predicate & 3 == 0:
        holds = outcome == EQUAL
    elif predicate & 3 == 1:
        holds = outcome == LESS
    elif predicate & 3 == 2:
        holds = (outcome == LESS) | (outcome == EQUAL)
    else:
        holds = outcome == UNORDERED
    return holds != (predicate >= 4), flags
