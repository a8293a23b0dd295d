"""SSE conversions of one element, and the estimates of RCPPS and RSQRTPS."""

from __future__ import annotations

from vmxon.microcode import i32, i64, leading_zeros, microcode, u32, u64, u128
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
from vmxon.processor.floating.exact import root_exact
from vmxon.processor.floating.formats import DENORMAL, INVALID, PRECISION, SINGLE, TOWARD_ZERO, Format
from vmxon.processor.floating.rounding import normalize, round_to_integer, rounding_mode
from vmxon.processor.floating.simd import finish, signed

FRACTION = 1 << SINGLE.fraction_bits


@microcode
def from_integer(target: Format, value: u64, control: u32) -> tuple[u64, u32]:
    """A signed 64-bit integer in `target`."""
    sign = i64(value) < 0
    size = u64(0) - value if sign else value
    if size == 0:
        return u64(0), u32(0)
    exponent, significand = normalize(i32(127), u128(size))
    return finish(target, sign, exponent, significand, control, u32(0))


@microcode
def to_integer(source: Format, width: int, truncates: int, operand: u64, control: u32) -> tuple[u64, u32]:
    """A signed integer of `width` bits, zero-extended; the integer indefinite where it does not fit."""
    bits = with_denormals_as_zero(source, operand, control)
    sign = is_negative(source, bits)
    if is_zero(source, bits):
        return u64(0), u32(0)
    indefinite = u64(1 << (width - 1))
    if is_nan(source, bits) | is_infinite(source, bits):
        return indefinite, u32(INVALID)
    exponent, significand = unpack(source, magnitude(source, bits))
    if exponent >= width:
        return indefinite, u32(INVALID)
    mode = u32(TOWARD_ZERO) if truncates else rounding_mode(control)
    whole, flags = round_to_integer(sign, exponent, significand, mode)
    if (whole > indefinite) | ((whole == indefinite) & (not sign)):
        return indefinite, u32(INVALID)
    result = u64(0) - whole if sign else whole
    return result & ((1 << width) - 1), flags & 0x3F


@microcode
def integral(target: Format, operand: u64, control: u32) -> tuple[u64, u32]:
    """The number rounded to an integer of its own format; a denormal is not reported (Vol. 2B “ROUNDPS”)."""
    bits = with_denormals_as_zero(target, operand, control)
    sign = is_negative(target, bits)
    if is_nan(target, bits):
        return bits | target.quiet, u32(INVALID) if is_signaling(target, bits) else u32(0)
    exponent, significand = unpack(target, magnitude(target, bits))
    if is_zero(target, bits) | (exponent >= target.fraction_bits):
        return bits, u32(0)
    whole, flags = round_to_integer(sign, exponent, significand, rounding_mode(control))
    if whole == 0:
        return signed(target, sign, u64(0)), flags & PRECISION
    shift = u32(leading_zeros(whole))
    return pack(target, sign, i32(63) - i32(shift), whole << shift), flags & PRECISION


@microcode
def change_format(source: Format, target: Format, operand: u64, control: u32) -> tuple[u64, u32]:
    """The number in the other precision; a NaN keeps the upper bits of its payload."""
    bits = with_denormals_as_zero(source, operand, control)
    sign = is_negative(source, bits)
    if is_nan(source, bits):
        signaling = is_signaling(source, bits)
        payload = (bits << (64 - source.fraction_bits)) >> (64 - target.fraction_bits)
        return signed(target, sign, payload | (target.infinity | target.quiet)), u32(INVALID) if signaling else u32(0)
    if is_infinite(source, bits):
        return signed(target, sign, u64(target.infinity)), u32(0)
    if is_zero(source, bits):
        return signed(target, sign, u64(0)), u32(0)
    flags = u32(DENORMAL) if is_denormal(source, bits) else u32(0)
    exponent, significand = unpack(source, magnitude(source, bits))
    return finish(target, sign, exponent, u128(significand) << 64, control, flags)


@microcode
def reciprocal_estimate(operand: u64) -> u64:
    """1/x of a single with a relative error below 1.5 · 2^-12: the reciprocal of the middle of 2048 intervals.

    Denormals count as zeros, tiny results are zeros, nothing is reported (Vol. 2B “RCPPS”).
    """
    sign = is_negative(SINGLE, operand)
    if is_nan(SINGLE, operand):
        return operand | SINGLE.quiet
    if is_infinite(SINGLE, operand):
        return signed(SINGLE, sign, u64(0))
    if is_zero(SINGLE, operand) | is_denormal(SINGLE, operand):
        return signed(SINGLE, sign, u64(SINGLE.infinity))
    exponent, significand = unpack(SINGLE, magnitude(SINGLE, operand))
    if -exponent - 1 < SINGLE.lowest:
        return signed(SINGLE, sign, u64(0))
    middle = (significand >> 51) | 1
    return pack(SINGLE, sign, -exponent - 1, (u64(1 << 63) // middle) << 13)


@microcode
def reciprocal_root_estimate(operand: u64) -> u64:
    """1/√x of a single with a relative error below 1.5 · 2^-12, from the same intervals (Vol. 2B “RSQRTPS”)."""
    sign = is_negative(SINGLE, operand)
    if is_nan(SINGLE, operand):
        return operand | SINGLE.quiet
    if is_zero(SINGLE, operand) | is_denormal(SINGLE, operand):
        return signed(SINGLE, sign, u64(SINGLE.infinity))
    if sign:
        return u64(SINGLE.indefinite)
    if is_infinite(SINGLE, operand):
        return u64(0)
    exponent, significand = unpack(SINGLE, operand)
    middle = ((significand >> 51) | 1) << 51
    place, root = root_exact(exponent, middle)
    # The root's 32 leading bits are at least 2^31, so the quotient is in (2^31, 2^32].
    quotient = u64((1 << 63) - 1) // u64(root >> 96)
    return pack(SINGLE, False, -place - 1, quotient << 32)
