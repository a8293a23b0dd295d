"""Slots: the places where VMX takes part. Each default body does nothing; `vmx` implements them and the engine links them."""

from __future__ import annotations

from enum import IntEnum

from vmxon.microcode import slot, u8, u32, u64
from vmxon.processor.state import ProcessorState as Cpu


class Intercept(IntEnum):
    """Instructions that may cause a VM exit, by basic exit reason (Vol. 3D App. C “VMX Basic Exit Reasons”)."""

    TASK_SWITCH = 9
    CPUID = 10
    GETSEC = 11
    HLT = 12
    INVD = 13
    INVLPG = 14
    RDPMC = 15
    RDTSC = 16
    RSM = 17
    VMCALL = 18
    VMCLEAR = 19
    VMLAUNCH = 20
    VMPTRLD = 21
    VMPTRST = 22
    VMREAD = 23
    VMRESUME = 24
    VMWRITE = 25
    VMXOFF = 26
    VMXON = 27
    MOV_CR = 28
    MOV_DR = 29
    IO = 30
    RDMSR = 31
    WRMSR = 32
    MWAIT = 36
    MONITOR = 39
    PAUSE = 40
    GDTR_IDTR = 46
    LDTR_TR = 47
    INVEPT = 50
    RDTSCP = 51
    INVVPID = 53
    WBINVD = 54
    XSETBV = 55
    RDRAND = 57
    INVPCID = 58
    VMFUNC = 59
    ENCLS = 60
    RDSEED = 61
    XSAVES = 63
    XRSTORS = 64
    UMWAIT = 67
    TPAUSE = 68


@slot
def need_enabled(cpu: Cpu, what: int) -> None:
    """An instruction that VMX may take from a guest altogether, before anything else: raises #UD, or returns."""


@slot
def intercept(cpu: Cpu, what: int, qualification: u64) -> None:
    """A `system` instruction asks whether it exits; `what` is a static Intercept. Takes the exit and abandons, or returns.

    Called after #UD and privilege checks, before operands are read or anything is committed. For instructions whose exit reports
    VM-exit instruction information (memory or register operands), the caller passes through `intercept_with_information`.
    """


@slot
def intercept_extended_state(cpu: Cpu, what: int, components: u64, information: u32) -> None:
    """XSAVES and XRSTORS ask whether they exit for the supervisor components among `components`."""


@slot
def intercept_with_information(cpu: Cpu, what: int, qualification: u64, information: u32) -> None:
    """The same, with the instruction-information field (Vol. 3C §28.2.5 “Information for VM Exits Due to Instruction Execution”)."""


@slot
def intercept_port(cpu: Cpu, port: u64, size: u64, qualification: u64, information: u32, linear: u64) -> None:
    """IN, OUT, INS, OUTS of `size` bytes: I/O bitmaps or unconditional exiting; `linear` is the guest-linear address of INS, OUTS."""


@slot
def intercept_msr(cpu: Cpu, index: u64, write: bool) -> None:
    """RDMSR or WRMSR of `index`: MSR bitmaps."""


@slot
def need_msr_lists(cpu: Cpu, write: bool) -> None:
    """RDMSRLIST or WRMSRLIST in a guest: #UD where it is not enabled, the exit of one without MSR bitmaps, or nothing."""


@slot
def intercept_msr_list(cpu: Cpu, index: u64, value: u64, write: bool) -> None:
    """RDMSRLIST or WRMSRLIST (of `value`) has come to the MSR `index`: MSR bitmaps."""


@slot
def virtual_msr_read(cpu: Cpu, index: u64) -> bool:
    """RDMSR that VMX answers for a guest: sets cpu.request_value and gives True."""
    return False


@slot
def virtual_msr_write(cpu: Cpu, index: u64, value: u64) -> bool:
    """WRMSR that VMX takes from a guest: True where it is done."""
    return False


@slot
def virtual_cr8_write(cpu: Cpu, value: u64) -> bool:
    """MOV to CR8 that the TPR shadow takes: True where it is done."""
    return False


