"""Area F: guests that start in real mode, protected mode without paging, 32-bit paging, PAE and virtual-8086 mode."""

from __future__ import annotations

from collections.abc import Mapping

from tests.guests.ept import BUILD, EPTP
from tests.guests.vmx_program import ENTRY, PRIMARY, SECONDARY, Value, VmxProgram
from vmxon.vmx.fields import VmcsField as F

EPT, UNRESTRICTED = 1 << 1, 1 << 7
SELECTORS = (
    F.GUEST_CS_SELECTOR, F.GUEST_ES_SELECTOR, F.GUEST_SS_SELECTOR,
    F.GUEST_DS_SELECTOR, F.GUEST_FS_SELECTOR, F.GUEST_GS_SELECTOR,
)  # fmt: skip
LIMITS = (F.GUEST_ES_LIMIT, F.GUEST_CS_LIMIT, F.GUEST_SS_LIMIT, F.GUEST_DS_LIMIT, F.GUEST_FS_LIMIT, F.GUEST_GS_LIMIT)
RIGHTS = (
    F.GUEST_ES_ACCESS_RIGHTS, F.GUEST_CS_ACCESS_RIGHTS, F.GUEST_SS_ACCESS_RIGHTS,
    F.GUEST_DS_ACCESS_RIGHTS, F.GUEST_FS_ACCESS_RIGHTS, F.GUEST_GS_ACCESS_RIGHTS,
)  # fmt: skip
LOW = 0x2000
"""Where 16-bit guests are copied to: they cannot reach their place above 1 MiB."""
COPY = f"mov rsi, [guest_start]\nmov edi, {LOW:#x}\nmov ecx, 0x200\nrep movsb\nmov qword ptr [guest_start], {LOW:#x}\n"
FLAT_32: dict[F, Value] = {F.GUEST_CS_ACCESS_RIGHTS: 0xC09B, F.GUEST_CR0: 0x31, F.GUEST_CR4: 0x2000}
REAL: dict[F, Value] = (
    dict.fromkeys(LIMITS, 0xFFFF)
    | dict.fromkeys(RIGHTS, 0x93)
    | {F.GUEST_CS_ACCESS_RIGHTS: 0x9B, F.GUEST_CR0: 0x30, F.GUEST_CR4: 0x2000, F.GUEST_IDTR_BASE: 0, F.GUEST_IDTR_LIMIT: 0x3FF}
    | dict.fromkeys(SELECTORS, 0)
    | {F.GUEST_RIP: LOW, F.GUEST_RSP: 0x7000}
)
V86: dict[F, Value] = (
    dict.fromkeys(LIMITS, 0xFFFF)
    | dict.fromkeys(RIGHTS, 0xF3)
    | dict.fromkeys(SELECTORS, 0)
    | {F.GUEST_RFLAGS: 0x23002, F.GUEST_RIP: LOW, F.GUEST_RSP: 0x7000, F.GUEST_IDTR_LIMIT: 0}
)


def program() -> VmxProgram:
    p = VmxProgram()
    _protected(p)
    _real(p)
    _paging(p)
    _virtual_8086(p)
    _switches(p)
    return p


def unrestricted(p: VmxProgram, label: str, code: str, fields: Mapping[F, Value], bits: int, setup: str = "", primary: int = 0) -> None:
    """A guest outside IA-32e mode, with EPT, that may be without paging and without protection."""
    build = BUILD.replace("NUMBER", p.fresh("modes"))
    controls = {SECONDARY: EPT | UNRESTRICTED, PRIMARY: primary}
    low = COPY if bits == 16 else ""
    entry_controls: dict[F, Value] = {ENTRY: "mov ecx, 0x490\nrdmsr\nmov edx, eax"}
    p.guest(label, code, {**EPTP, **entry_controls, **fields}, controls=controls, setup=build + low + setup, bits=bits)


