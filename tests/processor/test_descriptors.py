"""Loading segment registers, LDTR and TR: every check and its error code."""

from __future__ import annotations

import pytest

from tests.processor.system_bench import (
    CODE_TYPE,
    CONFORMING,
    EXECUTE_ONLY,
    EXPAND_DOWN,
    FINE,
    FREE,
    GP,
    NP,
    READ_ONLY,
    READ_WRITE,
    SS,
    UD,
    Outcome,
    SystemBench,
    descriptor,
    fault,
)
from vmxon.arch.segments import SystemType
from vmxon.processor.state import Segment

UNUSABLE = 1 << 16


def load(bench: SystemBench, register: str, selector: int) -> Outcome:
    return bench.run(f"mov eax, {selector}\nmov {register}, ax", 2)


# kind, DPL, present, CPL, RPL, what comes of it (error codes name the selector)
DATA_LOADS = [
    (READ_WRITE, 0, True, 0, 0, None),
    (READ_ONLY, 3, True, 3, 3, None),
    (READ_WRITE, 3, True, 0, 3, None),
    (READ_WRITE, 0, True, 0, 3, GP),
    (READ_WRITE, 0, True, 3, 0, GP),
    (READ_WRITE, 2, True, 1, 2, None),
    (READ_WRITE, 2, True, 1, 3, GP),
    (EXPAND_DOWN, 0, True, 0, 0, None),
    (CODE_TYPE, 0, True, 0, 0, None),
    (CODE_TYPE, 0, True, 3, 3, GP),
    (EXECUTE_ONLY, 3, True, 3, 3, GP),
    (CONFORMING, 0, True, 3, 3, None),
    (CONFORMING & ~2, 0, True, 0, 0, GP),
    (SystemType.LDT, 3, True, 0, 0, GP),
    (SystemType.CALL_GATE, 3, True, 0, 0, GP),
    (READ_WRITE, 0, False, 0, 0, NP),
    (READ_WRITE, 0, False, 3, 0, GP),
]


@pytest.mark.parametrize("mode", [32, 64])
@pytest.mark.parametrize(("kind", "dpl", "present", "cpl", "rpl", "vector"), DATA_LOADS)
def test_load_of_a_data_register(mode: int, kind: int, dpl: int, present: bool, cpl: int, rpl: int, vector: int | None) -> None:
    bench = SystemBench(mode, cpl)
    bench.put_descriptor(FREE, descriptor(0x123456, 0x4321, kind, dpl, present))
    expected = FINE if vector is None else fault(vector, FREE)
    assert load(bench, "ds", FREE | rpl) == expected
    accessed = bool(bench.get_descriptor(FREE) >> 40 & 1)
    assert accessed == (vector is None or bool(kind & 1))
    if vector is None:
        register = bench.state.segments[Segment.DS]
        assert (register.selector, register.base, register.limit) == (FREE | rpl, 0x123456, 0x4321)
        assert register.rights == kind | 1 | dpl << 5 | 0x80


STACK_LOADS = [
    (READ_WRITE, 0, True, 0, 0, None),
    (READ_WRITE, 3, True, 3, 3, None),
    (READ_WRITE, 0, True, 0, 1, GP),
    (READ_WRITE, 1, True, 0, 0, GP),
    (READ_ONLY, 0, True, 0, 0, GP),
    (CODE_TYPE, 0, True, 0, 0, GP),
    (READ_WRITE, 0, False, 0, 0, SS),
    (EXPAND_DOWN, 0, True, 0, 0, None),
]


@pytest.mark.parametrize("mode", [32, 64])
@pytest.mark.parametrize(("kind", "dpl", "present", "cpl", "rpl", "vector"), STACK_LOADS)
def test_load_of_ss(mode: int, kind: int, dpl: int, present: bool, cpl: int, rpl: int, vector: int | None) -> None:
    bench = SystemBench(mode, cpl)
    bench.put_descriptor(FREE, descriptor(0, 0xFFFFF, kind, dpl, present, flags=0xC))
    assert load(bench, "ss", FREE | rpl) == (FINE if vector is None else fault(vector, FREE))


@pytest.mark.parametrize(
    ("mode", "cpl", "register", "selector", "expected"),
    [
        (32, 0, "ds", 0, FINE),
        (32, 3, "gs", 3, FINE),
        (32, 0, "ss", 0, fault(GP)),
        (33, 3, "ss", 3, fault(GP)),
        (64, 0, "ss", 0, FINE),
        (64, 0, "ss", 1, fault(GP)),
        (64, 1, "ss", 1, FINE),
        (64, 3, "ss", 3, fault(GP)),
        (64, 3, "fs", 0, FINE),
        (16, 0, "ss", 0, FINE),
        (86, 3, "ds", 0, FINE),
    ],
)
def test_null_selectors(mode: int, cpl: int, register: str, selector: int, expected: Outcome) -> None:
    bench = SystemBench(mode, cpl)
    assert load(bench, register, selector) == expected
    if expected == FINE and mode not in (16, 86):
        assert bench.state.segments[Segment[register.upper()]].rights & UNUSABLE
        assert bench.state.cpl == cpl


@pytest.mark.parametrize("selector", [0x100, 0xFFF8, 0x47, 0x44])
def test_selector_outside_the_table(selector: int) -> None:
    # 0x40 of the LDT is the first byte after its limit.
    assert load(SystemBench(32), "es", selector) == fault(GP, selector & ~3)


