"""2^x - 1 and y · log₂ x in double extended precision, within an ulp (Vol. 1 §8.3.10 “Transcendental Instruction Accuracy”)."""

from __future__ import annotations

from vmxon.microcode import i32, microcode, u32, u64, u128
from vmxon.processor.floating.constants import LN2, LOG2_E
from vmxon.processor.floating.exact import add_exact
from vmxon.processor.floating.extended import (
    INTEGER_BIT,
    TOP,
    denormal_flag,
    head_of,
    invalid_extended,
    is_infinite,
    is_negative,
    is_ordinary,
    propagate_extended,
    round_extended,
    unpack_extended,
)
from vmxon.processor.floating.formats import ZERO_DIVIDE
from vmxon.processor.floating.fractions import exponential_ratio, odd_series, quotient_of, shifted_down, upper_product
from vmxon.processor.floating.rounding import normalize

HALF_HEAD, ONE_HEAD = 0x3FFE, 0x3FFF
ROOT = 0xB504_F333_F9DE_6484
"""√2 / 2 in units of 2^-64, rounded down."""


@microcode
def exponential(head: u32, significand: u64, control: u32) -> tuple[u32, u64, u32]:
    """2^x - 1 for magnitudes up to 1; a larger x, whose result the manual leaves undefined, stays as it is."""
    if not is_ordinary(head, significand):
        return propagate_extended(head, significand, head, significand)
    negative = is_negative(head)
    if is_infinite(head, significand) & negative:
        return head_of(True, u32(ONE_HEAD)), u64(INTEGER_BIT), u32(0)
    if (head == ONE_HEAD | 0x8000) & (significand == INTEGER_BIT):
        return head_of(True, u32(HALF_HEAD)), significand, u32(0)
    if (significand == 0) | ((head & TOP) >= ONE_HEAD):
        return head, significand, u32(0)
    flags = denormal_flag(head, significand)
    exponent, normal = unpack_extended(head, significand)
    place, value = normalize(exponent, upper_product(u128(normal) << 64, u128(LN2)))
    ratio = exponential_ratio(negative, shifted_down(value, place))
    result_exponent, result = normalize(place + 2, upper_product(value, ratio))
    return round_extended(negative, result_exponent, result | 1, control, flags)


@microcode
def logarithm_of_ratio(exponent: i32, ratio: u128) -> tuple[i32, u128]:
    """log₂((1 + s) / (1 - s)) for s = ratio / 2^127 · 2^exponent below 1/5."""
    value = shifted_down(ratio, exponent)
    series = odd_series(0, upper_product(value, value))
    # ln is 2·s·series; the series is below 2 in units of 2^-127.
    place, natural = normalize(exponent + 2, upper_product(ratio, series))
    return normalize(place + 1, upper_product(natural, u128(LOG2_E)))


@microcode
def binary_logarithm(exponent: i32, significand: u64) -> tuple[bool, i32, u128]:
    """log₂ of a number that is not 0: sign, exponent and significand; 0 for 1, exact for powers of two."""
    # The significand as a number of [√2/2, √2), so that the logarithm of 1 and its neighbours is that of the ratio alone.
    whole = exponent
    numerator = significand - INTEGER_BIT
    above = True
    total = (u128(significand) + INTEGER_BIT) << 62
    if significand >> 1 > ROOT >> 1:
        whole = exponent + 1
        numerator = u64(0) - significand
        above = False
        total = (u128(significand) + (u128(1) << 64)) << 62
    negative = whole < 0
    size = u32(-whole) if negative else u32(whole)
    if numerator == 0:
        if size == 0:
            return False, i32(0), u128(0)
        integer_exponent, integer = normalize(i32(127), u128(size))
        return negative, integer_exponent, integer
    ratio_exponent, part_exponent = i32(0), i32(0)
    rest_exponent, rest = normalize(i32(1), u128(numerator) << 62)
    sum_exponent, divisor = normalize(i32(1), total)
    ratio_exponent, ratio = normalize(rest_exponent - sum_exponent, quotient_of(rest, divisor))
    part_exponent, part = logarithm_of_ratio(ratio_exponent, ratio)
    if size == 0:
        return not above, part_exponent, part
    # In units of 2^-112: the integer has up to 15 bits.
    wide = part >> u32(15 - part_exponent) if 15 - part_exponent < 128 else u128(0)
    base = u128(size) << 112
    sum_of_both = base + wide if negative != above else base - wide
    place, result = normalize(i32(15), sum_of_both)
    return negative, place, result


