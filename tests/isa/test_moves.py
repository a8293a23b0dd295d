"""Moves, exchanges, conditions, flag transfers and hints."""

from __future__ import annotations

import itertools

import pytest

from tests.isa.bare import AF, CF, DATA, DF, GP, OF, PF, SF, STATUS, UD, ZF, Bare, ahead

ALL = (1 << 64) - 1
MARK = 0x1122334455667788
CONDITIONS = {
    "o": lambda f: f & OF != 0,
    "b": lambda f: f & CF != 0,
    "z": lambda f: f & ZF != 0,
    "be": lambda f: f & (CF | ZF) != 0,
    "s": lambda f: f & SF != 0,
    "p": lambda f: f & PF != 0,
    "l": lambda f: (f & SF != 0) != (f & OF != 0),
    "le": lambda f: f & ZF != 0 or (f & SF != 0) != (f & OF != 0),
}
EVERY_FLAGS = [sum(chosen) for n in range(7) for chosen in itertools.combinations((CF, PF, AF, ZF, SF, OF), n)]


@pytest.mark.parametrize("name", CONDITIONS)
@pytest.mark.parametrize("negated", [False, True])
def test_conditions_under_all_flags(long: Bare, name: str, negated: bool) -> None:
    suffix = ("n" if negated else "") + name
    for flags in EVERY_FLAGS:
        holds = CONDITIONS[name](flags) != negated
        long.run(f"set{suffix} al", flags=flags | 2, rax=MARK)
        assert long["rax"] == MARK & ~0xFF | holds
        assert long.flags == flags
        long.run(f"cmov{suffix} rax, rcx", flags=flags | 2, rax=1, rcx=2)
        assert long["rax"] == (2 if holds else 1)
        long.run(ahead(f"j{suffix}", 0x20), flags=flags | 2)
        assert long.offset == (0x20 if holds else 2)


def test_a_cmov_that_does_not_move_clears_the_upper_half(long: Bare) -> None:
    long.run("cmovz eax, ecx", flags=2, rax=MARK, rcx=1)
    assert long["rax"] == MARK & 0xFFFFFFFF


@pytest.mark.parametrize(
    ("text", "rax"),
    [
        ("mov al, cl", MARK & ~0xFF | 0xFE),
        ("mov ah, cl", MARK & ~0xFF00 | 0xFE00),
        ("mov ax, cx", MARK & ~0xFFFF | 0x80FE),
        ("mov eax, ecx", 0x900080FE),
        ("mov rax, rcx", 0xF0000000900080FE),
        ("mov eax, -1", 0xFFFFFFFF),
        ("mov rax, -1", ALL),
        ("movabs rax, 0x123456789abcdef0", 0x123456789ABCDEF0),
        ("movzx eax, cl", 0xFE),
        ("movzx ax, cl", MARK & ~0xFFFF | 0xFE),
        ("movzx rax, cx", 0x80FE),
        ("movsx ax, cl", MARK & ~0xFFFF | 0xFFFE),
        ("movsx eax, cl", 0xFFFFFFFE),
        ("movsx rax, cx", ALL & ~0xFFFF | 0x80FE),
        ("movsxd rax, ecx", ALL & ~0xFFFFFFFF | 0x900080FE),
        ("lea rax, [rcx + 2*rcx + 1]", (3 * 0xF0000000900080FE + 1) & ALL),
        ("lea eax, [rcx + 1]", 0x900080FF),
        ("lea ax, [rcx + 1]", MARK & ~0xFFFF | 0x80FF),
        ("lea rax, [ecx + 1]", 0x900080FF),
    ],
)
def test_widths(long: Bare, text: str, rax: int) -> None:
    long.run(text, flags=STATUS | 2, rax=MARK, rcx=0xF0000000900080FE)
    assert (long["rax"], long.flags) == (rax, STATUS)


def test_absolute_addresses(long: Bare) -> None:
    long.write(DATA + 8, MARK, 8)
    long.run(bytes.fromhex("48 a1") + (DATA + 8).to_bytes(8, "little"))
    assert long["rax"] == MARK
    long.run(bytes.fromhex("67 a2") + (DATA + 9).to_bytes(4, "little"), rax=0xEE)
    assert long.read(DATA + 8, 8) == 0x112233445566EE88


@pytest.mark.parametrize(
    ("code", "rax", "r8"),
    [("90", ALL, 5), ("41 90", 5, 0xFFFFFFFF), ("49 90", 5, ALL), ("48 90", ALL, 5), ("f3 90", ALL, 5), ("87 c0", 0xFFFFFFFF, 5)],
)
def test_nop_is_no_exchange(long: Bare, code: str, rax: int, r8: int) -> None:
    long.run(bytes.fromhex(code), rax=ALL, r8=5)
    assert (long["rax"], long["r8"]) == (rax, r8)