def _protected(p: VmxProgram) -> None:
    unrestricted(p, "flat 32-bit without paging", "mov eax, 0x12345678\npush eax\npop ebx\ncpuid\nmov ecx, cr0\nvmcall", FLAT_32, 32)
    p.show("its stack and registers", "[guest_registers + 8]", "[guest_stack_top - 4]")
    p.show_fields("what is saved", F.GUEST_RSP, F.GUEST_CR0, F.GUEST_RFLAGS)
    unrestricted(
        p,
        "32-bit linear addresses wrap",
        "mov eax, 0xFFFFFFF0\nmov ecx, [eax + 0x7010]\nvmcall",
        FLAT_32,
        32,
        "mov dword ptr [0x7000], 0xABCD",
    )
    p.show("what it read", "[guest_registers + 8]")
    rows = (
        ("DS limit", "mov al, [0x2000]", {F.GUEST_DS_LIMIT: 0x1FFF, F.GUEST_DS_ACCESS_RIGHTS: 0x4093}),
        ("DS limit, expand-down", "mov al, [0x1FFF]\nmov al, [0x2000]\nud2", {F.GUEST_DS_LIMIT: 0x1FFF, F.GUEST_DS_ACCESS_RIGHTS: 0x4097}),
        ("DS read-only", "mov [0x2000], al", {F.GUEST_DS_ACCESS_RIGHTS: 0xC091}),
        ("DS unusable", "mov [0x2000], al", {F.GUEST_DS_ACCESS_RIGHTS: 0x10000}),
        ("SS limit", "push eax", {F.GUEST_SS_LIMIT: 0xFFF, F.GUEST_SS_ACCESS_RIGHTS: 0x4093}),
        ("execute-only CS is not read", "mov al, cs:[0x2000]", {F.GUEST_CS_ACCESS_RIGHTS: 0xC099}),
        ("bound", "mov eax, 5\nmov dword ptr [0x2000], 1\nmov dword ptr [0x2004], 4\nbound eax, [0x2000]", {}),
        ("into", "mov al, 0x7F\ninc al\ninto", {}),
        ("aam 0", "aam 0", {}),
        ("les of a null selector is fine", "mov dword ptr [0x2000], 0\nmov word ptr [0x2004], 0\nles eax, [0x2000]\nmov al, es:[0]", {}),
    )
    for label, code, fields in rows:
        unrestricted(p, f"32-bit: {label}", code + "\nvmcall", {**FLAT_32, F.EXCEPTION_BITMAP: 0xFFFFFFFF, **fields}, 32)


def _real(p: VmxProgram) -> None:
    unrestricted(p, "real mode", "mov ax, 0x1234\nmov ds, ax\nmov bx, ds\ncpuid\nvmcall", REAL, 16)
    p.show_fields("DS", F.GUEST_DS_SELECTOR, F.GUEST_DS_BASE, F.GUEST_DS_LIMIT)
    unrestricted(p, "real mode: limit", "mov al, [0xFFFF]\nmov ax, [0xFFFF]\nvmcall", {**REAL, F.EXCEPTION_BITMAP: 1 << 13}, 16)
    unrestricted(p, "real mode: stack limit", "mov sp, 1\npush ax\nvmcall", {**REAL, F.EXCEPTION_BITMAP: 1 << 12}, 16)
    handler = f"mov word ptr [0x40 * 4], {LOW} + 0x40\nmov word ptr [0x40 * 4 + 2], 0\n"
    unrestricted(
        p,
        "real mode: INT n through the table",
        "int 0x40\nvmcall\n.fill 0x40 - 5, 1, 0x90\npop ax\npop bx\npop cx\nvmcall",
        REAL,
        16,
        handler,
    )
    p.show("what it pushed: CS, flags", "[guest_registers + 24]", "[guest_registers + 8]")
    unrestricted(p, "real mode: exception by the bitmap has no error code", "ud2\nvmcall", {**REAL, F.EXCEPTION_BITMAP: 1 << 6}, 16)
    unrestricted(p, "real mode: #GP by the bitmap", "mov eax, 0x10000\nmov al, [eax]\nvmcall", {**REAL, F.EXCEPTION_BITMAP: 1 << 13}, 16)
    unrestricted(p, "real mode: ports and HLT", "in al, 0x70\nhlt\nvmcall", REAL, 16, primary=1 << 24 | 1 << 7)
    unrestricted(p, "real mode: LLDT, LTR, SLDT are no instructions", "sldt ax\nvmcall", {**REAL, F.EXCEPTION_BITMAP: 1 << 6}, 16)


def _paging(p: VmxProgram) -> None:
    tables = (
        "mov dword ptr [scratch + 0x1000], 0x83\nmov dword ptr [scratch + 0x1004], 0x400083\nmov dword ptr [scratch + 0x1008], 0x800003\n"
    )
    paged: dict[F, Value] = {
        **FLAT_32,
        F.GUEST_CR0: 0x80000031,
        F.GUEST_CR4: 0x2010,
        F.GUEST_CR3: "mov edx, offset scratch + 0x1000",
        F.EXCEPTION_BITMAP: 1 << 14,
    }
    unrestricted(p, "32-bit paging with 4 MiB pages", "mov al, [0x400000]\nmov al, [0x8FFFFFF]\nvmcall", paged, 32, tables)
    unrestricted(p, "32-bit paging, a table that is empty", "mov al, [0x800000]\nvmcall", paged, 32, tables)
    pae = (
        "mov qword ptr [scratch + 0x1000], 0x83\nmov rax, 0x400083\nmov [scratch + 0x1010], rax\n"
        "mov eax, offset scratch + 0x1001\nmov [scratch + 0x2000], rax\n"
    )
    entries: dict[F, Value] = {F.GUEST_PDPTE0: "mov edx, offset scratch + 0x1001", F.GUEST_PDPTE1: 0, F.GUEST_PDPTE2: 0, F.GUEST_PDPTE3: 0}
    with_pae: dict[F, Value] = {**paged, **entries, F.GUEST_CR4: 0x2020, F.GUEST_CR3: "mov edx, offset scratch + 0x2000"}
    unrestricted(p, "PAE", "mov al, [0x400000]\nmov al, [0x40000000]\nvmcall", with_pae, 32, pae)
    unrestricted(p, "PAE, a PDPTE with reserved bits", "vmcall", {**with_pae, F.GUEST_PDPTE1: 0x7}, 32, pae)
    unrestricted(p, "PAE, a PDPTE that is not present and has reserved bits", "vmcall", {**with_pae, F.GUEST_PDPTE1: 0x6}, 32, pae)
    unrestricted(
        p, "PAE, MOV CR3 loads the PDPTEs", "mov eax, cr3\nmov cr3, eax\nvmcall", {**with_pae, F.EXCEPTION_BITMAP: 1 << 13}, 32, pae
    )
    p.show_fields("PDPTE 1 and 3 are those of memory", F.GUEST_PDPTE1, F.GUEST_PDPTE3)


