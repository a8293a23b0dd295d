"""Shifts and rotates against a model that moves one bit at a time, for every count."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.isa.bare import AF, CF, OF, PF, SF, STATUS, ZF, Bare, result_flags

REGISTERS = {8: "al", 16: "ax", 32: "eax", 64: "rax"}
FILLERS = {16: "dx", 32: "edx", 64: "rdx"}
WORDS = st.integers(0, (1 << 64) - 1) | st.sampled_from([0, 1, 0x80, 0x8000, 1 << 31, 1 << 63, (1 << 64) - 1])


def one_step(mnemonic: str, value: int, carry: int, bits: int) -> tuple[int, int]:
    """The operand moved by one bit, and the carry."""
    mask, top = (1 << bits) - 1, value >> (bits - 1)
    match mnemonic:
        case "shl":
            return value << 1 & mask, top
        case "shr":
            return value >> 1, value & 1
        case "sar":
            return value >> 1 | top << (bits - 1), value & 1
        case "rol":
            return value << 1 & mask | top, top
        case "ror":
            return value >> 1 | (value & 1) << (bits - 1), value & 1
        case "rcl":
            return value << 1 & mask | carry, top
        case "rcr":
            return value >> 1 | carry << (bits - 1), value & 1
    raise ValueError(mnemonic)


@settings(max_examples=150, deadline=None)
@given(value=WORDS, count=st.integers(0, 255), flags=st.integers(0, STATUS).map(lambda n: n & STATUS))
@pytest.mark.parametrize("bits", [8, 16, 32, 64])
@pytest.mark.parametrize("mnemonic", ["shl", "shr", "sar", "rol", "ror", "rcl", "rcr"])
def test_by_cl(long: Bare, mnemonic: str, bits: int, value: int, count: int, flags: int) -> None:
    mask, masked = (1 << bits) - 1, count & (63 if bits == 64 else 31)
    long.run(f"{mnemonic} {REGISTERS[bits]}, cl", flags=flags | 2, rax=value, rcx=count)
    result, carry = value & mask, flags & CF
    for _ in range(masked):
        result, carry = one_step(mnemonic, result, carry, bits)
    assert long["rax"] & mask == result
    if masked == 0:
        assert long.flags == flags
        return
    rotate = mnemonic[0] == "r"
    defined = ZF | SF | PF if not rotate else ZF | SF | PF | AF
    assert long.flags & defined == (flags & defined if rotate else result_flags(result, bits))
    if rotate or mnemonic == "sar" or masked <= bits:
        assert long.flags & CF == carry
    if masked == 1:
        assert long.flags & OF == overflow(mnemonic, value & mask, result, carry, bits)


def overflow(mnemonic: str, value: int, result: int, carry: int, bits: int) -> int:
    """OF after a shift by one (Vol. 2B, the notes on OF)."""
    top, next_top = result >> (bits - 1), result >> (bits - 2) & 1
    match mnemonic:
        case "sar":
            return 0
        case "shr":
            return OF * (value >> (bits - 1))
        case "ror" | "rcr":
            return OF * (top ^ next_top)
        case _:
            return OF * (top ^ carry)


@pytest.mark.parametrize("mnemonic", ["shl", "shr", "sar", "rol", "ror", "rcl", "rcr"])
@pytest.mark.parametrize("bits", [8, 16, 32, 64])
@pytest.mark.parametrize("count", [1, 3, 7, 8])
def test_immediate_counts_agree_with_cl(long: Bare, mnemonic: str, bits: int, count: int) -> None:
    value = 0x9234_5678_9ABC_DEF1
    for carry in (0, CF):
        long.run(f"{mnemonic} {REGISTERS[bits]}, {count}", flags=carry | 2, rax=value)
        immediate = long["rax"], long.flags
        long.run(f"{mnemonic} {REGISTERS[bits]}, cl", flags=carry | 2, rax=value, rcx=count)
        assert immediate == (long["rax"], long.flags)


@settings(max_examples=150, deadline=None)
@given(value=WORDS, filler=WORDS, count=st.integers(0, 255), flags=st.integers(0, STATUS).map(lambda n: n & STATUS))
@pytest.mark.parametrize("bits", [16, 32, 64])
def test_double_shifts(long: Bare, bits: int, value: int, filler: int, count: int, flags: int) -> None:
    mask, masked = (1 << bits) - 1, count & (63 if bits == 64 else 31)
    if masked > bits:
        return
    value, filler = value & mask, filler & mask
    for mnemonic in ("shld", "shrd"):
        long.run(f"{mnemonic} {REGISTERS[bits]}, {FILLERS[bits]}, cl", flags=flags | 2, rax=value, rdx=filler, rcx=count)
        if mnemonic == "shld":
            wide = (value << bits | filler) << masked
            result, carry = wide >> bits & mask, wide >> 2 * bits & 1
        else:
            wide = filler << bits | value
            result, carry = wide >> masked & mask, wide >> (masked - 1) & 1 if masked else 0
        assert long["rax"] & mask == result
        if masked == 0:
            assert long.flags == flags
        else:
            assert long.flags & (ZF | SF | PF | CF) == result_flags(result, bits) | carry
        if masked == 1:
            assert long.flags & OF == OF * ((value ^ result) >> (bits - 1))


def test_a_count_of_zero_still_clears_the_upper_half(long: Bare) -> None:
    long.run("shl eax, cl", rax=(1 << 64) - 1, rcx=32)
    assert long["rax"] == 0xFFFF_FFFF
