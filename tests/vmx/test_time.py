"""The time-stamp counter in a guest, in MSR lists, and as the guest sets it (Vol. 3C §25.6.5, §26.3)."""

import struct

import pytest

from tests.vmx.vmx_bench import VmxBench
from tests.vmx.witness import PrimaryProcessorBased, SecondaryProcessorBased
from vmxon.vmx.exit_reasons import ExitReason as R

OFFSETTING, SCALING = PrimaryProcessorBased.use_tsc_offsetting, SecondaryProcessorBased.use_tsc_scaling
BITMAPS = PrimaryProcessorBased.use_msr_bitmaps
ENABLE = SecondaryProcessorBased.enable_rdtscp
READS = {
    "rdtsc": "rdtsc",
    "rdtscp": "rdtscp",
    "rdmsr": "mov ecx, 0x10\nrdmsr",
}
OFFSET, FRACTION = 1 << 40, 48


def real_time(bench):
    """The counter as VMX root operation sees it."""
    bench.step("rdtsc")
    return bench.state.gpr[0] | bench.state.gpr[2] << 32


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize(
    ("controls", "ratio", "offset"),
    [((), 1, 0), ((OFFSETTING,), 1, OFFSET), ((OFFSETTING, SCALING), 5, OFFSET), ((SCALING,), 1, 0)],
)
def test_what_a_guest_reads(read, controls, ratio, offset):
    bench = VmxBench()
    before = real_time(bench)
    fields = {"TSC_OFFSET": OFFSET, "TSC_MULTIPLIER": 5 << FRACTION, "MSR_BITMAP_ADDRESS": 0x44000}
    assert bench.exit_of(f"{READS[read]}\nvmcall", BITMAPS, ENABLE, *controls, **fields) == (R.VMCALL, 0)
    seen = bench.state.gpr[0] | bench.state.gpr[2] << 32
    bench.state.activity = 0
    after = real_time(bench)
    assert before * ratio + offset < seen < after * ratio + offset


def test_a_negative_offset_wraps():
    bench = VmxBench()
    before = real_time(bench)
    assert bench.exit_of("rdtsc\nvmcall", OFFSETTING, TSC_OFFSET=(1 << 64) - (1 << 40)) == (R.VMCALL, 0)
    seen = bench.state.gpr[0] | bench.state.gpr[2] << 32
    assert 0 < (seen + (1 << 40)) % (1 << 64) - before < 100


@pytest.mark.parametrize("controls", [(), (OFFSETTING,), (OFFSETTING, SCALING)])
def test_the_store_list_has_the_real_time(controls):
    bench = VmxBench()
    bench.engine.write_physical(0x48000, struct.pack("<2Q", 0x10, 0))
    before = real_time(bench)
    lists = {"VM_EXIT_MSR_STORE_COUNT": 1, "VM_EXIT_MSR_STORE_ADDRESS": 0x48000}
    assert bench.exit_of("vmcall", *controls, TSC_OFFSET=OFFSET, TSC_MULTIPLIER=3 << FRACTION, **lists) == (R.VMCALL, 0)
    assert 0 < bench.quad(0x48008) - before < 100


@pytest.mark.parametrize("controls", [(), (OFFSETTING,), (OFFSETTING, SCALING)])
def test_wrmsr_sets_the_real_time(controls):
    bench = VmxBench()
    code = "mov ecx, 0x10\nmov eax, 0x1000\nmov edx, 7\nwrmsr\nvmcall"
    fields = {"TSC_OFFSET": OFFSET, "TSC_MULTIPLIER": 3 << FRACTION, "MSR_BITMAP_ADDRESS": 0x44000}
    assert bench.exit_of(code, BITMAPS, *controls, **fields) == (R.VMCALL, 0)
    bench.state.activity = 0
    assert 0 < real_time(bench) - (7 << 32 | 0x1000) < 100


def test_the_entry_list_sets_the_real_time():
    bench = VmxBench()
    bench.engine.write_physical(0x48000, struct.pack("<2Q", 0x10, 1 << 33))
    lists = {"VM_ENTRY_MSR_LOAD_COUNT": 1, "VM_ENTRY_MSR_LOAD_ADDRESS": 0x48000}
    assert bench.exit_of("rdtsc\nvmcall", OFFSETTING, TSC_OFFSET=OFFSET, **lists) == (R.VMCALL, 0)
    assert 0 < (bench.state.gpr[0] | bench.state.gpr[2] << 32) - (1 << 33) - OFFSET < 100
