"""Sine, cosine, tangent and arc tangent in double extended precision, within an ulp.

Vol. 1 §8.3.10 “Transcendental Instruction Accuracy”.
"""

from __future__ import annotations

from vmxon.microcode import i32, inline, microcode, u32, u64, u128
from vmxon.processor.floating.constants import ARCTANGENTS, PI, REDUCING_PI
from vmxon.processor.floating.exact import divide_exact
from vmxon.processor.floating.extended import (
    INTEGER_BIT,
    denormal_flag,
    head_of,
    is_infinite,
    is_negative,
    is_ordinary,
    propagate_extended,
    round_extended,
    unpack_extended,
)
from vmxon.processor.floating.fractions import UNIT, cosine_of, odd_series, quotient_of, shifted_down, sine_ratio, upper_product
from vmxon.processor.floating.rounding import normalize

SMALL = -3
"""Below 2^-3 no argument reduction is needed."""
TOO_LARGE = 63
"""Arguments from 2^63 on are not reduced: C2 := 1."""


@microcode
def reduce(exponent: i32, significand: u64) -> tuple[u32, i32, u128]:
    """The octant pair: quotient by π/2 modulo 4, and the distance from its multiple as exponent and significand.

    Bit 2 of the quotient tells that the multiple above is nearer: the distance is then negative. A significand of 0 stands for 0.
    """
    if exponent < SMALL:
        return u32(0), exponent, u128(significand) << 64
    # In units of 2^-67, where π/2 is REDUCING_PI: the significand is shifted in bit by bit.
    rest = u128(significand) if exponent > -5 else u128(0)
    quotient = u32(0)
    count = exponent + 4
    if count < 0:
        rest = u128(significand >> u64(u32(-count)))
    while count > 0:
        rest = rest << 1
        quotient = quotient << 1
        if rest >= REDUCING_PI:
            rest = rest - REDUCING_PI
            quotient = quotient | 1
        count = count - 1
    quotient = quotient & 3
    if rest > REDUCING_PI >> 1:
        rest = u128(REDUCING_PI) - rest
        quotient = ((quotient + 1) & 3) | 4
    if rest == 0:
        return quotient, i32(0), rest
    place, distance = normalize(i32(60), rest)
    return quotient, place, distance


@inline
def finish_inexact(sign: bool, exponent: int, significand: int, control: int, flags: int) -> tuple[int, int, int]:
    """Round a result that cannot be exact."""
    return round_extended(sign, exponent, significand | 1, control, flags)


@microcode
def sine_of(exponent: i32, distance: u128) -> tuple[i32, u128]:
    """Sine of a distance below π/4: exponent and significand with bit 127 set."""
    value = shifted_down(distance, exponent)
    ratio = sine_ratio(upper_product(value, value))
    if ratio == UNIT:
        # x³ is too small to count, but the sine is below x.
        ratio = u128(UNIT - 1)
    return normalize(exponent + 1, upper_product(distance, ratio))


@microcode
def cosine_at(exponent: i32, distance: u128) -> tuple[i32, u128]:
    """Cosine of a distance below π/4."""
    value = shifted_down(distance, exponent)
    total = cosine_of(upper_product(value, value))
    if total == UNIT:
        total = u128(UNIT - 1)
    return normalize(i32(0), total)


@microcode
def circular(cosine: int, negative: bool, exponent: i32, significand: u64, control: u32, flags: u32) -> tuple[u32, u64, u32]:
    """Sine, or cosine where `cosine` is 1, of a finite number that is not 0."""
    quotient, place, distance = reduce(exponent, significand)
    below = quotient & 4 != 0
    turn = quotient & 3
    # sin(x) = cos(x - π/2), so a cosine is the sine a quarter further on, and cosines serve odd quarters.
    quarter = (turn + cosine) & 3
    sign = quarter >= 2
    if cosine == 0:
        sign = sign != negative
    if quarter & 1 == 0:
        if distance == 0:
            return head_of(sign, u32(0)), u64(0), flags
        if_below = sign != below
        result_exponent, result = sine_of(place, distance)
        return finish_inexact(if_below, result_exponent, result, control, flags)
    if distance == 0:
        return head_of(sign, u32(0x3FFF)), u64(INTEGER_BIT), flags
    result_exponent, result = cosine_at(place, distance)
    return finish_inexact(sign, result_exponent, result, control, flags)


