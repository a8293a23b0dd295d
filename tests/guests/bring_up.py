"""Area A: from CPUID to VMX root operation and back, with every refusal on the way."""

from __future__ import annotations

from tests.guests.vmx_program import VmxProgram

VMX_INSTRUCTIONS = (
    ("vmclear", "vmclear [pointer]"),
    ("vmptrld", "vmptrld [pointer]"),
    ("vmptrst", "vmptrst [scratch]"),
    ("vmread", "vmread rax, rbx"),
    ("vmwrite", "vmwrite rax, rbx"),
    ("vmlaunch", "vmlaunch"),
    ("vmresume", "vmresume"),
    ("vmxoff", "vmxoff"),
    ("vmcall", "vmcall"),
    ("invept", "invept rax, [scratch]"),
    ("invvpid", "invvpid rax, [scratch]"),
)


def at(address: str) -> str:
    """Make `pointer` hold an address."""
    return f"mov rax, {address}\nmov [pointer], rax\n"


def program() -> VmxProgram:
    p = VmxProgram(switch_on=False)
    p.attempt("CPUID.1:ECX.VMX", "mov eax, 1\ncpuid\nshr ecx, 5\nand ecx, 1", "rcx")
    p.attempt("IA32_FEATURE_CONTROL at reset or as firmware left it: bits 63:21", "mov ecx, 0x3A\nrdmsr\nshr eax, 21", "rax", "rdx")
    p.show("CR4.VMXE at first", "cr4")
    p.attempts((f"{name} without CR4.VMXE", text) for name, text in VMX_INSTRUCTIONS if name != "vmcall")
    p.attempt("vmcall without VMX operation", "vmcall")
    p.attempt("vmxon without CR4.VMXE", "vmxon [pointer]")
    p.attempt("set CR4.VMXE", "mov rax, cr4\nor eax, 1 << 13\nmov cr4, rax", "cr4")
    p.attempts((f"{name} outside VMX operation", text) for name, text in VMX_INSTRUCTIONS)
    p.code("mov ecx, 0x3A\nrdmsr\ntest eax, 1\njnz was_locked\nmov eax, 5\nwrmsr\nwas_locked:")
    p.attempt("write IA32_FEATURE_CONTROL when locked", "mov ecx, 0x3A\nmov eax, 5\nxor edx, edx\nwrmsr")
    p.attempt("IA32_FEATURE_CONTROL", "mov ecx, 0x3A\nrdmsr\nand eax, 5", "rax")
    _capabilities(p)
    _vmxon(p)
    _in_root(p)
    _vmxoff(p)
    return p


def _capabilities(p: VmxProgram) -> None:
    """Vol. 3D Appendix A: what every processor's MSRs have in common."""
    read = "mov ecx, {:#x}\nrdmsr\nshl rdx, 32\nor rax, rdx\n"
    p.attempt("IA32_VMX_BASIC: bit 31 is 0", read.format(0x480) + "shr rax, 31\nand eax, 1", "rax")
    p.attempt(
        "IA32_VMX_BASIC: region size up to 4096",
        read.format(0x480) + "shr rax, 32\nand eax, 0x1FFF\ncmp eax, 4097\nsetb al\nmovzx eax, al",
        "rax",
    )
    p.attempt("IA32_VMX_BASIC: memory type", read.format(0x480) + "shr rax, 50\nand eax, 15", "rax")
    p.attempt("IA32_VMX_BASIC: INS/OUTS information, TRUE MSRs", read.format(0x480) + "shr rax, 54\nand eax, 3", "rax")
    for index, name in ((0x481, "PINBASED"), (0x482, "PROCBASED"), (0x483, "EXIT"), (0x484, "ENTRY"), (0x48B, "PROCBASED2")):
        p.attempt(f"{name}: must be 1 but may not", read.format(index) + "mov rdx, rax\nshr rdx, 32\nnot edx\nand eax, edx", "rax")
    defaults = ((0x481, 0x16), (0x482, 0x0401E172), (0x483, 0x36DFF), (0x484, 0x11FF))
    for index, default in defaults:
        p.attempt(f"{index:#x}: default1 bits", read.format(index) + f"and eax, {default:#x}", "rax")
    for true, plain in ((0x48D, 0x481), (0x48E, 0x482), (0x48F, 0x483), (0x490, 0x484)):
        p.attempt(
            f"{true:#x}: allowed 1 equals {plain:#x}'s", read.format(true) + "mov r8, rdx\n" + read.format(plain) + "xor rdx, r8", "rdx"
        )
        p.attempt(
            f"{true:#x}: required 1 within {plain:#x}'s",
            read.format(true) + "mov r8d, eax\n" + read.format(plain) + "not eax\nand eax, r8d",
            "rax",
        )
    p.attempt("CR0_FIXED0", read.format(0x486), "rax")
    p.attempt("CR0_FIXED1", read.format(0x487), "rax")
    p.attempt("CR4_FIXED0", read.format(0x488), "rax")
    p.attempt("CR4_FIXED1 has VMXE, PAE, PGE; not bit 31", read.format(0x489) + "and eax, 0x800020A0", "rax")
    p.attempt("VMCS_ENUM: bits 63:10 and 0", read.format(0x48A) + "and rax, 0xFFFFFFFFFFFFFC01", "rax")
    p.attempt("MISC: HLT, shutdown, wait-for-SIPI", read.format(0x485) + "shr eax, 6\nand eax, 7", "rax")
    p.attempt("MISC: CR3 targets", read.format(0x485) + "shr eax, 16\nand eax, 0x1FF", "rax")
    p.attempt("EPT_VPID_CAP: 4 levels, UC, WB, 2 MiB, INVEPT and its types", read.format(0x48C) + "and eax, 0x06114140", "rax")
    p.attempt("EPT_VPID_CAP: INVVPID and its types", read.format(0x48C) + "shr rax, 32\nand eax, 0xF01", "rax")
    p.attempts((f"write {index:#x}", f"mov ecx, {index:#x}\nrdmsr\nwrmsr") for index in (0x480, 0x481, 0x486, 0x48C, 0x490))


