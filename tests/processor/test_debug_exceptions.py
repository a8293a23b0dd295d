"""Debug exceptions where instructions meet them: strings, the software interrupts, RF and TF in pushed images, BTF, several at once.

Vol. 3B §18.3 “Debug Exceptions”, Vol. 3A §6.8.3 “Masking Instruction Breakpoints”, Vol. 2A “INT n/INTO/INT3/INT1”.
"""

from __future__ import annotations

import pytest

from tests.harness import CODE, DATA
from tests.processor.system_bench import BP, DATA0, DB, FINE, GP, HANDLERS, NP, OF, PF, SystemBench, fault, gate
from tests.processor.test_breakpoints import EXECUTE, LENGTHS, READ_OR_WRITE, WRITE, watch

TF, RF, BS, BD = 1 << 8, 1 << 16, 1 << 14, 1 << 13
BTF = 1 << 1
FLAGS_AT = 2
"""Place of RFLAGS above RIP and CS, without an error code."""


def bench_64() -> SystemBench:
    return SystemBench(64)


def stepped(bench: SystemBench) -> SystemBench:
    bench.processor.rflags |= TF
    bench.state.attention = 1
    return bench


# Strings: the trap comes behind the iteration, with RIP still at the instruction, and RF is not needed to go on.


@pytest.mark.parametrize(
    ("text", "watched", "condition", "iterations"),
    [
        ("rep stosb", DATA + 5, WRITE, 6),
        ("rep stosd", DATA + 5, WRITE, 2),
        ("rep stosq", DATA + 8, READ_OR_WRITE, 2),
        ("rep movsb", DATA + 3, WRITE, 4),
        ("rep movsb", DATA + 0x103, READ_OR_WRITE, 4),
        ("rep lodsb", DATA + 0x102, READ_OR_WRITE, 3),
        ("repe cmpsb", DATA + 0x104, READ_OR_WRITE, 5),
        ("repne scasb", DATA + 7, READ_OR_WRITE, 8),
    ],
)
def test_a_data_breakpoint_inside_a_string(text: str, watched: int, condition: int, iterations: int) -> None:
    bench = bench_64()
    bench.engine.write_physical(DATA, bytes(0x200))
    watch(bench, 0, watched, condition, 1)
    state = bench.state
    state.gpr[0], state.gpr[1], state.gpr[6], state.gpr[7] = 1, 16, DATA + 0x100, DATA
    assert bench.run(text, 40) == fault(DB, None)
    assert bench.pushed(0) == CODE, "the string is not done"
    assert state.gpr[1] == 16 - iterations
    assert state.dr[6] & 0xF == 1


def test_the_last_iteration_traps_behind_the_string() -> None:
    bench = bench_64()
    watch(bench, 0, DATA + 3, WRITE, 1)
    bench.state.gpr[1], bench.state.gpr[7] = 4, DATA
    assert bench.run("rep stosb\nnop", 10) == fault(DB, None)
    assert bench.pushed(0) == CODE + 2
    assert bench.state.gpr[1] == 0


def test_single_step_of_a_string_is_by_iterations() -> None:
    bench = stepped(bench_64())
    bench.state.gpr[1], bench.state.gpr[7] = 4, DATA
    assert bench.run("rep stosb\nnop", 10) == fault(DB, None)
    assert (bench.pushed(0), bench.state.gpr[1]) == (CODE, 3)


def test_a_port_string() -> None:
    bench = bench_64()
    bench.engine.write_physical(DATA, bytes(8))
    state = bench.state
    state.gpr[1], state.gpr[2], state.gpr[6] = 3, 0x80, DATA
    watch(bench, 0, DATA + 1, READ_OR_WRITE, 1)
    state.gpr[0] = 0
    assert bench.run("rep outsb", 40) == fault(DB, None)
    assert (bench.pushed(0), state.gpr[1]) == (CODE, 1)


# RF in the pushed image: 1 for faults but those of code breakpoints, whose handler sets it; 0 for traps.


