"""Between instructions: traps, shadows of STI and MOV SS, NMI, external interrupts, HLT, and their order."""

from __future__ import annotations

import pytest

from tests.harness import CODE, assemble
from tests.processor.system_bench import (
    DATA0,
    DB,
    FINE,
    FREE,
    HANDLERS,
    NMI,
    NP,
    PF,
    READ_WRITE,
    Outcome,
    SystemBench,
    descriptor,
    fault,
    gate,
)
from vmxon.processor.state import HostRequest

IF, TF = 1 << 9, 1 << 8
BS = 1 << 14
VECTOR = 0x51
SELECTOR = 0x20000
"""Where SS's selector lies."""


def interrupt(bench: SystemBench, vector: int = VECTOR) -> None:
    """The interrupt controller asserts INTR, and will answer with `vector`."""
    bench.state.interrupt_line = 1
    bench.state.attention = 1
    bench.answer = vector  # type: ignore[attr-defined]


def run(bench: SystemBench, code: str | bytes, count: int) -> Outcome:
    """The same as SystemBench.run, with acknowledge cycles."""
    bench.engine.write_physical(CODE, assemble(code, bench.bits) if isinstance(code, str) else code)
    bench.state.rip = 0 if bench.mode in (16, 86) else CODE
    return go_on(bench, count)


def go_on(bench: SystemBench, count: int) -> Outcome:
    end = bench.processor.instructions + count
    while True:
        left = end - bench.processor.instructions
        request = bench.processor.run(left)
        if request is HostRequest.ACKNOWLEDGE:
            bench.state.interrupt_line, bench.state.acknowledged = 0, 1
            bench.state.acknowledged_vector = bench.answer  # type: ignore[attr-defined]
            continue
        break
    at = bench.state.rip
    if request is HostRequest.HALT and HANDLERS <= at < HANDLERS + 4096:
        return fault((at - 1 - HANDLERS) >> 4, None)
    assert request in (HostRequest.BUDGET, HostRequest.HALT)
    return FINE


@pytest.fixture(params=[32, 64])
def bench(request: pytest.FixtureRequest) -> SystemBench:
    return SystemBench(request.param)


def test_external_interrupt(bench: SystemBench) -> None:
    bench.state.rflags_other |= IF
    interrupt(bench)
    assert run(bench, "nop\nnop", 3) == fault(VECTOR, None)
    assert bench.pushed(0) == CODE
    assert bench.pushed(2) == IF | 2
    assert not bench.state.rflags_other & IF
    assert bench.state.acknowledged == 0


def test_interrupt_waits_for_if(bench: SystemBench) -> None:
    interrupt(bench)
    assert run(bench, "nop\nnop\nnop\nnop", 4) == FINE
    assert bench.state.interrupt_line == 1


@pytest.mark.parametrize(
    ("code", "count", "where"),
    [
        ("sti\nnop\nnop", 5, 2),  # one instruction after STI
        ("sti\nsti\nnop", 5, 2),  # the second STI extends nothing
        (b"\x90\x9d\x90", 5, 2),  # POPF has no shadow
        (f"sti\nmov ss, [{SELECTOR:#x}]\nnop", 6, 8),  # MOV SS begins a shadow inside that of STI
    ],
)
def test_where_interrupts_are_taken(code: str | bytes, count: int, where: int) -> None:
    bench = SystemBench(32)
    bench.engine.write_physical(SELECTOR, bytes([DATA0]))
    bench.state.gpr[4] -= 4
    bench.engine.write_physical(bench.state.gpr[4], (IF | 2).to_bytes(4, "little"))
    interrupt(bench)
    assert run(bench, code, count) == fault(VECTOR, None)
    assert bench.pushed(0) == CODE + where


def test_mov_ss_shadow_covers_exactly_one_instruction() -> None:
    # With several loads in a row only the first has a shadow.
    for loads in (1, 2, 3):
        bench = SystemBench(32)
        bench.state.rflags_other |= IF
        bench.state.gpr[0] = DATA0
        # The line rises while the first MOV SS runs: the interrupt must wait.
        assert run(bench, b"\x8e\xd0" * loads + b"\x90" * 3, 1) == FINE
        interrupt(bench)
        assert go_on(bench, 6) == fault(VECTOR, None)
        assert bench.pushed(0) == CODE + (3 if loads == 1 else 4)


