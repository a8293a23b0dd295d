"""Far JMP, CALL and RET: direct, through call gates, to inner and outer levels."""

from __future__ import annotations

import struct

import pytest

from tests.harness import CODE
from tests.processor.system_bench import (
    CODE0,
    CODE1,
    CODE3,
    CODE_TYPE,
    CONFORMING,
    DATA0,
    DATA1,
    DATA3,
    FINE,
    FREE,
    GP,
    NP,
    READ_WRITE,
    RING_STACKS,
    SS,
    TS,
    TSS,
    Outcome,
    SystemBench,
    descriptor,
    fault,
    gate,
)
from vmxon.arch.segments import SystemType
from vmxon.processor.state import Segment

TARGET = 0x18000
POINTER = 0x20000
JMP, CALL = 5, 3


def far(bench: SystemBench, digit: int, selector: int, offset: int = TARGET, width: int = 4) -> Outcome:
    """JMP or CALL through a far pointer at POINTER."""
    bench.engine.write_physical(POINTER, offset.to_bytes(width, "little") + selector.to_bytes(2, "little"))
    bench.engine.write_physical(TARGET, b"\x90" * 16)
    prefix = {2: b"\x66", 4: b"", 8: b"\x48"}[width]
    address = b"\x04\x25" if bench.mode == 64 else b"\x05"
    modrm = bytes([(address[0] & 0xC7) | digit << 3]) + address[1:]
    return bench.run(prefix + b"\xff" + modrm + POINTER.to_bytes(4, "little"))


# kind, DPL, present, CPL, RPL, vector
DIRECT = [
    (CODE_TYPE, 0, True, 0, 0, None),
    (CODE_TYPE, 0, True, 0, 3, GP),
    (CODE_TYPE, 3, True, 0, 0, GP),
    (CODE_TYPE, 0, True, 3, 0, GP),
    (CODE_TYPE, 3, True, 3, 0, None),
    (CODE_TYPE, 1, True, 1, 1, None),
    (CONFORMING, 0, True, 3, 3, None),
    (CONFORMING, 3, True, 0, 0, GP),
    (CONFORMING, 0, True, 1, 3, None),
    (READ_WRITE, 0, True, 0, 0, GP),
    (CODE_TYPE, 0, False, 0, 0, NP),
    (SystemType.LDT, 3, True, 3, 3, GP),
    (SystemType.INTERRUPT_GATE, 3, True, 3, 3, GP),
]


@pytest.mark.parametrize("digit", [JMP, CALL])
@pytest.mark.parametrize("mode", [32, 64])
@pytest.mark.parametrize(("kind", "dpl", "present", "cpl", "rpl", "vector"), DIRECT)
def test_direct_transfer(digit: int, mode: int, kind: int, dpl: int, present: bool, cpl: int, rpl: int, vector: int | None) -> None:
    bench = SystemBench(mode, cpl)
    flags = 0xA if mode == 64 else 0xC
    bench.put_descriptor(FREE, descriptor(0, 0xFFFFF, kind, dpl, present, flags))
    stack, old = bench.state.gpr[4], bench.state.segments[Segment.CS].selector
    outcome = far(bench, digit, FREE | rpl)
    assert outcome == (FINE if vector is None else fault(vector, FREE))
    if vector is None:
        assert (bench.state.rip, bench.selectors[1], bench.state.cpl) == (TARGET, FREE | cpl, cpl)
        if digit == CALL:
            # The operand size of FF /3 is 32 bits in 64-bit mode too.
            assert stack - bench.state.gpr[4] == 8
            assert (bench.stacked(0, 4), bench.stacked(1, 4)) == (CODE + (7 if mode == 64 else 6), old)


@pytest.mark.parametrize("digit", [JMP, CALL])
@pytest.mark.parametrize(("selector", "code"), [(0, 0), (3, 0), (0x100, 0x100)])
def test_no_descriptor(digit: int, selector: int, code: int) -> None:
    assert far(SystemBench(32), digit, selector) == fault(GP, code)


