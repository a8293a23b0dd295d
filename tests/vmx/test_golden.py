"""VMX in the golden model: the same guest, run as Python and compiled, exits alike with equal state and memory."""

import pytest

from tests.vmx.test_ept import EPTP, TARGET, EptBench
from tests.vmx.witness import LONG, PrimaryProcessorBased, SecondaryProcessorBased, changed, having
from vmxon.engine.golden_model import GoldenModel
from vmxon.vmx.fields import SLOTS
from vmxon.vmx.fields import VmcsField as F

GUESTS = {
    "unconditional": ("mov eax, 1\ncpuid", {}),
    "port": ("mov al, 0x41\nout 0x80, al", {}),
    "control register": ("mov rax, cr4\nor eax, 0x2000\nmov cr4, rax", {F.CR4_GUEST_HOST_MASK: 0x2000}),
    "exception": ("ud2", {F.EXCEPTION_BITMAP: 1 << 6}),
    "triple fault": ("ud2", {F.GUEST_IDTR_LIMIT: 0}),
    "EPT violation": (f"mov rbx, {TARGET:#x}\nmov [rbx + 8], rbx", {}),
    "failed entry": ("nop", {F.GUEST_RFLAGS: 0}),
    "failed controls": ("nop", {F.CR3_TARGET_COUNT: 9}),
    "injection": ("nop", {F.VM_ENTRY_INTERRUPTION_INFORMATION: 0x8000_0306, F.GUEST_IDTR_LIMIT: 0}),
}


def left_by(name, golden):
    """What the guest leaves: the VMCS, registers, and where the host is."""
    bench = EptBench()
    code, fields = GUESTS[name]
    if name == "EPT violation":
        bench.entry(0x102000 + 8, TARGET | 5 | 0x80 | 6 << 3)
    base = having(LONG, SecondaryProcessorBased.enable_ept, PrimaryProcessorBased.unconditional_io_exiting)
    bench.guest(code, changed(base, {F.EPTP: EPTP | 0x40, **fields}))
    if golden:
        bench.engine.run = GoldenModel(bench.engine).run
    bench.launch(count=50)
    state = bench.state
    vmcs = {field.name: bench.vmcs.fields[field.slot] for field in SLOTS}
    return (
        vmcs,
        list(state.gpr),
        state.rip,
        bench.processor.rflags,
        bench.engine.read_physical(0x100000, 0x4000),
        bench.processor.instructions,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", GUESTS)
def test_golden_model_agrees(name):
    assert left_by(name, golden=True) == left_by(name, golden=False)