def test_sti_hlt_wakes(bench: SystemBench) -> None:
    assert run(bench, "sti\nhlt\nnop", 5) == FINE
    assert (bench.state.activity, bench.state.rip) == (1, CODE + 2)
    interrupt(bench)
    assert go_on(bench, 5) == fault(VECTOR, None)
    assert bench.pushed(0) == CODE + 2
    assert bench.state.rip == HANDLERS + 16 * VECTOR + 1


def test_hlt_with_interrupts_off_sleeps_on(bench: SystemBench) -> None:
    run(bench, "hlt\nnop", 1)
    interrupt(bench)
    assert bench.processor.run(5) is HostRequest.HALT
    assert bench.state.rip == CODE + 1


def test_nmi(bench: SystemBench) -> None:
    bench.state.nmi_pending = bench.state.attention = 1
    assert run(bench, "nop\nnop", 3) == fault(NMI, None)
    assert (bench.state.nmi_pending, bench.state.interruptibility) == (0, 8)
    assert bench.pushed(0) == CODE


def test_nmi_waits_until_iret() -> None:
    bench = SystemBench(64)
    bench.engine.write_physical(HANDLERS + 16 * NMI, b"\x90\x90\x48\xcf")
    bench.state.nmi_pending = bench.state.attention = 1
    run(bench, "nop\nnop\nnop", 1)
    assert bench.state.rip == HANDLERS + 16 * NMI + 1
    bench.state.nmi_pending = bench.state.attention = 1
    assert bench.processor.run(1) is HostRequest.BUDGET
    assert (bench.state.rip, bench.state.nmi_pending) == (HANDLERS + 16 * NMI + 2, 1)
    bench.processor.run(1)
    assert (bench.state.rip, bench.state.nmi_pending) == (HANDLERS + 16 * NMI, 0)
    assert bench.pushed(0) == CODE


def test_nmi_wakes_from_hlt(bench: SystemBench) -> None:
    run(bench, "hlt\nnop", 1)
    bench.state.nmi_pending = bench.state.attention = 1
    assert go_on(bench, 4) == fault(NMI, None)


def test_nmi_comes_before_an_interrupt(bench: SystemBench) -> None:
    bench.state.rflags_other |= IF
    interrupt(bench)
    bench.state.nmi_pending = 1
    assert run(bench, "nop", 2) == fault(NMI, None)
    assert bench.state.interrupt_line == 1


def test_single_step(bench: SystemBench) -> None:
    bench.state.rflags_other |= TF
    bench.state.attention = 1
    assert run(bench, "nop\nnop\nnop", 5) == fault(DB, None)
    assert (bench.pushed(0), bench.pushed(2)) == (CODE + 1, TF | 2)
    assert bench.state.dr[6] & BS
    assert not bench.state.rflags_other & TF


def test_trap_after_popf_that_sets_tf_waits_for_one_instruction() -> None:
    bench = SystemBench(32)
    assert run(bench, b"\x68\x02\x01\0\0\x9d\x90\x90", 6) == fault(DB, None)
    assert bench.pushed(0) == CODE + 5 + 1 + 1


def test_popf_that_clears_tf_still_traps() -> None:
    bench = SystemBench(32)
    bench.state.gpr[4] -= 4
    bench.engine.write_physical(bench.state.gpr[4], (2).to_bytes(4, "little"))
    bench.state.rflags_other |= TF
    bench.state.attention = 1
    assert run(bench, b"\x9d\x90", 4) == fault(DB, None)
    assert (bench.pushed(0), bench.pushed(2)) == (CODE + 1, 2)


def test_int_n_does_not_trap_behind_itself() -> None:
    bench = SystemBench(32)
    bench.state.rflags_other |= TF
    bench.state.attention = 1
    bench.put_gate(0x70, gate(8, HANDLERS + 16 * 0x70, dpl=3))
    assert run(bench, "int 0x70", 5) == fault(0x70, None)
    assert bench.state.dr[6] & BS == 0


