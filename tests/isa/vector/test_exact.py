"""Arithmetic against exact rational numbers and Python's floats: no processor of the host takes part."""

from __future__ import annotations

import math
import random
import struct
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.isa.vector.subject import subject
from tests.isa.vector.world import World

DOUBLES = st.floats(allow_nan=False, allow_infinity=False)
ROUND_MODES = ("nearest", "down", "up", "zero")


def bits_of(number: float) -> int:
    return int.from_bytes(struct.pack("<d", number), "little")


def number_of(bits: int) -> float:
    return struct.unpack("<d", (bits & (1 << 64) - 1).to_bytes(8, "little"))[0]


def double(text: str, left: float, right: float) -> float:
    after = subject().run(text, World(xmm=(bits_of(left), bits_of(right), 0, 0)))
    return number_of(after.xmm[0])


@settings(max_examples=150, deadline=None)
@given(DOUBLES, DOUBLES)
def test_doubles_add_as_python_does(left: float, right: float) -> None:
    assert bits_of(double("addsd xmm0, xmm1", left, right)) == bits_of(left + right)


@settings(max_examples=150, deadline=None)
@given(DOUBLES, DOUBLES)
def test_doubles_multiply_as_python_does(left: float, right: float) -> None:
    assert bits_of(double("mulsd xmm0, xmm1", left, right)) == bits_of(left * right)


@settings(max_examples=150, deadline=None)
@given(DOUBLES, DOUBLES.filter(bool))
def test_doubles_divide_as_python_does(left: float, right: float) -> None:
    assert bits_of(double("divsd xmm0, xmm1", left, right)) == bits_of(left / right)


@settings(max_examples=150, deadline=None)
@given(st.floats(min_value=0, allow_infinity=False))
def test_roots_of_doubles_are_those_of_python(operand: float) -> None:
    assert bits_of(double("sqrtsd xmm0, xmm1", 1.0, operand)) == bits_of(math.sqrt(operand))


@settings(max_examples=150, deadline=None)
@given(st.integers(-(1 << 63), (1 << 63) - 1))
def test_integers_convert_as_python_does(value: int) -> None:
    after = subject().run("cvtsi2sd xmm0, rax", World(rax=value & (1 << 64) - 1))
    assert number_of(after.xmm[0]) == float(value)


def value_of(number: tuple[int, int]) -> Fraction:
    """The exact value of a finite extended number."""
    head, significand = number
    magnitude = Fraction(significand) * Fraction(2) ** (max(head & 0x7FFF, 1) - 16383 - 63)
    return -magnitude if head >> 15 else magnitude


def nearest_even(scaled: Fraction) -> int:
    """`scaled` (not negative) rounded to the nearest integer, halves to even; Python's round does that."""
    return round(scaled)


def rounded(exact: Fraction, precision: int, mode: str) -> Fraction:
    """`exact` rounded to a number of significant bits, no limits to the exponent."""
    if exact == 0:
        return exact
    size = abs(exact)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    if size < Fraction(2) ** exponent:
        exponent -= 1
    unit = Fraction(2) ** (exponent - precision + 1)
    scaled = size / unit
    up = mode == ("up" if exact > 0 else "down")
    count = nearest_even(scaled) if mode == "nearest" else math.ceil(scaled) if up else math.floor(scaled)
    return (count if exact > 0 else -count) * unit


OPERATIONS = {
    "fadd st, st(1)": lambda a, b: a + b,
    "fsub st, st(1)": lambda a, b: a - b,
    "fsubr st, st(1)": lambda a, b: b - a,
    "fmul st, st(1)": lambda a, b: a * b,
    "fdiv st, st(1)": lambda a, b: a / b,
    "fdivr st, st(1)": lambda a, b: b / a,
}
PRECISIONS = {0: 24, 2: 53, 3: 64}


@pytest.mark.parametrize("text", OPERATIONS)
@pytest.mark.parametrize("mode", range(4), ids=ROUND_MODES)
@pytest.mark.parametrize("precision", PRECISIONS, ids=str)
def test_x87_arithmetic_is_exactly_rounded(text: str, mode: int, precision: int) -> None:
    choose = random.Random(f"{text}{mode}{precision}")
    control = 0x7F | precision << 8 | mode << 10
    for _ in range(30):
        numbers = [(choose.getrandbits(1) << 15 | 0x3FFF + choose.randrange(-70, 70), choose.getrandbits(64) | 1 << 63) for _ in "ab"]
        before = World(control=control, present=3, stack=(*numbers, *((0, 0),) * 6))
        exact = OPERATIONS[text](value_of(numbers[0]), value_of(numbers[1]))
        after = subject().run(text, before)
        expected = rounded(exact, PRECISIONS[precision], ROUND_MODES[mode])
        assert value_of(after.stack[0]) == expected
        assert after.status & 0x3F == (0x20 if expected != exact else 0)
        assert bool(after.status & 0x200) == (abs(expected) > abs(exact))


