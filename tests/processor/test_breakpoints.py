"""Hardware breakpoints: data, code and ports, as faults and traps (Vol. 3B §18.2.4 “Debug Control Register (DR7)”)."""

from __future__ import annotations

import pytest

from tests.harness import CODE, DATA, assemble
from tests.processor.system_bench import SystemBench
from vmxon.processor.state import HostRequest

EXECUTE, WRITE, PORT, READ_OR_WRITE = range(4)
LENGTHS = {1: 0, 2: 1, 4: 3, 8: 2}


def arm(number: int, condition: int, length: int) -> int:
    """DR7 with one global breakpoint."""
    return 0x400 | 2 << 2 * number | condition << 16 + 4 * number | LENGTHS[length] << 18 + 4 * number


def watch(bench: SystemBench, number: int, address: int, condition: int, length: int) -> None:
    """Arm a breakpoint by the instructions that a debugger uses."""
    text = f"mov rax, {address}\nmov dr{number}, rax\nmov eax, {arm(number, condition, length):#x}\nmov dr7, rax"
    assert bench.run(text, 4).vector is None


@pytest.mark.parametrize(
    ("length", "condition", "access", "hit"),
    [
        (1, WRITE, "mov byte ptr [{}], 1", True),
        (1, WRITE, "mov al, [{}]", False),
        (1, READ_OR_WRITE, "mov al, [{}]", True),
        (4, WRITE, "mov byte ptr [{} + 3], 1", True),
        (4, WRITE, "mov byte ptr [{} + 4], 1", False),
        (4, WRITE, "mov byte ptr [{} - 1], 1", False),
        (4, WRITE, "mov dword ptr [{} - 3], 1", True),
        (8, READ_OR_WRITE, "mov rax, [{} - 7]", True),
        (2, WRITE, "add word ptr [{}], 1", True),
        (1, WRITE, "push qword ptr [{}]", False),
        (1, READ_OR_WRITE, "push qword ptr [{}]", True),
    ],
)
def test_a_data_breakpoint_is_a_trap_behind_the_access(length: int, condition: int, access: str, hit: bool) -> None:
    bench = SystemBench(64)
    watch(bench, 1, DATA, condition, length)
    outcome = bench.run(access.format(DATA) + "\nnop\nnop", 3)
    assert (outcome.vector == 1) is hit
    assert bench.state.dr[6] & 0xF == (2 if hit else 0)
    if hit:
        length_of_access = bench.pushed(0) - CODE
        assert length_of_access > 0, "a trap: the saved RIP is behind the instruction"


def test_a_watched_page_is_watched_after_it_was_cached() -> None:
    bench = SystemBench(64)
    assert bench.run(f"mov byte ptr [{DATA}], 1", 1).vector is None
    watch(bench, 0, DATA, WRITE, 1)
    assert bench.run(f"mov byte ptr [{DATA}], 2\nnop", 2).vector == 1
    assert bench.engine.read_physical(DATA, 1) == b"\2"


def test_a_code_breakpoint_is_a_fault_before_the_instruction() -> None:
    bench = SystemBench(64)
    watch(bench, 2, CODE + 3, EXECUTE, 1)
    outcome = bench.run("xor eax, eax\nnop\ninc eax\nnop", 4)
    assert outcome.vector == 1
    assert bench.state.dr[6] & 0xF == 4
    assert bench.pushed(0) == CODE + 3
    assert bench.state.gpr[0] == 0


def test_the_resume_flag_steps_over_a_code_breakpoint_once() -> None:
    bench = SystemBench(64)
    watch(bench, 0, CODE, EXECUTE, 1)
    bench.processor.rflags |= 1 << 16
    bench.state.resume_ticks = bench.processor.ticks  # as IRET notes it
    assert bench.run("1: inc ebx\njmp 1b", 3).vector == 1
    assert bench.state.gpr[3] == 1, "the loop came back without RF"


@pytest.mark.parametrize(("text", "hit"), [("out 0x80, al", True), ("out 0x81, al", False), ("in al, 0x80", True), ("out 0x7f, ax", True)])
def test_a_port_breakpoint_needs_debugging_extensions(text: str, hit: bool) -> None:
    for extensions in (True, False):
        bench = SystemBench(64)
        bench.run(f"mov rax, cr4\n{'or' if extensions else 'and'} rax, {'8' if extensions else '-9'}\nmov cr4, rax", 3)
        watch(bench, 0, 0x80, PORT, 1)
        bench.load(assemble(text + "\nnop\nnop"))
        request = bench.processor.run(3)
        if request == HostRequest.PORT_READ:
            state = bench.state
            state.latch_valid, state.latch_address, state.latch_size, state.latch_value = 1, 0x80, 1, 0
        request = bench.processor.run(3)
        assert (request == HostRequest.HALT) is (hit and extensions)
        assert bench.state.dr[6] & 0xF == (hit and extensions)


def test_disarmed_breakpoints_cost_nothing_and_do_nothing() -> None:
    bench = SystemBench(64)
    watch(bench, 0, DATA, WRITE, 1)
    assert bench.run("mov eax, 0x400\nmov dr7, rax", 2).vector is None
    assert bench.state.data_breakpoints == 0
    assert bench.run(f"mov byte ptr [{DATA}], 1\nnop", 2).vector is None
