"""Why no processor model offers a VMX control, by “vector.name”: it goes with a feature that no model has."""

from __future__ import annotations

TRACE = "no model has Intel Processor Trace"
SMM = "there is no system-management mode"
FRED = "no model has FRED"
CET = "no model has CET: calls, returns, far transfers, event delivery, IRET and SYSCALL would have to keep shadow stacks first"
USER_INTERRUPTS = "no model has user interrupts"
BRANCH_RECORDS = "no model has architectural last-branch records"
BOUNDS = "no model has MPX"

REASONS: dict[str, str] = {
    "secondary.enable_encls_exiting": "no model has SGX",
    "secondary.enable_enclv_exiting": "no model has SGX",
    "secondary.conceal_from_pt": TRACE,
    "secondary.pt_guest_physical": TRACE,
    "secondary.pasid_translation": "no model has ENQCMD",
    "secondary.enable_pconfig": "no model has PCONFIG",
    "secondary.bus_lock_detection": "no access locks a bus: there is one processor, and LOCK needs none",
    "secondary.instruction_timeout": "no instruction of the machine takes longer than one tick",
    "tertiary.loadiwkey_exiting": "no model has Key Locker",
    "tertiary.seam_guest_physical_width": "there is no SEAM",
    "tertiary.enable_pbndkb": "no model has PBNDKB",
    "tertiary.pebs_guest_physical": "no model has precise event-based sampling",
    "exit.clear_bndcfgs": BOUNDS,
    "exit.conceal_from_pt": TRACE,
    "exit.clear_rtit_ctl": TRACE,
    "exit.clear_lbr_ctl": BRANCH_RECORDS,
    "exit.clear_uinv": USER_INTERRUPTS,
    "exit.load_cet_state": CET,
    "secondary_exit.save_fred": FRED,
    "secondary_exit.load_fred": FRED,
    "secondary_exit.prematurely_busy_shadow_stack": CET,
    "entry.entry_to_smm": SMM,
    "entry.deactivate_dual_monitor": SMM,
    "entry.load_bndcfgs": BOUNDS,
    "entry.conceal_from_pt": TRACE,
    "entry.load_rtit_ctl": TRACE,
    "entry.load_uinv": USER_INTERRUPTS,
    "entry.load_cet_state": CET,
    "entry.load_lbr_ctl": BRANCH_RECORDS,
    "entry.load_fred": FRED,
    "entry.allow_seam_telemetry": "there is no SEAM",
    "ept.supervisor_shadow_stack": CET,
}

CHOICES: tuple[str, ...] = (
    (
        "Translations that may be kept are kept (`--tlb keep`), however long, but for what the 2,048 entries of the TLB and 128 mappings"
        " of EPT alone push out; a change of armed data breakpoints ends them all. `--tlb nothing` and `--tlb random` choose otherwise."
    ),
    "INVVPID and INVLPG end no mapping of EPT alone: after a change of EPT only INVEPT helps, with VPID and without.",
    "VM exits save IA32_PKRS and IA32_SPEC_CTRL where the processor supports their load by VM entries, whatever the controls say.",
    (
        "VM-instruction error 6 is never reported: a VMCS that stays active over VMXOFF and VMXON keeps its launch state, and VMRESUME"
        " after a new VMPTRLD accepts it."
    ),
    "A VMREAD or VMWRITE of a guest that fails with VMfailValid puts the error number into the current VMCS, not into its shadow.",
    "VMWRITE to read-only fields fails with error 13 but in the model `newest`, whose IA32_VMX_MISC bit 29 is 1.",
    "A write that touches two pieces of 128 bytes is not eligible for sub-page permissions: it is an EPT violation.",
    "With a full page-modification log, an access that would only set an accessed flag exits, too; an EPT violation goes first.",
    (
        "The load of PDPTEs by MOV to a control register is a read for EPT, whatever EPTP says of accessed and dirty flags; a violation"
        " reports no linear address."
    ),
    "HLAT paging sets accessed and dirty flags as ordinary paging does; a reserved bit of an entry goes before its restart bit.",
    (
        "Paging-write access is that of the last EPT entry alone, and guest-paging verification asks for its bit 58 whether or not"
        " “EPT paging-write control” is 1."
    ),
    "In shutdown, external interrupts stay pending; NMIs, INIT and the preemption timer end it or exit.",
)
"""What vmxon does where the manual allows several things or says little."""
