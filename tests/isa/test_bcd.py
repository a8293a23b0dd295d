"""Decimal adjustment, exhaustively, against the manual's own steps."""

from __future__ import annotations

import pytest

from tests.isa.bare import AF, CF, DE, PF, SF, UD, ZF, Bare, result_flags

DEFINED = CF | AF | ZF | SF | PF


def daa(al: int, carry: bool, adjust: bool) -> tuple[int, bool, bool]:
    """Vol. 2A “DAA”, step by step."""
    old, old_carry, carry_out = al, carry, False
    if al & 15 > 9 or adjust:
        carry_out = old_carry or al + 6 > 0xFF
        al, adjust = (al + 6) & 0xFF, True
    else:
        adjust = False
    if old > 0x99 or old_carry:
        al, carry_out = (al + 0x60) & 0xFF, True
    else:
        carry_out = False
    return al, carry_out, adjust


def das(al: int, carry: bool, adjust: bool) -> tuple[int, bool, bool]:
    """Vol. 2A “DAS”, step by step."""
    old, old_carry, carry_out = al, carry, False
    if al & 15 > 9 or adjust:
        carry_out = old_carry or al < 6
        al, adjust = (al - 6) & 0xFF, True
    else:
        adjust = False
    if old > 0x99 or old_carry:
        al, carry_out = (al - 0x60) & 0xFF, True
    return al, carry_out, adjust


@pytest.mark.parametrize(("mnemonic", "steps"), [("daa", daa), ("das", das)])
@pytest.mark.parametrize("flags", [0, CF, AF, CF | AF])
def test_packed(flat: Bare, mnemonic: str, steps: object, flags: int) -> None:
    assert callable(steps)
    for al in range(256):
        value, carry, adjust = steps(al, flags & CF != 0, flags & AF != 0)
        flat.run(mnemonic, flags=flags | 2, rax=0x1200 | al)
        assert flat["rax"] == 0x1200 | value, f"{mnemonic} of {al:#x}"
        assert flat.flags & DEFINED == result_flags(value, 8) | (CF if carry else 0) | (AF if adjust else 0)


@pytest.mark.parametrize(("mnemonic", "step"), [("aaa", 0x106), ("aas", -0x106)])
@pytest.mark.parametrize("flags", [0, AF])
def test_unpacked(flat: Bare, mnemonic: str, step: int, flags: int) -> None:
    for al in range(256):
        wrong = al & 15 > 9 or flags & AF != 0
        flat.run(mnemonic, flags=flags | 2, rax=0x7700 | al)
        expected = (0x7700 + al + step if wrong else 0x7700 + al) & 0xFF0F
        assert flat["rax"] == expected, f"{mnemonic} of {al:#x}"
        assert flat.flags & (CF | AF) == (CF | AF if wrong else 0)


@pytest.mark.parametrize("base", [1, 2, 10, 16, 255])
def test_multiply_and_divide_adjustments(flat: Bare, base: int) -> None:
    for al in range(0, 256, 5):
        flat.run(f"aam {base}", rax=0x5500 | al)
        assert flat["rax"] == al // base << 8 | al % base
        assert flat.flags & (ZF | SF | PF) == result_flags(al % base, 8)
        flat.run(f"aad {base}", rax=0x0900 | al)
        assert flat["rax"] == (al + 9 * base) & 0xFF
        assert flat.flags & (ZF | SF | PF) == result_flags((al + 9 * base) & 0xFF, 8)


def test_aam_by_zero(flat: Bare) -> None:
    assert flat.vector("aam 0", rax=5) == DE


@pytest.mark.parametrize("code", ["27", "2f", "37", "3f", "d4 0a", "d5 0a", "60", "61", "82 c0 01"])
def test_not_in_64_bit_mode(long: Bare, code: str) -> None:
    assert long.vector(bytes.fromhex(code)) == UD
