"""Arithmetic in double extended precision: a number is its head (sign, biased exponent) and its significand.

`control` is the x87 control word; results are rounded to its precision (Vol. 1 §8.1.5.2 “Precision Control Field”).
Each function gives head, significand and exception flags.
"""

from __future__ import annotations

from vmxon.microcode import i32, inline, leading_zeros, microcode, u32, u64, u128
from vmxon.processor.floating.exact import add_exact, divide_exact, multiply_exact, root_exact
from vmxon.processor.floating.formats import (
    ABSENT,
    DENORMAL,
    DOWNWARD,
    EXTENDED,
    EXTENDED_TO_DOUBLE,
    EXTENDED_TO_SINGLE,
    INVALID,
    ZERO_DIVIDE,
)
from vmxon.processor.floating.rounding import round_finite, rounding_mode
from vmxon.processor.floating.simd import EQUAL, GREATER, LESS, UNORDERED, Operation

SIGN = 1 << 15
TOP = 0x7FFF
INTEGER_BIT = 1 << 63
QUIET = 1 << 62
INDEFINITE_HEAD, INDEFINITE = 0xFFFF, INTEGER_BIT | QUIET
"""The QNaN floating-point indefinite."""


@inline
def is_negative(head: int) -> bool:
    """The sign."""
    return (head & SIGN) != 0


@inline
def is_zero(head: int, significand: int) -> bool:
    """A zero of either sign."""
    return ((head & TOP) == 0) & (significand == 0)


@inline
def is_denormal(head: int, significand: int) -> bool:
    """A denormal or pseudo-denormal."""
    return ((head & TOP) == 0) & (significand != 0)


@inline
def is_unsupported(head: int, significand: int) -> bool:
    """A pseudo-NaN, pseudo-infinity or unnormal (Vol. 1 §8.2.2 “Unsupported Double Extended-Precision … Encodings”)."""
    return ((head & TOP) != 0) & (significand < INTEGER_BIT)


@inline
def is_infinite(head: int, significand: int) -> bool:
    """An infinity of either sign."""
    return ((head & TOP) == TOP) & (significand == INTEGER_BIT)


@inline
def is_nan(head: int, significand: int) -> bool:
    """A quiet or signaling NaN."""
    return ((head & TOP) == TOP) & (significand > INTEGER_BIT)


@inline
def is_signaling(head: int, significand: int) -> bool:
    """A signaling NaN."""
    return is_nan(head, significand) & ((significand & QUIET) == 0)


@inline
def head_of(sign: bool, biased: int) -> int:
    """A head from its parts; `biased` is a u32."""
    return (u32(sign) << 15) | biased


@microcode
def unpack_extended(head: u32, significand: u64) -> tuple[i32, u64]:
    """Exponent and significand (bit 63 set) of a finite number; a zero has significand 0 and the exponent ABSENT."""
    if significand == 0:
        return i32(ABSENT), significand
    biased = i32(head & TOP)
    if biased != 0:
        return biased - EXTENDED.bias, significand
    shift = u32(leading_zeros(significand))
    return i32(EXTENDED.lowest) - i32(shift), significand << shift


@inline
def pack_extended(sign: bool, exponent: int, significand: int) -> int:
    """The head for what `round_finite` gave."""
    return head_of(sign, u32(exponent + EXTENDED.bias) if significand >= INTEGER_BIT else u32(0))


@microcode
def round_extended(sign: bool, exponent: i32, significand: u128, control: u32, flags: u32) -> tuple[u32, u64, u32]:
    """Round an exact result that is not zero to 64 bits."""
    place, rounded, more = round_finite(EXTENDED, sign, exponent, significand, control)
    return pack_extended(sign, place, rounded), rounded, flags | more


