"""Integers: wrapping, conversions, shifts, comparisons and bit operations, in every width and signedness."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.microcode.both import Both, Cell
from vmxon.microcode import (
    BOOL,
    IntType,
    byte_swap,
    i32,
    inline,
    leading_zeros,
    microcode,
    popcount,
    select,
    trailing_zeros,
    u8,
    u32,
    u64,
    u128,
)
from vmxon.microcode.types import TYPES

KINDS = [kind for kind in TYPES.values() if kind.bits <= 128]
NARROW = [kind for kind in KINDS if not kind.is_signed and kind.bits <= 64]
ROUNDS = 40


def samples(kind: IntType, seed: str) -> Iterator[int]:
    """Edges and random numbers of a type."""
    source = random.Random(seed)
    for number in (0, 1, 2, -1, kind.mask >> 1, (kind.mask >> 1) + 1, 0x80, 0x0102030405060708):
        yield kind.wrap(number)
    for _ in range(ROUNDS):
        yield kind.wrap(source.getrandbits(128) >> source.randrange(128))


def pairs(kind: IntType, seed: str) -> Iterator[tuple[int, int]]:
    """Two samples at a time, equal ones among them."""
    left = list(samples(kind, seed))
    right = left[:]
    random.Random(seed).shuffle(right)
    yield from zip(left, right, strict=True)
    yield left[0], left[0]


@microcode
def arithmetic(cpu: Cell, a: u128, b: u128, kind: IntType) -> tuple[u128, u128, u128, u128, u128, u128]:
    """The six operators that wrap."""
    left, right = kind(a), kind(b)
    return (
        u128(left + right), u128(left - right), u128(left * right), u128(left & right), u128(left | right), u128(left ^ right),
    )  # fmt: skip


@microcode
def one_operand(cpu: Cell, a: u128, kind: IntType) -> tuple[u128, u128, u128]:
    """Complement, negation, identity."""
    value = kind(a)
    return u128(~value), u128(-value), u128(+value)


@microcode
def with_constants(cpu: Cell, a: u128, kind: IntType) -> tuple[u128, u128, u128, u128, u128]:
    """Static integers adapt to the type beside them."""
    value = kind(a)
    return u128(value + 0), u128(value * 0), u128(7 - value), u128(value & 0), u128(value ^ kind.mask)


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_arithmetic_wraps(kind: IntType) -> None:
    both, single, constant = Both(arithmetic, kind), Both(one_operand, kind), Both(with_constants, kind)
    for a, b in pairs(kind, "arithmetic"):
        expected = [kind.wrap(n) % (1 << 128) for n in (a + b, a - b, a * b, a & b, a | b, a ^ b)]
        assert both(a, b) == tuple(expected)
        assert single(a) == tuple(kind.wrap(n) % (1 << 128) for n in (~a, -a, a))
        assert constant(a) == tuple(kind.wrap(n) % (1 << 128) for n in (a, 0, 7 - a, 0, ~a))


@microcode
def quotient(cpu: Cell, a: u128, b: u128, kind: IntType) -> tuple[u64, u64]:
    """Unsigned division."""
    return u64(kind(a) // kind(b)), u64(kind(a) % kind(b))


@pytest.mark.parametrize("kind", NARROW, ids=repr)
def test_division(kind: IntType) -> None:
    both = Both(quotient, kind)
    for a, b in pairs(kind, "division"):
        if b:
            assert both(a, b) == (a // b, a % b)


@microcode
def shifted(cpu: Cell, a: u128, count: u8, kind: IntType) -> tuple[u128, u128]:
    """Shifts by a runtime count of another type."""
    return u128(kind(a) << count), u128(kind(a) >> count)


@microcode
def shifted_by_own(cpu: Cell, a: u128, count: u128, kind: IntType) -> tuple[u128, u128]:
    """Shifts by a runtime count of the same width."""
    return u128(kind(a) << kind.unsigned(count)), u128(kind(a) >> kind.unsigned(count))


@microcode
def shifted_by_known(cpu: Cell, a: u128, kind: IntType, count: int) -> tuple[u128, u128]:
    """Shifts by a typed constant, which may be beyond the width."""
    return u128(kind(a) << u8(count)), u128(kind(a) >> u8(count))


@microcode
def shifted_by_static(cpu: Cell, a: u128, kind: IntType, count: int) -> tuple[u128, u128]:
    """Shifts by a static count."""
    return u128(kind(a) << count), u128(kind(a) >> count)


def shift_result(kind: IntType, a: int, count: int) -> tuple[int, int]:
    """Counts are taken modulo the width; `>>` of a signed type copies the sign."""
    count %= kind.bits
    return kind.wrap(a << count) % (1 << 128), kind.wrap(a >> count) % (1 << 128)


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_shift_counts_are_taken_modulo_the_width(kind: IntType) -> None:
    other, own = Both(shifted, kind), Both(shifted_by_own, kind)
    counts = random.Random("counts")
    for a in samples(kind, "shifts"):
        for count in (0, 1, kind.bits - 1, kind.bits, kind.bits + 1, counts.randrange(256)):
            assert other(a, count) == shift_result(kind, a, count % 256)
            if count <= kind.mask:
                assert own(a, count) == shift_result(kind, a, count)


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_shifts_by_constants(kind: IntType) -> None:
    for count in (0, 1, kind.bits - 1, kind.bits, kind.bits + 3, 255):
        both = Both(shifted_by_known, kind, count)
        for a in samples(kind, "constants"):
            assert both(a) == shift_result(kind, a, count)
    both = Both(shifted_by_static, kind, kind.bits - 1)
    for a in samples(kind, "static"):
        assert both(a) == shift_result(kind, a, kind.bits - 1)


@microcode
def compared(cpu: Cell, a: u128, b: u128, kind: IntType) -> tuple[bool, bool, bool, bool, bool, bool]:
    """The six comparisons."""
    left, right = kind(a), kind(b)
    return left == right, left != right, left < right, left <= right, left > right, left >= right


@microcode
def between(cpu: Cell, a: u64, b: u64, c: u64) -> bool:
    """A chain."""
    return a <= b < c


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_comparisons_follow_the_signedness(kind: IntType) -> None:
    both = Both(compared, kind)
    for a, b in pairs(kind, "compare"):
        assert both(a, b) == (a == b, a != b, a < b, a <= b, a > b, a >= b)


def test_chained_comparison() -> None:
    both = Both(between)
    for a, b, c in ((1, 2, 3), (1, 1, 2), (1, 2, 2), (3, 2, 4), ((1 << 64) - 1, 0, 1)):
        assert both(a, b, c) == (a <= b < c)


@microcode
def converted(cpu: Cell, a: u128, source: IntType, target: IntType) -> u128:
    """There and up."""
    return u128(target(source(a)))


@microcode
def constant_converted(cpu: Cell, target: IntType, number: int, source: IntType) -> u128:
    """The same where the number is known."""
    return u128(target(source(number)))


@pytest.mark.parametrize("source", KINDS, ids=repr)
def test_conversions_extend_by_the_signedness_of_the_source(source: IntType) -> None:
    for target in KINDS:
        both = Both(converted, source, target)
        for a in samples(source, "convert"):
            assert both(a) == target.wrap(a) % (1 << 128)
        assert Both(constant_converted, target, -3, source)() == target.wrap(source.wrap(-3)) % (1 << 128)


@microcode
def bools(cpu: Cell, a: u64, b: u64, kind: IntType) -> tuple[u128, u128, u128, u128, bool, bool, bool, bool]:
    """Truth values as numbers, and numbers as truth values."""
    yes, other = a != 0, b != 0
    return (
        u128(kind(yes)), u128(kind(not yes)), u128(kind(~yes)), u128(kind(yes ^ other)), bool(a), yes & other, yes | other, BOOL(a),
    )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_bools(kind: IntType) -> None:
    both = Both(bools, kind)
    for a, b in ((0, 0), (1, 0), (2, 5), (0, 3), (1 << 63, 1)):
        yes, other = a != 0, b != 0
        assert both(a, b) == (yes, not yes, not yes, yes ^ other, yes, yes and other, yes or other, a & 1)


@microcode
def counted(cpu: Cell, a: u128, kind: IntType) -> tuple[u128, u128, u128, u128]:
    """Bit counts and byte order."""
    value = kind(a)
    return u128(popcount(value)), u128(leading_zeros(value)), u128(trailing_zeros(value)), u128(byte_swap(value))


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_bit_counts(kind: IntType) -> None:
    both = Both(counted, kind)
    for a in samples(kind, "bits"):
        bits = a & kind.mask
        text = f"{bits:0{kind.bits}b}"
        swapped = kind.wrap(int.from_bytes(bits.to_bytes(kind.bits // 8, "little"), "big"))
        zeros = (len(text) - len(text.lstrip("0")), len(text) - len(text.rstrip("0")))
        assert both(a) == tuple(kind.wrap(n) % (1 << 128) for n in (bits.bit_count(), *zeros, swapped))


@microcode
def chosen(cpu: Cell, a: u32, b: u32) -> tuple[u32, u32, u32, bool, bool]:
    """select(), conditional expressions cheap and not, membership."""
    return (
        select(a < b, a, b),
        a if a < b else u32(9),
        doubled(a) if a < b else doubled(b) + 1,
        a in (1, 2, b),
        a not in (1, 2, b),
    )


@inline
def doubled(value: u32) -> u32:
    """A call, so that only one alternative is evaluated."""
    return value * 2


def test_choices() -> None:
    both = Both(chosen)
    for a, b in ((1, 2), (2, 1), (7, 7), (3, 0xFFFFFFFF), (0xFFFFFFFF, 0)):
        known = a in (1, 2, b)
        third = 2 * a if a < b else 2 * b + 1
        assert both(a, b) == (min(a, b), a if a < b else 9, third & 0xFFFFFFFF, known, not known)


@microcode
def folded(cpu: Cell, a: u32) -> tuple[u32, u32, u32, bool, i32]:
    """Typed constants are computed by the compiler."""
    return u32(5) * 3 + a, u32(1) - 2, u32(0xF0) >> 4, u32(3) < 4, i32(-8) >> 1


def test_folding() -> None:
    assert Both(folded)(1) == (16, 0xFFFFFFFF, 15, True, -4)
