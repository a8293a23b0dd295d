"""SYSCALL, SYSRET, SYSENTER, SYSEXIT in every mode."""

from __future__ import annotations

import pytest

from tests.harness import CODE
from tests.processor.system_bench import FINE, GP, UD, Outcome, SystemBench, fault
from vmxon.arch.control import Efer
from vmxon.processor.state import Segment

TARGET, STACK3 = 0x18000, 0x3A000
HIGH = 0x8000_0000_0000
LONG, BIG = 1 << 13, 1 << 14
IF, RF = 1 << 9, 1 << 16


def make(mode: int, cpl: int) -> SystemBench:
    bench = SystemBench(mode, cpl)
    state = bench.state
    state.efer |= Efer.sce.mask if mode in (33, 64) else 0
    state.star = 0x0010_0008 << 32 | 0xDEAD
    state.lstar, state.fmask = TARGET, 0x4_0700
    state.sysenter_cs, state.sysenter_eip, state.sysenter_esp = 8, TARGET, STACK3
    bench.engine.write_physical(TARGET, b"\x90" * 4)
    return bench


def segments(bench: SystemBench) -> tuple[tuple[int, int], tuple[int, int]]:
    """Selector and DPL of CS and SS; both flat."""
    code, stack = bench.state.segments[Segment.CS], bench.state.segments[Segment.SS]
    assert (code.base, code.limit, stack.base, stack.limit) == (0, 0xFFFFFFFF, 0, 0xFFFFFFFF)
    assert (code.rights & 0x9F, stack.rights & 0xFF9F) == (0x9B, 0xC093)
    return (code.selector, code.rights >> 5 & 3), (stack.selector, stack.rights >> 5 & 3)


def test_syscall() -> None:
    bench = make(64, 3)
    bench.processor.rflags = 0x4_0ED7 | RF
    assert bench.run("syscall") == FINE
    state = bench.state
    assert (state.rip, state.gpr[1], state.gpr[11]) == (TARGET, CODE + 2, 0x4_0ED7)
    assert bench.processor.rflags == 0x8D7
    assert segments(bench) == ((8, 0), (16, 0))
    assert (state.cpl, state.code_size) == (0, 2)


@pytest.mark.parametrize(("mode", "sce"), [(64, False), (33, True), (32, True), (16, True)])
def test_syscall_is_undefined(mode: int, sce: bool) -> None:
    bench = make(mode, 0)
    if not sce:
        bench.state.efer &= ~1
    assert bench.run(b"\x0f\x05") == fault(UD, None)


@pytest.mark.parametrize("wide", [True, False])
def test_sysret(wide: bool) -> None:
    bench = make(64, 0)
    bench.state.gpr[1], bench.state.gpr[11] = TARGET | (0 if wide else 5 << 32), 0xFFFF_FFFF
    assert bench.run(b"\x48\x0f\x07" if wide else b"\x0f\x07") == FINE
    assert bench.state.rip == TARGET
    assert segments(bench) == ((0x23 if wide else 0x13, 3), (0x1B, 3))
    assert (bench.state.cpl, bench.state.code_size) == (3, 2 if wide else 1)
    # RF and VM never come from R11.
    assert bench.processor.rflags & 0x3F_FFFF == 0x3C_7FD7


@pytest.mark.parametrize(("mode", "cpl", "rcx", "expected"), [(64, 3, 0, fault(GP)), (64, 0, HIGH, fault(GP)), (33, 0, 0, fault(UD, None))])
def test_sysret_refused(mode: int, cpl: int, rcx: int, expected: Outcome) -> None:
    bench = make(mode, cpl)
    if mode == 33:
        bench.state.segments[Segment.CS].rights = 0xC09B
        bench.processor.refresh()
    bench.state.gpr[1] = rcx
    code = b"\x48\x0f\x07" if mode == 64 else b"\x0f\x07"
    assert bench.run(code) == expected


@pytest.mark.parametrize("mode", [32, 33, 64, 86])
def test_sysenter(mode: int) -> None:
    bench = make(mode, 3)
    bench.state.rflags_other |= IF
    assert bench.run(b"\x0f\x34") == FINE
    assert (bench.state.rip, bench.state.gpr[4]) == (TARGET, STACK3)
    assert segments(bench) == ((8, 0), (16, 0))
    assert bench.state.rflags_other & (IF | 1 << 17) == 0
    long = mode in (33, 64)
    assert bool(bench.state.segments[Segment.CS].rights & LONG) == long
    assert bool(bench.state.segments[Segment.CS].rights & BIG) != long
    assert bench.state.cpl == 0


@pytest.mark.parametrize(("mode", "selector", "expected"), [(16, 8, fault(GP, None)), (32, 0, fault(GP)), (64, 3, fault(GP))])
def test_sysenter_refused(mode: int, selector: int, expected: Outcome) -> None:
    bench = make(mode, 0)
    bench.state.sysenter_cs = selector
    assert bench.run(b"\x0f\x34") == expected


@pytest.mark.parametrize(("mode", "wide", "code", "stack"), [(32, False, 0x1B, 0x23), (64, False, 0x1B, 0x23), (64, True, 0x2B, 0x33)])
def test_sysexit(mode: int, wide: bool, code: int, stack: int) -> None:
    bench = make(mode, 0)
    high = 0 if wide else 7 << 32
    bench.state.gpr[2], bench.state.gpr[1] = TARGET | high, STACK3 | high
    assert bench.run(b"\x48\x0f\x35" if wide else b"\x0f\x35") == FINE
    assert (bench.state.rip, bench.state.gpr[4]) == (TARGET, STACK3)
    assert segments(bench) == ((code, 3), (stack, 3))
    assert (bench.state.cpl, bench.state.code_size) == (3, 2 if wide else 1)


@pytest.mark.parametrize(("cpl", "selector", "rdx", "rcx"), [(3, 8, 0, 0), (0, 0, 0, 0), (0, 8, HIGH, 0), (0, 8, 0, HIGH)])
def test_sysexit_refused(cpl: int, selector: int, rdx: int, rcx: int) -> None:
    bench = make(64, cpl)
    bench.state.sysenter_cs, bench.state.gpr[2], bench.state.gpr[1] = selector, rdx, rcx
    assert bench.run(b"\x48\x0f\x35") == fault(GP)


def test_round_trip_keeps_the_data_segments() -> None:
    bench = make(64, 3)
    bench.state.lstar = TARGET
    bench.engine.write_physical(TARGET, b"\x48\x0f\x07")
    before = bench.selectors
    assert bench.run(b"\x0f\x05", 2) == FINE
    assert bench.state.rip == CODE + 2
    assert [bench.selectors[n] for n in (0, 3, 4, 5)] == [before[n] for n in (0, 3, 4, 5)]
