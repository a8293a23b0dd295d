"""Area D: instructions and events that leave the guest, with reason, qualification, length and information."""

from __future__ import annotations

from tests.guests.vmx_program import ENTRY, EXIT, PIN, PRIMARY, SECONDARY, VmxProgram
from vmxon.vmx.fields import VmcsField

F = VmcsField
HLT, INVLPG, MWAIT, RDPMC, RDTSC, CR3_LOAD, CR3_STORE, CR8_LOAD, CR8_STORE = (
    1 << 7,
    1 << 9,
    1 << 10,
    1 << 11,
    1 << 12,
    1 << 15,
    1 << 16,
    1 << 19,
    1 << 20,
)
MOV_DR, IO, IO_BITMAPS, MSR_BITMAPS, MONITOR, PAUSE, TRAP_FLAG = 1 << 23, 1 << 24, 1 << 25, 1 << 28, 1 << 29, 1 << 30, 1 << 27
DESCRIPTOR_TABLES, RDTSCP, WBINVD, RDRAND, INVPCID, UNRESTRICTED, EPT, VPID = (
    1 << 2,
    1 << 3,
    1 << 6,
    1 << 11,
    1 << 12,
    1 << 7,
    1 << 1,
    1 << 5,
)
RDSEED = 1 << 16
OSXSAVE = "mov rax, cr4\nor eax, 0x40000\nmov cr4, rax\n"
BITMAPS = {F.IO_BITMAP_A_ADDRESS: "mov edx, offset bitmaps", F.IO_BITMAP_B_ADDRESS: "mov edx, offset bitmaps + 0x1000"}
MSR_BITMAP = {F.MSR_BITMAP_ADDRESS: "mov edx, offset bitmaps + 0x2000"}


def program() -> VmxProgram:
    p = VmxProgram()
    p.guest("vmcall alone")
    p.guest("cpuid with prefixes", "cpuid\nrep cpuid\n.byte 0x66, 0x48, 0x0F, 0xA2\nvmcall")
    _unconditional(p)
    _simple_controls(p)
    _ports(p)
    _msrs(p)
    _control_registers(p)
    _debug_registers(p)
    _descriptor_tables(p)
    _exceptions(p)
    _windows(p)
    return p


def _unconditional(p: VmxProgram) -> None:
    """Vol. 3C §27.1.2 “Instructions That Cause VM Exits Unconditionally”."""
    p.guest("invd", "invd\nvmcall")
    p.guest("xsetbv without CR4.OSXSAVE", guarded("xsetbv") + "vmcall")
    p.guest(
        "VMX instructions",
        """vmclear [rax + 0x10]
        vmptrld [rbx + rcx * 4 + 0x12345678]
        vmptrst [rip + 0x1000]
        vmread rax, rbx
        vmread [rsp + 8], rdx
        vmwrite r9, r10
        vmwrite rcx, gs:[rsi + rdi * 8 - 4]
        vmlaunch
        vmresume
        vmxon [r15]
        vmxoff
        invept r11, [rdx]
        invvpid rbp, es:[r12 + r13 * 2]
        vmcall""",
    )
    p.guest("getsec is no instruction here", guarded(".byte 0x0F, 0x37") + "vmcall")


def guarded(text: str) -> str:
    """Guest code that survives a fault of `text` and prints nothing; the vector is in R8."""
    count = next(_numbers)
    return (
        f"mov qword ptr [resume_rip], offset inner_{count}\nmov [resume_rsp], rsp\nmov qword ptr [fault_vector], -1\n{text}\n"
        f"inner_{count}:\nmov qword ptr [resume_rip], 0\nmov rax, [fault_vector]\ncall print_hex\n"
        f"mov rax, [fault_code]\ncall print_hex\ncall new_line\n"
    )


_numbers = iter(range(100_000))