@microcode
def finish_extended(sign: bool, exponent: i32, significand: u128, control: u32, flags: u32) -> tuple[u32, u64, u32]:
    """Round an exact result that is not zero to the precision that the control word asks for."""
    precision = (control >> 8) & 3
    if precision == 0:
        place, rounded, more = round_finite(EXTENDED_TO_SINGLE, sign, exponent, significand, control)
        return pack_extended(sign, place, rounded), rounded, flags | more
    if precision == 2:
        place, rounded, more = round_finite(EXTENDED_TO_DOUBLE, sign, exponent, significand, control)
        return pack_extended(sign, place, rounded), rounded, flags | more
    return round_extended(sign, exponent, significand, control, flags)


@inline
def invalid_extended() -> tuple[int, int, int]:
    """The masked response to an invalid operation."""
    return u32(INDEFINITE_HEAD), u64(INDEFINITE), u32(INVALID)


@inline
def is_ordinary(head: int, significand: int) -> bool:
    """A zero, finite number or infinity."""
    return (not is_unsupported(head, significand)) & (not is_nan(head, significand))


@microcode
def propagate_extended(left_head: u32, left: u64, right_head: u32, right: u64) -> tuple[u32, u64, u32]:
    """The result where an operand is NaN or unsupported (Vol. 1 Table 4-7 “Rules for Handling NaNs”)."""
    if is_unsupported(left_head, left) | is_unsupported(right_head, right):
        return invalid_extended()
    left_signaling = is_signaling(left_head, left)
    right_signaling = is_signaling(right_head, right)
    flags = u32(INVALID) if left_signaling | right_signaling else u32(0)
    takes_left = is_nan(left_head, left)
    if is_nan(left_head, left) & is_nan(right_head, right):
        # A quiet NaN wins over a signaling one; otherwise the larger significand, then the positive sign.
        larger = (left > right) | ((left == right) & (left_head < right_head))
        takes_left = right_signaling if left_signaling != right_signaling else larger
    if takes_left:
        return left_head, left | QUIET, flags
    return right_head, right | QUIET, flags


@inline
def denormal_flag(head: int, significand: int) -> int:
    """The denormal-operand flag that a number causes."""
    return u32(DENORMAL) if is_denormal(head, significand) else u32(0)


@microcode
def calculate_extended(
    operation: Operation, left_head: u32, left: u64, right_head: u32, right: u64, control: u32, denormal: u32
) -> tuple[u32, u64, u32]:
    """left (operation) right; `denormal` is the flag of an operand that was a denormal before it was widened."""
    if not (is_ordinary(left_head, left) & is_ordinary(right_head, right)):
        return propagate_extended(left_head, left, right_head, right)
    flags = denormal | denormal_flag(left_head, left) | denormal_flag(right_head, right)
    if operation is Operation.SUBTRACT:
        return sum_extended(left_head, left, right_head ^ SIGN, right, control, flags)
    if operation is Operation.ADD:
        return sum_extended(left_head, left, right_head, right, control, flags)
    if operation is Operation.MULTIPLY:
        return product_extended(left_head, left, right_head, right, control, flags)
    return quotient_extended(left_head, left, right_head, right, control, flags)


@microcode
def sum_extended(left_head: u32, left: u64, right_head: u32, right: u64, control: u32, flags: u32) -> tuple[u32, u64, u32]:
    """Sum of two numbers that are no NaN."""
    left_infinite = is_infinite(left_head, left)
    right_infinite = is_infinite(right_head, right)
    if left_infinite | right_infinite:
        if left_infinite & right_infinite & (left_head != right_head):
            return invalid_extended()
        return left_head if left_infinite else right_head, u64(INTEGER_BIT), flags
    left_exponent, left_normal = unpack_extended(left_head, left)
    right_exponent, right_normal = unpack_extended(right_head, right)
    left_sign = is_negative(left_head)
    right_sign = is_negative(right_head)
    sign, exponent, significand = add_exact(left_sign, left_exponent, left_normal, right_sign, right_exponent, right_normal)
    if significand == 0:
        downward = (left_sign != right_sign) & (rounding_mode(control) == DOWNWARD)
        return head_of((left_sign & right_sign) | downward, u32(0)), u64(0), flags
    return finish_extended(sign, exponent, significand, control, flags)