@pytest.mark.parametrize(
    ("text", "vector", "pushed_rf", "place"),
    [
        ("ud2", 6, True, FLAGS_AT),
        ("div ecx", 0, True, FLAGS_AT),
        ("mov eax, [0x7fffffff00000000]", GP, True, FLAGS_AT + 1),
        ("movabs eax, [0x40000000000]", PF, True, FLAGS_AT + 1),
        ("int3", BP, False, FLAGS_AT),
        (b"\xf1", DB, False, FLAGS_AT),
        ("int 0x40", 0x40, False, FLAGS_AT),
    ],
)
def test_rf_of_faults_and_traps(text: str | bytes, vector: int, pushed_rf: bool, place: int) -> None:
    bench = bench_64()
    if isinstance(text, str) and "movabs" not in text and "7fff" in text:
        text = "mov rax, 0x7fffffff00000000\nmov eax, [rax]"
    outcome = bench.run(text, 2)
    assert outcome.vector == vector
    assert bool(bench.pushed(place) & RF) is pushed_rf


def test_rf_of_a_code_breakpoint_and_of_a_data_breakpoint() -> None:
    bench = bench_64()
    watch(bench, 0, CODE, EXECUTE, 1)
    assert bench.run("nop") == fault(DB, None)
    assert not bench.pushed(FLAGS_AT) & RF
    bench = bench_64()
    watch(bench, 0, DATA, WRITE, 1)
    assert bench.run(f"mov byte ptr [{DATA}], 1\nnop", 2) == fault(DB, None)
    assert not bench.pushed(FLAGS_AT) & RF


# Software interrupts: which gates they ask, and what they push.


@pytest.mark.parametrize("mode", [32, 64])
@pytest.mark.parametrize(
    ("code", "vector", "length", "asks"),
    [(b"\xcc", BP, 1, True), (b"\xcd\x03", BP, 2, True), (b"\xf1", DB, 1, False), (b"\xcd\x01", DB, 2, True), (b"\xcd\x80", 0x80, 2, True)],
)
@pytest.mark.parametrize("dpl", [0, 3])
def test_gate_privilege(mode: int, code: bytes, vector: int, length: int, asks: bool, dpl: int) -> None:
    bench = SystemBench(mode, 3)
    bench.put_gate(vector, gate(8, HANDLERS + 16 * vector, dpl=dpl))
    outcome = bench.run(code)
    if asks and dpl == 0:
        assert outcome == fault(GP, vector * 8 + 2)
    else:
        assert outcome == fault(vector, None)
        assert bench.pushed(0) == CODE + length
    assert bench.state.dr[6] & 0xE00F == 0, "only real debug conditions show in DR6"


@pytest.mark.parametrize("mode", [32, 64])
@pytest.mark.parametrize(("code", "external"), [(b"\xcc", 0), (b"\xcd\x03", 0), (b"\xf1", 1)])
def test_a_gate_that_is_not_present(mode: int, code: bytes, external: int) -> None:
    bench = SystemBench(mode)
    vector = DB if code == b"\xf1" else BP
    bench.put_gate(vector, gate(8, 0, present=False))
    # INT1 counts as an event that the program did not ask for: EXT is 1.
    assert bench.run(code) == fault(NP, vector * 8 + 2 + external)


def test_into() -> None:
    for overflow, expected in ((0, FINE), (1 << 11, fault(OF, None))):
        bench = SystemBench(32)
        bench.processor.rflags |= overflow
        assert bench.run(b"\xce") == expected


# Single steps.


@pytest.mark.parametrize(
    ("text", "count", "where"),
    [
        ("nop\nnop\nnop", 6, None),
        ("nop\njmp 1f\nnop\n1: nop\nnop", 6, 4),
        ("xor eax, eax\njnz 1f\n1: nop\ncall 2f\nnop\n2: nop", 8, 11),
        ("xor eax, eax\njz 1f\nnop\n1: nop\nnop", 6, 5),
        ("mov ecx, 1\nloop 1f\n1: nop\nnop", 6, None),
    ],
)
def test_btf_steps_on_taken_branches(text: str, count: int, where: int | None) -> None:
    bench = stepped(bench_64())
    bench.state.debugctl = BTF
    outcome = bench.run(text, count)
    assert outcome == (FINE if where is None else fault(DB, None))
    if where is not None:
        assert bench.pushed(0) == CODE + where
        assert bench.state.dr[6] & BS
        assert bench.state.debugctl & BTF == 0, "a debug exception clears it"