def _simple_controls(p: VmxProgram) -> None:
    rows = (
        ("hlt", HLT, "hlt\nvmcall"),
        ("invlpg", INVLPG, "invlpg [0x123456]\nmov rax, 0xFFFF800012345000\ninvlpg [rax]\nvmcall"),
        ("rdtsc", RDTSC, "rdtsc\nvmcall"),
        ("rdpmc", RDPMC, "xor ecx, ecx\nrdpmc\nvmcall"),
        ("pause", PAUSE, "pause\nnop\nvmcall"),
        ("mov cr3 both ways", CR3_LOAD | CR3_STORE, "mov rax, cr3\nmov cr3, rax\nmov r13, cr3\nmov cr3, r9\nvmcall"),
        ("mov cr8 both ways", CR8_LOAD | CR8_STORE, "mov rax, cr8\nmov cr8, rbx\nmov r15, cr8\nvmcall"),
        ("mov dr", MOV_DR, "mov rax, dr7\nmov dr0, rdx\nmov r11, dr6\nmov dr4, rax\nvmcall"),
    )
    for label, control, code in rows:
        p.guest(f"{label}, exiting", code, controls={PRIMARY: control})
    p.guest("rdtscp exits as itself", "rdtscp\nvmcall", controls={PRIMARY: RDTSC, SECONDARY: RDTSCP})
    p.guest("rdtscp disabled", guarded("rdtscp") + "vmcall")
    p.guest("wbinvd", "wbinvd\nvmcall", controls={SECONDARY: WBINVD})
    p.guest("wbinvd without the control", "wbinvd\nvmcall")
    p.guest("invpcid disabled", guarded("xor eax, eax\ninvpcid rax, [scratch]") + "vmcall")
    p.guest(
        "invpcid exits",
        "xor eax, eax\ninvpcid rax, [scratch + rbx]\ninvpcid r9, [r10 + 8]\nvmcall",
        controls={PRIMARY: INVLPG, SECONDARY: INVPCID},
    )
    p.guest("rdrand exits", "rdrand eax\nrdrand r9w\nrdrand r12\nvmcall", controls={SECONDARY: RDRAND})
    p.guest("rdseed exits", "rdseed ebx\nrdseed si\nrdseed r15\nvmcall", controls={SECONDARY: RDSEED})
    p.guest("xsetbv", f"{OSXSAVE}xor ecx, ecx\nxor edx, edx\nmov eax, 3\nxsetbv\nvmcall")
    p.guest("xsaves and xrstors disabled", OSXSAVE + guarded("xsaves [scratch]") + guarded("xrstors [scratch]") + "vmcall")
    p.guest("in a user program: #GP before the exit", "vmcall", controls={PRIMARY: HLT})


def _ports(p: VmxProgram) -> None:
    code = """mov dx, 0x1234
    in al, 0x70
    in ax, 0x70
    in eax, dx
    out 0x80, al
    out dx, ax
    out 0xFF, eax
    mov edi, offset scratch
    mov esi, offset scratch
    insb es:[rdi], dx
    insw es:[rdi], dx
    rep insd es:[rdi], dx
    outsb dx, [rsi]
    outsw dx, fs:[rsi]
    mov ecx, 3
    rep outsd dx, [rsi]
    .byte 0x67, 0x6E
    vmcall"""
    code = code.replace("insb es:[rdi], dx", "insb").replace("insw es:[rdi], dx", "insw").replace("rep insd es:[rdi], dx", "rep insd")
    code = (
        code.replace("outsb dx, [rsi]", "outsb")
        .replace("outsw dx, fs:[rsi]", ".byte 0x64, 0x66, 0x6F")
        .replace("rep outsd dx, [rsi]", "rep outsd")
    )
    p.guest("every port instruction", code, controls={PRIMARY: IO})
    bitmap = (
        "mov byte ptr [bitmaps + 0x70 / 8], 1 << (0x70 & 7)\n"  # port 0x70
        "mov byte ptr [bitmaps + 0x1000], 1\n"  # port 0x8000
        "mov byte ptr [bitmaps + 0x1FFF], 0x80\n"  # port 0xFFFF
    )
    p.guest(
        "port bitmaps",
        """in al, 0x70
        in al, 0x71
        in ax, 0x6F
        in eax, 0x6D
        in eax, 0x6C
        mov dx, 0x8000
        in al, dx
        mov dx, 0x7FFF
        in al, dx
        in ax, dx
        mov dx, 0xFFFF
        out dx, al
        in ax, dx
        mov dx, 0xFFFD
        in ax, dx
        vmcall""",
        BITMAPS,
        controls={PRIMARY: IO_BITMAPS},
        setup=bitmap,
    )
    p.guest("port bitmaps outrank unconditional exiting", "in al, 0x71\nin al, 0x70\nvmcall", BITMAPS, controls={PRIMARY: IO_BITMAPS | IO})


