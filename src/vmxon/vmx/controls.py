"""The VMX control vectors (Vol. 3C §25.6 “VM-Execution Control Fields” to §25.8 “VM-Entry Control Fields”).

`title` is the manual's name of a control, `doc` what it does when it is 1. `DEFAULT1` holds the reserved bits that must
be 1, and those controls that older processors cannot switch off (Vol. 3D App. A.2).
"""

from __future__ import annotations

from vmxon.arch.bits import Bits, Word, field, flag


def control(bit: int, title: str, doc: str) -> Bits[bool]:
    """One control, with the manual's name."""
    return flag(bit, doc, title)


class PinBased(Word, width=32):
    """Pin-based VM-execution controls (Table 25-5)."""

    external_interrupt_exiting = control(0, "external-interrupt exiting", "external interrupts exit")
    nmi_exiting = control(3, "NMI exiting", "NMIs exit")
    virtual_nmis = control(5, "virtual NMIs", "NMI blocking is the guest's own; NMIs themselves exit")
    preemption_timer = control(6, "activate VMX-preemption timer", "the timer counts down in the guest and exits at 0")
    posted_interrupts = control(7, "process posted interrupts", "the notification vector delivers virtual interrupts")


class PrimaryProcessorBased(Word, width=32):
    """Primary processor-based VM-execution controls (Table 25-6)."""

    interrupt_window_exiting = control(2, "interrupt-window exiting", "exits as soon as an interrupt could be delivered")
    use_tsc_offsetting = control(3, "use TSC offsetting", "the guest's TSC is the real one plus the TSC offset")
    hlt_exiting = control(7, "HLT exiting", "HLT exits")
    invlpg_exiting = control(9, "INVLPG exiting", "INVLPG exits, and so does INVPCID")
    mwait_exiting = control(10, "MWAIT exiting", "MWAIT exits")
    rdpmc_exiting = control(11, "RDPMC exiting", "RDPMC exits")
    rdtsc_exiting = control(12, "RDTSC exiting", "RDTSC and RDTSCP exit")
    cr3_load_exiting = control(15, "CR3-load exiting", "MOV to CR3 exits unless the value is a CR3 target")
    cr3_store_exiting = control(16, "CR3-store exiting", "MOV from CR3 exits")
    activate_tertiary = control(17, "activate tertiary controls", "the tertiary controls count; otherwise they are 0")
    cr8_load_exiting = control(19, "CR8-load exiting", "MOV to CR8 exits")
    cr8_store_exiting = control(20, "CR8-store exiting", "MOV from CR8 exits")
    use_tpr_shadow = control(21, "use TPR shadow", "CR8 and the task priority come from the virtual-APIC page")
    nmi_window_exiting = control(22, "NMI-window exiting", "exits as soon as a virtual NMI could be delivered")
    mov_dr_exiting = control(23, "MOV-DR exiting", "MOV to and from debug registers exits")
    unconditional_io_exiting = control(24, "unconditional I/O exiting", "every I/O instruction exits")
    use_io_bitmaps = control(25, "use I/O bitmaps", "the I/O bitmaps decide which ports exit")
    monitor_trap_flag = control(27, "monitor trap flag", "exits after every guest instruction")
    use_msr_bitmaps = control(28, "use MSR bitmaps", "the MSR bitmaps decide which MSRs exit; otherwise all do")
    monitor_exiting = control(29, "MONITOR exiting", "MONITOR exits")
    pause_exiting = control(30, "PAUSE exiting", "PAUSE exits")
    activate_secondary = control(31, "activate secondary controls", "the secondary controls count; otherwise they are 0")


