"""Area H: VMFUNC and VMCS shadowing."""

from __future__ import annotations

from tests.guests.ept import EPTP, READ, EptProgram
from tests.guests.exits import EPT, guarded
from tests.guests.vmx_program import SECONDARY, Value, VmxProgram
from vmxon.vmx.fields import VmcsField as F

VM_FUNCTIONS, SHADOWING = 1 << 13, 1 << 14
SECOND = """
    mov esi, offset ept_directory
    mov edi, offset scratch + 0x1000
    mov ecx, 512
    rep movsq
    mov qword ptr [scratch + 0x1000 + 8 * 4], 0xA000B7
    mov eax, offset scratch + 0x1007
    mov [scratch + 0x2000], rax
    mov eax, offset scratch + 0x2007
    mov [scratch + 0x3000], rax
    mov eax, offset ept_pml4 + 0x1E
    mov [scratch + 0x4000], rax
    mov eax, offset scratch + 0x301E
    mov [scratch + 0x4008], rax
    mov qword ptr [scratch + 0x4010], 0x19
    mov eax, offset scratch + 0x305E
    mov [scratch + 0x4000 + 8 * 511], rax
    mov dword ptr [aligned + 0x40], 0x1111
    mov dword ptr [0xA00040], 0x2222
"""
"""EPT that maps `aligned` elsewhere, and a list of EPTPs: the usual, that one, a bad one, and at its end that one with accessed flags."""
SWITCH = "mov eax, {}\nmov ecx, {}\nvmfunc\n"
SEEN = "mov eax, [aligned + 0x40]\ncall print_hex\ncall new_line\n"
LIST: dict[F, Value] = {F.VM_FUNCTION_CONTROLS: 1, F.EPTP_LIST_ADDRESS: "mov edx, offset scratch + 0x4000"}


def program() -> VmxProgram:
    p = EptProgram()
    _functions(p)
    _shadowing(p)
    return p


def _functions(p: EptProgram) -> None:
    """Vol. 3C §26.5.6 “VM Functions”."""
    p.attempt("vmfunc in VMX root operation", SWITCH.format(0, 0))
    rows: tuple[tuple[str, str, dict[F, Value]], ...] = (
        ("there and back", SEEN + SWITCH.format(0, 1) + SEEN + SWITCH.format(0, 0) + SEEN, {}),
        ("the last entry", SWITCH.format(0, 511) + SEEN, {}),
        ("an entry beyond the list", SWITCH.format(0, 512) + SEEN, {}),
        ("a bad EPTP", SWITCH.format(0, 2) + SEEN, {}),
        ("an empty entry", SWITCH.format(0, 3) + SEEN, {}),
        ("high halves of RAX and RCX", "mov rax, 1 << 32\nmov rcx, 1 << 32 | 1\nvmfunc\n" + SEEN, {}),
        ("function 1", SWITCH.format(1, 0), {}),
        ("function 63", SWITCH.format(63, 0), {}),
        ("function 64", guarded(SWITCH.format(64, 0)), {}),
        ("function 0 without its control", SWITCH.format(0, 1) + SEEN, {F.VM_FUNCTION_CONTROLS: 0}),
        ("controls: reserved bit", READ, {F.VM_FUNCTION_CONTROLS: 2}),
        ("controls: list not aligned", READ, {F.EPTP_LIST_ADDRESS: 0x1008}),
        ("controls: list beyond the width", READ, {F.EPTP_LIST_ADDRESS: 1 << 63}),
    )
    for label, code, more in rows:
        build = p.built() + SECOND
        p.guest(f"vmfunc, {label}", code + "\nvmcall", EPTP | LIST | more, controls={SECONDARY: EPT | VM_FUNCTIONS}, setup=build)
        p.show_fields("   EPTP", F.EPTP)
    p.guest(
        "vmfunc without “enable VM functions”", guarded(SWITCH.format(0, 1)) + "vmcall", EPTP, controls={SECONDARY: EPT}, setup=p.built()
    )
    p.guest("EPTP switching without EPT", "vmcall", LIST, controls={SECONDARY: VM_FUNCTIONS})


FLAGS = "pushfq\npop rax\nand eax, 0x8D5\ncall print_hex\ncall new_line\n"
SHADOW_FIELDS: dict[F, Value] = {
    F.VMREAD_BITMAP_ADDRESS: "mov edx, offset bitmaps", F.VMWRITE_BITMAP_ADDRESS: "mov edx, offset bitmaps + 0x1000",
    F.VMCS_LINK_POINTER: "mov edx, offset other_region",
}  # fmt: skip