@pytest.mark.parametrize("digit", [JMP, CALL])
def test_target_beyond_the_limit(digit: int) -> None:
    bench = SystemBench(32)
    bench.put_descriptor(FREE, descriptor(0, 0xFFF, CODE_TYPE, flags=4))
    assert far(bench, digit, FREE, 0x1000) == fault(GP)
    assert bench.selectors[1] == CODE0


def test_code_cannot_be_long_and_big() -> None:
    bench = SystemBench(64)
    bench.put_descriptor(FREE, descriptor(0, 0xFFFFF, CODE_TYPE, flags=0xE))
    assert far(bench, JMP, FREE) == fault(GP, FREE)


def test_from_64_bit_to_compatibility_mode_and_back() -> None:
    bench = SystemBench(64)
    bench.put_descriptor(FREE, descriptor(0, 0xFFFFF, CODE_TYPE, flags=0xC))
    assert far(bench, JMP, FREE) == FINE
    assert (bench.state.code_size, bench.state.long_mode, bench.state.stack_shift) == (1, 1, 32)
    bench.engine.write_physical(TARGET, b"\xea" + struct.pack("<IH", CODE, CODE0))
    assert bench.go_on() == FINE
    assert (bench.state.code_size, bench.state.rip) == (2, CODE)


@pytest.mark.parametrize(("mode", "width"), [(16, 2), (16, 4), (86, 2)])
def test_far_call_and_return_in_8086_modes(mode: int, width: int) -> None:
    bench = SystemBench(mode, 3)
    cs, stack = bench.selectors[1], bench.state.gpr[4]
    size = b"\x66" if width == 4 else b""
    bench.engine.write_physical(0x30020, size + b"\xcb")
    call = size + b"\x9a" + (0x20).to_bytes(width, "little") + (0x3000).to_bytes(2, "little")
    assert bench.run(call) == FINE
    assert (bench.selectors[1], bench.state.rip, stack - bench.state.gpr[4]) == (0x3000, 0x20, 2 * width)
    assert bench.go_on() == FINE
    assert (bench.selectors[1], bench.state.rip, bench.state.gpr[4]) == (cs, len(call), stack)


# Gate DPL, CPL, RPL, gate present, code DPL, code kind, code present, digit, expected vector, whose selector
GATES = [
    (3, 3, 3, True, 0, CODE_TYPE, True, CALL, None, 0),
    (0, 0, 0, True, 0, CODE_TYPE, True, CALL, None, 0),
    (0, 0, 0, True, 0, CODE_TYPE, True, JMP, None, 0),
    (2, 3, 3, True, 0, CODE_TYPE, True, CALL, GP, FREE),
    (0, 0, 1, True, 0, CODE_TYPE, True, CALL, GP, FREE),
    (3, 3, 3, False, 0, CODE_TYPE, True, CALL, NP, FREE),
    (3, 3, 3, True, 0, CODE_TYPE, True, JMP, GP, FREE + 16),
    (3, 3, 3, True, 0, CONFORMING, True, JMP, None, 0),
    (3, 3, 3, True, 0, CONFORMING, True, CALL, None, 0),
    (3, 0, 0, True, 3, CODE_TYPE, True, CALL, GP, FREE + 16),
    (3, 3, 3, True, 0, READ_WRITE, True, CALL, GP, FREE + 16),
    (3, 3, 3, True, 0, CODE_TYPE, False, CALL, NP, FREE + 16),
]