def test_selector_without_an_ldt() -> None:
    bench = SystemBench(32)
    assert bench.run("xor eax, eax\nlldt ax\nmov eax, 4\nmov ds, ax", 4) == fault(GP, 4)


def test_load_from_the_ldt() -> None:
    bench = SystemBench(32)
    bench.put_descriptor(0x0C, descriptor(0x9000, 0xFF, READ_WRITE))
    assert load(bench, "fs", 0x0C) == FINE
    assert bench.state.segments[Segment.FS].base == 0x9000


@pytest.mark.parametrize("register", ["cs", None])
def test_mov_to_cs_is_undefined(register: str | None) -> None:
    code = b"\x8e\xc8" if register else b"\x8e\xf0"  # mov cs, ax; mov (6), ax
    assert SystemBench(32).run(code) == fault(UD, None)


@pytest.mark.parametrize(("mode", "base"), [(16, 0x12340), (86, 0x12340)])
def test_8086_loads(mode: int, base: int) -> None:
    bench = SystemBench(mode, 3)
    assert load(bench, "ds", 0x1234) == FINE
    assert bench.state.segments[Segment.DS].base == base


def test_real_mode_keeps_the_limit_of_protected_mode() -> None:
    bench = SystemBench(16)
    bench.state.segments[Segment.DS].limit = 0xFFFFFFFF
    bench.processor.refresh()
    assert bench.run("mov ax, 0x1000\nmov ds, ax\nmov ebx, 0x20000\nmov byte ptr [ebx], 5", 4) == FINE
    assert bench.engine.read_physical(0x30000, 1) == b"\x05"


LDT_LOADS = [
    (0, 0, True, None),
    (FREE, SystemType.LDT, True, None),
    (FREE, SystemType.LDT, False, NP),
    (FREE, SystemType.AVAILABLE_TSS, True, GP),
    (FREE, READ_WRITE, True, GP),
    (FREE | 4, SystemType.LDT, True, GP),
    (0x100, SystemType.LDT, True, GP),
]


@pytest.mark.parametrize("mode", [32, 64])
@pytest.mark.parametrize(("selector", "kind", "present", "vector"), LDT_LOADS)
def test_lldt(mode: int, selector: int, kind: int, present: bool, vector: int | None) -> None:
    bench = SystemBench(mode)
    bench.put_descriptor(FREE, descriptor(0x87654321, 0x77, kind, 0, present), 0xFFFF8000)
    outcome = bench.run(f"mov eax, {selector}\nlldt ax", 2)
    assert outcome == (FINE if vector is None else fault(vector, selector & 0xFFFC))
    if vector is None and selector:
        register = bench.state.segments[Segment.LDTR]
        assert register.base == (0xFFFF8000_87654321 if mode == 64 else 0x87654321)
        assert register.limit == 0x77


@pytest.mark.parametrize("high", [0x1234_8000, 0x1F00_FFFF8000, 1 << 40])
def test_lldt_refuses_a_malformed_wide_descriptor(high: int) -> None:
    bench = SystemBench(64)
    bench.put_descriptor(FREE, descriptor(0, 0x77, SystemType.LDT), high)
    assert bench.run(f"mov eax, {FREE}\nlldt ax", 2) == fault(GP, FREE)


TASK_LOADS = [
    (32, 0, SystemType.AVAILABLE_TSS, True, fault(GP, 0)),
    (32, FREE, SystemType.AVAILABLE_TSS, True, FINE),
    (32, FREE, SystemType.AVAILABLE_TSS_16, True, FINE),
    (64, FREE, SystemType.AVAILABLE_TSS, True, FINE),
    (64, FREE, SystemType.AVAILABLE_TSS_16, True, fault(GP, FREE)),
    (32, FREE, SystemType.BUSY_TSS, True, fault(GP, FREE)),
    (32, FREE, SystemType.LDT, True, fault(GP, FREE)),
    (32, FREE, SystemType.AVAILABLE_TSS, False, fault(NP, FREE)),
    (32, FREE | 4, SystemType.AVAILABLE_TSS, True, fault(GP, FREE | 4)),
]


@pytest.mark.parametrize(("mode", "selector", "kind", "present", "expected"), TASK_LOADS)
def test_ltr(mode: int, selector: int, kind: int, present: bool, expected: Outcome) -> None:
    bench = SystemBench(mode)
    bench.put_descriptor(FREE, descriptor(0x9000, 0x67, kind, 0, present), 0)
    assert bench.run(f"mov eax, {selector}\nltr ax", 2) == expected
    if expected == FINE:
        assert bench.get_descriptor(FREE) >> 40 & 0xF == kind | 2
        assert bench.state.segments[Segment.TR].rights & 0xF == kind | 2
        assert bench.state.segments[Segment.TR].base == 0x9000


@pytest.mark.parametrize("instruction", ["lldt ax", "ltr ax"])
@pytest.mark.parametrize(("mode", "cpl", "expected"), [(16, 0, UD), (86, 3, UD), (32, 3, GP), (64, 3, GP), (32, 1, GP)])
def test_lldt_and_ltr_need_protected_mode_and_level_0(instruction: str, mode: int, cpl: int, expected: int) -> None:
    assert SystemBench(mode, cpl).run(instruction) == fault(expected, None if expected == UD else 0)
