"""What is fixed about floating point: formats, exception flags, rounding modes, the control word of arithmetic.

Arithmetic takes its controls in the layout of the x87 control word (Vol. 1 §8.1.5 “x87 FPU Control Word”), to which
bits 14 and 15 add SSE's DAZ and FTZ, and reports flags in the layout of the x87 status word.
"""

from __future__ import annotations

from dataclasses import dataclass

INVALID, DENORMAL, ZERO_DIVIDE, OVERFLOW, UNDERFLOW, PRECISION = (1 << n for n in range(6))
BEFORE = INVALID | DENORMAL | ZERO_DIVIDE
"""Exceptions found before the result is computed (Vol. 1 §4.9.2 “Floating-Point Exception Priority”)."""
ALL_MASKED = 0x3F
STACK_FAULT = 1 << 6
ROUNDED_UP = 1 << 9
"""C1 of the x87 status word: the last rounding went away from zero."""

MODE_SHIFT = 10
NEAREST, DOWNWARD, UPWARD, TOWARD_ZERO = range(4)
DENORMALS_ARE_ZERO = 1 << 14
FLUSH_TO_ZERO = 1 << 15

ABSENT = -0x20000
"""The exponent of an unpacked zero: below every other."""


@dataclass(frozen=True)
class Format:
    """A binary floating-point format, or a rounding target with its precision and exponent range."""

    name: str
    precision: int
    """Bits of significand, the integer bit included."""
    exponent_bits: int

    @property
    def bias(self) -> int:
        """What the encoding adds to the exponent; also the highest exponent."""
        return (1 << (self.exponent_bits - 1)) - 1

    @property
    def lowest(self) -> int:
        """The exponent of the smallest normal number."""
        return 1 - self.bias

    @property
    def fraction_bits(self) -> int:
        """Bits of fraction in an encoding with an implied integer bit."""
        return self.precision - 1

    @property
    def wrap(self) -> int:
        """What an unmasked overflow takes from the exponent, and an underflow adds to it (Vol. 1 §8.5.4, §8.5.5).

        24576 in a register; singles and doubles are then not stored at all.
        """
        return 3 << (self.exponent_bits - 2)

    @property
    def sign(self) -> int:
        """The sign bit of an encoding with an implied integer bit."""
        return 1 << (self.fraction_bits + self.exponent_bits)

    @property
    def top(self) -> int:
        """The largest biased exponent: infinities and NaNs."""
        return (1 << self.exponent_bits) - 1

    @property
    def infinity(self) -> int:
        """The encoding of +infinity."""
        return self.top << self.fraction_bits

    @property
    def quiet(self) -> int:
        """The bit that tells a quiet NaN."""
        return 1 << (self.fraction_bits - 1)

    @property
    def indefinite(self) -> int:
        """The QNaN floating-point indefinite: what an invalid operation gives."""
        return self.sign | self.infinity | self.quiet


SINGLE = Format("single", 24, 8)
DOUBLE = Format("double", 53, 11)
EXTENDED = Format("extended", 64, 15)
EXTENDED_TO_SINGLE = Format("extended, rounded to single precision", 24, 15)
EXTENDED_TO_DOUBLE = Format("extended, rounded to double precision", 53, 15)
