"""Basic exit reasons and the exit-reason word (Vol. 3D App. C “VMX Basic Exit Reasons”, Vol. 3C §25.9.1)."""

from __future__ import annotations

from enum import IntEnum
from typing import Self

from vmxon.arch.bits import Word, field, flag


class ExitReason(IntEnum):
    """Why a guest exited (bits 15:0 of the exit reason); `title` says it in a few words."""

    title: str

    def __new__(cls, number: int, title: str = "") -> Self:
        reason = int.__new__(cls, number)
        reason._value_ = number
        reason.title = title
        return reason

    EXCEPTION_OR_NMI = 0, "an exception of the bitmap, or an NMI"
    EXTERNAL_INTERRUPT = 1, "an external interrupt"
    TRIPLE_FAULT = 2, "a fault while delivering a double fault"
    INIT_SIGNAL = 3, "an INIT signal"
    STARTUP_IPI = 4, "a start-up IPI, while waiting for one"
    IO_SMI = 5, "an SMI right after an I/O instruction"
    OTHER_SMI = 6, "an SMI"
    INTERRUPT_WINDOW = 7, "an interrupt could be delivered"
    NMI_WINDOW = 8, "an NMI could be delivered"
    TASK_SWITCH = 9, "a task switch was attempted"
    CPUID = 10, "CPUID"
    GETSEC = 11, "GETSEC"
    HLT = 12, "HLT"
    INVD = 13, "INVD"
    INVLPG = 14, "INVLPG"
    RDPMC = 15, "RDPMC"
    RDTSC = 16, "RDTSC"
    RSM = 17, "RSM in SMM"
    VMCALL = 18, "VMCALL"
    VMCLEAR = 19, "VMCLEAR"
    VMLAUNCH = 20, "VMLAUNCH"
    VMPTRLD = 21, "VMPTRLD"
    VMPTRST = 22, "VMPTRST"
    VMREAD = 23, "VMREAD"
    VMRESUME = 24, "VMRESUME"
    VMWRITE = 25, "VMWRITE"
    VMXOFF = 26, "VMXOFF"
    VMXON = 27, "VMXON"
    CR_ACCESS = 28, "an access to CR0, CR3, CR4 or CR8, CLTS or LMSW"
    MOV_DR = 29, "MOV to or from a debug register"
    IO_INSTRUCTION = 30, "IN, OUT, INS or OUTS"
    RDMSR = 31, "RDMSR"
    WRMSR = 32, "WRMSR"
    INVALID_GUEST_STATE = 33, "VM entry failed: the guest state breaks a rule"
    MSR_LOADING = 34, "VM entry failed: an MSR of the load list was refused"
    MWAIT = 36, "MWAIT"
    MONITOR_TRAP_FLAG = 37, "one guest instruction ran under the monitor trap flag"
    MONITOR = 39, "MONITOR"
    PAUSE = 40, "PAUSE, or a loop of them"
    MACHINE_CHECK_AT_ENTRY = 41, "VM entry failed: a machine check"
    TPR_BELOW_THRESHOLD = 43, "the virtual task priority fell below the threshold"
    APIC_ACCESS = 44, "an access to the APIC-access page"
    VIRTUALIZED_EOI = 45, "an end of interrupt for a vector of the EOI-exit bitmap"
    GDTR_OR_IDTR = 46, "LGDT, LIDT, SGDT or SIDT"
    LDTR_OR_TR = 47, "LLDT, LTR, SLDT or STR"
    EPT_VIOLATION = 48, "EPT does not allow the access"
    EPT_MISCONFIGURATION = 49, "an EPT entry has an illegal value"
    INVEPT = 50, "INVEPT"
    RDTSCP = 51, "RDTSCP"
    PREEMPTION_TIMER = 52, "the VMX-preemption timer reached 0"
    INVVPID = 53, "INVVPID"
    WBINVD = 54, "WBINVD or WBNOINVD"
    XSETBV = 55, "XSETBV"
    APIC_WRITE = 56, "a virtualized APIC write that software must finish"
    RDRAND = 57, "RDRAND"
    INVPCID = 58, "INVPCID"
    VMFUNC = 59, "VMFUNC that could not be done"
    ENCLS = 60, "ENCLS"
    RDSEED = 61, "RDSEED"
    PML_FULL = 62, "the page-modification log is full"
    XSAVES = 63, "XSAVES"
    XRSTORS = 64, "XRSTORS"
    PCONFIG = 65, "PCONFIG"
    SPP_EVENT = 66, "sub-page permission miss or misconfiguration"
    UMWAIT = 67, "UMWAIT"
    TPAUSE = 68, "TPAUSE"
    LOADIWKEY = 69, "LOADIWKEY"
    ENCLV = 70, "ENCLV"
    ENQCMD_PASID = 72, "ENQCMD whose PASID has no translation"
    ENQCMDS_PASID = 73, "ENQCMDS whose PASID has no translation"
    BUS_LOCK = 74, "a bus lock"
    INSTRUCTION_TIMEOUT = 75, "no instruction boundary in time"
    SEAMCALL = 76, "SEAMCALL"
    TDCALL = 77, "TDCALL"
    RDMSRLIST = 78, "RDMSRLIST"
    WRMSRLIST = 79, "WRMSRLIST"
    URDMSR = 80, "URDMSR"
    UWRMSR = 81, "UWRMSR"
    RDMSR_IMMEDIATE = 84, "RDMSR with an immediate operand"
    WRMSRNS_IMMEDIATE = 85, "WRMSRNS with an immediate operand"

    @property
    def entry_failed(self) -> bool:
        """True for the reasons of a VM entry that failed after its controls and host state were accepted."""
        return self in (ExitReason.INVALID_GUEST_STATE, ExitReason.MSR_LOADING, ExitReason.MACHINE_CHECK_AT_ENTRY)


class ExitReasonWord(Word, width=32):
    """The exit-reason field (“Format of Exit Reason”)."""

    basic = field(15, 0, "`ExitReason`")
    shadow_stack_busy = flag(25, "a shadow stack was left busy too early")
    bus_lock = flag(26, "a bus lock came before, under “VMM bus-lock detection”")
    enclave = flag(27, "the processor was in enclave mode")
    pending_mtf = flag(28, "a monitor-trap exit was pending")
    from_root = flag(29, "the exit came from VMX root operation (SMM only)")
    entry_failed = flag(31, "VM entry failed; no guest instruction ran")


class EntryFailure(IntEnum):
    """Exit qualification of exit reason 33 (Vol. 3C §27.8 “VM-Entry Failures During or After Loading Guest State”)."""

    GENERAL = 0
    PDPTE = 2
    NMI_INJECTION = 3
    LINK_POINTER = 4
