"""Area B: VMCSs and their fields: states, widths, high halves, and every VM-instruction error of these instructions."""

from __future__ import annotations

from tests.guests.bring_up import at
from tests.guests.vmx_program import VmxProgram
from vmxon.vmx.fields import VmcsField as F

BEYOND = 0x8000_0000_0000_0000
SHARED = (
    F.VPID, F.GUEST_ES_SELECTOR, F.GUEST_TR_SELECTOR, F.HOST_CS_SELECTOR, F.IO_BITMAP_A_ADDRESS, F.TSC_OFFSET, F.EPTP,
    F.VMCS_LINK_POINTER, F.GUEST_IA32_DEBUGCTL, F.GUEST_IA32_PAT, F.GUEST_IA32_EFER, F.GUEST_PDPTE3, F.HOST_IA32_PAT,
    F.PIN_BASED_VM_EXECUTION_CONTROLS, F.EXCEPTION_BITMAP, F.CR3_TARGET_COUNT, F.VM_ENTRY_INTERRUPTION_INFORMATION,
    F.GUEST_ES_LIMIT, F.GUEST_TR_ACCESS_RIGHTS, F.GUEST_ACTIVITY_STATE, F.HOST_IA32_SYSENTER_CS, F.CR0_GUEST_HOST_MASK,
    F.CR3_TARGET_VALUE_3, F.GUEST_CR0, F.GUEST_RIP, F.GUEST_RFLAGS, F.HOST_CR0, F.HOST_RIP,
)  # fmt: skip
UNKNOWN = (0x0FFE, 0x1000, 0x2FFE, 0x4FFE, 0x6FFE, 0x8000, 0x1_0000, 0x1_0000_0000, 0xFFFF_FFFF_FFFF_FFFF, 0x4001, 0x0801)
"""Encodings that no processor has: an index out of range, reserved bits, “high” of a field that has no high half."""


def program() -> VmxProgram:
    p = VmxProgram()
    _states(p)
    _fields(p)
    _unknown(p)
    _operands(p)
    _launch_states(p)
    return p


def _states(p: VmxProgram) -> None:
    p.vmx("vmclear of the VMXON region", at("offset vmxon_region") + "vmclear [pointer]")
    p.vmx("vmclear, not aligned, without a current VMCS", at("offset vmcs_region + 4") + "vmclear [pointer]")
    p.vmx("vmclear", at("offset vmcs_region") + "vmclear [pointer]")
    p.vmx("vmptrld", "vmptrld [pointer]")
    p.vmx("vmptrst", "mov qword ptr [scratch], 0\nvmptrst [scratch]", "[scratch]")
    for instruction in ("vmclear", "vmptrld"):
        p.vmx(f"{instruction}, not aligned", at("offset other_region + 4") + f"{instruction} [pointer]")
        p.vmx(f"{instruction}, beyond the physical-address width", at(f"{BEYOND:#x}") + f"{instruction} [pointer]")
        p.vmx(f"{instruction} of the VMXON region", at("offset vmxon_region") + f"{instruction} [pointer]")
        p.vmx(f"{instruction}, operand not mapped", f"mov rbx, 0x80000000\n{instruction} [rbx]")
        p.vmx(f"{instruction}, operand not canonical", f"mov rbx, {BEYOND:#x}\n{instruction} [rbx]")
    p.vmx("vmptrld, wrong revision", at("offset scratch") + "vmptrld [pointer]")
    p.vmx("vmptrst, operand not mapped", "mov rbx, 0x80000000\nvmptrst [rbx]")
    p.vmx("the current VMCS is still", "vmptrst [scratch]", "[scratch]")
    p.vmx("another vmclear", at("offset other_region") + "vmclear [pointer]")
    p.vmx("the current VMCS is still", "vmptrst [scratch]", "[scratch]")
    p.vmx("write in the first", "mov eax, 0x681E\nmov edx, 0x1111\nvmwrite rax, rdx")
    p.vmx("vmptrld of the other", at("offset other_region") + "vmptrld [pointer]")
    p.vmx("write in the other", "mov eax, 0x681E\nmov edx, 0x2222\nvmwrite rax, rdx")
    p.vmx("back to the first", at("offset vmcs_region") + "vmptrld [pointer]")
    p.vmx("its field", "mov eax, 0x681E\nvmread rdx, rax", "rdx")
    p.vmx("vmptrld of the current one", "vmptrld [pointer]")
    p.vmx("vmclear of the current one", "vmclear [pointer]")
    p.vmx("then there is none", "vmptrst [scratch]", "[scratch]")
    p.vmx("vmread then", "mov eax, 0x681E\nvmread rdx, rax")
    p.vmx("vmptrld of the cleared one", "vmptrld [pointer]")
    p.vmx("fields survive vmclear", "mov eax, 0x681E\nvmread rdx, rax", "rdx")
    p.vmx(
        "vmclear of one that is not current keeps the current one",
        at("offset other_region") + "vmclear [pointer]\nvmptrst [scratch]",
        "[scratch]",
    )