def test_fault_of_a_stepped_instruction_comes_first() -> None:
    bench = SystemBench(32)
    bench.put_descriptor(FREE, descriptor(0, 0xFFFFF, READ_WRITE, 0, False, 0xC))
    bench.state.gpr[0] = FREE
    bench.state.rflags_other |= TF
    bench.state.attention = 1
    assert run(bench, "mov ds, ax", 3) == fault(NP, None)
    assert bench.state.dr[6] & BS == 0


def test_mov_ss_holds_back_the_trap() -> None:
    bench = SystemBench(32)
    bench.state.gpr[0] = DATA0
    bench.state.rflags_other |= TF
    bench.state.attention = 1
    assert run(bench, b"\x8e\xd0\x90\x90", 5) == fault(DB, None)
    assert bench.pushed(0) == CODE + 3


def test_trap_comes_before_an_interrupt(bench: SystemBench) -> None:
    bench.state.rflags_other |= IF | TF
    bench.state.attention = 1
    assert run(bench, "nop\nnop", 1) == FINE
    interrupt(bench)
    assert go_on(bench, 4) == fault(DB, None)


def test_interrupt_whose_delivery_faults() -> None:
    bench = SystemBench(64)
    bench.state.rflags_other |= IF
    bench.put_gate(VECTOR, gate(8, HANDLERS, present=False))
    interrupt(bench)
    assert run(bench, "nop", 3) == fault(NP, None)
    assert bench.pushed(0) == VECTOR << 3 | 3


def test_full_speed_returns(bench: SystemBench) -> None:
    """Once nothing can happen, blocks run at full length again."""
    bench.state.rflags_other |= IF
    interrupt(bench)
    bench.engine.write_physical(HANDLERS + 16 * VECTOR, b"\x48\xcf" if bench.mode == 64 else b"\xcf")
    assert run(bench, b"\xfb\x90\x90\x90\x90\x90\xeb\xfe", 50) == FINE
    assert (bench.state.single_step, bench.state.interruptibility) == (0, 0)


def test_page_fault_during_an_interrupt_keeps_cr2() -> None:
    bench = SystemBench(64)
    bench.state.rflags_other |= IF
    bench.put_gate(VECTOR, gate(8, HANDLERS + 16 * VECTOR, count=1))
    bench.engine.write_physical(0xA000 + 36, (0x7000_0000).to_bytes(8, "little"))
    interrupt(bench)
    assert run(bench, "nop", 3) == fault(PF, None)
    assert bench.state.cr2 == 0x7000_0000 - 8


def test_shutdown_is_reported_again() -> None:
    bench = SystemBench(64)
    bench.state.idt_limit = 0
    assert bench.run("ud2").vector == -1
    assert bench.processor.run(3) is HostRequest.TRIPLE_FAULT


@pytest.mark.parametrize("mode", [16, 32, 64])
def test_init(mode: int) -> None:
    """INIT ends even shutdown; general registers but EDX become 0, MSRs other than EFER stay."""
    bench = SystemBench(mode)
    bench.state.idt_limit = 0
    assert bench.run("ud2").vector == -1
    bench.state.lstar, bench.state.gpr[15], bench.state.dr[3] = 0x1234, 7, 5
    bench.state.cr0 |= 1 << 30
    bench.state.init_pending = bench.state.attention = 1
    bench.processor.run(0)
    state = bench.state
    assert (state.rip, bench.selectors, state.segments[1].base) == (0xFFF0, (0, 0xF000, 0, 0, 0, 0), 0xFFFF0000)
    assert (state.cr0, state.cr3, state.cr4, state.efer, state.cpl, state.long_mode) == (0x40000010, 0, 0, 0, 0, 0)
    assert [state.gpr[n] for n in range(16)] == [0, 0, bench.processor.model.signature, *[0] * 13]
    assert (bench.processor.rflags, state.activity, state.lstar, state.dr[3]) == (2, 0, 0x1234, 0)
    assert [state.segments[n].limit for n in range(8)] == [0xFFFF] * 8
