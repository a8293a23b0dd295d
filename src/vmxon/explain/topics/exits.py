"""What is usually behind each exit reason, and what a hypervisor does about it."""

from __future__ import annotations

from typing import NamedTuple

from vmxon.arch.sdm import Sdm
from vmxon.explain.control_reasons import REASONS, SMM
from vmxon.vmx.exit_reasons import ExitReason as R

ALWAYS = Sdm("3C", "26.1.2", "Instructions That Cause VM Exits Unconditionally")
CONDITIONAL = Sdm("3C", "26.1.3", "Instructions That Cause VM Exits Conditionally")
OTHER = Sdm("3C", "26.2", "Other Causes of VM Exits")
ENTRY_FAILURE = Sdm("3C", "27.8", "VM-Entry Failures During or After Loading Guest State")
LOADING_MSRS = Sdm("3C", "27.4", "Loading MSRs")
MACHINE_CHECK = Sdm("3C", "27.9", "Machine-Check Events During VM Entry")
EPT_VIOLATION = Sdm("3C", "29.3.3.2", "EPT Violations")
EPT_MISCONFIGURATION = Sdm("3C", "29.3.3.1", "EPT Misconfigurations")
PREEMPTION_TIMER = Sdm("3C", "26.5.1", "VMX-Preemption Timer")
MONITOR_TRAP = Sdm("3C", "26.5.2", "Monitor Trap Flag")
VM_FUNCTIONS = Sdm("3C", "26.5.6", "VM Functions")
APIC_ACCESSES = Sdm("3C", "30.4", "Virtualizing Memory-Mapped APIC Accesses")
EOI = Sdm("3C", "30.1.4", "EOI Virtualization")
TPR = Sdm("3C", "30.1.2", "TPR Virtualization")
PML = Sdm("3C", "29.3.6", "Page-Modification Logging")

ADVANCE = "and add the VM-exit instruction length to GUEST_RIP, or it exits again"
VMX_INSTRUCTIONS = (R.VMCLEAR, R.VMLAUNCH, R.VMPTRLD, R.VMPTRST, R.VMREAD, R.VMRESUME, R.VMWRITE, R.VMXOFF, R.VMXON, R.INVEPT, R.INVVPID)


class ExitAdvice(NamedTuple):
    """Where the manual describes an exit, what makes it happen, and what to do at it."""

    source: Sdm
    cause: str
    action: str