@pytest.mark.parametrize("kind", [SystemType.CALL_GATE, SystemType.CALL_GATE_16, 64])
@pytest.mark.parametrize(("gate_dpl", "cpl", "rpl", "gate_present", "dpl", "code", "code_present", "digit", "vector", "blamed"), GATES)
def test_call_gate_checks(
    kind: int,
    gate_dpl: int,
    cpl: int,
    rpl: int,
    gate_present: bool,
    dpl: int,
    code: int,
    code_present: bool,
    digit: int,
    vector: int | None,
    blamed: int,
) -> None:
    bench = SystemBench(64 if kind == 64 else 32, cpl)
    offset = TARGET if kind != SystemType.CALL_GATE_16 else TARGET & 0xFFFF
    low = gate(FREE + 16, TARGET, SystemType.CALL_GATE if kind == 64 else kind, gate_dpl, gate_present)
    bench.put_descriptor(FREE, low, 0)
    bench.put_descriptor(FREE + 16, descriptor(0, 0xFFFFF, code, dpl, code_present, 0xA if kind == 64 else 0xC))
    outcome = far(bench, digit, FREE | rpl, 0xDEAD)
    assert outcome == (FINE if vector is None else fault(vector, blamed))
    if vector is None:
        level = dpl if digit == CALL and code == CODE_TYPE else cpl
        assert (bench.state.rip, bench.state.cpl, bench.selectors[1]) == (offset, level, FREE + 16 | level)


@pytest.mark.parametrize("width", [2, 4])
@pytest.mark.parametrize("count", [0, 1, 5, 31])
def test_call_gate_to_an_inner_level_copies_parameters(width: int, count: int) -> None:
    bench = SystemBench(32, 3)
    kind = SystemType.CALL_GATE if width == 4 else SystemType.CALL_GATE_16
    bench.put_descriptor(FREE, gate(CODE1 & 0xF8, TARGET, kind, 3, count=count))
    parameters = [0x1000 + n for n in range(count)]
    bench.state.gpr[4] -= count * width
    old = bench.state.gpr[4]
    bench.engine.write_physical(old, b"".join(p.to_bytes(width, "little") for p in parameters))
    assert far(bench, CALL, FREE | 3) == FINE
    state = bench.state
    assert (state.cpl, bench.selectors[1], bench.selectors[2]) == (1, CODE1, DATA1)
    assert state.gpr[4] == RING_STACKS[1] - (4 + count) * width
    mask = (1 << 8 * width) - 1
    frame = [bench.stacked(n, width) for n in range(count + 4)]
    assert frame == [CODE + 6 & mask, CODE3, *parameters, old & mask, DATA3]


def test_64_bit_call_gate_and_return() -> None:
    bench = SystemBench(64, 3)
    bench.put_descriptor(FREE, gate(CODE0, TARGET, SystemType.CALL_GATE, 3), 0)
    old = bench.state.gpr[4]
    assert far(bench, CALL, FREE | 3) == FINE
    assert bench.state.gpr[4] == RING_STACKS[0] - 32
    assert [bench.stacked(n, 8) for n in range(4)] == [CODE + 7, CODE3, old, DATA3]
    assert (bench.selectors[2], bench.state.cpl, bench.state.segments[Segment.SS].rights >> 16) == (0, 0, 1)
    bench.engine.write_physical(TARGET, b"\x48\xcb")
    assert bench.go_on() == FINE
    assert (bench.state.cpl, bench.selectors[1], bench.selectors[2], bench.state.gpr[4]) == (3, CODE3, DATA3, old)


def inner_call(bench: SystemBench) -> Outcome:
    bench.put_descriptor(FREE, gate(CODE1 & 0xF8, TARGET, SystemType.CALL_GATE, 3))
    return far(bench, CALL, FREE | 3)


# What is wrong with the new stack: selector in the TSS, its descriptor, outcome
STACKS = [
    (0, None, fault(TS, 0)),
    (0x100, None, fault(TS, 0x100)),
    (DATA1 & 0xF8, None, fault(TS, DATA1 & 0xF8)),
    (FREE + 16 | 1, descriptor(0, 0xFFFFF, READ_WRITE, 0, flags=0xC), fault(TS, FREE + 16)),
    (FREE + 16 | 1, descriptor(0, 0xFFFFF, CODE_TYPE, 1, flags=0xC), fault(TS, FREE + 16)),
    (FREE + 16 | 1, descriptor(0, 0xFFFFF, READ_WRITE, 1, False, 0xC), fault(SS, FREE + 16)),
    (FREE + 16 | 1, descriptor(0, 0xFF, READ_WRITE, 1, flags=4), fault(SS, FREE + 16)),
]