def _virtual_8086(p: VmxProgram) -> None:
    every = {F.EXCEPTION_BITMAP: 0xFFFFFFFF}
    paged = {F.GUEST_CR0: 0x31, F.GUEST_CR4: 0x2000}
    rows = (
        ("cpuid", "cpuid\nvmcall", {}),
        ("cli needs IOPL 3", "cli\nvmcall", {F.GUEST_RFLAGS: 0x20002}),
        ("cli with IOPL 3", "cli\nsti\npushf\nvmcall", {}),
        ("INT n needs IOPL 3", "int 0x40\nvmcall", {F.GUEST_RFLAGS: 0x20002}),
        ("hlt", "hlt\nvmcall", {}),
        ("mov cr0", "mov eax, cr0\nvmcall", {}),
        ("ports without a bitmap", "in al, 0x70\nvmcall", {}),
        ("lldt", "lldt ax\nvmcall", {}),
        ("segments are times 16", "mov ax, 0x1234\nmov es, ax\nvmcall", {}),
    )
    for label, code, fields in rows:
        unrestricted(p, f"virtual-8086: {label}", code, {**V86, **paged, **every, **fields}, 16)
    p.show_fields("ES", F.GUEST_ES_SELECTOR, F.GUEST_ES_BASE)
    p.guest(
        "virtual-8086 with a base that is not the selector's",
        "vmcall",
        {**V86, **paged, F.GUEST_CS_BASE: 0x10, **EPTP},
        controls={SECONDARY: EPT | UNRESTRICTED},
    )


def _switches(p: VmxProgram) -> None:
    """From real mode up to long mode, by itself."""
    code = """lgdt [0x2180]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    .byte 0x66, 0xEA
    .long 0x2000 + switch_32 - switch_16
    .word 0x38
    .code32
switch_32:
    mov eax, 0x10
    mov ds, eax
    mov ss, eax
    mov es, eax
    mov esp, 0x7000
    mov eax, cr4
    or eax, 0x20
    mov cr4, eax
    mov eax, offset pml4
    mov cr3, eax
    mov ecx, 0xC0000080
    rdmsr
    or eax, 0x100
    wrmsr
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
    .byte 0xEA
    .long 0x2000 + switch_64 - switch_16
    .word 0x08
    .code64
switch_64:
    mov rax, 0x123456789ABCDEF
    mov r9, rax
    cpuid
    mov rcx, r9
    vmcall
    .fill 0x200, 1, 0"""
    setup = "mov word ptr [0x2180], 79\nmov eax, offset gdt\nmov [0x2182], eax\n"
    efer: dict[F, Value] = {F.GUEST_IA32_EFER: 0}
    build = BUILD.replace("NUMBER", p.fresh("modes"))
    loads = {F.VM_ENTRY_CONTROLS: "mov ecx, 0x490\nrdmsr\nor eax, 1 << 15\nmov edx, eax"}
    msrs = "mov dword ptr [bitmaps + 0x2000], 0\n"
    p.guest(
        "from real mode to long mode",
        f"switch_16:\n{code}",
        {**EPTP, **loads, **REAL, **efer, F.MSR_BITMAP_ADDRESS: "mov edx, offset bitmaps + 0x2000"},
        controls={SECONDARY: EPT | UNRESTRICTED, PRIMARY: 1 << 28},
        setup=build + COPY + setup + msrs,
        bits=16,
    )
    p.show("RCX", "[guest_registers + 8]")
    p.show_fields(
        "entry controls, CR0, CR4, CS", F.VM_ENTRY_CONTROLS, F.GUEST_CR0, F.GUEST_CR4, F.GUEST_CS_SELECTOR, F.GUEST_CS_ACCESS_RIGHTS
    )
