"""MSRs that VM entry and exit switch under controls: IA32_PKRS (Vol. 3C §27.3.2.1, §28.3.1, §28.5.1)."""

import pytest

from tests.vmx.vmx_bench import GUEST, VmxBench
from tests.vmx.witness import LONG, Entry, PrimaryExit, changed, having
from vmxon.vmx.exit_reasons import ExitReason as R
from vmxon.vmx.fields import VmcsField as F


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