def _msrs(p: VmxProgram) -> None:
    code = "mov ecx, {:#x}\nrdmsr\n"
    write = "mov ecx, {:#x}\nxor eax, eax\nxor edx, edx\nwrmsr\n"
    p.guest("msr without bitmaps", code.format(0x174) + write.format(0x174) + code.format(0xDEADBEEF) + "vmcall")
    setup = (
        "mov byte ptr [bitmaps + 0x2000 + 0x174 / 8], 1 << (0x174 & 7)\n"  # read 0x174
        "mov byte ptr [bitmaps + 0x2C00 + 0x82 / 8], 1 << (0x82 & 7)\n"  # write 0xC0000082
        "mov byte ptr [bitmaps + 0x2400 + 0x80 / 8], 1 << (0x80 & 7)\n"  # read 0xC0000080
    )
    body = "".join(
        (
            code.format(0x174),
            write.format(0x174),
            code.format(0x175),
            code.format(0xC0000080),
            code.format(0xC0000082),
            write.format(0xC0000082),
        )
    )
    p.guest(
        "msr bitmaps",
        body + code.format(0x2000) + code.format(0xC0002000) + "vmcall",
        MSR_BITMAP,
        controls={PRIMARY: MSR_BITMAPS},
        setup=setup,
    )


def _control_registers(p: VmxProgram) -> None:
    p.guest(
        "cr0 mask: only owned bits that differ from the shadow exit",
        """mov rax, cr0
        call print_hex
        call new_line
        xor eax, 8
        mov cr0, rax
        xor eax, 4
        mov cr0, rax
        clts
        lmsw ax
        smsw ax
        call print_hex
        call new_line
        vmcall""",
        {F.CR0_GUEST_HOST_MASK: 0xC, F.CR0_READ_SHADOW: 0x4},
    )
    p.guest("clts by shadow and mask", "clts\nvmcall", {F.CR0_GUEST_HOST_MASK: 0x8, F.CR0_READ_SHADOW: 0x8})
    p.guest("clts with TS not set in the shadow", "clts\nvmcall", {F.CR0_GUEST_HOST_MASK: 0x8, F.CR0_READ_SHADOW: 0})
    p.guest("lmsw from a register", "mov ebx, 0xE\nlmsw bx\nvmcall", {F.CR0_GUEST_HOST_MASK: 0xE, F.CR0_READ_SHADOW: 0x0})
    p.guest(
        "lmsw from memory",
        "mov word ptr [scratch], 0xD\nmov ebx, offset scratch\nlmsw [rbx]\nvmcall",
        {F.CR0_GUEST_HOST_MASK: 0xE, F.CR0_READ_SHADOW: 0x0},
    )
    p.guest("lmsw cannot clear PE", "mov eax, 0\nlmsw ax\nvmcall", {F.CR0_GUEST_HOST_MASK: 1, F.CR0_READ_SHADOW: 1})
    p.guest(
        "cr4 mask and shadow",
        """mov rax, cr4
        call print_hex
        call new_line
        mov rcx, rax
        xor ecx, 4
        mov cr4, rcx
        xor ecx, 0x200
        mov cr4, rcx
        mov r12, rcx
        mov cr4, r12
        vmcall""",
        {F.CR4_GUEST_HOST_MASK: 0x2004, F.CR4_READ_SHADOW: 0},
    )
    p.guest("cr0 fixed bits", guarded("mov rax, cr0\nand eax, ~0x20\nmov cr0, rax") + "vmcall")
    p.guest("cr4 fixed bits", guarded("mov rax, cr4\nand eax, ~0x2000\nmov cr4, rax") + "vmcall")
    targets = {F.CR3_TARGET_COUNT: 2, F.CR3_TARGET_VALUE_0: 0x1234000, F.CR3_TARGET_VALUE_1: "mov edx, offset pml4"}
    p.guest(
        "cr3 targets", "mov eax, offset pml4\nmov cr3, rax\nmov eax, 0x1235000\nmov cr3, rax\nvmcall", targets, controls={PRIMARY: CR3_LOAD}
    )
    p.show_fields("cr0, cr3, cr4 at the exit", F.GUEST_CR0, F.GUEST_CR4)