def _reading(field: int) -> str:
    return f"mov ecx, {field:#x}\nmov ebx, 0x77\nvmread rbx, rcx\nmov rax, rbx\ncall print_hex\n{FLAGS}"


def _writing(field: int, value: int) -> str:
    return f"mov ecx, {field:#x}\nmov ebx, {value:#x}\nvmwrite rcx, rbx\n{FLAGS}"


def _bitmap(place: int, field: int) -> str:
    return f"or byte ptr [bitmaps + {place + field // 8:#x}], {1 << field % 8}\n"


SHADOW = """
    mov edi, offset bitmaps
    xor eax, eax
    mov ecx, 0x2000
    rep stosb
    or byte ptr [other_region + 3], 0x80
    mov qword ptr [pointer], offset other_region
    vmclear [pointer]
    vmptrld [pointer]
    mov eax, 0x681E
    mov edx, 0xABCDE
    vmwrite rax, rdx
    mov eax, 0x2802
    mov rdx, 0x1122334455667788
    vmwrite rax, rdx
    vmclear [pointer]
    mov qword ptr [pointer], offset vmcs_region
    vmptrld [pointer]
"""
"""A shadow VMCS with values in two fields; bitmaps of zeros."""


def _shadowing(p: VmxProgram) -> None:
    """Vol. 3C §25.10 “VMCS Types”, §26.1.3 “Instructions That Cause VM Exits Conditionally”."""
    natural, wide = 0x681E, 0x2802
    rows: tuple[tuple[str, str, dict[F, Value], str], ...] = (
        ("read", _reading(natural) + _reading(wide) + _reading(wide + 1), {}, ""),
        ("write, then read", _writing(natural, 0x4711) + _reading(natural), {}, ""),
        ("write half, then read", _writing(wide + 1, 0x99) + _reading(wide), {}, ""),
        ("memory operands", f"mov ecx, {natural:#x}\nvmread [scratch], rcx\nmov rax, [scratch]\ncall print_hex\n{FLAGS}", {}, ""),
        ("a field that does not exist", _reading(0x6FFE) + _writing(0x6FFE, 1), {}, ""),
        ("encodings beyond 15 bits exit", "mov ecx, 0x8000\nvmread rbx, rcx\nmov rcx, 1 << 40 | 0x681E\nvmwrite rcx, rbx\n", {}, ""),
        ("the bitmap of reads", _reading(natural) + _reading(wide) + _writing(natural, 1), {}, _bitmap(0, natural)),
        ("the bitmap of writes", _reading(natural) + _writing(wide, 1) + _writing(natural, 1), {}, _bitmap(0x1000, natural)),
        ("without a link pointer", _reading(natural) + _writing(natural, 1), {F.VMCS_LINK_POINTER: (1 << 64) - 1}, ""),
        ("other VMX instructions exit", "vmptrst [scratch]\nvmclear [scratch]\nvmlaunch\n", {}, ""),
        ("link to an ordinary VMCS", "nop\n", {F.VMCS_LINK_POINTER: "mov edx, offset third_region"}, ""),
        ("controls: bitmap of reads not aligned", "nop\n", {F.VMREAD_BITMAP_ADDRESS: 0x1800}, ""),
        ("controls: bitmap of writes beyond the width", "nop\n", {F.VMWRITE_BITMAP_ADDRESS: 1 << 63}, ""),
    )
    for label, code, more, setup in rows:
        p.guest(f"shadowing, {label}", code + "vmcall", SHADOW_FIELDS | more, controls={SECONDARY: SHADOWING}, setup=SHADOW + setup)
    p.guest("a link to a shadow VMCS without shadowing", "vmcall", {F.VMCS_LINK_POINTER: "mov edx, offset other_region"}, setup=SHADOW)
    p.code("mov qword ptr [pointer], offset other_region")
    p.vmx("vmptrld of a shadow VMCS", "vmptrld [pointer]")
    p.vmx("vmlaunch of a shadow VMCS", "vmlaunch")
    p.vmx("vmclear of a shadow VMCS", "vmclear [pointer]")
    p.code("mov qword ptr [pointer], offset vmxon_region\nor byte ptr [vmxon_region + 3], 0x80")
    p.vmx("vmxoff", "vmxoff")
    p.vmx("vmxon with bit 31 of the revision", "vmxon [pointer]")
