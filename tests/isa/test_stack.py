"""Stack instructions in the three widths of the stack pointer."""

from __future__ import annotations

import pytest

from tests.harness import CODE
from tests.isa.bare import DATA, GP, Bare, ahead

TOP = 0x30000
PAGE_FAULT = 14


@pytest.mark.parametrize(
    ("text", "size", "value"),
    [
        ("push rax", 8, 0x1122334455667788),
        ("push ax", 2, 0x7788),
        ("push -1", 8, (1 << 64) - 1),
        ("push 0x12345678", 8, 0x12345678),
        ("push rsp", 8, TOP),
        ("push qword ptr [rsp]", 8, 0xAAAA),
        ("push word ptr [rsp]", 2, 0xAAAA),
    ],
)
def test_push(long: Bare, text: str, size: int, value: int) -> None:
    long.write(TOP, 0xAAAA, 8)
    long.run(text, rsp=TOP, rax=0x1122334455667788)
    assert long["rsp"] == TOP - size
    assert long.read(TOP - size, size) == value


@pytest.mark.parametrize(
    ("text", "rsp", "register", "value"),
    [
        ("pop rax", TOP + 8, "rax", 0x1122334455667788),
        ("pop ax", TOP + 2, "rax", 0xFFFF7788),
        ("pop rsp", 0x1122334455667788, "rsp", 0x1122334455667788),
        ("pop sp", TOP & ~0xFFFF | 0x7788, "rax", 0xFFFFFFFF),
        ("leave", DATA + 8, "rbp", 0x99),
    ],
)
def test_pop(long: Bare, text: str, rsp: int, register: str, value: int) -> None:
    long.write(TOP, 0x1122334455667788, 8)
    long.write(DATA, 0x99, 8)
    long.run(text, rsp=TOP, rax=0xFFFFFFFF, rbp=DATA)
    assert (long["rsp"], long[register]) == (rsp, value)


def test_pop_to_memory_addresses_with_the_moved_pointer(long: Bare) -> None:
    long.write(TOP, 0x77, 8)
    long.run("pop qword ptr [rsp + 16]", rsp=TOP)
    assert (long["rsp"], long.read(TOP + 24, 8)) == (TOP + 8, 0x77)


def test_a_pop_that_faults_moves_nothing(long: Bare) -> None:
    assert long.vector("pop qword ptr [rax]", rsp=TOP, rax=1 << 45) == PAGE_FAULT
    assert long["rsp"] == TOP


