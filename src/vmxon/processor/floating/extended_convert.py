"""Conversions between double extended precision and what memory holds (Vol. 1 §4.2 “Numeric Data Types”)."""

from __future__ import annotations

from vmxon.microcode import i32, i64, microcode, u32, u64, u128
from vmxon.processor.floating.encoding import is_denormal as is_denormal_pattern
from vmxon.processor.floating.encoding import is_negative as is_negative_pattern
from vmxon.processor.floating.encoding import magnitude, pack, unpack
from vmxon.processor.floating.extended import (
    INTEGER_BIT,
    QUIET,
    SIGN,
    TOP,
    denormal_flag,
    head_of,
    is_infinite,
    is_nan,
    is_negative,
    is_ordinary,
    is_signaling,
    is_unsupported,
    is_zero,
    pack_extended,
    propagate_extended,
    unpack_extended,
)
from vmxon.processor.floating.formats import DENORMAL, EXTENDED, INVALID, ZERO_DIVIDE, Format
from vmxon.processor.floating.rounding import normalize, round_finite, round_to_integer, rounding_mode
from vmxon.processor.floating.simd import signed


@microcode
def widen(source: Format, bits: u64) -> tuple[u32, u64, u32]:
    """A single or double, exact; a signaling NaN stays one. The flag is DENORMAL for a denormal."""
    sign = is_negative_pattern(source, bits)
    size = magnitude(source, bits)
    if size >= source.infinity:
        return head_of(sign, u32(TOP)), (size << (64 - source.precision)) | INTEGER_BIT, u32(0)
    if size == 0:
        return head_of(sign, u32(0)), u64(0), u32(0)
    exponent, significand = unpack(source, size)
    flag = u32(DENORMAL) if is_denormal_pattern(source, bits) else u32(0)
    return pack_extended(sign, exponent, significand), significand, flag


@microcode
def narrow(target: Format, head: u32, significand: u64, control: u32) -> tuple[u64, u32]:
    """A single or double, rounded (FST m32fp, m64fp)."""
    sign = is_negative(head)
    if is_unsupported(head, significand):
        return u64(target.indefinite), u32(INVALID)
    if is_nan(head, significand):
        payload = ((significand | QUIET) & (INTEGER_BIT - 1)) >> (64 - target.precision)
        flags = u32(INVALID) if is_signaling(head, significand) else u32(0)
        return signed(target, sign, payload | target.infinity), flags
    if is_infinite(head, significand):
        return signed(target, sign, u64(target.infinity)), u32(0)
    if is_zero(head, significand):
        return signed(target, sign, u64(0)), u32(0)
    exponent, normal = unpack_extended(head, significand)
    place, rounded, flags = round_finite(target, sign, exponent, u128(normal) << 64, control)
    return pack(target, sign, place, rounded), flags


@microcode
def widen_integer(value: u64) -> tuple[u32, u64]:
    """A signed 64-bit integer, exact."""
    sign = i64(value) < 0
    size = u64(0) - value if sign else value
    if size == 0:
        return u32(0), u64(0)
    exponent, significand = normalize(i32(127), u128(size))
    top = u64(significand >> 64)
    return pack_extended(sign, exponent, top), top


@microcode
def narrow_integer(width: int, head: u32, significand: u64, control: u32) -> tuple[u64, u32]:
    """A signed integer of `width` bits, rounded; the integer indefinite where it does not fit."""
    indefinite = u64(1 << (width - 1))
    if not is_ordinary(head, significand):
        return indefinite, u32(INVALID)
    sign = is_negative(head)
    if significand == 0:
        return u64(0), u32(0)
    exponent, normal = unpack_extended(head, significand)
    if exponent >= width:
        return indefinite, u32(INVALID)
    whole, flags = round_to_integer(sign, exponent, normal, rounding_mode(control))
    if (whole > indefinite) | ((whole == indefinite) & (not sign)):
        return indefinite, u32(INVALID)
    return (u64(0) - whole if sign else whole) & ((1 << width) - 1), flags


DECIMAL_LIMIT = 10**18
DECIMAL_INDEFINITE_LOW, DECIMAL_INDEFINITE_HIGH = 0xC000_0000_0000_0000, 0xFFFF


@microcode
def widen_decimal(low: u64, high: u32) -> tuple[u32, u64]:
    """A packed BCD integer of 18 digits: `low` holds 16 of them, `high` two digits and the sign in bit 15."""
    value = u64((high >> 4) & 15) * 10 + u64(high & 15)
    place = u32(64)
    while place != 0:
        place = place - 4
        value = value * 10 + ((low >> place) & 15)
    head, significand = widen_integer(value)
    return head | (high & SIGN), significand


@microcode
def narrow_decimal(head: u32, significand: u64, control: u32) -> tuple[u64, u32, u32]:
    """Packed BCD (low, high) and flags; the packed BCD indefinite where 18 digits do not hold it."""
    sign = head & SIGN
    invalid = not is_ordinary(head, significand)
    exponent, normal = unpack_extended(head, significand)
    if invalid | (exponent >= 63):
        return u64(DECIMAL_INDEFINITE_LOW), u32(DECIMAL_INDEFINITE_HIGH), u32(INVALID)
    if significand == 0:
        return u64(0), sign, u32(0)
    whole, flags = round_to_integer(sign != 0, exponent, normal, rounding_mode(control))
    if whole >= DECIMAL_LIMIT:
        return u64(DECIMAL_INDEFINITE_LOW), u32(DECIMAL_INDEFINITE_HIGH), u32(INVALID)
    low = u64(0)
    place = u32(0)
    while place != 64:
        low = low | ((whole % 10) << place)
        whole = whole // 10
        place = place + 4
    high = u32((whole // 10) << 4) | u32(whole % 10)
    return low, high | sign, flags


@microcode
def integral_extended(head: u32, significand: u64, control: u32) -> tuple[u32, u64, u32]:
    """The number rounded to an integer (FRNDINT)."""
    if not is_ordinary(head, significand):
        return propagate_extended(head, significand, head, significand)
    exponent, normal = unpack_extended(head, significand)
    if (significand == 0) | (exponent >= 63):
        return head, significand, u32(0)
    flags = denormal_flag(head, significand)
    sign = is_negative(head)
    whole, more = round_to_integer(sign, exponent, normal, rounding_mode(control))
    if whole == 0:
        return head & SIGN, u64(0), flags | more
    rounded, result = widen_integer(whole)
    return rounded | (head & SIGN), result, flags | more


@microcode
def extract_extended(head: u32, significand: u64) -> tuple[u32, u64, u32, u64, u32]:
    """FXTRACT: the exponent as a number, the significand as a number, flags."""
    if not is_ordinary(head, significand):
        nan_head, nan, flags = propagate_extended(head, significand, head, significand)
        return nan_head, nan, nan_head, nan, flags
    if is_infinite(head, significand):
        return u32(TOP), significand, head, significand, u32(0)
    if significand == 0:
        return u32(SIGN | TOP), u64(INTEGER_BIT), head, significand, u32(ZERO_DIVIDE)
    exponent, normal = unpack_extended(head, significand)
    exponent_head, exponent_significand = widen_integer(u64(i64(exponent)))
    fraction_head = (head & SIGN) | EXTENDED.bias
    return exponent_head, exponent_significand, fraction_head, normal, denormal_flag(head, significand)