@microcode
def product_extended(left_head: u32, left: u64, right_head: u32, right: u64, control: u32, flags: u32) -> tuple[u32, u64, u32]:
    """Product of two numbers that are no NaN."""
    sign = is_negative(left_head ^ right_head)
    infinite = is_infinite(left_head, left) | is_infinite(right_head, right)
    zero = (left == 0) | (right == 0)
    if infinite & zero:
        return invalid_extended()
    if infinite:
        return head_of(sign, u32(TOP)), u64(INTEGER_BIT), flags
    if zero:
        return head_of(sign, u32(0)), u64(0), flags
    left_exponent, left_normal = unpack_extended(left_head, left)
    right_exponent, right_normal = unpack_extended(right_head, right)
    exponent, significand = multiply_exact(left_exponent, left_normal, right_exponent, right_normal)
    return finish_extended(sign, exponent, significand, control, flags)


@microcode
def quotient_extended(left_head: u32, left: u64, right_head: u32, right: u64, control: u32, flags: u32) -> tuple[u32, u64, u32]:
    """Quotient of two numbers that are no NaN."""
    sign = is_negative(left_head ^ right_head)
    left_infinite = is_infinite(left_head, left)
    right_infinite = is_infinite(right_head, right)
    if (left_infinite & right_infinite) | ((left == 0) & (right == 0)):
        return invalid_extended()
    if left_infinite:
        return head_of(sign, u32(TOP)), u64(INTEGER_BIT), flags
    if right == 0:
        # A denormal dividend is not reported then: seen on processors, the manual is silent.
        return head_of(sign, u32(TOP)), u64(INTEGER_BIT), u32(ZERO_DIVIDE)
    if right_infinite | (left == 0):
        return head_of(sign, u32(0)), u64(0), flags
    left_exponent, left_normal = unpack_extended(left_head, left)
    right_exponent, right_normal = unpack_extended(right_head, right)
    exponent, significand = divide_exact(left_exponent, left_normal, right_exponent, right_normal)
    return finish_extended(sign, exponent, significand, control, flags)


@microcode
def root_extended(head: u32, significand: u64, control: u32) -> tuple[u32, u64, u32]:
    """Square root."""
    if not is_ordinary(head, significand):
        return propagate_extended(head, significand, head, significand)
    if is_zero(head, significand):
        return head, significand, u32(0)
    if is_negative(head):
        return invalid_extended()
    if is_infinite(head, significand):
        return head, significand, u32(0)
    exponent, normal = unpack_extended(head, significand)
    place, root = root_exact(exponent, normal)
    return finish_extended(False, place, root, control, denormal_flag(head, significand))


@microcode
def compare_extended(signal_quiet: int, left_head: u32, left: u64, right_head: u32, right: u64, denormal: u32) -> tuple[u32, u32]:
    """LESS, EQUAL, GREATER or UNORDERED, and flags; a quiet NaN is invalid too where `signal_quiet` is 1."""
    if not (is_ordinary(left_head, left) & is_ordinary(right_head, right)):
        loud = is_unsupported(left_head, left) | is_unsupported(right_head, right) | (signal_quiet != 0)
        signaling = is_signaling(left_head, left) | is_signaling(right_head, right) | loud
        return u32(UNORDERED), u32(INVALID) if signaling else u32(0)
    flags = denormal | denormal_flag(left_head, left) | denormal_flag(right_head, right)
    left_exponent, left_normal = unpack_extended(left_head, left)
    right_exponent, right_normal = unpack_extended(right_head, right)
    if (left == 0) & (right == 0):
        return u32(EQUAL), flags
    if is_negative(left_head ^ right_head):
        return u32(LESS) if is_negative(left_head) else u32(GREATER), flags
    if (left_exponent == right_exponent) & (left_normal == right_normal):
        return u32(EQUAL), flags
    smaller = (left_exponent < right_exponent) | ((left_exponent == right_exponent) & (left_normal < right_normal))
    return u32(LESS) if smaller != is_negative(left_head) else u32(GREATER), flags
