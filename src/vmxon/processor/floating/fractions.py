"""Fractions of 128 bits, and the series that the transcendental functions are made of.

A fraction is a u128 in units of 2^-127 or 2^-128; errors are a few units, which leaves some fifty bits beyond a significand.
"""

from __future__ import annotations

from vmxon.microcode import i32, microcode, u32, u64, u128
from vmxon.processor.floating.constants import COSINE, EXPONENTIAL, ODD, SINE

UNIT = 1 << 127
"""1 in units of 2^-127."""


@microcode
def upper_product(left: u128, right: u128) -> u128:
    """left · right / 2^128, at most three units too small; exact where the lower halves are 0."""
    left_low = u128(u64(left))
    right_low = u128(u64(right))
    left_high = left >> 64
    right_high = right >> 64
    return left_high * right_high + (left_high * right_low >> 64) + (left_low * right_high >> 64)


@microcode
def quotient_of(dividend: u128, divisor: u128) -> u128:
    """dividend / divisor in units of 2^-127, for a dividend below twice the divisor, whose bit 127 is set."""
    result = u128(0)
    rest = dividend >> 1
    half = divisor >> 1
    count = u32(0)
    while count != 128:
        result = result << 1
        if rest >= half:
            rest = rest - half
            result = result | 1
        rest = rest << 1
        count = count + 1
    return result


@microcode
def sine_ratio(square: u128) -> u128:
    """sin x / x in units of 2^-127, for x² in units of 2^-128."""
    total = u128(UNIT)
    for ratio in reversed(SINE):
        total = u128(UNIT) - upper_product(upper_product(square, total), u128(ratio))
    return total


@microcode
def cosine_of(square: u128) -> u128:
    """cos x in units of 2^-127, for x² in units of 2^-128."""
    total = u128(UNIT)
    for ratio in reversed(COSINE):
        total = u128(UNIT) - upper_product(upper_product(square, total), u128(ratio))
    return total


@microcode
def odd_series(alternates: int, square: u128) -> u128:
    """1 ± x²/3 + x⁴/5 ± … in units of 2^-127, for x² in units of 2^-128: arctan x / x where it alternates, else artanh x / x."""
    total = u128(ODD[-1] >> 1)
    for coefficient in reversed(ODD[:-1]):
        term = upper_product(square, total)
        total = u128(coefficient >> 1) - term if alternates else u128(coefficient >> 1) + term
    term = upper_product(square, total)
    return u128(UNIT) - term if alternates else u128(UNIT) + term


@microcode
def exponential_ratio(negative: bool, value: u128) -> u128:
    """(e^x - 1) / x in units of 2^-126, for a magnitude of x in units of 2^-128."""
    total = u128(UNIT >> 1)
    for ratio in reversed(EXPONENTIAL):
        term = upper_product(upper_product(value, total), u128(ratio))
        total = u128(UNIT >> 1) - term if negative else u128(UNIT >> 1) + term
    return total


@microcode
def shifted_down(significand: u128, exponent: i32) -> u128:
    """significand / 2^127 · 2^exponent in units of 2^-128, for a value below 1."""
    count = u32(-1 - exponent)
    return significand >> count if count < 128 else u128(0)
