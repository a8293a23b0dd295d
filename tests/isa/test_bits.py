"""Bit tests, scans and counts, byte order, CRC32C, and BMI."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.isa.bare import CF, DATA, OF, SF, STATUS, ZF, Bare

ALL = (1 << 64) - 1
WORDS = st.integers(0, ALL) | st.sampled_from([0, 1, 1 << 31, 1 << 32, 1 << 63, ALL]) | st.integers(0, 300)
FIRST = {16: "ax", 32: "eax", 64: "rax"}
SECOND = {16: "cx", 32: "ecx", 64: "rcx"}
NAMES = {16: "word", 32: "dword", 64: "qword"}


@pytest.mark.parametrize("bits", [16, 32, 64])
@pytest.mark.parametrize("offset", [0, 1, 15, 16, 31, 32, 63, 64, 1000, -1, -16, -17, -64, -65, -1000])
@pytest.mark.parametrize("mnemonic", ["bt", "bts", "btr", "btc"])
def test_register_offsets_reach_beyond_the_operand(long: Bare, mnemonic: str, bits: int, offset: int) -> None:
    base, start = DATA + 0x400, DATA + 0x200
    size = 0x400
    for fill in (0, (1 << 8 * size) - 1):
        long.write(start, fill, size)
        long.run(f"{mnemonic} {NAMES[bits]} ptr [rbx], {SECOND[bits]}", rbx=base, rcx=offset & ALL)
        bit = 8 * (base - start) + offset
        assert long.flags & CF == fill >> bit & 1
        expected = {
            "bt": fill,
            "bts": fill | 1 << bit,
            "btr": fill & ~(1 << bit),
            "btc": fill ^ 1 << bit,
        }[mnemonic]
        assert long.read(start, size) == expected


@pytest.mark.parametrize("bits", [16, 32, 64])
@pytest.mark.parametrize("offset", [0, 5, 15, 16, 33, 200])
def test_immediate_offsets_stay_in_the_operand(long: Bare, bits: int, offset: int) -> None:
    long.write(DATA, 0, 64)
    long.run(f"bts {NAMES[bits]} ptr [rbx], {offset}", rbx=DATA)
    assert long.read(DATA, 64) == 1 << offset % bits
    long.run(f"bts {FIRST[bits]}, {offset}", rax=0)
    assert long["rax"] == 1 << offset % bits


def test_bit_tests_leave_zf(long: Bare) -> None:
    for flags in (0, ZF):
        long.run("bt rax, 3", flags=flags | 2, rax=8)
        assert long.flags & (CF | ZF) == CF | flags


@settings(max_examples=100, deadline=None)
@given(value=WORDS)
@pytest.mark.parametrize("bits", [16, 32, 64])
def test_scans_and_counts(long: Bare, bits: int, value: int) -> None:
    low = value & ((1 << bits) - 1)
    lowest = (low & -low).bit_length() - 1 if low else bits
    highest = low.bit_length() - 1
    for mnemonic, count in (("tzcnt", lowest), ("lzcnt", bits - 1 - highest)):
        long.run(f"{mnemonic} {FIRST[bits]}, {SECOND[bits]}", rcx=value)
        assert long["rax"] == count
        assert long.flags & (CF | ZF) == (CF if low == 0 else 0) | (ZF if count == 0 else 0)
    long.run(f"popcnt {FIRST[bits]}, {SECOND[bits]}", flags=STATUS | 2, rcx=value)
    assert (long["rax"], long.flags) == (low.bit_count(), ZF if low == 0 else 0)
    before = 0x5555_5555_5555_5555
    for mnemonic, number in (("bsf", lowest), ("bsr", highest)):
        long.run(f"{mnemonic} {FIRST[bits]}, {SECOND[bits]}", rax=before, rcx=value)
        assert long.flags & ZF == (ZF if low == 0 else 0)
        kept = before & ~0xFFFF if bits == 16 else 0
        assert long["rax"] == (before if low == 0 else kept | number)


def test_byte_order(long: Bare) -> None:
    long.run("bswap rax", rax=0x0102030405060708)
    assert long["rax"] == 0x0807060504030201
    long.run("bswap eax", rax=0x0102030405060708)
    assert long["rax"] == 0x08070605
    long.write(DATA, 0x1122334455667788, 8)
    for text, expected in (("movbe ax, [rbx]", 0x8877), ("movbe eax, [rbx]", 0x88776655), ("movbe rax, [rbx]", 0x8877665544332211)):
        long.run(text, rbx=DATA)
        assert long["rax"] == expected
    long.run("movbe [rbx], eax", rax=0xAABBCCDD, rbx=DATA)
    assert long.read(DATA, 8) == 0x11223344DDCCBBAA


def crc32c(seed: int, data: bytes) -> int:
    """The plain definition, bit by bit."""
    for byte in data:
        seed ^= byte
        for _ in range(8):
            seed = seed >> 1 ^ (0x82F63B78 if seed & 1 else 0)
    return seed


def test_crc32_of_the_check_string(long: Bare) -> None:
    value = 0xFFFFFFFF
    for byte in b"123456789":
        long.run("crc32 eax, cl", rax=value, rcx=byte)
        value = long["rax"]
    assert value ^ 0xFFFFFFFF == 0xE3069283


@settings(max_examples=100, deadline=None)
@given(seed=WORDS, data=WORDS)
@pytest.mark.parametrize(("text", "size"), [("eax, cl", 1), ("eax, cx", 2), ("eax, ecx", 4), ("rax, rcx", 8), ("rax, cl", 1)])
def test_crc32(long: Bare, text: str, size: int, seed: int, data: int) -> None:
    long.run(f"crc32 {text}", rax=seed, rcx=data)
    assert long["rax"] == crc32c(seed & 0xFFFFFFFF, data.to_bytes(8, "little")[:size])


def deposit(source: int, mask: int) -> int:
    """PDEP by its definition."""
    ones = [n for n in range(64) if mask >> n & 1]
    return sum((source >> k & 1) << n for k, n in enumerate(ones))


def extract(source: int, mask: int) -> int:
    """PEXT by its definition."""
    ones = [n for n in range(64) if mask >> n & 1]
    return sum((source >> n & 1) << k for k, n in enumerate(ones))


@settings(max_examples=100, deadline=None)
@given(first=WORDS, second=WORDS, flags=st.integers(0, STATUS).map(lambda n: n & STATUS))
@pytest.mark.parametrize(("bits", "a", "c", "d"), [(32, "eax", "ecx", "edx"), (64, "rax", "rcx", "rdx")])
def test_bmi(long: Bare, bits: int, a: str, c: str, d: str, first: int, second: int, flags: int) -> None:
    mask = (1 << bits) - 1
    x, y = first & mask, second & mask
    count, length = y & (bits - 1), y & 0xFF
    signed_x = x - (1 << bits) if x >> (bits - 1) else x
    quiet = {
        f"pdep {a}, {c}, {d}": deposit(x, y),
        f"pext {a}, {c}, {d}": extract(x, y),
        f"rorx {a}, {c}, 13": (x >> 13 | x << (bits - 13)) & mask,
        f"shlx {a}, {c}, {d}": x << count & mask,
        f"shrx {a}, {c}, {d}": x >> count,
        f"sarx {a}, {c}, {d}": signed_x >> count & mask,
    }
    for text, result in quiet.items():
        long.run(text, flags=flags | 2, rcx=first, rdx=second)
        assert (text, long["rax"], long.flags) == (text, result, flags)
    start, width = y & 0xFF, y >> 8 & 0xFF
    loud = {
        f"andn {a}, {c}, {d}": (~x & y & mask, 0),
        f"blsi {a}, {c}": (x & -x & mask, CF if x else 0),
        f"blsr {a}, {c}": (x & (x - 1) & mask if x else 0, 0 if x else CF),
        f"blsmsk {a}, {c}": ((x ^ (x - 1)) & mask, 0 if x else CF),
        f"bextr {a}, {c}, {d}": (x >> start & ((1 << width) - 1), 0),
        f"bzhi {a}, {c}, {d}": (x & ((1 << length) - 1), CF if length > bits - 1 else 0),
    }
    for text, (result, carry) in loud.items():
        long.run(text, flags=flags | 2, rcx=first, rdx=second)
        assert (text, long["rax"], long.flags & (CF | OF | ZF)) == (text, result, carry | (0 if result else ZF))
        if not text.startswith("bextr"):
            assert long.flags & SF == (SF if result >> (bits - 1) else 0)
    long.run(f"mulx {a}, r8{'d' if bits == 32 else ''}, {c}", flags=flags | 2, rcx=first, rdx=second)
    assert (long["rax"] << bits | long["r8"], long.flags) == (x * y, flags)


def test_mulx_into_one_register_keeps_the_high_half(long: Bare) -> None:
    long.run("mulx rax, rax, rcx", rcx=1 << 63, rdx=6)
    assert long["rax"] == 3
