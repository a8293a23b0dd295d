"""Sum, product, quotient and root to 128 bits: bit 127 leads, bit 0 also stands for all that follows."""

from __future__ import annotations

from vmxon.microcode import i32, microcode, u32, u64, u128
from vmxon.processor.floating.rounding import normalize, shift_right_sticky


@microcode
def add_exact(
    left_sign: bool, left_exponent: i32, left: u64, right_sign: bool, right_exponent: i32, right: u64
) -> tuple[bool, i32, u128]:
    """Signed sum; significands have bit 63 set, or are 0 with the exponent ABSENT. A zero sum has significand 0."""
    sign = left_sign
    exponent = left_exponent
    distance = left_exponent - right_exponent
    larger = u128(left) << 63
    smaller = u128(right) << 63
    if (distance < 0) | ((distance == 0) & (left < right)):
        sign = right_sign
        exponent = right_exponent
        distance = -distance
        larger = u128(right) << 63
        smaller = u128(left) << 63
    smaller = shift_right_sticky(smaller, u32(distance))
    total = larger + smaller if left_sign == right_sign else larger - smaller
    if total == 0:
        return False, i32(0), u128(0)
    place, significand = normalize(exponent + 1, total)
    return sign, place, significand


@microcode
def multiply_exact(left_exponent: i32, left: u64, right_exponent: i32, right: u64) -> tuple[i32, u128]:
    """Product of magnitudes, bit 63 set in both."""
    return normalize(left_exponent + right_exponent + 1, u128(left) * u128(right))


@microcode
def divide_digit(remainder: u64, divisor: u64) -> tuple[u64, u64]:
    """Quotient (32 bits) and remainder of remainder · 2^32 / divisor; remainder < divisor, whose bit 63 is set."""
    quotient = remainder // (divisor >> 32)
    dividend = u128(remainder) << 32
    product = u128(quotient) * u128(divisor)
    # The estimate from the divisor's upper half is at most 2 too high (Knuth, TAOCP vol. 2 §4.3.1).
    while product > dividend:
        quotient = quotient - 1
        product = product - u128(divisor)
    return quotient, u64(dividend - product)


@microcode
def divide_exact(left_exponent: i32, left: u64, right_exponent: i32, right: u64) -> tuple[i32, u128]:
    """Quotient of magnitudes, bit 63 set in both."""
    whole = left >= right
    remainder = left - right if whole else left
    first, remainder = divide_digit(remainder, right)
    second, remainder = divide_digit(remainder, right)
    third, remainder = divide_digit(remainder, right)
    quotient = (u128(whole) << 96) | (u128(first) << 64) | (u128(second) << 32) | u128(third)
    return normalize(left_exponent - right_exponent, (quotient << 31) | u128(remainder != 0))


@microcode
def root_exact(precision: int, exponent: i32, significand: u64) -> tuple[i32, u128]:
    """Square root of a magnitude with bit 63 set, good to `precision` bits and two more."""
    # The radicand is a fixed-point number below 4: two integer bits above bit 126.
    radicand = u128(significand) << 63
    if exponent & 1 != 0:
        radicand = u128(significand) << 64
    root = u128(0)
    remainder = u128(0)
    left = u32(precision + 2)
    while left != 0:
        remainder = (remainder << 2) | (radicand >> 126)
        radicand = radicand << 2
        trial = (root << 2) | 1
        root = root << 1
        if remainder >= trial:
            remainder = remainder - trial
            root = root | 1
        left = left - 1
    inexact = (remainder | radicand) != 0
    return exponent >> 1, (root << (126 - precision)) | u128(inexact)
