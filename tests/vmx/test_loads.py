"""MSRs that VM entry and exit switch under controls: IA32_PKRS, IA32_PERF_GLOBAL_CTRL (Vol. 3C §27.3.2.1, §28.3.1, §28.5.1)."""

import pytest

from tests.vmx.vmx_bench import GUEST, VmxBench
from tests.vmx.witness import LONG, Entry, PrimaryExit, PrimaryProcessorBased, changed, having
from vmxon.processor.state import HostRequest
from vmxon.vmx.exit_reasons import ExitReason as R
from vmxon.vmx.fields import VmcsField as F
from vmxon.vmx.state import Operation


@pytest.fixture
def bench():
    return VmxBench()


def run(bench, code, *controls, **fields):
    """Launch a guest and let it run to its first exit; gives the basic exit reason."""
    bench.guest(code, changed(having(LONG, *controls), {F[name]: value for name, value in fields.items()}))
    bench.launch()
    assert bench.in_host
    return bench.reason


def test_pkrs_stays_without_controls_and_is_saved(bench):
    bench.state.pkrs = 0x55
    assert run(bench, "vmcall", GUEST_IA32_PKRS=0x11, HOST_IA32_PKRS=0x22) == R.VMCALL
    assert (bench[F.GUEST_IA32_PKRS], bench.state.pkrs) == (0x55, 0x55)


def test_pkrs_is_switched_under_controls(bench):
    bench.state.pkrs = 0x55
    controls = Entry.load_pkrs, PrimaryExit.load_pkrs
    assert run(bench, "vmcall", *controls, GUEST_IA32_PKRS=0x11, HOST_IA32_PKRS=0x22) == R.VMCALL
    assert (bench[F.GUEST_IA32_PKRS], bench.state.pkrs) == (0x11, 0x22)


def test_loaded_pkrs_counts_from_the_first_instruction(bench):
    """All pages have key 0; the supervisor page of the IDT's handler is read as code only."""
    bench.engine.write_physical(0x3000, (0x83).to_bytes(8, "little"))
    fields = {"GUEST_CR4": 0x100_2020, "GUEST_IA32_PKRS": 1, "EXCEPTION_BITMAP": 1 << 14}
    assert run(bench, "mov al, [0x20000]", Entry.load_pkrs, PrimaryExit.load_pkrs, **fields) == R.EXCEPTION_OR_NMI
    assert (bench[F.VM_EXIT_INTERRUPTION_ERROR_CODE], bench.qualification, bench[F.GUEST_RIP]) == (0x21, 0x20000, GUEST)


# IA32_PERF_GLOBAL_CTRL


def test_global_control_stays_without_controls(bench):
    bench.state.counter_global_control = 3
    assert run(bench, "vmcall", GUEST_IA32_PERF_GLOBAL_CTRL=1, HOST_IA32_PERF_GLOBAL_CTRL=2) == R.VMCALL
    assert (bench[F.GUEST_IA32_PERF_GLOBAL_CTRL], bench.state.counter_global_control) == (1, 3)


def test_global_control_is_switched_under_controls(bench):
    controls = Entry.load_perf_global_ctrl, PrimaryExit.load_perf_global_ctrl, PrimaryExit.save_perf_global_ctl
    code = "mov ecx, 0x38F\nmov eax, 8\nxor edx, edx\nwrmsr\nvmcall"
    bitmap = {"MSR_BITMAP_ADDRESS": 0x44000}
    fields = {"GUEST_IA32_PERF_GLOBAL_CTRL": 1, "HOST_IA32_PERF_GLOBAL_CTRL": 2}
    assert run(bench, code, PrimaryProcessorBased.use_msr_bitmaps, *controls, **bitmap, **fields) == R.VMCALL
    assert (bench[F.GUEST_IA32_PERF_GLOBAL_CTRL], bench.state.counter_global_control) == (8, 2)


def test_counters_stop_at_vm_exit(bench):
    """Fixed counter 0 counts the guest's instructions alone, but for VMLAUNCH itself."""
    bench.state.counter_fixed_control = 1
    controls = Entry.load_perf_global_ctrl, PrimaryExit.load_perf_global_ctrl
    assert run(bench, "nop\n" * 9 + "vmcall", *controls, GUEST_IA32_PERF_GLOBAL_CTRL=1 << 32) == R.VMCALL
    bench.state.activity = 0
    bench.state.gpr[1] = 0x309
    bench.step("rdmsr")
    assert bench.state.gpr[0] == 10


def test_an_overflow_interrupts_the_guest_through_the_local_apic(bench):
    bench.state.counter_fixed_control = 9
    bench.state.counters[4] = (1 << 48) - 5
    controls = Entry.load_perf_global_ctrl, PrimaryExit.load_perf_global_ctrl
    bench.guest("nop\n" * 20 + "vmcall", changed(having(LONG, *controls), {F.GUEST_IA32_PERF_GLOBAL_CTRL: 1 << 32}))
    requests = {bench.launch(count=6)}
    while bench.state.vmx_operation == Operation.NON_ROOT:
        requests.add(bench.processor.run(20))
        if HostRequest.COUNTER_OVERFLOW in requests and bench.state.rip == GUEST + 5:
            break
    assert bench.state.rip == GUEST + 5
    assert bench.state.counter_global_status == 1 << 32