@slot
def apic_access(cpu: Cpu, linear: u64, size: u64, access: u64) -> u64:
    """An access (bits as for `second_stage_walk`) to cpu.apic_access_page: the physical address that takes its place, or a fault
    with SECOND_STAGE."""
    return linear


@slot
def intercept_exception(cpu: Cpu) -> None:
    """The exception in cpu.fault_* is about to be delivered (original event in cpu.delivering_*): exception bitmap."""


@slot
def intercept_cr_write(cpu: Cpu, register: int, value: u64, gpr: u64) -> u64:
    """MOV to CR0, CR3, CR4 or CR8 from general register `gpr`: exits, or gives the value to load after guest/host masks."""
    return value


@slot
def intercept_cr_read(cpu: Cpu, register: int, value: u64, gpr: u64) -> u64:
    """MOV from CR: exits, or gives what the guest sees (read shadow under the mask)."""
    return value


@slot
def intercept_clts(cpu: Cpu) -> u64:
    """CLTS: exits (abandons), or 1 when CR0.TS must be cleared, 0 when the mask hides it."""
    return u64(1)


@slot
def intercept_lmsw(cpu: Cpu, source: u64, memory: bool, linear: u64) -> u64:
    """LMSW of `source` (16 bits), which may be in memory at `linear`: exits, or gives the low word of CR0 to load."""
    return source


@slot
def intercept_task_switch(cpu: Cpu, selector: u64, source: u64) -> None:
    """A task switch to `selector`, always an exit in non-root; source as in its qualification: 0 CALL, 1 IRET, 2 JMP, 3 task gate."""


@slot
def intercept_triple_fault(cpu: Cpu) -> None:
    """A fault while delivering a double fault: in non-root operation this is a VM exit, outside it is shutdown."""


@slot
def intercept_external_interrupt(cpu: Cpu) -> u64:
    """INTR is asserted, not blocked by MOV SS or activity: 0 deliver as usual (needs IF), 1 the exit was taken (root state is there)."""
    return u64(0)


@slot
def intercept_nmi(cpu: Cpu) -> u64:
    """An NMI is pending: 0 deliver as usual, 1 the exit was taken."""
    return u64(0)


@slot
def intercept_windows(cpu: Cpu) -> u64:
    """Before each block when attention is set: preemption timer, interrupt and NMI windows, monitor trap flag. 1 when an exit was taken."""
    return u64(0)


@slot
def second_stage_exit(cpu: Cpu) -> None:
    """cpu.fault_qualification / fault_physical describe an event of the second stage: take the VM exit, or fault with #VE instead."""


@slot
def second_stage_walk(cpu: Cpu, physical: u64, access: u64) -> u64:
    """Translate a guest-physical address through EPT. Gives host-physical | allowed bits 2:0; faults with SECOND_STAGE.

    Bits of `access`: 1 read, 2 write, 4 execute, 8 page-walk access, 16 access through the linear address in fault_address, whose
    page is 32 a user page, 64 writable, 128 not executable; from bit 16 on the size in bytes minus one.
    """
    return physical | u64(7)


@slot
def tsc_offset(cpu: Cpu, tsc: u64) -> u64:
    """What RDTSC, RDTSCP and RDMSR of the TSC see: offset and scaling in non-root operation."""
    return tsc


@slot
def cr_fixed_check(cpu: Cpu, register: int, value: u64) -> bool:
    """False where VMX operation forbids this CR0 or CR4 value (fixed bits): MOV to CR then raises #GP(0)."""
    return True


@slot
def on_iret_unblock_nmi(cpu: Cpu) -> None:
    """IRET ends NMI blocking (or virtual-NMI blocking)."""
    cpu.interruptibility = u8(cpu.interruptibility & 7)


@slot
def vmx_msr_read(cpu: Cpu, index: u64) -> bool:
    """RDMSR of a VMX capability MSR: sets cpu.request_value and gives True, or False when the MSR does not exist."""
    return False
