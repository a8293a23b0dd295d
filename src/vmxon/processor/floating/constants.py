"""Constants of the transcendental functions, computed with integers when this module is imported."""

from __future__ import annotations

BITS = 200
"""Working precision."""
ONE = 1 << BITS


def _series(start: int, divisor: int, sign: int) -> int:
    """start · (1 + sign/(3·d) + 1/(5·d²) + …) for d = `divisor`: arctan and artanh of simple fractions."""
    total, power, number, factor = 0, start, 1, 1
    while power:
        total += factor * (power // number)
        power //= divisor
        number += 2
        factor *= sign
    return total


def _arctangent(numerator: int, denominator: int) -> int:
    """arctan(numerator / denominator) below 1, in units of 1/ONE."""
    total, power, number, sign = 0, ONE * numerator // denominator, 1, 1
    while power:
        total += sign * (power // number)
        power = power * numerator * numerator // (denominator * denominator)
        number += 2
        sign = -sign
    return total


_PI = 16 * _series(ONE // 5, 25, -1) - 4 * _series(ONE // 239, 239 * 239, -1)
"""Machin's formula."""
_LN2 = 2 * _series(ONE // 3, 9, 1)


def fraction(value: int, places: int) -> int:
    """A constant in units of 2^-places, rounded."""
    return (value + (1 << (BITS - places - 1))) >> (BITS - places)


PI = fraction(_PI, 126)
"""π · 2^126."""
LN2 = fraction(_LN2, 128)
"""ln 2 · 2^128."""
LOG2_E = fraction((ONE << BITS) // _LN2, 127)
"""log₂ e · 2^127."""
REDUCING_PI = 0xC90FDAA22168C234C
"""π · 2^66 as the argument reduction sees it: 66 bits (Vol. 1 §8.3.8 “Approximation of Pi”)."""
ARCTANGENTS = tuple(fraction(_PI // 4 if step == 8 else _arctangent(step, 8), 127) for step in range(9))
"""arctan(step / 8) · 2^127."""


def reciprocal(divisor: int) -> int:
    """1 / divisor in units of 2^-128."""
    return (1 << 128) // divisor


SINE = tuple(reciprocal(2 * n * (2 * n + 1)) for n in range(1, 14))
"""Ratios of neighbouring terms of sin x / x = 1 - x²/(2·3) · (1 - x²/(4·5) · …)."""
COSINE = tuple(reciprocal((2 * n - 1) * 2 * n) for n in range(1, 15))
"""The same of cos x = 1 - x²/(1·2) · (1 - x²/(3·4) · …)."""
ODD = tuple(reciprocal(2 * n + 1) for n in range(1, 22))
"""Coefficients of arctan x / x and artanh x / x: 1/3, 1/5, …"""
EXPONENTIAL = tuple(reciprocal(n + 1) for n in range(1, 27))
"""Ratios of (e^x - 1) / x = 1 + x/2 · (1 + x/3 · …)."""