ADVICE: dict[R, ExitAdvice] = {
    R.EXCEPTION_OR_NMI: ExitAdvice(
        OTHER,
        "its bit in the exception bitmap is 1 (for #PF together with the error-code mask and match), or “NMI exiting” is 1",
        "read the VM-exit interruption information; to let the guest have the exception, inject it with its error code",
    ),
    R.EXTERNAL_INTERRUPT: ExitAdvice(
        OTHER,
        "an interrupt arrived under “external-interrupt exiting”",
        "serve it; with “acknowledge interrupt on exit” the vector is in the interruption information, else open interrupts once",
    ),
    R.TRIPLE_FAULT: ExitAdvice(
        OTHER,
        "the guest's IDT, GDT, page tables or stack are wrong: a fault, a fault in its delivery, and a fault in that of #DF",
        "stop the guest; set bits 8, 13 and 14 of the exception bitmap to see the first fault with the registers still intact",
    ),
    R.INIT_SIGNAL: ExitAdvice(OTHER, "an INIT arrived; in the guest it always exits", "reset the virtual processor, or hold the INIT"),
    R.STARTUP_IPI: ExitAdvice(
        OTHER, "the guest waits for SIPI and one arrived", "start the virtual processor at vector × 4 KiB in real mode"
    ),
    R.IO_SMI: ExitAdvice(OTHER, "dual-monitor treatment: an SMI came after an I/O instruction", "this belongs to the SMM monitor"),
    R.OTHER_SMI: ExitAdvice(OTHER, "dual-monitor treatment: an SMI came", "this belongs to the SMM monitor"),
    R.INTERRUPT_WINDOW: ExitAdvice(
        OTHER,
        "“interrupt-window exiting” is 1 and the guest can take interrupts now",
        "inject the waiting interrupt and clear “interrupt-window exiting”, or it exits after each instruction",
    ),
    R.NMI_WINDOW: ExitAdvice(
        OTHER, "“NMI-window exiting” is 1 and the guest can take an NMI now", "inject the NMI and clear “NMI-window exiting”"
    ),
    R.TASK_SWITCH: ExitAdvice(
        OTHER,
        "the guest switched tasks by CALL, JMP, IRET or a task gate, which VMX does not do",
        "do the switch in software: save to the old TSS, load from the new one, write the guest state",
    ),
    R.CPUID: ExitAdvice(ALWAYS, "CPUID always exits", f"put what the guest shall see into RAX, RBX, RCX, RDX {ADVANCE}"),
    R.GETSEC: ExitAdvice(ALWAYS, "GETSEC always exits", f"inject #UD, or #GP {ADVANCE}"),
    R.INVD: ExitAdvice(ALWAYS, "INVD always exits", f"do nothing or WBINVD {ADVANCE}"),
    R.XSETBV: ExitAdvice(ALWAYS, "XSETBV always exits", f"test the value as the processor would, load it {ADVANCE}"),
    R.VMCALL: ExitAdvice(
        ALWAYS,
        "the guest called the hypervisor",
        f"serve the call {ADVANCE} (here 3 bytes): VMCALL is not completed by the exit",
    ),
    R.HLT: ExitAdvice(
        CONDITIONAL,
        "“HLT exiting” is 1",
        "wait until there is an event for the guest, advance RIP, and inject it; do not spin",
    ),
    R.CR_ACCESS: ExitAdvice(
        CONDITIONAL,
        "the guest changed a bit of CR0 or CR4 that the guest/host mask gives to the host, or CR3- or CR8-load or -store exiting is 1",
        f"decode the qualification, write GUEST_CRn and the read shadow {ADVANCE}; entering long mode changes “IA-32e mode guest” too",
    ),
    R.MOV_DR: ExitAdvice(CONDITIONAL, "“MOV-DR exiting” is 1", f"move between the register and the guest's debug register {ADVANCE}"),
    R.IO_INSTRUCTION: ExitAdvice(
        CONDITIONAL,
        "“unconditional I/O exiting” is 1, or a bit of the I/O bitmaps for one of the bytes is 1",
        f"decode the qualification, do the access {ADVANCE}; for INS and OUTS move the memory operand and RCX as well",
    ),
    R.RDMSR: ExitAdvice(
        CONDITIONAL,
        "“use MSR bitmaps” is 0, or the MSR's bit in the read bitmap is 1, or it is outside both ranges",
        f"put the value into EDX:EAX {ADVANCE}, or inject #GP(0)",
    ),
    R.RDMSRLIST: ExitAdvice(
        CONDITIONAL,
        "“use MSR bitmaps” is 0, or the bitmap has the bit of the MSR that the exit qualification names",
        f"do the MSRs that RCX still names, clearing their bits, {ADVANCE}",
    ),
    R.WRMSRLIST: ExitAdvice(
        CONDITIONAL,
        "“use MSR bitmaps” is 0, or the bitmap has the bit of the MSR that the exit qualification names",
        f"write MSR_DATA and what else RCX still names, clearing its bits, {ADVANCE}",
    ),
    R.WRMSR: ExitAdvice(
        CONDITIONAL,
        "“use MSR bitmaps” is 0, or the MSR's bit in the write bitmap is 1, or it is outside both ranges",
        f"take the value from EDX:EAX {ADVANCE}, or inject #GP(0)",
    ),
    R.INVALID_GUEST_STATE: ExitAdvice(
        ENTRY_FAILURE,
        "a guest-state field breaks a rule; the qualification is 0, or 2 for PDPTEs, 3 for an NMI under STI, 4 for the link pointer",
        "vmxon check names the rules that a dump breaks; from Python the result of vmlaunch carries the explanation",
    ),
    R.MSR_LOADING: ExitAdvice(
        LOADING_MSRS,
        "an entry of the VM-entry MSR-load list is refused; the qualification is its number, from 1",
        "look at that entry: FS or GS base, an x2APIC MSR, reserved bits, or a value that WRMSR would refuse",
    ),
    R.MACHINE_CHECK_AT_ENTRY: ExitAdvice(MACHINE_CHECK, "a machine check during VM entry", "treat it as one of the host"),
    R.MONITOR_TRAP_FLAG: ExitAdvice(
        MONITOR_TRAP, "“monitor trap flag” is 1, or a pending MTF exit was injected", "clear the control when single-stepping is over"
    ),
    R.TPR_BELOW_THRESHOLD: ExitAdvice(
        TPR, "the guest lowered its task priority below the TPR threshold", "deliver the interrupt that waited, and set the threshold anew"
    ),
    R.APIC_ACCESS: ExitAdvice(
        APIC_ACCESSES,
        "the guest touched the APIC-access page in a way that is not virtualized",
        f"emulate the instruction {ADVANCE}",
    ),
    R.VIRTUALIZED_EOI: ExitAdvice(
        EOI, "the vector's bit in the EOI-exit bitmap is 1", "tell the virtual I/O APIC; RIP is past the instruction"
    ),
    R.EPT_VIOLATION: ExitAdvice(
        EPT_VIOLATION,
        "the guest-physical address is not mapped, or not for this kind of access",
        "map it or emulate the access, INVEPT if a present entry changed, and resume without touching RIP; do not inject #PF",
    ),
    R.EPT_MISCONFIGURATION: ExitAdvice(
        EPT_MISCONFIGURATION,
        "an entry allows writes without reads, has reserved bits set, or has memory type 2, 3 or 7",
        "walk the EPT from EPTP at GUEST_PHYSICAL_ADDRESS and correct the entry; there is no exit qualification",
    ),
    R.PREEMPTION_TIMER: ExitAdvice(
        PREEMPTION_TIMER,
        "the timer counted down to 0",
        "write a new value: without “save VMX-preemption timer value” each entry starts with the same",
    ),
    R.APIC_WRITE: ExitAdvice(
        APIC_ACCESSES, "a write to the virtual-APIC page that software must complete", "act on the register; RIP is past the instruction"
    ),
    R.VMFUNC: ExitAdvice(VM_FUNCTIONS, "an EPTP that is not valid, or an index above 511", "inject #UD, or stop the guest"),
    R.PML_FULL: ExitAdvice(
        PML, "the page-modification log has no free entry", "read the 512 entries, write 511 to GUEST_PML_INDEX, and resume"
    ),
    R.BUS_LOCK: ExitAdvice(OTHER, "the guest asserted a bus lock under “VMM bus-lock detection”", "slow the guest down; RIP is past it"),
    R.INSTRUCTION_TIMEOUT: ExitAdvice(
        OTHER, "no instruction boundary within the instruction-timeout control", "look at bit 0 of the qualification before resuming"
    ),
    **{
        reason: ExitAdvice(
            ALWAYS, f"{reason.name} is a VMX instruction and always exits", f"emulate it for nested VMX, or inject #UD {ADVANCE}"
        )
        for reason in VMX_INSTRUCTIONS
    },
    **{reason: ExitAdvice(ALWAYS, f"{reason.name} always exits", "inject #UD") for reason in (R.SEAMCALL, R.TDCALL)},
}