@microcode
def times(y_head: u32, y: u64, negative: bool, exponent: i32, value: u128, control: u32, flags: u32) -> tuple[u32, u64, u32]:
    """y · value, both finite and not 0, rounded; exact where the value is a short integer."""
    y_exponent, y_normal = unpack_extended(y_head, y)
    sign = is_negative(y_head) != negative
    rest = u64(value) != 0
    place, product = normalize(exponent + y_exponent + 1, upper_product(value, u128(y_normal) << 64))
    return round_extended(sign, place, product | u128(rest), control, flags)


@microcode
def logarithm_times(y_head: u32, y: u64, x_head: u32, x: u64, control: u32) -> tuple[u32, u64, u32]:
    """y · log₂ x (Vol. 2A “FYL2X”, Table 3-47)."""
    if not (is_ordinary(y_head, y) & is_ordinary(x_head, x)):
        return propagate_extended(x_head, x, y_head, y)
    y_infinite = is_infinite(y_head, y)
    y_sign = is_negative(y_head)
    if x == 0:
        if y == 0:
            return invalid_extended()
        return head_of(not y_sign, u32(TOP)), u64(INTEGER_BIT), u32(0) if y_infinite else u32(ZERO_DIVIDE)
    if is_negative(x_head):
        return invalid_extended()
    flags = denormal_flag(y_head, y) | denormal_flag(x_head, x)
    if is_infinite(x_head, x):
        if y == 0:
            return invalid_extended()
        return head_of(y_sign, u32(TOP)), u64(INTEGER_BIT), flags
    exponent, normal = unpack_extended(x_head, x)
    negative, place, value = binary_logarithm(exponent, normal)
    if y_infinite:
        if value == 0:
            return invalid_extended()
        return head_of(y_sign != negative, u32(TOP)), u64(INTEGER_BIT), flags
    if (y == 0) | (value == 0):
        return head_of(y_sign != negative, u32(0)), u64(0), flags
    return times(y_head, y, negative, place, value, control, flags)


@microcode
def logarithm_beside_one_times(y_head: u32, y: u64, x_head: u32, x: u64, control: u32) -> tuple[u32, u64, u32]:
    """y · log₂(x + 1); beyond the range of the manual the sum is rounded first (Vol. 2A “FYL2XP1”, Table 3-48)."""
    if not (is_ordinary(y_head, y) & is_ordinary(x_head, x)):
        return propagate_extended(x_head, x, y_head, y)
    y_infinite = is_infinite(y_head, y)
    negative = is_negative(x_head)
    if x == 0:
        if y_infinite:
            return invalid_extended()
        flags = denormal_flag(y_head, y)
        return head_of(negative != is_negative(y_head), u32(0)), u64(0), flags
    exponent, normal = unpack_extended(x_head, x)
    if exponent >= -1:
        if is_infinite(x_head, x) | (negative & (exponent >= 0)):
            return logarithm_times(y_head, y, x_head, x, control)
        _, sum_exponent, total = add_exact(False, i32(0), u64(INTEGER_BIT), negative, exponent, normal)
        return logarithm_times(y_head, y, head_of(False, u32(sum_exponent + ONE_HEAD)), u64(total >> 64), control)
    flags = denormal_flag(y_head, y) | denormal_flag(x_head, x)
    if y_infinite:
        return head_of(is_negative(y_head) != negative, u32(TOP)), u64(INTEGER_BIT), flags
    if y == 0:
        return head_of(is_negative(y_head) != negative, u32(0)), u64(0), flags
    # s = x / (2 + x), in units of 2^-126.
    small = u128(normal) << 64 >> u32(1 - exponent) if exponent > -127 else u128(0)
    divisor = u128(1 << 127) - small if negative else u128(1 << 127) + small
    sum_exponent, total = normalize(i32(1), divisor)
    ratio_exponent, ratio = normalize(exponent - sum_exponent, quotient_of(u128(normal) << 64, total))
    place, value = logarithm_of_ratio(ratio_exponent, ratio)
    return times(y_head, y, negative, place, value | 1, control, flags)