@pytest.mark.parametrize("text", ["syscall", "int 0x70", "int3"])
def test_handlers_start_without_tf(text: str) -> None:
    bench = stepped(bench_64())
    bench.state.efer |= 1
    if text == "syscall":
        bench.state.lstar, bench.state.star, bench.state.fmask = HANDLERS + 16 * 0x70, 8 << 32, TF
        bench.processor.refresh()
    bench.run(text, 3)
    assert not bench.state.rflags_other & TF


@pytest.mark.parametrize(("mode", "code"), [(32, b"\x8e\xd0"), (32, b"\x17"), (64, b"\x8e\xd0")])
def test_a_step_waits_behind_a_load_of_ss(mode: int, code: bytes) -> None:
    bench = stepped(SystemBench(mode))
    bench.state.gpr[0] = DATA0
    bench.engine.write_physical(bench.state.gpr[4], DATA0.to_bytes(8, "little"))
    assert bench.run(code + b"\x90\x90", 5) == fault(DB, None)
    assert bench.pushed(0) == CODE + len(code) + 1


# Several conditions at once, and what DR6 keeps.


def test_a_step_and_a_data_breakpoint_are_one_exception() -> None:
    bench = bench_64()
    watch(bench, 3, DATA, WRITE, 1)
    stepped(bench)
    assert bench.run(f"mov byte ptr [{DATA}], 1\nnop", 3) == fault(DB, None)
    assert bench.state.dr[6] & (BS | 0xF) == BS | 8
    assert bench.run("nop", 1) == FINE


def test_dr6_accumulates_and_keeps_its_ones() -> None:
    bench = bench_64()
    watch(bench, 1, DATA, WRITE, 1)
    assert bench.run(f"mov byte ptr [{DATA}], 1\nnop", 2) == fault(DB, None)
    assert bench.state.dr[6] == 0xFFFF0FF2
    bench.state.dr[7] = 0x400
    bench.processor.refresh()
    stepped(bench)
    assert bench.run("nop\nnop", 3) == fault(DB, None)
    assert bench.state.dr[6] & BS


@pytest.mark.parametrize("condition", [WRITE, READ_OR_WRITE])
def test_two_breakpoints_met_by_one_access(condition: int) -> None:
    bench = bench_64()
    text = (
        f"mov rax, {DATA}\nmov dr0, rax\nmov rax, {DATA + 4}\nmov dr2, rax\n"
        f"mov eax, {0x400 | 0x22 | condition << 16 | condition << 24 | LENGTHS[4] << 18 | LENGTHS[4] << 26:#x}\nmov dr7, rax"
    )
    assert bench.run(text, 6) == FINE
    assert bench.run(f"mov qword ptr [{DATA}], rax\nnop", 2) == fault(DB, None)
    assert bench.state.dr[6] & 0xF == 5


def test_a_breakpoint_that_is_met_but_not_armed_may_show_and_does_not_trap() -> None:
    bench = bench_64()
    assert bench.run(f"mov rax, {DATA}\nmov dr0, rax\nmov eax, 0x10400\nmov dr7, rax\nmov byte ptr [{DATA}], 1\nnop", 6) == FINE


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("enable", [1, 2])
def test_local_and_global_enables(number: int, enable: int) -> None:
    bench = bench_64()
    text = f"mov rax, {DATA}\nmov dr{number}, rax\nmov rax, {0x400 | enable << 2 * number | 1 << 16 + 4 * number}\nmov dr7, rax"
    assert bench.run(text, 4) == FINE
    assert bench.run(f"mov byte ptr [{DATA}], 1\nnop", 2) == fault(DB, None)
    assert bench.state.dr[6] & 0xF == 1 << number


def test_general_detect_is_a_fault_that_clears_gd() -> None:
    bench = bench_64()
    bench.state.dr[7] = 0x2400
    assert bench.run("mov rax, dr3") == fault(DB, None)
    assert bench.pushed(0) == CODE
    assert bench.pushed(FLAGS_AT) & RF
    assert (bench.state.dr[6] & BD, bench.state.dr[7]) == (BD, 0x400)
