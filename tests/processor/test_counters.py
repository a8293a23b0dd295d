"""Performance-monitoring counters: what they count, where they overflow, and who hears of it (Vol. 3B §20.2)."""

import pytest

from tests.harness import CODE
from tests.vmx.vmx_bench import VmxBench
from vmxon.arch.cpuid import answer, cpuid_leaves
from vmxon.arch.exceptions import Vector
from vmxon.arch.models import MAX
from vmxon.devices.apic import LocalApic
from vmxon.devices.clock import VirtualClock
from vmxon.processor.state import HostRequest

PMC0, SELECT0, FIXED0, FIXED_CONTROL, STATUS, CONTROL, CLEAR = 0xC1, 0x186, 0x309, 0x38D, 0x38E, 0x38F, 0x390
USER, SYSTEM, INTERRUPT, ENABLED = 1 << 16, 1 << 17, 1 << 20, 1 << 22
RETIRED, CYCLES, REFERENCE, BRANCHES = 0xC0, 0x3C, 0x13C, 0xC4
ALL = 0x7_0000_000F


@pytest.fixture
def bench():
    return VmxBench(current=False)


def wrmsr(bench, index, value):
    state = bench.state
    state.gpr[0], state.gpr[1], state.gpr[2] = value & 0xFFFF_FFFF, index, value >> 32
    bench.step("wrmsr")


def rdmsr(bench, index):
    bench.state.gpr[1] = index
    bench.step("rdmsr")
    return bench.state.gpr[0] | bench.state.gpr[2] << 32


def run_on(bench):
    """Run 200 instructions, however often native code stops for an overflow that nobody is told of."""
    end = bench.processor.instructions + 200
    request = HostRequest.BUDGET
    while request == HostRequest.BUDGET and bench.processor.instructions < end:
        request = bench.processor.run(end - bench.processor.instructions)
    return request


def test_cpuid_says_what_there_is():
    eax, ebx, ecx, edx = answer(cpuid_leaves(MAX), 10, 0)
    assert (eax & 0xFF, eax >> 8 & 0xFF, eax >> 16 & 0xFF, eax >> 24) == (2, 4, 48, 7)
    assert (ebx, ecx, edx & 0x1F, edx >> 5 & 0xFF) == (0b111_1000, 0, 3, 48)


@pytest.mark.parametrize("counter", range(3))
def test_fixed_counters_count_retired_instructions(bench, counter):
    wrmsr(bench, CONTROL, ALL)
    wrmsr(bench, FIXED_CONTROL, 1 << 4 * counter)
    start = rdmsr(bench, FIXED0 + counter)
    bench.step("nop\n" * 20, 20)
    assert rdmsr(bench, FIXED0 + counter) - start == 21


@pytest.mark.parametrize(
    ("select", "counted"),
    [
        (SYSTEM | ENABLED | RETIRED, 11),
        (SYSTEM | ENABLED | CYCLES, 11),
        (SYSTEM | ENABLED | REFERENCE, 11),
        (SYSTEM | ENABLED | BRANCHES, 0),
        (SYSTEM | RETIRED, 0),
        (USER | ENABLED | RETIRED, 0),
        (SYSTEM | ENABLED | RETIRED | 1 << 24, 11),
        (SYSTEM | ENABLED | RETIRED | 2 << 24, 0),
        (SYSTEM | ENABLED | RETIRED | 1 << 23 | 1 << 24, 0),
        (SYSTEM | ENABLED | RETIRED | 1 << 23 | 2 << 24, 11),
        (SYSTEM | ENABLED | RETIRED | 1 << 23, 11),
        (SYSTEM | ENABLED | RETIRED | 1 << 18, 0),
    ],
)
def test_general_counters(bench, select, counted):
    wrmsr(bench, SELECT0 + 2, select)
    start = rdmsr(bench, PMC0 + 2)
    bench.step("nop\n" * 10, 10)
    assert rdmsr(bench, PMC0 + 2) - start == counted


def test_the_global_control_stops_and_starts(bench):
    wrmsr(bench, SELECT0, SYSTEM | ENABLED | RETIRED)
    wrmsr(bench, CONTROL, 0)
    start = rdmsr(bench, PMC0)
    bench.step("nop\n" * 10, 10)
    assert rdmsr(bench, PMC0) == start
    wrmsr(bench, CONTROL, 1)
    assert rdmsr(bench, PMC0) > start