@pytest.mark.parametrize(("selector", "value", "expected"), STACKS)
def test_bad_inner_stacks(selector: int, value: int | None, expected: Outcome) -> None:
    bench = SystemBench(32, 3)
    if value is not None:
        bench.put_descriptor(FREE + 16, value)
    bench.engine.write_physical(TSS + 4 + 8 + 4, selector.to_bytes(2, "little"))
    assert inner_call(bench) == expected
    assert bench.pushed(1) == CODE
    assert bench.pushed(2) == CODE3


def test_short_task_state() -> None:
    bench = SystemBench(32, 3)
    # Level 1's stack ends at byte 17; level 0's, which the fault needs, at byte 9.
    bench.state.segments[Segment.TR].limit = 16
    assert inner_call(bench) == fault(TS, 0x28)


# selector returned to (its RPL is the new level), CPL, CS descriptor, expected
RETURNS = [
    (0, 0, None, fault(GP, 0)),
    (0x100, 0, None, fault(GP, 0x100)),
    (CODE0, 3, None, fault(GP, CODE0)),
    (FREE, 0, descriptor(0, 0xFFFFF, READ_WRITE, 0, flags=0xC), fault(GP, FREE)),
    (FREE | 3, 0, descriptor(0, 0xFFFFF, CODE_TYPE, 1, flags=0xC), fault(GP, FREE)),
    (FREE, 0, descriptor(0, 0xFFFFF, CODE_TYPE, 3, flags=0xC), fault(GP, FREE)),
    (FREE | 1, 0, descriptor(0, 0xFFFFF, CONFORMING, 3, flags=0xC), fault(GP, FREE)),
    (FREE, 0, descriptor(0, 0xFFFFF, CODE_TYPE, 0, False, 0xC), fault(NP, FREE)),
    (FREE, 0, descriptor(0, 0xFFF, CODE_TYPE, 0, flags=4), fault(GP, 0)),
    (FREE | 3, 3, descriptor(0, 0xFFFFF, CONFORMING, 0, flags=0xC), FINE),
    (CODE0, 0, None, FINE),
]


@pytest.mark.parametrize(("selector", "cpl", "value", "expected"), RETURNS)
def test_return_checks(selector: int, cpl: int, value: int | None, expected: Outcome) -> None:
    bench = SystemBench(32, cpl)
    if value is not None:
        bench.put_descriptor(FREE, value)
    bench.state.gpr[4] -= 8
    top = bench.state.gpr[4]
    bench.engine.write_physical(top, struct.pack("<II", TARGET, selector))
    assert bench.run(b"\xcb") == expected
    if expected == FINE:
        assert (bench.state.rip, bench.selectors[1], bench.state.gpr[4]) == (TARGET, selector, top + 8)


@pytest.mark.parametrize(
    ("stack", "vector", "code"),
    [(DATA3, None, 0), (0, GP, 0), (3, GP, 0), (DATA0, GP, DATA0), (DATA3 & ~3, GP, DATA3 & ~3), (FREE | 3, SS, FREE)],
)
def test_return_to_an_outer_level(stack: int, vector: int | None, code: int) -> None:
    bench = SystemBench(32, 0)
    bench.put_descriptor(FREE, descriptor(0, 0xFFFFF, READ_WRITE, 3, False, flags=0xC))
    bench.state.gpr[4] -= 24
    bench.engine.write_physical(bench.state.gpr[4], struct.pack("<IIIIII", TARGET, CODE3, 7, 8, 0x30000, stack))
    outcome = bench.run(b"\xca\x08\x00")
    assert outcome == (FINE if vector is None else fault(vector, code))
    if vector is None:
        assert (bench.state.cpl, bench.selectors[2], bench.state.gpr[4]) == (3, DATA3, 0x30008)
        # Level-0 data segments may not be used any more.
        assert [bench.selectors[n] for n in (0, 3, 4, 5)] == [0, 0, 0, 0]
        assert bench.state.segments[Segment.DS].rights >> 16 == 1
