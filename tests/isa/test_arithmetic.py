"""Addition and subtraction against the definitions of the flags (Vol. 1 §3.4.3.1 “Status Flags”)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.isa.bare import AF, CF, OF, PF, SF, UD, ZF, Bare, result_flags, signed

REGISTERS = {8: ("al", "cl"), 16: ("ax", "cx"), 32: ("eax", "ecx"), 64: ("rax", "rcx")}
WORDS = st.integers(0, (1 << 64) - 1) | st.sampled_from([0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 1 << 31, 1 << 63])


def sum_of(left: int, right: int, carry: int, bits: int) -> tuple[int, int]:
    """Result and flags of left + right + carry, from exact integers."""
    mask = (1 << bits) - 1
    exact = left + right + carry
    result = exact & mask
    flags = result_flags(result, bits) | (CF if exact > mask else 0)
    flags |= AF if (left & 15) + (right & 15) + carry > 15 else 0
    flags |= OF if signed(left, bits) + signed(right, bits) + carry != signed(result, bits) else 0
    return result, flags


def difference_of(left: int, right: int, borrow: int, bits: int) -> tuple[int, int]:
    """Result and flags of left - right - borrow, from exact integers."""
    exact = left - right - borrow
    result = exact & ((1 << bits) - 1)
    flags = result_flags(result, bits) | (CF if exact < 0 else 0)
    flags |= AF if (left & 15) - (right & 15) - borrow < 0 else 0
    flags |= OF if signed(left, bits) - signed(right, bits) - borrow != signed(result, bits) else 0
    return result, flags


@pytest.fixture(scope="module", params=[8, 16, 32, 64])
def bits(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@settings(max_examples=60, deadline=None)
@given(left=WORDS, right=WORDS, carry=st.sampled_from([0, CF]))
@pytest.mark.parametrize("mnemonic", ["add", "adc", "sub", "sbb", "cmp", "xadd", "neg", "inc", "dec"])
def test_results_and_flags(long: Bare, bits: int, mnemonic: str, left: int, right: int, carry: int) -> None:
    mask = (1 << bits) - 1
    first, second = REGISTERS[bits]
    operands = first if mnemonic in ("neg", "inc", "dec") else f"{first}, {second}"
    long.run(f"{mnemonic} {operands}", flags=carry | 2, rax=left, rcx=right)
    left, right = left & mask, right & mask
    match mnemonic:
        case "add" | "xadd":
            result, flags = sum_of(left, right, 0, bits)
        case "adc":
            result, flags = sum_of(left, right, carry, bits)
        case "sub" | "cmp":
            result, flags = difference_of(left, right, 0, bits)
        case "sbb":
            result, flags = difference_of(left, right, carry, bits)
        case "neg":
            result, flags = difference_of(0, left, 0, bits)
        case "inc":
            result, flags = sum_of(left, 1, 0, bits)
            flags = flags & ~CF | carry
        case _:
            result, flags = difference_of(left, 1, 0, bits)
            flags = flags & ~CF | carry
    assert long["rax"] & mask == (left if mnemonic == "cmp" else result)
    assert long.flags == flags
    if mnemonic == "xadd":
        assert long["rcx"] & mask == left


@pytest.mark.parametrize(
    ("text", "before", "after"),
    [
        ("add eax, 1", 0xFFFF_FFFF_0000_0001, 2),
        ("add ax, 1", 0xFFFF_FFFF_0000_FFFF, 0xFFFF_FFFF_0000_0000),
        ("add al, 1", 0xFFFF_FFFF_0000_FFFF, 0xFFFF_FFFF_0000_FF00),
        ("add ah, 1", 0xFFFF_FFFF_0000_FF55, 0xFFFF_FFFF_0000_0055),
        ("add rax, -1", 0, 0xFFFF_FFFF_FFFF_FFFF),
        ("add eax, -1", 0, 0xFFFF_FFFF),
        ("add rax, 0x7fffffff", 0x8000_0001, 0x1_0000_0000),
        ("add rax, -0x80000000", 0, 0xFFFF_FFFF_8000_0000),
    ],
)
def test_width_of_the_written_register(long: Bare, text: str, before: int, after: int) -> None:
    long.run(text, rax=before)
    assert long["rax"] == after


def test_xadd_of_one_register_leaves_the_sum(long: Bare) -> None:
    long.run("xadd rax, rax", rax=21)
    assert long["rax"] == 42


@pytest.mark.parametrize(
    ("text", "flags", "carry", "overflow"),
    [
        ("adcx rax, rcx", CF | OF | ZF, 1, 1),
        ("adcx rax, rcx", SF, 1, 0),
        ("adox rax, rcx", CF | PF, 1, 1),
        ("adox rax, rcx", OF, 0, 1),
    ],
)
def test_adcx_and_adox_touch_one_flag(long: Bare, text: str, flags: int, carry: int, overflow: int) -> None:
    long.run(text, flags=flags | 2, rax=(1 << 64) - 1, rcx=1)
    carried_in = CF if text[2] == "c" else OF
    assert long["rax"] == (1 if flags & carried_in else 0)
    assert long.flags & ~(CF | OF) == flags & ~(CF | OF)
    assert (long.flags & CF != 0, long.flags & OF != 0) == (bool(carry), bool(overflow))


@pytest.mark.parametrize("code", ["f0 00 c8", "f0 02 00", "f0 38 08", "f0 fe c0", "f0 f6 d8", "f0 0f c0 c8"])
def test_lock_needs_a_memory_destination(long: Bare, code: str) -> None:
    assert long.vector(bytes.fromhex(code), rax=0x20000) == UD


@pytest.mark.parametrize("code", ["f0 00 08", "f0 fe 00", "f0 f6 18", "f0 0f c0 08", "f0 86 08"])
def test_lock_with_a_memory_destination(long: Bare, code: str) -> None:
    assert long.vector(bytes.fromhex(code), rax=0x20000) is None
