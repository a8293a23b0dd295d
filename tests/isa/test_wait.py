"""UMONITOR, UMWAIT and TPAUSE, and the VM-execution controls that are about them."""

import pytest

from tests.harness import assemble
from tests.vmx.vmx_bench import GUEST, VmxBench
from tests.vmx.witness import LONG, PrimaryProcessorBased, SecondaryProcessorBased, changed, having
from vmxon.arch.exceptions import Vector
from vmxon.vmx.exit_reasons import ExitReason as R
from vmxon.vmx.fields import VmcsField as F

LIMIT = 0xE1
CARRY = 1


@pytest.fixture
def bench():
    bench = VmxBench()
    bench.state.gpr[3] = 0
    bench.state.idle_ticks = 1000
    return bench


def wait(bench, line, span, budget=100_000):
    """Ticks that pass in a wait of `span` ticks, its own included, and CF."""
    before, retired = bench.processor.ticks, bench.processor.instructions
    deadline = before + span
    bench.state.gpr[0], bench.state.gpr[2] = deadline & 0xFFFF_FFFF, deadline >> 32
    one(bench, line, budget)
    assert bench.processor.instructions - retired == 1
    return bench.processor.ticks - before, bench.processor.rflags & CARRY


def one(bench, line, budget):
    """One instruction in a budget that lasts: the run stops behind it."""
    bench.load(assemble(line))
    bench.state.python_rip = bench.state.rip + 4
    bench.processor.run(budget)
    bench.state.python_rip = (1 << 64) - 1


def test_tpause_lets_time_pass_until_its_deadline(bench):
    passed, carry = wait(bench, "tpause ebx", 5000)
    assert (passed, carry) == (5000, 0)


@pytest.mark.parametrize("span", [0, -100])
def test_a_deadline_in_the_past_does_not_wait(bench, span):
    assert wait(bench, "tpause ebx", span)[0] == 1


def test_the_operating_system_limits_waits(bench):
    bench.state.umwait_control = 400 | 1
    assert wait(bench, "tpause ebx", 5000) == (401, CARRY)
    assert wait(bench, "tpause ebx", 300) == (300, 0)


def test_an_event_of_the_machine_ends_the_wait(bench):
    assert wait(bench, "tpause ebx", 5000, budget=1000) == (1000, 0)


def test_umwait_needs_umonitor(bench):
    assert wait(bench, "umwait ebx", 5000)[0] == 1
    bench.state.gpr[6] = 0x20000
    bench.steps("umonitor rsi")
    assert wait(bench, "umwait ebx", 5000)[0] == 5000
    assert wait(bench, "umwait ebx", 5000)[0] == 1


@pytest.mark.parametrize("line", ["tpause ebx", "umwait ebx"])
def test_reserved_bits(bench, line):
    bench.state.gpr[3] = 2
    assert bench.vector_of(line) == Vector.GP


def test_umonitor_checks_its_address(bench):
    bench.state.gpr[6] = 1 << 62
    assert bench.vector_of("umonitor rsi") == Vector.GP
    bench.state.activity = 0
    bench.state.gpr[6] = 1 << 40
    assert bench.vector_of("umonitor rsi") == Vector.PF


def test_the_msr(bench):
    for value in (0, 0xFFFF_FFFD, 1):
        bench.state.gpr[0], bench.state.gpr[1], bench.state.gpr[2] = value, LIMIT, 0
        bench.steps("wrmsr")
        assert bench.state.umwait_control == value
    bench.state.gpr[0] = 2
    assert bench.vector_of("wrmsr") == Vector.GP


LINES = ("tpause ebx", "umwait ebx", "umonitor rsi")


def run(bench, line, *controls, **fields):
    bench.guest(line + "\nvmcall", changed(having(LONG, *controls), {F[name]: value for name, value in fields.items()}))
    bench.state.gpr[0], bench.state.gpr[2], bench.state.gpr[6] = 0, 0, 0x20000
    bench.launch()
    assert bench.in_host
    return bench.reason


@pytest.mark.parametrize("line", LINES)
def test_guests_need_the_control(bench, line):
    assert run(bench, line, EXCEPTION_BITMAP=1 << 6) == R.EXCEPTION_OR_NMI
    assert bench[F.VM_EXIT_INTERRUPTION_INFORMATION] == 0x8000_0306


@pytest.mark.parametrize("line", LINES)
def test_with_it_they_run(bench, line):
    assert run(bench, line, SecondaryProcessorBased.enable_user_wait_and_pause) == R.VMCALL


@pytest.mark.parametrize(("line", "reason"), [("tpause ebx", R.TPAUSE), ("umwait ebx", R.UMWAIT), ("umonitor rsi", R.VMCALL)])
def test_waits_exit_where_rdtsc_does(bench, line, reason):
    controls = SecondaryProcessorBased.enable_user_wait_and_pause, PrimaryProcessorBased.rdtsc_exiting
    bench.state.gpr[3] = 0xFF if reason != R.VMCALL else 0
    assert run(bench, line, *controls) == reason
    if reason != R.VMCALL:
        assert (bench[F.GUEST_RIP], bench[F.VM_EXIT_INSTRUCTION_LENGTH], bench.qualification) == (GUEST, 4, 0)
        assert bench[F.VM_EXIT_INSTRUCTION_INFORMATION] >> 3 & 15 == 3
