"""CPUID against the model's table, and the clocks."""

from __future__ import annotations

import pytest

from tests.processor.system_bench import FINE, GP, Outcome, SystemBench, fault
from vmxon.arch.control import Cr4
from vmxon.arch.cpuid import answer, cpuid_leaves
from vmxon.arch.models import MAX
from vmxon.arch.performance import FIXED, GENERAL

LEAVES = cpuid_leaves(MAX)


def cpuid(bench: SystemBench, leaf: int, subleaf: int = 0) -> tuple[int, ...]:
    bench.state.gpr[0], bench.state.gpr[1] = 0xBAD << 40 | leaf, 0xBAD << 40 | subleaf
    assert bench.run("cpuid") == FINE
    return tuple(bench.state.gpr[n] for n in (0, 3, 1, 2))


@pytest.mark.parametrize("mode", [16, 32, 64])
@pytest.mark.parametrize("leaf", [0, 1, 2, 3, 4, 5, 7, 13, 0x20, 0x4000_0000, 0x7FFF_FFFF, *range(0x8000_0000, 0x8000_000A), 0xFFFF_FFFF])
@pytest.mark.parametrize("subleaf", [0, 1, 2, 9])
def test_cpuid(mode: int, leaf: int, subleaf: int) -> None:
    bench = SystemBench(mode)
    bench.state.apic_base = 1 << 11
    assert cpuid(bench, leaf, subleaf) == answer(LEAVES, leaf, subleaf)


def test_bits_that_follow_the_state() -> None:
    bench = SystemBench(64)
    before = cpuid(bench, 1)
    bench.state.cr4 |= Cr4.osxsave.mask
    assert cpuid(bench, 1)[2] == before[2] | 1 << 27
    bench.state.cr4 |= Cr4.pke.mask
    assert cpuid(bench, 7)[2] & 1 << 4
    bench.state.apic_base = 0
    assert cpuid(bench, 1)[3] & 1 << 9 == 0


def test_limit_of_the_highest_leaf() -> None:
    bench = SystemBench(64)
    bench.state.misc_enable = 1 << 22
    assert cpuid(bench, 0)[0] == 2
    assert cpuid(bench, 7) == answer(LEAVES, 2, 0)
    assert cpuid(bench, 0x8000_0000)[0] == 0x8000_0008


def test_time_runs_by_instructions() -> None:
    bench = SystemBench(64)
    assert bench.run(b"\x0f\x31\x89\xc3\x90\x90\x0f\x31", 5) == FINE
    assert bench.state.gpr[0] - bench.state.gpr[3] == 4


def test_time_multiplier() -> None:
    bench = SystemBench(64)
    bench.state.tsc_multiplier = 5 << 47  # 2.5
    assert bench.run(b"\x90\x90\x90\x0f\x31", 4) == FINE
    assert bench.state.gpr[2] << 32 | bench.state.gpr[0] == 10


def test_rdtscp() -> None:
    bench = SystemBench(64)
    bench.state.tsc_aux = 0xABCD
    bench.state.gpr[1] = ~0 & (1 << 64) - 1
    assert bench.run("rdtscp") == FINE
    assert bench.state.gpr[1] == 0xABCD


@pytest.mark.parametrize("code", ["rdtsc", "rdtscp"])
@pytest.mark.parametrize(("cpl", "tsd", "expected"), [(0, True, FINE), (3, False, FINE), (3, True, fault(GP))])
def test_tsd(code: str, cpl: int, tsd: bool, expected: Outcome) -> None:
    bench = SystemBench(64, cpl)
    bench.state.cr4 |= Cr4.tsd.mask if tsd else 0
    assert bench.run(code) == expected


@pytest.mark.parametrize(
    ("cpl", "pce", "index", "expected"),
    [
        *((0, False, 0, FINE), (3, False, 0, fault(GP)), (3, True, 1, FINE)),
        *((0, False, GENERAL - 1, FINE), (0, False, GENERAL, fault(GP))),
        *((0, False, 1 << 30, FINE), (0, False, 1 << 30 | FIXED, fault(GP)), (0, False, 1 << 31, fault(GP))),
    ],
)
def test_rdpmc(cpl: int, pce: bool, index: int, expected: Outcome) -> None:
    bench = SystemBench(64, cpl)
    bench.state.cr4 |= Cr4.pce.mask if pce else 0
    bench.state.gpr[1] = index
    assert bench.run("rdpmc") == expected
