"""FPREM, FPREM1 and FSCALE on numbers in double extended precision."""

from __future__ import annotations

from vmxon.microcode import i32, microcode, u32, u64, u128
from vmxon.processor.floating.extended import (
    INTEGER_BIT,
    SIGN,
    TOP,
    denormal_flag,
    invalid_extended,
    is_infinite,
    is_negative,
    is_ordinary,
    propagate_extended,
    round_extended,
    unpack_extended,
)
from vmxon.processor.floating.formats import TOWARD_ZERO
from vmxon.processor.floating.rounding import normalize, round_to_integer

INCOMPLETE = 1 << 10
"""C2: the reduction is only partial."""
NO_QUOTIENT = 1
"""In place of condition bits: C0, C3 and C1 tell nothing."""
STEP_BASE, STEP_MASK = 32, 31
"""A partial reduction makes 32 to 63 bits of quotient, the manual leaves the number open (Vol. 2A “FPREM”)."""


@microcode
def quotient_conditions(quotient: u64) -> u32:
    """C0, C3, C1 := bits 2, 1, 0 of the quotient, in their places of the status word."""
    return (u32(quotient & 4) << 6) | (u32(quotient & 2) << 13) | (u32(quotient & 1) << 9)


@microcode
def remainder_extended(nearest: int, left_head: u32, left: u64, right_head: u32, right: u64, control: u32) -> tuple[u32, u64, u32, u32]:
    """Partial remainder of left / right: head, significand, flags, condition bits.

    The quotient is truncated, or rounded to nearest where `nearest` is 1.
    """
    if not (is_ordinary(left_head, left) & is_ordinary(right_head, right)):
        head, significand, flags = propagate_extended(left_head, left, right_head, right)
        return head, significand, flags, u32(NO_QUOTIENT)
    if is_infinite(left_head, left) | (right == 0):
        head, significand, flags = invalid_extended()
        return head, significand, flags, u32(NO_QUOTIENT)
    denormal = denormal_flag(left_head, left) | denormal_flag(right_head, right)
    if left == 0:
        return left_head, left, denormal, u32(0)
    sign = is_negative(left_head)
    left_exponent, remainder = unpack_extended(left_head, left)
    right_exponent, divisor = unpack_extended(right_head, right)
    distance = left_exponent - right_exponent
    # Below half of the divisor nothing is subtracted; FPREM leaves everything below the divisor alone.
    if (distance < -1) | is_infinite(right_head, right):
        head, significand, flags = round_extended(sign, left_exponent, u128(remainder) << 64, control, denormal)
        return head, significand, flags, u32(0)
    conditions = u32(0)
    steps = distance
    if distance >= 64:
        steps = (distance & STEP_MASK) | STEP_BASE
        conditions = u32(INCOMPLETE)
    quotient = u64(0)
    rest = u128(remainder)
    place = right_exponent
    if distance < 0:
        # The dividend is below the divisor: both at the dividend's place.
        place = left_exponent
    else:
        if rest >= u128(divisor):
            rest = rest - u128(divisor)
            quotient = u64(1)
        place = left_exponent
        while steps != 0:
            steps = steps - 1
            place = place - 1
            rest = rest << 1
            quotient = quotient << 1
            if rest >= u128(divisor):
                rest = rest - u128(divisor)
                quotient = quotient | 1
    if nearest == 1:
        # `whole` is the divisor in units of `rest`.
        whole = u128(divisor) << 1 if distance < 0 else u128(divisor)
        twice = rest << 1
        if (conditions == 0) & ((twice > whole) | ((twice == whole) & ((quotient & 1) != 0))):
            rest = whole - rest
            sign = not sign
            quotient = quotient + 1
    if conditions == 0:
        conditions = quotient_conditions(quotient)
    if rest == 0:
        return left_head & SIGN, u64(0), denormal, conditions
    exponent, exact = normalize(place + 64, rest)
    head, significand, flags = round_extended(sign, exponent, exact, control, denormal)
    return head, significand, flags, conditions


SCALE_LIMIT = 0x10000
"""Beyond this FSCALE overflows or underflows whatever the operand; keeps the exponent in 32 bits."""


@microcode
def scale_extended(left_head: u32, left: u64, right_head: u32, right: u64, control: u32) -> tuple[u32, u64, u32]:
    """left · 2^truncate(right) (FSCALE)."""
    if not (is_ordinary(left_head, left) & is_ordinary(right_head, right)):
        return propagate_extended(left_head, left, right_head, right)
    flags = denormal_flag(left_head, left) | denormal_flag(right_head, right)
    if is_infinite(right_head, right):
        if is_negative(right_head):
            if is_infinite(left_head, left):
                return invalid_extended()
            return left_head & SIGN, u64(0), flags
        if left == 0:
            return invalid_extended()
        return left_head | TOP, u64(INTEGER_BIT), flags
    if is_infinite(left_head, left) | (left == 0):
        return left_head, left, flags
    exponent, significand = unpack_extended(left_head, left)
    right_exponent, right_normal = unpack_extended(right_head, right)
    amount = i32(0)
    if right_exponent >= 16:
        amount = i32(SCALE_LIMIT)
    elif right_exponent >= 0:
        whole, _ = round_to_integer(False, right_exponent, right_normal, u32(TOWARD_ZERO))
        amount = i32(u32(whole))
    if is_negative(right_head):
        amount = -amount
    return round_extended(is_negative(left_head), exponent + amount, u128(significand) << 64, control, flags)