def _debug_registers(p: VmxProgram) -> None:
    p.guest("mov dr4 with CR4.DE", guarded("mov rax, cr4\nor eax, 8\nmov cr4, rax\nmov rax, dr4") + "vmcall", controls={PRIMARY: MOV_DR})
    p.guest(
        "general detect outranks the exit",
        "mov rax, dr7\nvmcall",
        {F.GUEST_DR7: 0x2400, F.EXCEPTION_BITMAP: 2},
        controls={PRIMARY: MOV_DR, ENTRY: 4},
    )
    p.guest(
        "dr7 is loaded, saved and reset",
        "mov rax, dr7\ncall print_hex\ncall new_line\nvmcall",
        {F.GUEST_DR7: 0x455},
        controls={ENTRY: 4, EXIT: 4},
    )
    p.show_fields("saved dr7", F.GUEST_DR7)
    p.show("dr7 of the host", "dr7")


def _descriptor_tables(p: VmxProgram) -> None:
    code = """sgdt [rax + 0x10]
    sidt [rbx + rcx * 8 + 0x1000]
    lgdt [rsp]
    lidt gs:[r9]
    sldt eax
    sldt word ptr [rdi]
    str rbx
    str word ptr [rsi - 8]
    lldt dx
    ltr word ptr [r13 + r14]
    vmcall"""
    p.guest("descriptor-table exiting", code, controls={SECONDARY: DESCRIPTOR_TABLES})
    p.guest("descriptor tables without it", "sldt eax\nsgdt [scratch]\nstr eax\ncall print_hex\ncall new_line\nvmcall")


def _exceptions(p: VmxProgram) -> None:
    every = {F.EXCEPTION_BITMAP: 0xFFFFFFFF}
    rows = (
        ("#UD", "ud2"),
        ("#DE", "xor ecx, ecx\ndiv ecx"),
        ("#GP(selector)", "mov eax, 0x1234\nmov ds, eax"),
        ("#GP(0) not canonical", "mov rax, 0x800000000000\nmov al, [rax]"),
        ("#SS(0) not canonical", "mov rbp, 0x800000000000\nmov al, [rbp]"),
        ("#PF read", "mov al, [0x7FFFF123]"),
        ("#PF write", "mov rax, 0xFFFFFFFF80000123\nmov [rax], ecx"),
        ("#PF fetch", "mov eax, 0x7FFFF000\njmp rax"),
        ("#BP", "int3"),
        ("int 3, two bytes, does not exit by the bitmap", guarded(".byte 0xCD, 3")),
        ("#NM", "mov rax, cr0\nor eax, 8\nmov cr0, rax\nfninit"),
        ("int1", ".byte 0xF1"),
        ("int 6 does not exit by the bitmap", guarded("int 6")),
        ("#NP", "mov eax, 0x50\nlldt ax"),
        ("single step", "pushfq\nor word ptr [rsp], 0x100\npopfq\nnop\nnop"),
    )
    for label, code in rows:
        p.guest(label, code + "\nvmcall", every)
        p.show_fields("   length", F.VM_EXIT_INSTRUCTION_LENGTH) if label in {
            "#BP",
            "int 3, two bytes",
            "int1",
        } else None
    fault = "mov al, [0x7FFFF123]\nvmcall"
    for mask, match, bit in ((0, 0, 1), (0, 0, 0), (2, 2, 1), (2, 2, 0), (2, 0, 1), (0, 2, 0), (0, 2, 1)):
        fields = {F.EXCEPTION_BITMAP: bit << 14, F.PAGE_FAULT_ERROR_CODE_MASK: mask, F.PAGE_FAULT_ERROR_CODE_MATCH: match}
        p.guest(f"#PF, mask {mask}, match {match}, bitmap {bit}", guarded(fault.removesuffix("vmcall")) + "vmcall", fields)
    p.guest("triple fault", "ud2\nvmcall", {F.GUEST_IDTR_LIMIT: 0})
    p.guest("double fault by the bitmap", "ud2\nvmcall", {F.GUEST_IDTR_LIMIT: 0x5F, F.EXCEPTION_BITMAP: 1 << 8})
    p.guest("fault while delivering: vectoring", "ud2\nvmcall", {F.GUEST_IDTR_LIMIT: 0x5F, F.EXCEPTION_BITMAP: 1 << 13})
    p.guest("fault while delivering INT n: vectoring", "int 0x41\nvmcall", {F.GUEST_IDTR_LIMIT: 0x3FF, F.EXCEPTION_BITMAP: 1 << 13})
    p.guest("fault while delivering #PF: vectoring has an error code", fault, {F.GUEST_IDTR_BASE: 0x7FFF0000, F.EXCEPTION_BITMAP: 1 << 8})
    p.guest("page fault while delivering #UD", "ud2\nvmcall", {F.GUEST_IDTR_BASE: 0x7FFF0000, F.EXCEPTION_BITMAP: 1 << 14})
    p.guest(
        "task gates do not exist in long mode", "int 0x41\nvmcall", {F.EXCEPTION_BITMAP: 1 << 13}, setup="mov byte ptr [idt + 0x415], 0x85"
    )
    p.code("mov byte ptr [idt + 0x415], 0x8E")


