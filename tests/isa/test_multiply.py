"""Multiplication and division against exact integers."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.isa.bare import CF, DE, OF, Bare, signed

ALL = (1 << 64) - 1
SOURCES = {8: "cl", 16: "cx", 32: "ecx", 64: "rcx"}
EDGES = st.sampled_from([0, 1, 2, 3, 0x7F, 0x80, 0xFF, 0xFFFF_FFFF, 1 << 32, (1 << 63) - 1, 1 << 63, ALL - 1, ALL])
WORDS = st.integers(0, ALL) | EDGES | st.integers(0, 0xFFFF)
BITS = st.sampled_from([8, 16, 32, 64])


def pair(machine: Bare, bits: int) -> int:
    """The double-width value in AX or rDX:rAX."""
    mask = (1 << bits) - 1
    if bits == 8:
        return machine["rax"] & 0xFFFF
    return (machine["rdx"] & mask) << bits | machine["rax"] & mask


@settings(max_examples=200, deadline=None)
@given(bits=BITS, left=WORDS, right=WORDS)
def test_products(long: Bare, bits: int, left: int, right: int) -> None:
    mask = (1 << bits) - 1
    long.run(f"mul {SOURCES[bits]}", rax=left, rcx=right)
    left, right = left & mask, right & mask
    assert pair(long, bits) == left * right
    assert long.flags & (CF | OF) == (CF | OF if left * right > mask else 0)
    long.run(f"imul {SOURCES[bits]}", rax=left, rcx=right)
    exact = signed(left, bits) * signed(right, bits)
    assert pair(long, bits) == exact & ((1 << 2 * bits) - 1)
    assert long.flags & (CF | OF) == (CF | OF if signed(exact & mask, bits) != exact else 0)


@settings(max_examples=100, deadline=None)
@given(left=WORDS, right=WORDS)
@pytest.mark.parametrize(("first", "second", "bits"), [("ax", "cx", 16), ("eax", "ecx", 32), ("rax", "rcx", 64)])
def test_products_of_two_and_three_operands(long: Bare, first: str, second: str, bits: int, left: int, right: int) -> None:
    mask = (1 << bits) - 1
    factors = signed(left & mask, bits), signed(right & mask, bits)
    cases = {
        f"imul {first}, {second}": factors[0] * factors[1],
        f"imul {first}, {second}, -77": factors[1] * -77,
        f"imul {first}, {second}, 1000": factors[1] * 1000,
    }
    for text, exact in cases.items():
        long.run(text, rax=left, rcx=right)
        assert long["rax"] & mask == exact & mask
        assert long.flags & (CF | OF) == (CF | OF if signed(exact & mask, bits) != exact else 0)


def registers_of(dividend: int, bits: int) -> tuple[int, int]:
    """RAX and RDX that hold a double-width value."""
    if bits == 8:
        return dividend & 0xFFFF, 0
    return dividend & ((1 << bits) - 1), dividend >> bits & ((1 << bits) - 1)


@settings(max_examples=400, deadline=None)
@given(bits=BITS, quotient=WORDS, divisor=WORDS, rest=WORDS)
@example(bits=64, quotient=ALL, divisor=ALL, rest=ALL - 1)
@example(bits=64, quotient=ALL, divisor=1 << 63, rest=(1 << 63) - 1)
@example(bits=64, quotient=0xFFFFFFFF00000000, divisor=0xFFFFFFFF00000001, rest=0xFFFFFFFF00000000)
@example(bits=64, quotient=1 << 63, divisor=1, rest=0)
def test_quotients_that_fit(long: Bare, bits: int, quotient: int, divisor: int, rest: int) -> None:
    mask = (1 << bits) - 1
    quotient, divisor = quotient & mask, max(1, divisor & mask)
    rest %= divisor
    low, high = registers_of(quotient * divisor + rest, bits)
    assert long.vector(f"div {SOURCES[bits]}", rax=low, rdx=high, rcx=divisor) is None
    if bits == 8:
        assert long["rax"] == rest << 8 | quotient
    else:
        assert (long["rax"], long["rdx"]) == (quotient, rest)


@settings(max_examples=400, deadline=None)
@given(bits=BITS, dividend=st.integers(0, (1 << 128) - 1) | WORDS, divisor=WORDS)
@example(bits=64, dividend=1 << 127, divisor=ALL)
@example(bits=64, dividend=(1 << 128) - (1 << 63), divisor=1)
@example(bits=64, dividend=(1 << 128) - (1 << 63) - 1, divisor=1)
@example(bits=8, dividend=0xFF80, divisor=1)
@example(bits=8, dividend=0x0080, divisor=1)
@example(bits=32, dividend=1 << 31, divisor=0xFFFFFFFF)
def test_division_is_exact_or_a_divide_error(long: Bare, bits: int, dividend: int, divisor: int) -> None:
    mask = (1 << bits) - 1
    dividend, divisor = dividend & ((1 << 2 * bits) - 1), divisor & mask
    low, high = registers_of(dividend, bits)
    for mnemonic in ("div", "idiv"):
        value, by = dividend, divisor
        lowest, highest = 0, mask
        if mnemonic == "idiv":
            value, by = signed(dividend, 2 * bits), signed(divisor, bits)
            lowest, highest = -(1 << (bits - 1)), mask >> 1
        quotient = abs(value) // abs(by) * (1 if (value < 0) == (by < 0) else -1) if by else None
        found = long.vector(f"{mnemonic} {SOURCES[bits]}", rax=low, rdx=high, rcx=divisor)
        if quotient is None or not lowest <= quotient <= highest:
            assert found == DE
            assert (long["rax"], long["rdx"]) == (low, high)
            continue
        assert found is None
        rest = (value - quotient * by) & mask
        if bits == 8:
            assert long["rax"] == rest << 8 | quotient & mask
        else:
            assert (long["rax"], long["rdx"]) == (quotient & mask, rest)
