"""VMX in the golden model: the same guest, run as Python and compiled, exits alike with equal state and memory."""

import struct

import pytest

from tests.vmx.test_ept import EPTP, TARGET, EptBench
from tests.vmx.witness import LONG, REVISION, changed, having
from vmxon.engine.golden_model import GoldenModel
from vmxon.vmx.controls import PrimaryProcessorBased as Primary
from vmxon.vmx.controls import SecondaryProcessorBased as Secondary
from vmxon.vmx.fields import SLOTS
from vmxon.vmx.fields import VmcsField as F

AREA = 0x1E0000
STORE = f"mov rbx, {TARGET:#x}\nmov [rbx + 8], rbx"
SHADOWING = {F.VMCS_LINK_POINTER: 0x43000, F.VMREAD_BITMAP_ADDRESS: AREA, F.VMWRITE_BITMAP_ADDRESS: AREA}
GUESTS = {
    "unconditional": ("mov eax, 1\ncpuid", {}),
    "port": ("mov al, 0x41\nout 0x80, al", {}),
    "control register": ("mov rax, cr4\nor eax, 0x2000\nmov cr4, rax", {F.CR4_GUEST_HOST_MASK: 0x2000}),
    "exception": ("ud2", {F.EXCEPTION_BITMAP: 1 << 6}),
    "triple fault": ("ud2", {F.GUEST_IDTR_LIMIT: 0}),
    "EPT violation": (f"mov rbx, {TARGET:#x}\nmov [rbx + 8], rbx", {}),
    "failed entry": ("nop", {F.GUEST_RFLAGS: 0}),
    "failed controls": ("nop", {F.CR3_TARGET_COUNT: 9}),
    "shadow VMCS": ("mov ecx, 0x681C\nmov eax, 77\nvmwrite rcx, rax\nvmread rbx, rcx\nvmcall", SHADOWING, Secondary.vmcs_shadowing),
    "virtualization exception": (STORE, {F.VIRTUALIZATION_EXCEPTION_INFORMATION_ADDRESS: AREA}, Secondary.ept_violation_ve),
    "page log": (STORE, {F.PML_ADDRESS: AREA, F.GUEST_PML_INDEX: 511}, Secondary.enable_pml),
    "full page log": (STORE, {F.PML_ADDRESS: AREA, F.GUEST_PML_INDEX: 512}, Secondary.enable_pml),
    "mode-based fetch": (f"mov rbx, {TARGET:#x}\njmp rbx", {}, Secondary.mode_based_execute),
    "sub-page": (STORE, {F.SPPTP: AREA}, Secondary.sub_page_write_permissions),
    "time": ("rdtsc\nvmcall", {F.TSC_MULTIPLIER: 3 << 47}, Secondary.use_tsc_scaling, Primary.use_tsc_offsetting),
    "PAUSE loop": (b"\xf3\x90\xeb\xfc", {F.PLE_GAP: 9, F.PLE_WINDOW: 20}, Secondary.pause_loop_exiting),
    "injection": ("nop", {F.VM_ENTRY_INTERRUPTION_INFORMATION: 0x8000_0306, F.GUEST_IDTR_LIMIT: 0}),
}


def left_by(name, golden):
    """What the guest leaves: the VMCS, registers, and where the host is."""
    bench = EptBench()
    code, fields, *controls = GUESTS[name]
    if name in ("EPT violation", "virtualization exception"):
        bench.entry(0x102000 + 8, TARGET | 5 | 0x80 | 6 << 3)
    elif name == "sub-page":
        bench.entry(0x102000 + 8, 0x110000 | 7)
        bench.entry(0x110000, TARGET | 5 | 6 << 3 | 1 << 61)
        for level in range(3):
            bench.entry(AREA + 0x1000 * level + (8 if level == 2 else 0), AREA + 0x1000 * (level + 1) | 1)
        bench.entry(AREA + 0x3000, 1)
    elif name == "shadow VMCS":
        bench.engine.write_physical(0x43000, struct.pack("<I", REVISION | 1 << 31))
    base = having(LONG, Secondary.enable_ept, Primary.unconditional_io_exiting, *controls)
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
