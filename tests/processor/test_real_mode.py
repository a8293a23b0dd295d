"""Real-address mode: limits, wrap-around, the vector table, what is not there (Vol. 3A ch. 20 “8086 Emulation”)."""

from __future__ import annotations

import pytest

from tests.harness import CODE
from tests.processor.system_bench import FINE, GP, IDT, SS, UD, Outcome, SystemBench, fault
from vmxon.processor.state import HostRequest, Segment

DATA_BASE = 0x20000
DB, DF = 1, 8


def real() -> SystemBench:
    """DS and ES at DATA_BASE, SS at 0x30000."""
    bench = SystemBench(16)
    for segment in (Segment.DS, Segment.ES):
        bench.state.segments[segment].selector, bench.state.segments[segment].base = DATA_BASE >> 4, DATA_BASE
    bench.state.segments[Segment.SS].selector, bench.state.segments[Segment.SS].base = 0x3000, 0x30000
    bench.processor.refresh()
    return bench


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mov al, [0xffff]", FINE),
        ("mov ax, [0xffff]", fault(GP, None)),
        ("mov eax, [0xfffc]", FINE),
        ("mov eax, [0xfffd]", fault(GP, None)),
        ("mov [0xffff], ax", fault(GP, None)),
        ("les bx, [0xfffd]", fault(GP, None)),
        ("fld tbyte ptr [0xfff7]", fault(GP, None)),
        ("mov al, [bx + si]", FINE),
        ("mov al, cs:[0xffff]", FINE),
        ("mov al, [ebx + 0x10000]", fault(GP, None)),
        ("mov al, [ebx]", fault(GP, None)),
        ("mov al, ss:[ebx]", fault(SS, None)),
        ("mov al, [ebp]", fault(SS, None)),
        ("lea eax, [ebx + 0x12345678]", FINE),
    ],
)
def test_offsets_and_limits(text: str, expected: Outcome) -> None:
    bench = real()
    state = bench.state
    state.gpr[3], state.gpr[5], state.gpr[6] = 0x10000, 0x12000, 0xFFFF
    if "bx + si" in text:
        state.gpr[3] = 0xFFFF
    if "[ebx + 0x" in text:
        state.gpr[3] = 0
    assert bench.run(text) == expected


def test_16_bit_addresses_wrap_inside_the_segment() -> None:
    bench = real()
    bench.engine.write_physical(DATA_BASE + 0xFFFE, b"\x5a")
    bench.engine.write_physical(DATA_BASE + 2, b"\xa5")
    state = bench.state
    state.gpr[3], state.gpr[6] = 0xFFFF, 0xFFFF
    assert bench.run("mov al, [bx + si]\nmov ah, [bx + 3]", 2) == FINE
    assert state.gpr[0] & 0xFFFF == 0xA55A


@pytest.mark.parametrize(
    ("text", "sp", "expected"),
    [
        ("push ax", 2, FINE),
        ("push ax", 0, FINE),
        ("push ax", 1, Outcome(-1)),
        ("pop ax", 0xFFFF, fault(SS, None)),
        ("pop ax", 0xFFFE, FINE),
        ("push eax", 2, Outcome(-1)),
        ("push eax", 4, FINE),
        ("ret", 0xFFFF, fault(SS, None)),
        ("pusha", 16, FINE),
    ],
)
def test_the_stack(text: str, sp: int, expected: Outcome) -> None:
    """A stack fault whose own delivery has no room ends in shutdown, as on processors."""
    bench = real()
    bench.state.gpr[4] = sp
    assert bench.run(text) == expected


def test_push_wraps_the_pointer() -> None:
    bench = real()
    bench.state.gpr[0], bench.state.gpr[4] = 0x1234, 0xABCD0000
    assert bench.run("push ax") == FINE
    assert bench.state.gpr[4] == 0xABCDFFFE
    assert bench.engine.read_physical(0x3FFFE, 2) == b"\x34\x12"


@pytest.mark.parametrize(
    ("code", "ip", "expected", "after"),
    [
        (b"\xeb\xfe", 0xFFFE, FINE, 0xFFFE),
        (b"\xeb\x10", 0xFFE0, FINE, 0xFFF2),
        (b"\xeb\x10", 0xFFF0, FINE, 0x0002),
        (b"\xeb\x80", 0x0000, FINE, 0xFF82),
        (b"\xe9\x00\x80", 0x9000, FINE, 0x1003),
        (b"\x90", 0xFFFF, FINE, None),
        (b"\xb0\x01", 0xFFFF, fault(GP, None), None),
        (b"\xb8\x01\x02", 0xFFFE, fault(GP, None), None),
    ],
)
def test_the_instruction_pointer(code: bytes, ip: int, expected: Outcome, after: int | None) -> None:
    bench = real()
    bench.engine.write_physical(CODE + ip, code)
    bench.state.rip = ip
    assert bench.go_on(1) == expected
    if after is not None:
        assert bench.state.rip == after