@pytest.mark.parametrize("mode", range(4), ids=ROUND_MODES)
def test_x87_roots_are_exactly_rounded(mode: int) -> None:
    choose = random.Random(mode)
    for _ in range(30):
        number = 0x3FFF + choose.randrange(-200, 200), choose.getrandbits(64) | 1 << 63
        after = subject().run("fsqrt", World(control=0x37F | mode << 10, present=1, stack=(number, *((0, 0),) * 7)))
        root, unit = value_of(after.stack[0]), Fraction(2) ** ((after.stack[0][0] & 0x7FFF) - 16383 - 63)
        square = value_of(number)
        below, above = {
            0: (root - unit / 2, root + unit / 2),
            1: (root, root + unit),
            2: (root - unit, root),
            3: (root, root + unit),
        }[mode]
        assert below**2 <= square <= above**2


@pytest.mark.parametrize(("text", "exponent"), [("rcpss xmm0, xmm1", -1.0), ("rsqrtss xmm0, xmm1", -0.5)])
def test_estimates_keep_the_documented_error(text: str, exponent: float) -> None:
    choose = random.Random(text)
    for _ in range(500):
        single = (choose.randrange(1, 252) << 23) | choose.getrandbits(23)
        operand = struct.unpack("<f", single.to_bytes(4, "little"))[0]
        after = subject().run(text, World(xmm=(0, single, 0, 0)))
        estimate = struct.unpack("<f", (after.xmm[0] & 0xFFFFFFFF).to_bytes(4, "little"))[0]
        assert abs(estimate / operand**exponent - 1) <= 1.5 * 2**-12
        assert after.mxcsr == 0x1F80


@pytest.mark.parametrize(
    ("text", "operand", "result"),
    [
        ("rcpss", 0x00000000, 0x7F800000),
        ("rcpss", 0x80000001, 0xFF800000),
        ("rcpss", 0xFF800000, 0x80000000),
        ("rcpss", 0x7F800001, 0x7FC00001),
        ("rcpss", 0x7F7FFFFF, 0x00000000),
        ("rsqrtss", 0x80000000, 0xFF800000),
        ("rsqrtss", 0xBF800000, 0xFFC00000),
        ("rsqrtss", 0x7F800000, 0x00000000),
        ("rsqrtss", 0xFFC00005, 0xFFC00005),
    ],
)
def test_estimates_at_the_edges(text: str, operand: int, result: int) -> None:
    assert subject().run(f"{text} xmm0, xmm1", World(xmm=(0, operand, 0, 0))).xmm[0] == result


def test_maskmovdqu_stores_the_chosen_bytes() -> None:
    machine = subject()
    machine.load(World(xmm=(int.from_bytes(bytes(range(16)), "little"), 0x80 | 0xFF << 64 | 0x7F << 8, 0, 0), memory=b"\xee" * 64))
    machine.state.gpr[7] = 0x20000 + 3
    machine.bench.step("maskmovdqu xmm0, xmm1")
    assert machine.after().memory[:20] == b"\xee" * 3 + b"\x00" + b"\xee" * 7 + b"\x08" + b"\xee" * 8


@pytest.mark.parametrize(
    ("text", "head", "truncated", "modes_up"),
    [
        ("fld1", 0x3FFF, 1 << 63, ()),
        ("fldz", 0, 0, ()),
        ("fldpi", 0x4000, 0xC90FDAA22168C234, (0, 2)),
        ("fldl2e", 0x3FFF, 0xB8AA3B295C17F0BB, (0, 2)),
        ("fldl2t", 0x4000, 0xD49A784BCD1B8AFE, (2,)),
        ("fldlg2", 0x3FFD, 0x9A209A84FBCFF798, (0, 2)),
        ("fldln2", 0x3FFE, 0xB17217F7D1CF79AB, (0, 2)),
    ],
)
def test_constants_follow_the_rounding_mode(text: str, head: int, truncated: int, modes_up: tuple[int, ...]) -> None:
    for mode in range(4):
        after = subject().run(text, World(control=0x37F | mode << 10))
        assert after.stack[0] == (head, truncated + (mode in modes_up))