def test_privilege_decides(bench):
    """SYSCALL and SYSRET: five instructions at CPL 3 between them."""
    bench.state.efer |= 1
    bench.state.star, bench.state.lstar, bench.state.fmask = 0x08 << 32 | 0x1B << 48, CODE + 0x100, 0
    bench.processor.refresh()
    wrmsr(bench, CONTROL, ALL)
    wrmsr(bench, FIXED_CONTROL, 0x21)
    user, system = rdmsr(bench, FIXED0 + 1), rdmsr(bench, FIXED0)
    from tests.harness import assemble

    bench.engine.write_physical(CODE + 0x100, assemble("nop\nhlt"))
    bench.state.gpr[1], bench.state.gpr[11] = CODE + 3, 0x202
    bench.step("sysretq\nnop\nnop\nnop\nnop\nsyscall", 20)
    assert bench.state.rip == CODE + 0x102
    bench.state.activity = 0
    assert rdmsr(bench, FIXED0 + 1) - user == 5
    # SYSRET; NOP and HLT; the RDMSRs of both counters.
    assert rdmsr(bench, FIXED0) - system == 1 + 2 + 2


@pytest.mark.parametrize("distance", [1, 2, 17, 100])
def test_an_overflow_ends_native_code_where_it_happens(bench, distance):
    wrmsr(bench, CONTROL, ALL)
    wrmsr(bench, FIXED0, (1 << 48) - distance - 1)
    wrmsr(bench, FIXED_CONTROL, 0x9)
    bench.load(b"\x90" * 200)
    start = bench.processor.instructions
    assert run_on(bench) == HostRequest.COUNTER_OVERFLOW
    # The WRMSR that starts the counter is not counted itself.
    assert bench.processor.instructions - start == distance + 1
    assert rdmsr(bench, STATUS) == 1 << 32
    wrmsr(bench, CLEAR, 1 << 32)
    assert rdmsr(bench, STATUS) == 0
    assert rdmsr(bench, CLEAR) == 0


def test_without_the_interrupt_an_overflow_is_only_noted(bench):
    wrmsr(bench, SELECT0 + 3, SYSTEM | ENABLED | RETIRED)
    wrmsr(bench, PMC0 + 3, 0xFFFF_FFF0)
    bench.load(b"\x90" * 200)
    assert run_on(bench) == HostRequest.BUDGET
    assert rdmsr(bench, STATUS) == 1 << 3


def test_an_overflow_freezes_the_counters_where_asked(bench):
    wrmsr(bench, 0x1D9, 1 << 12)
    wrmsr(bench, PMC0, 0xFFFF_FFFE)
    wrmsr(bench, SELECT0, SYSTEM | ENABLED | INTERRUPT | RETIRED)
    bench.load(b"\x90" * 200)
    assert run_on(bench) == HostRequest.COUNTER_OVERFLOW
    assert (rdmsr(bench, CONTROL), rdmsr(bench, PMC0)) == (0, 0)


def test_what_is_written_to_a_general_counter_is_sign_extended(bench):
    wrmsr(bench, PMC0, 0x1234_8000_0000)
    assert rdmsr(bench, PMC0) == 0xFFFF_8000_0000
    wrmsr(bench, PMC0, 0x1234_7FFF_FFFF)
    assert rdmsr(bench, PMC0) == 0x7FFF_FFFF


@pytest.mark.parametrize(
    ("index", "value"),
    [(SELECT0, 1 << 32), (SELECT0, 1 << 21), (FIXED0, 1 << 48), (FIXED_CONTROL, 4), (CONTROL, 1 << 4), (STATUS, 0), (CLEAR, 1 << 5)],
)
def test_reserved_bits(bench, index, value):
    bench.state.gpr[0], bench.state.gpr[1], bench.state.gpr[2] = value & 0xFFFF_FFFF, index, value >> 32
    assert bench.vector_of("wrmsr") == Vector.GP


@pytest.mark.parametrize(("index", "counter"), [(0, PMC0), (3, PMC0 + 3), (1 << 30, FIXED0), (1 << 30 | 2, FIXED0 + 2)])
def test_rdpmc_reads_the_counters(bench, index, counter):
    wrmsr(bench, counter, 0x1234)
    bench.state.gpr[1] = index
    bench.step("rdpmc")
    assert (bench.state.gpr[0], bench.state.gpr[2]) == (0x1234, 0)


@pytest.mark.parametrize("index", [4, 1 << 30 | 3, 1 << 29, (1 << 30) - 1, 0xFFFF_FFFF])
def test_rdpmc_of_what_does_not_exist(bench, index):
    bench.state.gpr[1] = index
    assert bench.vector_of("rdpmc") == Vector.GP


def test_the_apic_masks_its_entry_as_it_sends(bench):
    class Core:
        nmis = 0

        def signal_nmi(self):
            self.nmis += 1

        def set_interrupt(self, level):
            pass

        def set_task_priority(self, level):
            pass

    core = Core()
    apic = LocalApic(VirtualClock(), core)
    apic.write(0x0F, 0x1FF)
    apic.write(0x34, 0x400)
    apic.signal_counters()
    apic.signal_counters()
    assert (core.nmis, apic.read(0x34)) == (1, 0x1_0400)