class SecondaryProcessorBased(Word, width=32):
    """Secondary processor-based VM-execution controls (Table 25-7)."""

    virtualize_apic_accesses = control(0, "virtualize APIC accesses", "accesses to the APIC-access page are special")
    enable_ept = control(1, "enable EPT", "guest-physical addresses are translated by extended page tables")
    descriptor_table_exiting = control(2, "descriptor-table exiting", "LGDT, SGDT, LLDT, LTR and their kin exit")
    enable_rdtscp = control(3, "enable RDTSCP", "RDTSCP and RDPID work; otherwise they raise #UD")
    virtualize_x2apic_mode = control(4, "virtualize x2APIC mode", "accesses to APIC MSRs are special")
    enable_vpid = control(5, "enable VPID", "linear translations are tagged with the VPID and survive transitions")
    wbinvd_exiting = control(6, "WBINVD exiting", "WBINVD exits")
    unrestricted_guest = control(7, "unrestricted guest", "the guest may run without paging and in real mode")
    apic_register_virtualization = control(
        8, "APIC-register virtualization", "reads of most APIC registers come from the virtual-APIC page"
    )
    virtual_interrupt_delivery = control(9, "virtual-interrupt delivery", "the processor delivers virtual interrupts by itself")
    pause_loop_exiting = control(10, "PAUSE-loop exiting", "a tight loop of PAUSE at CPL 0 exits")
    rdrand_exiting = control(11, "RDRAND exiting", "RDRAND exits")
    enable_invpcid = control(12, "enable INVPCID", "INVPCID works; otherwise it raises #UD")
    enable_vm_functions = control(13, "enable VM functions", "VMFUNC works as the VM-function controls say")
    vmcs_shadowing = control(14, "VMCS shadowing", "VMREAD and VMWRITE in the guest reach the shadow VMCS")
    enable_encls_exiting = control(15, "enable ENCLS exiting", "the ENCLS-exiting bitmap decides which leaves exit")
    rdseed_exiting = control(16, "RDSEED exiting", "RDSEED exits")
    enable_pml = control(17, "enable PML", "first writes to pages are logged")
    ept_violation_ve = control(18, "EPT-violation #VE", "EPT violations may raise #VE in the guest instead of exiting")
    conceal_from_pt = control(19, "conceal VMX from PT", "processor trace does not show VMX")
    enable_xsaves = control(20, "enable XSAVES/XRSTORS", "XSAVES and XRSTORS work; otherwise they raise #UD")
    pasid_translation = control(21, "PASID translation", "ENQCMD translates the guest's PASIDs")
    mode_based_execute = control(
        22, "mode-based execute control for EPT", "EPT has separate fetch permissions for supervisor and user pages"
    )
    sub_page_write_permissions = control(23, "sub-page write permissions for EPT", "EPT write permission can be given for 128-byte pieces")
    pt_guest_physical = control(24, "Intel PT uses guest physical addresses", "EPT translates the addresses of processor trace")
    use_tsc_scaling = control(25, "use TSC scaling", "the TSC multiplier applies before the offset")
    enable_user_wait_and_pause = control(26, "enable user wait and pause", "TPAUSE, UMONITOR and UMWAIT work")
    enable_pconfig = control(27, "enable PCONFIG", "PCONFIG works as its bitmap says")
    enable_enclv_exiting = control(28, "enable ENCLV exiting", "the ENCLV-exiting bitmap decides which leaves exit")
    bus_lock_detection = control(30, "VMM bus-lock detection", "a bus lock exits after its instruction")
    instruction_timeout = control(31, "instruction timeout", "exits if no instruction boundary comes in time")


class TertiaryProcessorBased(Word, width=64):
    """Tertiary processor-based VM-execution controls (Table 25-8)."""

    loadiwkey_exiting = control(0, "LOADIWKEY exiting", "LOADIWKEY exits")
    enable_hlat = control(1, "enable HLAT", "some linear addresses are translated by the hypervisor's own tables")
    ept_paging_write = control(2, "EPT paging-write control", "EPT can allow writes by the page walk alone")
    guest_paging_verification = control(3, "guest-paging verification", "EPT can demand properties of the guest's walk")
    ipi_virtualization = control(4, "IPI virtualization", "inter-processor interrupts are posted without exit")
    seam_guest_physical_width = control(5, "SEAM guest-physical address width", "width of addresses in SEAM guests")
    enable_msr_list = control(6, "enable MSR-list instructions", "RDMSRLIST and WRMSRLIST work")
    virtualize_spec_ctrl = control(7, "virtualize IA32_SPEC_CTRL", "the guest sees and sets a masked IA32_SPEC_CTRL")
    apic_timer_virtualization = control(8, "APIC-timer virtualization", "the guest has a TSC-deadline timer of its own")
    enable_pbndkb = control(9, "enable PBNDKB", "PBNDKB works; otherwise it raises #UD")
    pebs_guest_physical = control(12, "PEBS uses guest physical addresses", "EPT translates the addresses of PEBS")


class PrimaryExit(Word, width=32):
    """Primary VM-exit controls (Table 25-13)."""

    save_debug_controls = control(2, "save debug controls", "DR7 and IA32_DEBUGCTL are saved")
    host_address_space_size = control(9, "host address-space size", "the host runs in 64-bit mode")
    load_perf_global_ctrl = control(12, "load IA32_PERF_GLOBAL_CTRL", "that MSR is loaded for the host")
    acknowledge_interrupt = control(15, "acknowledge interrupt on exit", "the interrupt that exits is acknowledged and its vector saved")
    save_pat = control(18, "save IA32_PAT", "that MSR is saved")
    load_pat = control(19, "load IA32_PAT", "that MSR is loaded for the host")
    save_efer = control(20, "save IA32_EFER", "that MSR is saved")
    load_efer = control(21, "load IA32_EFER", "that MSR is loaded for the host")
    save_preemption_timer = control(22, "save VMX-preemption timer value", "the rest of the timer is saved")
    clear_bndcfgs = control(23, "clear IA32_BNDCFGS", "that MSR is cleared")
    conceal_from_pt = control(24, "conceal VMX from PT", "processor trace does not show the exit")
    clear_rtit_ctl = control(25, "clear IA32_RTIT_CTL", "that MSR is cleared")
    clear_lbr_ctl = control(26, "clear IA32_LBR_CTL", "that MSR is cleared")
    clear_uinv = control(27, "clear UINV", "the user-interrupt notification vector is cleared")
    load_cet_state = control(28, "load CET state", "the CET registers are loaded for the host")
    load_pkrs = control(29, "load PKRS", "IA32_PKRS is loaded for the host")
    save_perf_global_ctl = control(30, "save IA32_PERF_GLOBAL_CTL", "that MSR is saved")
    activate_secondary = control(31, "activate secondary controls", "the secondary exit controls count")


