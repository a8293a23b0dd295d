"""Rounding: from a significand of 128 bits to a format or to an integer (Vol. 1 §4.8.4 “Rounding”)."""

from __future__ import annotations

from vmxon.microcode import i32, inline, leading_zeros, microcode, u32, u64, u128
from vmxon.processor.floating.formats import (
    DOWNWARD,
    FLUSH_TO_ZERO,
    MODE_SHIFT,
    NEAREST,
    OVERFLOW,
    PRECISION,
    ROUNDED_UP,
    UNDERFLOW,
    UPWARD,
    Format,
)


@inline
def rounding_mode(control: int) -> int:
    """The rounding-control field of a control word."""
    return (control >> MODE_SHIFT) & 3


@inline
def shift_right_sticky(significand: int, count: int) -> int:
    """A u128 shifted right; bit 0 also tells whether a one was lost."""
    kept = u128(0) if count >= 128 else significand >> count
    lost = (significand != 0) if count >= 128 else (kept << count) != significand
    return kept | u128(lost)


@inline
def rounds_up(sign: bool, odd: bool, rest: int, half: int, mode: int) -> bool:
    """Whether the magnitude grows, where `rest` is what lies below the last kept bit and `half` is half of that bit."""
    nearest = (mode == NEAREST) & ((rest > half) | ((rest == half) & odd))
    directed = ((mode == DOWNWARD) & sign) | ((mode == UPWARD) & (not sign))
    return nearest | (directed & (rest != 0))


@microcode
def round_finite(target: Format, sign: bool, exponent: i32, significand: u128, control: u32) -> tuple[i32, u64, u32]:
    """Round significand / 2^127 · 2^exponent, bit 127 set, to `target`: exponent, significand (integer bit 63), flags.

    A denormal or zero comes back with bit 63 clear and the lowest exponent, infinity with one above the highest.
    Tininess is detected after rounding. The flags include C1 (rounded up). Where overflow or underflow is unmasked,
    the exponent is wrapped into the range; what is beyond even that is infinity or zero.
    """
    lost = 128 - target.precision
    unit, half, below = 1 << (64 - target.precision), 1 << (lost - 1), (1 << lost) - 1
    mode = rounding_mode(control)
    place = exponent
    work = significand
    flags = u32(0)
    tiny = exponent < target.lowest
    if tiny:
        full = (significand | below) == (1 << 128) - 1
        odd = ((significand >> lost) & 1) != 0
        tiny = not ((exponent == target.lowest - 1) & full & rounds_up(sign, odd, significand & below, half, mode))
        if tiny & ((control & UNDERFLOW) == 0):
            flags = u32(UNDERFLOW)
            place = exponent + target.wrap
            if place < target.lowest:
                return i32(target.lowest), u64(0), u32(UNDERFLOW | PRECISION)
        elif tiny & ((control & FLUSH_TO_ZERO) != 0):
            return i32(target.lowest), u64(0), u32(UNDERFLOW | PRECISION)
        else:
            work = shift_right_sticky(significand, u32(target.lowest - exponent))
            place = i32(target.lowest)
    rest = work & below
    kept = u64(work >> 64) & ~u64(unit - 1)
    if rest != 0:
        flags = flags | PRECISION
        if tiny:
            flags = flags | UNDERFLOW
        if rounds_up(sign, (kept & unit) != 0, rest, half, mode):
            flags = flags | ROUNDED_UP
            kept = kept + unit
            if kept == 0:
                kept = u64(1 << 63)
                place = place + 1
    if place > target.bias:
        if control & OVERFLOW == 0:
            if place - target.wrap > target.bias:
                return i32(target.bias + 1), u64(1 << 63), u32(OVERFLOW | PRECISION | ROUNDED_UP)
            return place - target.wrap, kept, flags | OVERFLOW
        away = (mode == NEAREST) | ((mode == DOWNWARD) & sign) | ((mode == UPWARD) & (not sign))
        if away:
            return i32(target.bias + 1), u64(1 << 63), u32(OVERFLOW | PRECISION | ROUNDED_UP)
        return i32(target.bias), ~u64(unit - 1), u32(OVERFLOW | PRECISION)
    return place, kept, flags


@microcode
def round_to_integer(sign: bool, exponent: i32, significand: u64, mode: u32) -> tuple[u64, u32]:
    """The magnitude of significand / 2^63 · 2^exponent (below 64) as an integer, and flags; 2^64 wraps to 0."""
    if exponent >= 63:
        return significand, u32(0)
    # The integer part lands in the upper half, the fraction in the lower.
    placed = shift_right_sticky(u128(significand) << 64, u32(63 - exponent))
    whole = u64(placed >> 64)
    fraction = u64(placed)
    if fraction == 0:
        return whole, u32(0)
    if rounds_up(sign, (whole & 1) != 0, fraction, 1 << 63, mode):
        return whole + 1, u32(PRECISION | ROUNDED_UP)
    return whole, u32(PRECISION)


@inline
def normalize(exponent: int, significand: int) -> tuple[int, int]:
    """The same number (i32, u128, not zero) with bit 127 set."""
    shift = u32(leading_zeros(significand))
    return exponent - i32(shift), significand << shift