def test_exchange_with_memory(long: Bare) -> None:
    long.write(DATA, MARK, 8)
    long.run("xchg [rbx], ecx", rbx=DATA, rcx=ALL)
    assert (long.read(DATA, 8), long["rcx"]) == (0x11223344FFFFFFFF, 0x55667788)


@pytest.mark.parametrize(
    ("text", "before", "rax", "rdx"),
    [
        ("cbw", 0x80, 0xFF80, 7),
        ("cwde", 0x1_0000_8000, 0xFFFF8000, 7),
        ("cdqe", 0x8000_0000, ALL << 31 & ALL, 7),
        ("cwd", 0x8000, 0x8000, 0xFFFF),
        ("cdq", 0x8000_0000, 0x8000_0000, 0xFFFFFFFF),
        ("cdq", 0x7FFF_FFFF, 0x7FFF_FFFF, 0),
        ("cqo", 1 << 63, 1 << 63, ALL),
    ],
)
def test_sign_extension(long: Bare, text: str, before: int, rax: int, rdx: int) -> None:
    long.run(text, rax=before, rdx=7)
    assert (long["rax"], long["rdx"]) == (rax, rdx)


def test_translate(long: Bare) -> None:
    long.write(DATA + 0xF3, 0x5A, 1)
    long.run("xlatb", rax=0x11F3, rbx=DATA)
    assert long["rax"] == 0x115A


@pytest.mark.parametrize("flags", EVERY_FLAGS)
def test_flags_through_ah(long: Bare, flags: int) -> None:
    long.run("lahf", flags=flags | 2, rax=MARK)
    assert long["rax"] == MARK & ~0xFF00 | (flags & 0xFF | 2) << 8
    for other in (0, STATUS):
        long.run("sahf", flags=other | 2, rax=flags << 8)
        assert long.flags == flags & 0xFF | other & OF


@pytest.mark.parametrize(
    ("text", "before", "after"),
    [
        ("clc", STATUS, STATUS & ~CF),
        ("stc", OF, OF | CF),
        ("cmc", CF | OF, OF),
        ("cmc", ZF, ZF | CF),
        ("cld", DF | CF, CF),
        ("std", ZF, DF | ZF),
    ],
)
def test_single_flags(long: Bare, text: str, before: int, after: int) -> None:
    long.run(text, flags=before | 2)
    assert long.flags == after


@pytest.mark.parametrize(("old", "equal"), [(0x42, True), (0x43, False)])
def test_compare_and_exchange(long: Bare, old: int, equal: bool) -> None:
    long.write(DATA, old, 8)
    long.run("lock cmpxchg [rbx], ecx", rax=MARK & ~0xFFFFFFFF | 0x42, rbx=DATA, rcx=7)
    assert long.read(DATA, 8) == (7 if equal else old)
    assert long["rax"] == (MARK & ~0xFFFFFFFF | 0x42 if equal else old)
    assert long.flags & ZF == (ZF if equal else 0)


@pytest.mark.parametrize(("text", "half"), [("cmpxchg8b [rsi]", 32), ("cmpxchg16b [rsi]", 64)])
@pytest.mark.parametrize("equal", [True, False])
def test_compare_and_exchange_pairs(long: Bare, text: str, half: int, equal: bool) -> None:
    old = 5 << half | 6
    long.write(DATA, old, 16)
    flags = STATUS & ~ZF
    long.run(text, flags=flags | 2, rsi=DATA, rax=6, rdx=5 if equal else 4, rbx=8, rcx=9)
    assert long.read(DATA, half // 4) == (9 << half | 8 if equal else old)
    assert (long["rax"], long["rdx"]) == (6, 5)
    assert long.flags == flags | (ZF if equal else 0)


def test_cmpxchg16b_is_aligned(long: Bare) -> None:
    assert long.vector("cmpxchg16b [rsi]", rsi=DATA + 8) == GP


@pytest.mark.parametrize(
    "code", ["0f 1f 00", "66 0f 1f 84 00 00 00 00 00", "f3 0f 1e fa", "0f 18 08", "0f 0d 08", "0f ae e8", "0f ae f0", "0f ae ff"]
)
def test_hints_do_nothing(long: Bare, code: str) -> None:
    """No operand is read: RAX points nowhere."""
    assert long.vector(bytes.fromhex(code), flags=STATUS | 2, rax=1 << 45) is None
    assert (long.flags, long.offset) == (STATUS, len(bytes.fromhex(code)))


@pytest.mark.parametrize("code", ["0f ae 38", "66 0f ae 38", "66 0f ae 30"])
def test_flushes_check_their_address(long: Bare, code: str) -> None:
    assert long.vector(bytes.fromhex(code), rax=DATA) is None
    assert long.vector(bytes.fromhex(code), rax=1 << 45) == 14


@pytest.mark.parametrize("code", ["0f 0b", "0f b9 c0", "0f ff c0", "c6 c8 00", "8d c0", "0f 38 f0 c0", "0f c7 c8"])
def test_undefined(long: Bare, code: str) -> None:
    assert long.vector(bytes.fromhex(code)) == UD