def test_behind_the_last_byte_of_the_segment_there_is_nothing() -> None:
    bench = real()
    bench.engine.write_physical(CODE + 0xFFFF, b"\x90\x90")
    bench.state.rip = 0xFFFF
    assert bench.go_on(2) == fault(GP, None)


@pytest.mark.parametrize(("limit", "expected"), [(0x3FF, fault(0x70, None)), (0x1C3, fault(0x70, None)), (0x1C2, fault(GP, None))])
def test_the_limit_of_the_vector_table(limit: int, expected: Outcome) -> None:
    bench = real()
    bench.state.idt_limit = limit
    assert bench.run("int 0x70") == expected


def test_a_vector_table_that_ends_before_the_exceptions_is_the_end() -> None:
    bench = real()
    bench.state.idt_limit = 0x17
    bench.load(b"\xcd\x70")
    assert bench.processor.run(1) == HostRequest.TRIPLE_FAULT


def test_an_interrupt_pushes_six_bytes() -> None:
    bench = real()
    bench.processor.rflags |= 1 << 9 | 1 << 8
    bench.state.gpr[4] = 0x100
    bench.state.attention = 1
    assert bench.run("int 0x70") == fault(0x70, None)
    assert bench.state.gpr[4] == 0xFA
    assert (bench.stacked(0, 2), bench.stacked(1, 2)) == (2, CODE >> 4)
    assert bench.stacked(2, 2) & 0x300 == 0x300
    assert bench.processor.rflags & 0x300 == 0


@pytest.mark.parametrize(
    "text",
    ["lldt ax", "ltr ax", "sldt ax", "str ax", "verr ax", "verw ax", "lar ax, bx", "lsl ax, bx", "arpl ax, bx"],
)
def test_protected_mode_instructions_are_undefined(text: str) -> None:
    assert real().run(text) == fault(UD, None)


@pytest.mark.parametrize("text", ["clts", "lmsw ax", "smsw ax", "sgdt [0]", "sidt [0]", "mov eax, cr0", "hlt", "cli", "sti", "wbinvd"])
def test_system_instructions_are_allowed(text: str) -> None:
    bench = real()
    assert bench.run(text).vector is None


def test_any_selector_loads_and_its_base_is_its_number_times_16() -> None:
    bench = real()
    bench.engine.write_physical(0xFFFF0, b"\x77")
    bench.state.gpr[0] = 0xFFFF
    assert bench.run("mov ds, ax\nmov al, [0]\nmov bl, [0x10]", 3) == FINE
    assert bench.state.gpr[0] & 0xFF == 0x77
    assert bench.state.segments[Segment.DS].base == 0xFFFF0


FAR = bytes.fromhex("78563412")
"""1234h:5678h."""


@pytest.mark.parametrize("code", [b"\xea" + FAR, b"\x9a" + FAR, b"\x66\xea\x78\x56\x00\x00\x34\x12"])
def test_far_transfers(code: bytes) -> None:
    bench = real()
    assert bench.run(code) == FINE
    assert (bench.state.segments[Segment.CS].selector, bench.state.rip) == (0x1234, 0x5678)


def test_a_far_jump_beyond_the_limit() -> None:
    assert real().run(b"\x66\xea\x00\x00\x01\x00\x34\x12") == fault(GP, None)


def test_lgdt_takes_24_bits_of_base_in_16_bit_code() -> None:
    bench = real()
    bench.engine.write_physical(DATA_BASE, b"\x34\x12\x78\x56\x34\x12")
    assert bench.run(b"\x0f\x01\x16\x00\x00") == FINE
    assert (bench.state.gdt_limit, bench.state.gdt_base) == (0x1234, 0x345678)
    assert bench.run(b"\x66\x0f\x01\x16\x00\x00") == FINE
    assert bench.state.gdt_base == 0x12345678


def test_the_vector_table_may_move() -> None:
    bench = real()
    assert bench.state.idt_base == IDT
    assert bench.run("int 0x33") == fault(0x33, None)