def _fields(p: VmxProgram) -> None:
    p.code("call fresh_vmcs")
    value = 0x8765_4321_FEDC_BA98
    for field in SHARED:
        p.vmx(f"{field.name}: write", f"mov eax, {int(field):#x}\nmov rdx, {value:#x}\nvmwrite rax, rdx")
        p.vmx(f"{field.name}: read", f"mov eax, {int(field):#x}\nmov rdx, -1\nvmread rdx, rax", "rdx")
        if field.name in {"TSC_OFFSET", "EPTP", "VMCS_LINK_POINTER", "GUEST_PDPTE3", "GUEST_IA32_PAT"}:
            p.vmx(f"{field.name}: high half", f"mov eax, {int(field) + 1:#x}\nmov rdx, -1\nvmread rdx, rax", "rdx")
            p.vmx(f"{field.name}: write the high half", f"mov eax, {int(field) + 1:#x}\nmov rdx, 0x1234567889ABCDEF\nvmwrite rax, rdx")
            p.vmx(f"{field.name}: both", f"mov eax, {int(field):#x}\nvmread rdx, rax", "rdx")
    p.vmx("vmread to memory", "mov eax, 0x681E\nmov qword ptr [scratch], -1\nvmread [scratch], rax", "[scratch]")
    p.vmx("vmread of 16 bits to memory", "mov eax, 0x0800\nmov qword ptr [scratch], -1\nvmread [scratch], rax", "[scratch]")
    p.vmx("vmwrite from memory", "mov eax, 0x681E\nmov qword ptr [scratch], 0x7777\nvmwrite rax, [scratch]\nvmread rdx, rax", "rdx")


def _unknown(p: VmxProgram) -> None:
    for encoding in UNKNOWN:
        p.vmx(f"vmread {encoding:#x}", f"mov rax, {encoding:#x}\nmov edx, 0x55\nvmread rdx, rax", "rdx")
        p.vmx(f"vmwrite {encoding:#x}", f"mov rax, {encoding:#x}\nvmwrite rax, rdx")


def _operands(p: VmxProgram) -> None:
    p.vmx("vmread, memory not mapped", "mov eax, 0x681E\nmov rbx, 0x80000000\nvmread [rbx], rax")
    p.vmx("vmread, unknown field and memory not mapped", "mov eax, 0x6FFE\nmov rbx, 0x80000000\nvmread [rbx], rax")
    p.vmx("vmwrite, memory not mapped", "mov eax, 0x681E\nmov rbx, 0x80000000\nvmwrite rax, [rbx]")
    p.vmx("vmwrite, unknown field and memory not mapped", "mov eax, 0x6FFE\nmov rbx, 0x80000000\nvmwrite rax, [rbx]")
    p.vmx("vmwrite, read-only field and memory not mapped", "mov eax, 0x4402\nmov rbx, 0x80000000\nvmwrite rax, [rbx]")
    for name, kinds in (("invept", (0, 1, 2, 3, -1)), ("invvpid", (0, 1, 2, 3, 4, -1))):
        for kind in kinds:
            p.vmx(
                f"{name} {kind}, operand 0",
                f"mov rax, {kind}\nmov qword ptr [scratch], 0\nmov qword ptr [scratch + 8], 0\n{name} rax, [scratch]",
            )
        p.vmx(f"{name}, operand not mapped", f"mov eax, 1\nmov rbx, 0x80000000\n{name} rax, [rbx]")
        p.vmx(f"{name}, type unknown and operand not mapped", f"mov eax, 9\nmov rbx, 0x80000000\n{name} rax, [rbx]")
    p.vmx("invept 1, reserved bits of the EPTP", "mov eax, 1\nmov qword ptr [scratch], 0x1007\ninvept rax, [scratch]")
    p.vmx("invept 1, valid EPTP", "mov eax, 1\nmov qword ptr [scratch], 0x101E\ninvept rax, [scratch]")
    p.vmx("invept 1, second quadword not zero", "mov eax, 1\nmov qword ptr [scratch + 8], 1\ninvept rax, [scratch]")
    p.vmx(
        "invvpid 1, reserved bits", "mov eax, 1\nmov qword ptr [scratch], 0x10001\nmov qword ptr [scratch + 8], 0\ninvvpid rax, [scratch]"
    )
    p.vmx("invvpid 1, VPID 1", "mov eax, 1\nmov qword ptr [scratch], 1\ninvvpid rax, [scratch]")
    p.vmx("invvpid 0, VPID 1, address not canonical", f"mov eax, 0\nmov rdx, {BEYOND:#x}\nmov [scratch + 8], rdx\ninvvpid rax, [scratch]")
    p.vmx("invvpid 2, VPID 0", "mov eax, 2\nmov qword ptr [scratch], 0\nmov qword ptr [scratch + 8], 0\ninvvpid rax, [scratch]")


def _launch_states(p: VmxProgram) -> None:
    p.code("call fresh_vmcs")
    p.vmx("vmresume of a clear VMCS", "vmresume")
    p.vmx("vmlaunch behind MOV SS", "mov eax, 0x10\nmov ss, eax\nvmlaunch")
    p.guest("launch")
    p.vmx("vmlaunch of a launched VMCS", "vmlaunch")
    p.vmx("vmclear of the launched one", at("offset vmcs_region") + "vmclear [pointer]")
    p.vmx("vmptrld", "vmptrld [pointer]")
    p.vmx("vmresume of the cleared one", "vmresume")
