"""Exit qualifications (Vol. 3C §28.2.1 “Basic VM-Exit Information”): one word for each reason that has details."""

from enum import IntEnum

from vmxon.arch.bits import Word, choice, field, flag
from vmxon.vmx.exit_reasons import ExitReason


class CrAccessType(IntEnum):
    """What was done to a control register."""

    MOV_TO_CR = 0
    MOV_FROM_CR = 1
    CLTS = 2
    LMSW = 3


class TaskSwitchSource(IntEnum):
    """What attempted a task switch."""

    CALL = 0
    IRET = 1
    JMP = 2
    TASK_GATE = 3


class ApicAccessType(IntEnum):
    """What kind of access touched the APIC-access page."""

    LINEAR_READ = 0
    LINEAR_WRITE = 1
    LINEAR_FETCH = 2
    LINEAR_EVENT_DELIVERY = 3
    LINEAR_MONITORING = 4
    PHYSICAL_EVENT_DELIVERY = 10
    PHYSICAL_MONITORING = 11
    PHYSICAL_INSTRUCTION = 15


class DebugQualification(Word, width=64):
    """A debug exception: what DR6 would say (Table 28-1)."""

    b0 = flag(0, "breakpoint 0 met its condition")
    b1 = flag(1, "breakpoint 1 met its condition")
    b2 = flag(2, "breakpoint 2 met its condition")
    b3 = flag(3, "breakpoint 3 met its condition")
    bus_lock = flag(11, "a bus lock")
    bd = flag(13, "debug-register access under DR7.GD")
    bs = flag(14, "single step, or a branch under BTF")
    rtm = flag(16, "inside a transactional region")


class StartupIpiQualification(Word, width=64):
    """A start-up IPI."""

    vector = field(7, 0, "vector; the processor would start at vector × 4 KiB")


class TaskSwitchQualification(Word, width=64):
    """A task switch (Table 28-2)."""

    selector = field(15, 0, "selector of the new TSS")
    source = choice(31, 30, TaskSwitchSource, "what attempted it")


class CrAccessQualification(Word, width=64):
    """An access to a control register (Table 28-3)."""

    number = field(3, 0, "number of the control register; 0 for CLTS and LMSW")
    access = choice(5, 4, CrAccessType, "what was done")
    lmsw_memory = flag(6, "LMSW had a memory operand")
    register = field(11, 8, "general-purpose register of MOV, in the order RAX, RCX, RDX, RBX, RSP, …")
    lmsw_source = field(31, 16, "operand of LMSW")


class MovDrQualification(Word, width=64):
    """MOV to or from a debug register (Table 28-4)."""

    number = field(2, 0, "number of the debug register")
    from_dr = flag(4, "MOV from the debug register")
    register = field(11, 8, "general-purpose register")


class IoQualification(Word, width=64):
    """An I/O instruction (Table 28-5)."""

    size_minus_one = field(2, 0, "bytes of the access minus one: 0, 1 or 3")
    input = flag(3, "IN or INS")
    string = flag(4, "INS or OUTS")
    rep = flag(5, "REP prefix")
    immediate = flag(6, "the port is an immediate, not DX")
    port = field(31, 16, "port number")


class ApicAccessQualification(Word, width=64):
    """An access to the APIC-access page (Table 28-6)."""

    offset = field(11, 0, "offset in the page, for linear accesses")
    access = choice(15, 12, ApicAccessType, "kind of access")
    asynchronous = flag(16, "not part of an instruction or event delivery")


class EptViolationQualification(Word, width=64):
    """An EPT violation (Table 28-7)."""

    read = flag(0, "the access was a data read")
    write = flag(1, "the access was a data write")
    fetch = flag(2, "the access was an instruction fetch")
    readable = flag(3, "the EPT entries allow reads")
    writable = flag(4, "the EPT entries allow writes")
    executable = flag(5, "the EPT entries allow fetches (of supervisor pages, under mode-based execute control)")
    user_executable = flag(6, "the EPT entries allow fetches of user pages, under mode-based execute control")
    linear_valid = flag(7, "the guest-linear-address field is valid")
    translated = flag(8, "the access was to the translated address; 0: to a paging entry on the way")
    user_linear = flag(9, "the linear address is a user page")
    writable_linear = flag(10, "the linear address is writable")
    execute_disable_linear = flag(11, "the linear address is not executable")
    nmi_unblocking = flag(12, "an IRET that unblocked NMIs faulted; block them again before resuming")
    shadow_stack = flag(13, "the access was a shadow-stack access")
    supervisor_shadow_stack = flag(14, "the EPT entry marks a supervisor shadow-stack page")
    paging_verification = flag(15, "guest-paging verification failed")
    asynchronous = flag(16, "not part of an instruction or event delivery")


class MwaitQualification(Word, width=64):
    """MWAIT."""

    armed = flag(0, "address-range monitoring was armed")


class VectorQualification(Word, width=64):
    """A virtualized EOI."""

    vector = field(7, 0, "vector whose interrupt ended")


class ApicWriteQualification(Word, width=64):
    """A virtualized APIC write."""

    offset = field(11, 0, "offset of the register in the virtual-APIC page")


class NmiUnblockingQualification(Word, width=64):
    """A full page-modification log."""

    nmi_unblocking = flag(12, "an IRET that unblocked NMIs was interrupted; block them again before resuming")


class SppQualification(Word, width=64):
    """A sub-page permission event."""

    miss = flag(11, "1: an entry that is not valid; 0: an illegal entry")
    nmi_unblocking = flag(12, "an IRET that unblocked NMIs was interrupted; block them again before resuming")


class TimeoutQualification(Word, width=64):
    """An instruction timeout."""

    context_invalid = flag(0, "the VM context is not valid: do not resume")
    nmi_unblocking = flag(12, "an IRET that unblocked NMIs was interrupted; block them again before resuming")


class MsrListQualification(Word, width=64):
    """RDMSRLIST and WRMSRLIST; 0 where there are no MSR bitmaps."""

    msr = field(31, 0, "the MSR whose access exits")


QUALIFICATIONS: dict[ExitReason, type[Word]] = {
    ExitReason.STARTUP_IPI: StartupIpiQualification,
    ExitReason.TASK_SWITCH: TaskSwitchQualification,
    ExitReason.CR_ACCESS: CrAccessQualification,
    ExitReason.MOV_DR: MovDrQualification,
    ExitReason.IO_INSTRUCTION: IoQualification,
    ExitReason.IO_SMI: IoQualification,
    ExitReason.MWAIT: MwaitQualification,
    ExitReason.APIC_ACCESS: ApicAccessQualification,
    ExitReason.VIRTUALIZED_EOI: VectorQualification,
    ExitReason.EPT_VIOLATION: EptViolationQualification,
    ExitReason.APIC_WRITE: ApicWriteQualification,
    ExitReason.PML_FULL: NmiUnblockingQualification,
    ExitReason.SPP_EVENT: SppQualification,
    ExitReason.INSTRUCTION_TIMEOUT: TimeoutQualification,
    ExitReason.RDMSRLIST: MsrListQualification,
    ExitReason.WRMSRLIST: MsrListQualification,
}
"""How to read the exit qualification.

Reason 0 has `DebugQualification` for #DB and the linear address for #PF. INVLPG has its operand there. Instructions
with a memory operand (VMX instructions, INVEPT, LGDT, XSAVES, …) have the displacement. The others have 0.
"""
