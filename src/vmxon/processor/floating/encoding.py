"""Encodings with an implied integer bit (single and double precision): what a pattern is, and unpacking and packing it.

Patterns travel as u64; a single sits in the low half (Vol. 1 §4.2.2 “Floating-Point Data Types”).
"""

from __future__ import annotations

from vmxon.microcode import i32, inline, leading_zeros, microcode, u32, u64
from vmxon.processor.floating.formats import ABSENT, DENORMALS_ARE_ZERO, Format


@inline
def is_negative(source: Format, bits: int) -> bool:
    """The sign bit."""
    return (bits & source.sign) != 0


@inline
def magnitude(source: Format, bits: int) -> int:
    """The pattern without its sign; patterns of magnitudes compare as the numbers do."""
    return bits & (source.sign - 1)


@inline
def is_nan(source: Format, bits: int) -> bool:
    """A quiet or signaling NaN."""
    return magnitude(source, bits) > source.infinity


@inline
def is_signaling(source: Format, bits: int) -> bool:
    """A signaling NaN: the quiet bit is clear."""
    return is_nan(source, bits) & ((bits & source.quiet) == 0)


@inline
def is_infinite(source: Format, bits: int) -> bool:
    """An infinity of either sign."""
    return magnitude(source, bits) == source.infinity


@inline
def is_zero(source: Format, bits: int) -> bool:
    """A zero of either sign."""
    return magnitude(source, bits) == 0


@inline
def is_denormal(source: Format, bits: int) -> bool:
    """A number below the normal range, not zero."""
    return (magnitude(source, bits) != 0) & (magnitude(source, bits) < (1 << source.fraction_bits))


@inline
def with_denormals_as_zero(source: Format, bits: int, control: int) -> int:
    """The operand that SSE sees: a signed zero for a denormal where MXCSR.DAZ is 1."""
    flush = is_denormal(source, bits) & ((control & DENORMALS_ARE_ZERO) != 0)
    return bits & source.sign if flush else bits


@inline
def unpack(source: Format, bits: int) -> tuple[int, int]:
    """Exponent and significand (bit 63 set) of a finite magnitude; a zero has significand 0 and the exponent ABSENT."""
    biased = i32(magnitude(source, bits) >> source.fraction_bits)
    significand = (bits & ((1 << source.fraction_bits) - 1)) << (64 - source.precision)
    if biased == 0:
        return unpack_small(source, significand)
    return biased - source.bias, significand | (1 << 63)


@microcode
def unpack_small(source: Format, fraction: u64) -> tuple[i32, u64]:
    """The same for a zero or denormal, whose fraction starts at bit 62."""
    if fraction == 0:
        return i32(ABSENT), u64(0)
    shift = u32(leading_zeros(fraction))
    return i32(source.lowest) - i32(shift), fraction << shift


@inline
def pack(target: Format, sign: bool, exponent: int, significand: int) -> int:
    """The pattern of what `round_finite` gave."""
    fraction = (significand & ((1 << 63) - 1)) >> (64 - target.precision)
    biased = u64(exponent + target.bias) if (significand >> 63) != 0 else u64(0)
    return (u64(sign) << (target.fraction_bits + target.exponent_bits)) | (biased << target.fraction_bits) | fraction