@pytest.mark.parametrize(("text", "size"), [("pushal", 4), ("pushaw", 2)])
def test_push_and_pop_all(flat: Bare, text: str, size: int) -> None:
    flat.write(TOP - 64, 0, 64)
    registers = {
        name: 0x1000 * n + 0x11 for n, name in enumerate(("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi")) if name != "rsp"
    }
    flat.run(text, rsp=TOP, **registers)
    mask = (1 << 8 * size) - 1
    expected = [registers.get(n, TOP) & mask for n in ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi")]
    assert [flat.read(TOP - size * (n + 1), size) for n in range(8)] == expected
    assert flat["rsp"] == TOP - 8 * size
    flat.write(TOP - 5 * size, 0xDEAD, size)
    flat.run(text.replace("push", "pop"), rsp=TOP - 8 * size)
    assert flat["rsp"] == TOP
    for name, value in registers.items():
        assert flat[name] == value & mask


def test_a_16_bit_pointer_wraps_and_keeps_the_upper_half(real: Bare) -> None:
    real.run("push ax", rsp=0x12340000, rax=0xBEEF)
    assert real["rsp"] == 0x1234FFFE
    assert real.read(0xFFFE, 2) == 0xBEEF
    real.run("pop cx", rsp=0x1234FFFE)
    assert (real["rsp"], real["rcx"]) == (0x12340000, 0xBEEF)


def test_pusha_wraps_at_an_even_pointer(real: Bare) -> None:
    real.run("pusha", rsp=4, rax=0x1111, rcx=0x2222, rdx=0x3333, rdi=0x8888)
    assert real["rsp"] == 0xFFF4
    assert [real.read(at, 2) for at in (2, 0, 0xFFFE, 0xFFF4)] == [0x1111, 0x2222, 0x3333, 0x8888]


def enter_model(memory: dict[int, int], rsp: int, rbp: int, size: int, level: int) -> tuple[int, int]:
    """Vol. 2A “ENTER” for 64 bits, step by step."""
    rsp -= 8
    memory[rsp] = rbp
    frame = rsp
    if level > 0:
        for _ in range(1, level):
            rbp -= 8
            rsp -= 8
            memory[rsp] = memory.get(rbp, 0)
        rsp -= 8
        memory[rsp] = frame
    return rsp - size, frame


@pytest.mark.parametrize("level", [0, 1, 2, 3, 7, 31, 32])
@pytest.mark.parametrize("size", [0, 8, 0x1234, 0xFFFF])
def test_enter(long: Bare, level: int, size: int) -> None:
    old = DATA + 0x800
    memory = {}
    for number in range(32):
        memory[old - 8 * number] = number * 0x101
        long.write(old - 8 * number, number * 0x101, 8)
    rsp, frame = enter_model(memory, TOP + 0x8000, old, size, level % 32)
    long.run(f"enter {size}, {level}", rsp=TOP + 0x8000, rbp=old)
    assert (long["rsp"], long["rbp"]) == (rsp, frame)
    for address, value in memory.items():
        assert long.read(address, 8) == value


def test_an_enter_that_cannot_have_its_frame_changes_no_register(long: Bare) -> None:
    assert long.vector("enter 0x20, 0", rsp=(1 << 45) + 8, rbp=DATA) == PAGE_FAULT
    assert (long["rsp"], long["rbp"]) == ((1 << 45) + 8, DATA)


@pytest.mark.parametrize(
    ("text", "offset", "rsp", "pushed"),
    [
        (ahead("call", 0x40, 5), 0x40, TOP - 8, 5),
        ("call rax", 0x77, TOP - 8, 2),
        ("call qword ptr [rbx]", 0x55, TOP - 8, 2),
        ("call qword ptr [rsp]", 0x66, TOP - 8, 3),
    ],
)
def test_call(long: Bare, text: str, offset: int, rsp: int, pushed: int) -> None:
    code = 0x10000
    long.write(DATA, code + 0x55, 8)
    long.write(TOP, code + 0x66, 8)
    long.run(text, rsp=TOP, rax=code + 0x77, rbx=DATA)
    assert (long.offset, long["rsp"]) == (offset, rsp)
    assert long.read(rsp, 8) == code + pushed


@pytest.mark.parametrize(("text", "rsp"), [("ret", TOP + 8), ("ret 0x10", TOP + 0x18), ("ret 0xfff0", TOP + 8 + 0xFFF0)])
def test_return(long: Bare, text: str, rsp: int) -> None:
    long.write(TOP, 0x10123, 8)
    long.run(text, rsp=TOP)
    assert (long.offset, long["rsp"]) == (0x123, rsp)


@pytest.mark.parametrize(
    ("text", "rcx", "flags", "offset", "after"),
    [
        (ahead("loop", 0x10), 2, 2, 0x10, 1),
        (ahead("loop", 0x10), 1, 2, 2, 0),
        (ahead("loop", 0x10), 0, 2, 0x10, (1 << 64) - 1),
        (ahead("loope", 0x10), 2, 0x42, 0x10, 1),
        (ahead("loope", 0x10), 2, 2, 2, 1),
        (ahead("loopne", 0x10), 2, 2, 0x10, 1),
        (ahead("loopne", 0x10), 2, 0x42, 2, 1),
        (ahead("jrcxz", 0x10), 0, 2, 0x10, 0),
        (ahead("jrcxz", 0x10), 1 << 40, 2, 2, 1 << 40),
        (ahead("jecxz", 0x10, 3), 1 << 40, 2, 0x10, 1 << 40),
    ],
)
def test_count_branches(long: Bare, text: str, rcx: int, flags: int, offset: int, after: int) -> None:
    long.run(text, flags=flags, rcx=rcx)
    assert (long.offset, long["rcx"]) == (offset, after)


def test_loop_by_ecx_clears_the_upper_half(long: Bare) -> None:
    long.run(bytes.fromhex("67 e2 0e"), rcx=5 << 32 | 1)
    assert (long.offset, long["rcx"]) == (3, 0)


def test_loop_by_cx_keeps_the_upper_half(real: Bare) -> None:
    real.run(ahead("loop", 0x10), rcx=0x50000)
    assert (real.offset, real["rcx"]) == (0x10, 0x5FFFF)


NOT_CANONICAL = 1 << 47


@pytest.mark.parametrize("text", ["jmp rax", "call rax", "jmp qword ptr [rbx]", "call qword ptr [rbx]", "ret", "ret 8"])
def test_a_target_that_is_not_canonical_faults_at_the_branch(long: Bare, text: str) -> None:
    long.write(DATA, NOT_CANONICAL, 8)
    long.write(TOP, NOT_CANONICAL, 8)
    long.write(TOP - 8, 0x5A, 8)
    assert long.vector(text, rsp=TOP, rax=NOT_CANONICAL, rbx=DATA) == GP
    assert long.state.shutdown_faults[1] == CODE
    assert (long["rsp"], long.read(TOP - 8, 8)) == (TOP, 0x5A)


@pytest.mark.parametrize("text", ["jmp eax", "call eax", "ret"])
def test_a_target_beyond_the_limit_faults_at_the_branch(text: str) -> None:
    machine = Bare(32)
    machine.state.segments[1].limit = 0x2FFFF
    machine.bench.processor.refresh()
    machine.write(TOP, 0x30000, 4)
    assert machine.vector(text, rsp=TOP, rax=0x30000) == GP
    assert (machine["rsp"], machine.state.shutdown_faults[1]) == (TOP, CODE)
    machine.write(TOP, 0x2FFFF, 4)
    assert machine.vector(text, rsp=TOP, rax=0x2FFFF) is None