def _vmxon(p: VmxProgram) -> None:
    p.code("call write_revisions")
    p.attempt("vmxon with CR0.NE clear", at("offset vmxon_region") + "mov rax, cr0\nand eax, ~0x20\nmov cr0, rax\nvmxon [pointer]")
    p.code("mov rax, cr0\nor eax, 0x20\nmov cr0, rax")
    p.vmx("vmxon, not aligned", at("offset vmxon_region + 8") + "vmxon [pointer]")
    p.vmx("vmxon, beyond the physical-address width", at("0x8000000000000000") + "vmxon [pointer]")
    p.vmx("vmxon, wrong revision", at("offset scratch") + "vmxon [pointer]")
    p.vmx("vmxon, bit 31 of the revision set", "or byte ptr [vmxon_region + 3], 0x80\n" + at("offset vmxon_region") + "vmxon [pointer]")
    p.code("and byte ptr [vmxon_region + 3], 0x7F")
    p.vmx("vmxon, operand not mapped", "mov rbx, 0x80000000\nvmxon [rbx]")
    p.vmx("vmxon, operand not canonical", "mov rbx, 0x800000000000\nvmxon [rbx]")
    p.vmx("vmxon, operand in the stack segment not canonical", "push rbp\nmov rbp, 0x800000000000\nvmxon [rbp]")
    p.catch("push 0x23\npush offset guest_stack_top\npushfq\npush 0x1B\npush offset user_vmxon\niretq\nuser_vmxon:\nvmxon [pointer]")
    p.show("instruction fetch at CPL 3 without a user page: #", "[fault_vector]")
    p.vmx("vmxon", at("offset vmxon_region") + "vmxon [pointer]")


def _in_root(p: VmxProgram) -> None:
    p.vmx("vmxon in root operation, without a current VMCS", "vmxon [pointer]")
    p.vmx("vmxon in root operation, operand not mapped", "mov rbx, 0x80000000\nvmxon [rbx]")
    p.attempt("clear CR4.VMXE in VMX operation", "mov rax, cr4\nand eax, ~(1 << 13)\nmov cr4, rax")
    p.attempt("clear CR0.NE in VMX operation", "mov rax, cr0\nand eax, ~0x20\nmov cr0, rax")
    p.attempt("clear CR0.PG in VMX operation", "mov rax, cr0\nand eax, 0x7FFFFFFF\nmov cr0, rax")
    p.attempt("write IA32_FEATURE_CONTROL in VMX operation", "mov ecx, 0x3A\nmov eax, 5\nxor edx, edx\nwrmsr")
    p.vmx("vmlaunch without a current VMCS", "vmlaunch")
    p.vmx("vmresume without a current VMCS", "vmresume")
    p.vmx("vmcall in root operation without a current VMCS", "vmcall")
    p.vmx("vmread without a current VMCS", "mov eax, 0x4402\nvmread rbx, rax")
    p.vmx("vmwrite without a current VMCS", "mov eax, 0x4402\nvmwrite rax, rbx")
    p.vmx("vmptrst without a current VMCS", "vmptrst [scratch]", "[scratch]")
    p.vmx("vmfunc in root operation", ".byte 0x0F, 0x01, 0xD4")
    p.vmx("vmclear", at("offset vmcs_region") + "vmclear [pointer]")
    p.vmx("vmptrld", at("offset vmcs_region") + "vmptrld [pointer]")
    p.vmx("vmxon in root operation with a current VMCS", at("offset vmxon_region") + "vmxon [pointer]")


def _vmxoff(p: VmxProgram) -> None:
    p.vmx("vmxoff", "vmxoff")
    p.attempt("vmxoff again", "vmxoff")
    p.attempt("vmptrst after vmxoff", "vmptrst [scratch]")
    p.vmx("vmxon again", at("offset vmxon_region") + "vmxon [pointer]")
    p.vmx("no current VMCS after vmxon", "vmptrst [scratch]", "[scratch]")
    p.vmx("vmxoff at the end", "vmxoff")
    p.attempt("clear CR4.VMXE after vmxoff", "mov rax, cr4\nand eax, ~(1 << 13)\nmov cr4, rax", "cr4")