@microcode
def tangent(negative: bool, exponent: i32, significand: u64, control: u32, flags: u32) -> tuple[u32, u64, u32]:
    """Tangent of a finite number that is not 0."""
    quotient, place, distance = reduce(exponent, significand)
    sign = (quotient & 4 != 0) != negative
    if distance == 0:
        return head_of(sign, u32(0)), u64(0), flags
    sine_exponent, sine = sine_of(place, distance)
    cosine_exponent, cosine = cosine_at(place, distance)
    if quotient & 1 != 0:
        upper = quotient_of(cosine, sine)
        result_exponent, result = normalize(cosine_exponent - sine_exponent, upper)
        return finish_inexact(not sign, result_exponent, result, control, flags)
    upper = quotient_of(sine, cosine)
    result_exponent, result = normalize(sine_exponent - cosine_exponent, upper)
    return finish_inexact(sign, result_exponent, result, control, flags)


@microcode
def arctangent_of(exponent: i32, significand: u128) -> tuple[i32, u128]:
    """Arc tangent of a number of at most 1."""
    if exponent < -4:
        value = shifted_down(significand, exponent)
        ratio = odd_series(1, upper_product(value, value))
        if ratio == UNIT:
            ratio = u128(UNIT - 1)
        return normalize(exponent + 1, upper_product(significand, ratio))
    # In units of 2^-127: the next eighth below, and arctan x = arctan c + arctan((x - c) / (1 + x·c)).
    value = significand >> u32(-exponent)
    step = u32(value >> 124)
    eighth = u128(step) << 124
    rest = value - eighth
    base = u128(0)
    for known in range(9):
        if step == known:
            base = u128(ARCTANGENTS[known])
    if rest == 0:
        return normalize(i32(0), base)
    divisor = u128(UNIT) + (upper_product(value, eighth) << 1)
    rest_exponent, normal = normalize(i32(0), rest)
    ratio = quotient_of(normal, divisor)
    ratio = ratio >> u32(-rest_exponent)
    square = upper_product(ratio << 1, ratio << 1)
    angle = upper_product(ratio << 1, odd_series(1, square))
    return normalize(i32(0), base + angle)


@microcode
def angle_of(y_head: u32, y: u64, x_head: u32, x: u64, control: u32) -> tuple[u32, u64, u32]:
    """arctan(y / x) in the quadrant of (x, y) (Vol. 2A “FPATAN”, Table 3-30)."""
    if not (is_ordinary(y_head, y) & is_ordinary(x_head, x)):
        return propagate_extended(x_head, x, y_head, y)
    sign = is_negative(y_head)
    left = is_negative(x_head)
    flags = denormal_flag(y_head, y) | denormal_flag(x_head, x)
    y_infinite = is_infinite(y_head, y)
    x_infinite = is_infinite(x_head, x)
    if y_infinite & x_infinite:
        # π/4 or 3π/4.
        three = u128(PI >> 2) + (PI >> 1)
        exponent, significand = normalize(i32(1), three if left else u128(PI >> 2))
        return finish_inexact(sign, exponent, significand, control, flags)
    if (y == 0) | x_infinite:
        if left:
            exponent, significand = normalize(i32(1), u128(PI))
            return finish_inexact(sign, exponent, significand, control, flags)
        return head_of(sign, u32(0)), u64(0), flags
    if y_infinite | (x == 0):
        exponent, significand = normalize(i32(1), u128(PI >> 1))
        return finish_inexact(sign, exponent, significand, control, flags)
    y_exponent, y_normal = unpack_extended(y_head, y)
    x_exponent, x_normal = unpack_extended(x_head, x)
    steep = (y_exponent > x_exponent) | ((y_exponent == x_exponent) & (y_normal > x_normal))
    if steep:
        ratio_exponent, ratio = divide_exact(x_exponent, x_normal, y_exponent, y_normal)
    else:
        ratio_exponent, ratio = divide_exact(y_exponent, y_normal, x_exponent, x_normal)
    place, angle = arctangent_of(ratio_exponent, ratio)
    if (not steep) & (not left):
        return finish_inexact(sign, place, angle, control, flags)
    # In units of 2^-126, beside π.
    apart = u32(1 - place)
    wide = angle >> apart if apart < 128 else u128(0)
    if steep:
        whole = u128(PI >> 1) + wide if left else u128(PI >> 1) - wide
    else:
        whole = u128(PI) - wide
    exponent, significand = normalize(i32(1), whole)
    return finish_inexact(sign, exponent, significand, control, flags)