def _windows(p: VmxProgram) -> None:
    off = "mov ecx, 0x48E\nmov edi, 0x4002\nmov ebx, 0x80000000\ncall write_control\nmov eax, 1\nret"
    p.guest("interrupt window at once", "nop\nvmcall", {F.GUEST_RFLAGS: 0x202}, controls={PRIMARY: 1 << 2}, hook=off)
    p.guest("interrupt window behind the STI shadow", "nop\nsti\nnop\nnop\nvmcall", controls={PRIMARY: 1 << 2}, hook=off)
    p.guest("interrupt window behind MOV SS", "mov eax, 0x10\nsti\nmov ss, eax\nnop\nnop\nvmcall", controls={PRIMARY: 1 << 2}, hook=off)
    p.guest(
        "interrupt window, blocked by STI at entry",
        "nop\nnop\nvmcall",
        {F.GUEST_RFLAGS: 0x202, F.GUEST_INTERRUPTIBILITY_STATE: 1},
        controls={PRIMARY: 1 << 2},
        hook=off,
    )
    p.guest("NMI window", "nop\nvmcall", controls={PIN: 0x28, PRIMARY: 1 << 22}, hook=off)
    p.guest(
        "NMI window opens at IRET",
        "push 0x10\npush offset guest_stack_top\npushfq\npush 8\npush offset behind_iret\niretq\nbehind_iret:\nnop\nvmcall",
        {F.GUEST_INTERRUPTIBILITY_STATE: 8},
        controls={PIN: 0x28, PRIMARY: 1 << 22},
        hook=off,
    )
    p.guest("preemption timer at 0", "nop\nvmcall", {F.VMX_PREEMPTION_TIMER_VALUE: 0}, controls={PIN: 0x40})
    p.guest("preemption timer in a loop", "forever:\njmp forever\nvmcall", {F.VMX_PREEMPTION_TIMER_VALUE: 10}, controls={PIN: 0x40})
    p.guest("preemption timer wakes a halted guest", "hlt\nvmcall", {F.VMX_PREEMPTION_TIMER_VALUE: 100}, controls={PIN: 0x40})
    p.guest(
        "halted activity state with the timer",
        "vmcall",
        {F.VMX_PREEMPTION_TIMER_VALUE: 100, F.GUEST_ACTIVITY_STATE: 1},
        controls={PIN: 0x40},
    )
    p.show_fields("activity state", F.GUEST_ACTIVITY_STATE)