class SecondaryExit(Word, width=64):
    """Secondary VM-exit controls (Table 25-14)."""

    save_fred = control(0, "save FRED", "the FRED registers are saved")
    load_fred = control(1, "load FRED", "the FRED registers are loaded for the host")
    load_spec_ctrl = control(2, "load IA32_SPEC_CTRL", "that MSR is loaded for the host")
    prematurely_busy_shadow_stack = control(3, "prematurely busy shadow stack", "exits that leave a shadow stack busy too early say so")


class Entry(Word, width=32):
    """VM-entry controls (Table 25-16)."""

    load_debug_controls = control(2, "load debug controls", "DR7 and IA32_DEBUGCTL are loaded")
    ia32e_mode_guest = control(9, "IA-32e mode guest", "the guest runs in long mode; becomes IA32_EFER.LMA")
    entry_to_smm = control(10, "entry to SMM", "the guest runs in system-management mode")
    deactivate_dual_monitor = control(11, "deactivate dual-monitor treatment", "SMIs are treated the default way again")
    load_perf_global_ctrl = control(13, "load IA32_PERF_GLOBAL_CTRL", "that MSR is loaded")
    load_pat = control(14, "load IA32_PAT", "that MSR is loaded")
    load_efer = control(15, "load IA32_EFER", "that MSR is loaded")
    load_bndcfgs = control(16, "load IA32_BNDCFGS", "that MSR is loaded")
    conceal_from_pt = control(17, "conceal VMX from PT", "processor trace does not show the entry")
    load_rtit_ctl = control(18, "load IA32_RTIT_CTL", "that MSR is loaded")
    load_uinv = control(19, "load UINV", "the user-interrupt notification vector is loaded")
    load_cet_state = control(20, "load CET state", "the CET registers are loaded")
    load_lbr_ctl = control(21, "load guest IA32_LBR_CTL", "that MSR is loaded")
    load_pkrs = control(22, "load PKRS", "IA32_PKRS is loaded")
    load_fred = control(23, "load FRED", "the FRED registers are loaded")
    load_spec_ctrl = control(24, "load IA32_SPEC_CTRL", "that MSR is loaded")
    allow_seam_telemetry = control(25, "allow SEAM-guest telemetry", "out-of-band telemetry goes on in SEAM guests")


class VmFunctions(Word, width=64):
    """VM-function controls (Table 25-10)."""

    eptp_switching = control(0, "EPTP switching", "VMFUNC 0 changes EPTP to an entry of the EPTP list")


class EptPointer(Word, width=64):
    """EPTP: root and format of the extended page tables (§25.6.11 “Extended-Page-Table Pointer (EPTP)”)."""

    memory_type = field(2, 0, "memory type of the paging structures: 0 UC, 6 WB")
    walk_length = field(5, 3, "page-walk length minus one")
    accessed_dirty = flag(6, "accessed and dirty flags enabled")
    supervisor_shadow_stack = flag(7, "access rights of supervisor shadow-stack pages enforced")
    root = field(51, 12, "bits 51:12 of the physical address of the top table")


DEFAULT1: dict[type[Word], int] = {
    PinBased: 1 << 1 | 1 << 2 | 1 << 4,
    PrimaryProcessorBased: 1 << 1 | 0b111 << 4 | 1 << 8 | 0b1111 << 13 | 1 << 26,
    PrimaryExit: 0x1FF | 0b11 << 10 | 0b11 << 13 | 0b11 << 16,
    Entry: 0x1FF | 1 << 12,
}
"""Bits that always read as “must be 1” in the plain capability MSRs (Vol. 3D App. A.3.1, A.3.2, A.4.1, A.5)."""

VECTORS: dict[str, type[Word]] = {
    "pin": PinBased,
    "primary": PrimaryProcessorBased,
    "secondary": SecondaryProcessorBased,
    "tertiary": TertiaryProcessorBased,
    "exit": PrimaryExit,
    "secondary_exit": SecondaryExit,
    "entry": Entry,
    "vm_functions": VmFunctions,
}
"""The vectors by the name that `VmxModel` and “vector.name” use."""
