"""Sum, product, quotient and root to 128 bits: bit 127 leads, bit 0 also stands for all that follows."""

from __future__ import annotations

from vmxon.microcode import i32, i64, i128, inline, microcode, u32, u64, u128
from vmxon.processor.floating.rounding import normalize, shift_right_sticky


@inline
def add_exact(left_sign: bool, left_exponent: int, left: int, right_sign: bool, right_exponent: int, right: int) -> tuple[bool, int, int]:
    """Signed sum; significands have bit 63 set, or are 0 with the exponent ABSENT. A zero sum has significand 0."""
    swap = (left_exponent < right_exponent) | ((left_exponent == right_exponent) & (left < right))
    sign = right_sign if swap else left_sign
    exponent = right_exponent if swap else left_exponent
    distance = right_exponent - left_exponent if swap else left_exponent - right_exponent
    larger = u128(right if swap else left) << 63
    smaller = shift_right_sticky(u128(left if swap else right) << 63, u32(distance))
    total = larger + smaller if left_sign == right_sign else larger - smaller
    if total == 0:
        return False, i32(0), u128(0)
    place, result = normalize(exponent + 1, total)
    return sign, place, result


@inline
def multiply_exact(left_exponent: int, left: int, right_exponent: int, right: int) -> tuple[int, int]:
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
def root_of_half(square: u64) -> tuple[u64, u64]:
    """Integer square root (32 bits) of a number of at least 2^62, and the remainder."""
    # The first 16 bits one by one, the others by a division (Zimmermann, “Karatsuba Square Root”, 1999).
    rest = square >> 32
    root = u64(0)
    bit = u64(1 << 30)
    while bit != 0:
        if rest >= root + bit:
            rest = rest - (root + bit)
            root = (root >> 1) + bit
        else:
            root = root >> 1
        bit = bit >> 2
    dividend = (rest << 16) | ((square >> 16) & 0xFFFF)
    quotient = dividend // (root << 1)
    remainder = (((dividend % (root << 1)) << 16) | (square & 0xFFFF)) - quotient * quotient
    root = (root << 16) + quotient
    if i64(remainder) < 0:
        root = root - 1
        remainder = remainder + (root << 1) + 1
    return root, remainder


@microcode
def root_exact(exponent: i32, significand: u64) -> tuple[i32, u128]:
    """Square root of a magnitude with bit 63 set."""
    # The radicand is a fixed-point number below 4: two integer bits above bit 126.
    high = significand >> 1
    low = significand << 63
    if exponent & 1 != 0:
        high = significand
        low = u64(0)
    first, rest = root_of_half(high)
    # (rest · 2^32 + the next 32 bits) / (2 · first), both halved to stay in 64 bits.
    following = low >> 32
    dividend = (rest << 31) + (following >> 1)
    quotient = dividend // first
    over = ((dividend % first) << 1) | (following & 1)
    root = (u128(first) << 32) + u128(quotient)
    remainder = (u128(over) << 32) - u128(quotient) * u128(quotient)
    if i128(remainder) < 0:
        root = root - 1
        remainder = remainder + (root << 1) + 1
    # Beyond half of the last bit is where remainder > root; no root lies exactly there.
    return exponent >> 1, (root << 64) | (u128(remainder > root) << 63) | u128(remainder != 0)