ABSENT: dict[R, str] = {
    **dict.fromkeys((R.IO_SMI, R.OTHER_SMI), SMM),
    **dict.fromkeys((R.SEAMCALL, R.TDCALL), REASONS["tertiary.seam_guest_physical_width"]),
    **dict.fromkeys((R.ENQCMD_PASID, R.ENQCMDS_PASID), REASONS["secondary.pasid_translation"]),
    **{reason: f"no model has {reason.title}" for reason in (R.URDMSR, R.UWRMSR, R.RDMSR_IMMEDIATE, R.WRMSRNS_IMMEDIATE)},
    R.ENCLS: REASONS["secondary.enable_encls_exiting"],
    R.ENCLV: REASONS["secondary.enable_enclv_exiting"],
    R.PCONFIG: REASONS["secondary.enable_pconfig"],
    R.LOADIWKEY: REASONS["tertiary.loadiwkey_exiting"],
    R.BUS_LOCK: REASONS["secondary.bus_lock_detection"],
    R.INSTRUCTION_TIMEOUT: REASONS["secondary.instruction_timeout"],
}
"""Exits that never happen on our processor, and why."""

CONTROLS: dict[R, str] = {
    R.INVLPG: "INVLPG exiting",
    R.RDPMC: "RDPMC exiting",
    R.RDTSC: "RDTSC exiting",
    R.RDTSCP: "RDTSC exiting",
    R.MWAIT: "MWAIT exiting",
    R.MONITOR: "MONITOR exiting",
    R.PAUSE: "PAUSE exiting” or “PAUSE-loop exiting",
    R.GDTR_OR_IDTR: "descriptor-table exiting",
    R.LDTR_OR_TR: "descriptor-table exiting",
    R.WBINVD: "WBINVD exiting",
    R.RDRAND: "RDRAND exiting",
    R.RDSEED: "RDSEED exiting",
    R.INVPCID: "enable INVPCID” and “INVLPG exiting",
    R.XSAVES: "enable XSAVES/XRSTORS, with a bit of the XSS-exiting bitmap",
    R.XRSTORS: "enable XSAVES/XRSTORS, with a bit of the XSS-exiting bitmap",
    R.ENCLS: "enable ENCLS exiting, with a bit of its bitmap",
    R.ENCLV: "enable ENCLV exiting, with a bit of its bitmap",
    R.PCONFIG: "enable PCONFIG, with a bit of its bitmap",
    R.UMWAIT: "enable user wait and pause” and “RDTSC exiting",
    R.TPAUSE: "enable user wait and pause” and “RDTSC exiting",
    R.LOADIWKEY: "LOADIWKEY exiting",
}
"""Instructions that exit while a control is 1."""


def exit_advice(reason: R) -> ExitAdvice:
    """What is known about an exit reason."""
    if reason in ADVICE:
        return ADVICE[reason]
    if reason in CONTROLS:
        are = "are" if "” and “" in CONTROLS[reason] else "is"
        return ExitAdvice(CONDITIONAL, f"“{CONTROLS[reason]}” {are} 1", f"do what the instruction does {ADVANCE}, or inject #UD")
    return ExitAdvice(OTHER, f"{reason.title} under the control that makes it exit", "act on it, or switch the control off")
