"""The table: entry rule → a VMCS that breaks it before any other."""

from __future__ import annotations

from tests.vmx.witness import (
    BAD_PDPT,
    BEYOND,
    EPT,
    EVERYTHING,
    LINKED,
    LONG,
    NOT_CANONICAL,
    PAE,
    PAE_EPT,
    PROTECTED,
    REAL,
    REAL_MODE,
    SHORT_HOST,
    UNRESTRICTED,
    VIRTUAL_8086,
    VMCS,
    Entry,
    PinBased,
    PrimaryExit,
    PrimaryProcessorBased,
    SecondaryExit,
    SecondaryProcessorBased,
    TertiaryProcessorBased,
    VmFunctions,
    Witness,
    changed,
    having,
    lacking,
)
from vmxon.vmx.fields import VmcsField as F
from vmxon.vmx.rules.execution import DEPENDENCES, STRUCTURES
from vmxon.vmx.rules.terms import DATA, SIX

Fields = dict[F, int]
WITNESSES: dict[str, Witness] = {}
LIMITED = {**EVERYTHING, 0x48B: 0, 0x491: 0, 0x492: 0, 0x493: 0}
"""A processor that can activate secondary vectors in which no control may be 1."""
PIN, PRIMARY, EXIT, ENTRY = (
    F.PIN_BASED_VM_EXECUTION_CONTROLS,
    F.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS,
    F.PRIMARY_VM_EXIT_CONTROLS,
    F.VM_ENTRY_CONTROLS,
)


def breaks(rule: str, base: Fields, changes: Fields | None = None, capabilities: dict[int, int] | None = None) -> None:
    """Enter a row; the base of 32-bit hosts is executed outside IA-32e mode."""
    fields = changed(base, changes or {})
    short = not fields[EXIT] & PrimaryExit.host_address_space_size.mask
    WITNESSES[rule] = Witness(fields, capabilities or EVERYTHING, long_mode=not short)


# Controls

breaks("pin.must_be_one", LONG, {PIN: 0}, REAL)
breaks("pin.may_be_one", LONG, {PIN: 0x8000_0016}, REAL)
breaks("primary.must_be_one", LONG, {PRIMARY: 0}, REAL)
breaks("primary.may_be_one", LONG, {PRIMARY: LONG[PRIMARY] | 1}, REAL)
breaks("secondary.may_be_one", having(LONG, SecondaryProcessorBased.enable_pconfig), None, REAL)
breaks("tertiary.may_be_one", having(LONG, TertiaryProcessorBased.enable_hlat), None, LIMITED)
breaks("cr3_target.count", LONG, {F.CR3_TARGET_COUNT: 5})
for structure in STRUCTURES:
    base = having(LONG, structure.control)
    breaks(f"{structure.field.name.lower()}.aligned", base, {structure.field: structure.alignment // 2})
    breaks(f"{structure.field.name.lower()}.width", base, {structure.field: BEYOND})

TPR = having(LONG, PrimaryProcessorBased.use_tpr_shadow)
breaks("tpr_threshold.reserved", TPR, {F.TPR_THRESHOLD: 0x10})
breaks("tpr_threshold.above_vtpr", TPR, {F.TPR_THRESHOLD: 1, F.VIRTUAL_APIC_ADDRESS: 0x48000})

DELIVERY, EXTERNAL = SecondaryProcessorBased.virtual_interrupt_delivery, PinBased.external_interrupt_exiting
PREREQUISITES = {
    "virtual_interrupt_delivery.needs_external_interrupt_exiting": (PrimaryProcessorBased.use_tpr_shadow,),
    "posted_interrupts.needs_acknowledge_interrupt": (PrimaryProcessorBased.use_tpr_shadow, DELIVERY, EXTERNAL),
    "pt_guest_physical.needs_load_rtit_ctl": (SecondaryProcessorBased.enable_ept,),
    "pt_guest_physical.needs_clear_rtit_ctl": (SecondaryProcessorBased.enable_ept, Entry.load_rtit_ctl),
}
for pair in DEPENDENCES:
    breaks(pair.slug, having(LONG, pair.control, *PREREQUISITES.get(pair.slug, ())))

breaks(
    "x2apic.excludes_apic_accesses",
    having(TPR, SecondaryProcessorBased.virtualize_x2apic_mode, SecondaryProcessorBased.virtualize_apic_accesses),
)
POSTED = having(TPR, PinBased.posted_interrupts, DELIVERY, EXTERNAL, PrimaryExit.acknowledge_interrupt)
breaks("posted_interrupts.vector", POSTED, {F.POSTED_INTERRUPT_NOTIFICATION_VECTOR: 0x100})
breaks(
    "pid_pointer_table.end",
    having(TPR, TertiaryProcessorBased.ipi_virtualization),
    {F.PID_POINTER_TABLE_ADDRESS: BEYOND - 8, F.LAST_PID_POINTER_INDEX: 1},
)
breaks("vpid.zero", having(LONG, SecondaryProcessorBased.enable_vpid))
for part, eptp in (
    ("memory_type", 0x50019),
    ("walk_length", 0x50006),
    ("reserved", 0x5011E),
    ("width", BEYOND | 0x1E),
    ("supervisor_shadow_stack", 0x5009E),
):
    breaks(f"eptp.{part}", EPT, {F.EPTP: eptp})
breaks("eptp.accessed_dirty", EPT, {F.EPTP: 0x5005E}, {**EVERYTHING, 0x48C: EVERYTHING[0x48C] & ~(1 << 21)})
HLAT = having(EPT, TertiaryProcessorBased.enable_hlat)
breaks("hlatp.reserved", HLAT, {F.HLATP: 0x51020})
breaks("hlatp.width", HLAT, {F.HLATP: BEYOND})
FUNCTIONS = having(EPT, SecondaryProcessorBased.enable_vm_functions)
breaks("vm_functions.supported", FUNCTIONS, {F.VM_FUNCTION_CONTROLS: 2}, {**EVERYTHING, 0x491: 1})
breaks("tsc_multiplier.zero", having(LONG, SecondaryProcessorBased.use_tsc_scaling))
APIC_TIMER = having(TPR, TertiaryProcessorBased.apic_timer_virtualization, DELIVERY, EXTERNAL)
breaks("apic_timer.rdtsc", having(APIC_TIMER, PrimaryProcessorBased.rdtsc_exiting))
breaks("apic_timer.vector", APIC_TIMER, {F.VIRTUAL_TIMER_VECTOR: 0x100})

breaks("exit.must_be_one", LONG, {EXIT: PrimaryExit.host_address_space_size.mask}, REAL)
breaks("exit.may_be_one", LONG, {EXIT: LONG[EXIT] | PrimaryExit.clear_rtit_ctl.mask}, REAL)
breaks("secondary_exit.may_be_one", having(LONG, SecondaryExit.load_fred), None, LIMITED)
breaks("save_preemption_timer.needs_timer", having(LONG, PrimaryExit.save_preemption_timer))
for name in ("EXIT_MSR_STORE", "EXIT_MSR_LOAD", "ENTRY_MSR_LOAD"):
    count, address = F[f"VM_{name}_COUNT"], F[f"VM_{name}_ADDRESS"]
    breaks(f"{name.lower()}.aligned", LONG, {count: 1, address: 0x48008})
    breaks(f"{name.lower()}.width", LONG, {count: 1, address: BEYOND})
    breaks(f"{name.lower()}.end", LONG, {count: 2, address: BEYOND - 16})

breaks("entry.must_be_one", LONG, {ENTRY: Entry.ia32e_mode_guest.mask}, REAL)
breaks("entry.may_be_one", LONG, {ENTRY: LONG[ENTRY] | Entry.load_rtit_ctl.mask}, REAL)
EVENT, CODE, LENGTH = (
    F.VM_ENTRY_INTERRUPTION_INFORMATION,
    F.VM_ENTRY_EXCEPTION_ERROR_CODE,
    F.VM_ENTRY_INSTRUCTION_LENGTH,
)
for part, event in (
    ("type_reserved", 0x8000_0120),
    ("nmi_vector", 0x8000_0203),
    ("exception_vector", 0x8000_0320),
    ("other_vector", 0x8000_0701),
    ("code_missing", 0x8000_030D),
    ("code_on_other_type", 0x8000_0820),
    ("code_unexpected", 0x8000_0B06),
    ("reserved", 0x8000_4306),
    ("nested_exception", 0x8000_2306),
    ("length_zero", 0x8000_0480),
):
    breaks(f"injection.{part}", LONG, {EVENT: event})
breaks("injection.type_other", LONG, {EVENT: 0x8000_0700}, {**REAL, 0x48E: REAL[0x48E] & ~(1 << 27 << 32)})
breaks("injection.code_in_real_mode", REAL_MODE, {EVENT: 0x8000_0B0D})
breaks("injection.code_width", LONG, {EVENT: 0x8000_0B0D, CODE: 0x1_0000})
breaks("injection.length_above_15", LONG, {EVENT: 0x8000_0480, LENGTH: 16})
breaks("entry.to_smm", having(LONG, Entry.entry_to_smm))
breaks("entry.deactivate_dual_monitor", having(LONG, Entry.deactivate_dual_monitor))

# Host state

for rule, changes in {
    "host.cr0.fixed0": {F.HOST_CR0: 0x8000_0011},
    "host.cr0.fixed1": {F.HOST_CR0: 1 << 32 | 0x8000_0031},
    "host.cr4.fixed0": {F.HOST_CR4: 0x20},
    "host.cr4.fixed1": {F.HOST_CR4: 0x8000_2020},
    "host.cr4.cet": {F.HOST_CR4: 0x80_2020},
    "host.cr3.width": {F.HOST_CR3: BEYOND},
    "host.cr4.pae": {F.HOST_CR4: 0x2000},
    "host.rip.canonical": {F.HOST_RIP: NOT_CANONICAL},
    "host.mode.host_64": {EXIT: LONG[EXIT] & ~PrimaryExit.host_address_space_size.mask},
}.items():
    breaks(rule, LONG, changes)
WITNESSES["host.mode.host_64"] = Witness(lacking(LONG, PrimaryExit.host_address_space_size), long_mode=True)
WITNESSES["host.mode.guest_32"] = Witness(LONG, long_mode=False)
WITNESSES["host.mode.host_32"] = Witness(PROTECTED, long_mode=False)
for name in ("HOST_IA32_SYSENTER_ESP", "HOST_IA32_SYSENTER_EIP", *(f"HOST_{r}_BASE" for r in ("FS", "GS", "TR", "GDTR", "IDTR"))):
    breaks(f"{name.lower()}.canonical", LONG, {F[name]: NOT_CANONICAL})
for rule, control, changes in (
    ("host.perf_global_ctrl", PrimaryExit.load_perf_global_ctrl, {F.HOST_IA32_PERF_GLOBAL_CTRL: 1 << 40}),
    ("host.pat", PrimaryExit.load_pat, {F.HOST_IA32_PAT: 0x0200}),
    ("host.efer.reserved", PrimaryExit.load_efer, {F.HOST_IA32_EFER: 0x502}),
    ("host.efer.lma", PrimaryExit.load_efer, {F.HOST_IA32_EFER: 0x100}),
    ("host.efer.lme", PrimaryExit.load_efer, {F.HOST_IA32_EFER: 0x400}),
    ("host.s_cet.reserved", PrimaryExit.load_cet_state, {F.HOST_IA32_S_CET: 1 << 6}),
    ("host.s_cet.tracker", PrimaryExit.load_cet_state, {F.HOST_IA32_S_CET: 0xC00}),
    ("host.ssp.aligned", PrimaryExit.load_cet_state, {F.HOST_SSP: 2}),
    ("host.pkrs", PrimaryExit.load_pkrs, {F.HOST_IA32_PKRS: 1 << 32}),
    ("host.fred_config.reserved", SecondaryExit.load_fred, {F.HOST_IA32_FRED_CONFIG: 4}),
    ("host_ia32_fred_config.canonical", SecondaryExit.load_fred, {F.HOST_IA32_FRED_CONFIG: NOT_CANONICAL}),
    ("host.spec_ctrl", SecondaryExit.load_spec_ctrl, {F.HOST_IA32_SPEC_CTRL: 8}),
    ("host_ia32_s_cet.canonical", PrimaryExit.load_cet_state, {F.HOST_IA32_S_CET: NOT_CANONICAL}),
    ("host_ssp.canonical", PrimaryExit.load_cet_state, {F.HOST_SSP: NOT_CANONICAL}),
    ("host.ssp_table.canonical", PrimaryExit.load_cet_state, {F.HOST_IA32_INTERRUPT_SSP_TABLE_ADDR: NOT_CANONICAL}),
):
    breaks(rule, having(LONG, control), changes)
for side, load_fred in (("HOST", SecondaryExit.load_fred), ("GUEST", Entry.load_fred)):
    for pointer in ("RSP1", "RSP2", "RSP3", "SSP1", "SSP2", "SSP3"):
        name = f"{side}_IA32_FRED_{pointer}"
        breaks(f"{name.lower()}.canonical", having(LONG, load_fred), {F[name]: NOT_CANONICAL})
        breaks(f"{name.lower()}.aligned", having(LONG, load_fred), {F[name]: 4})
for name in ("CS", "SS", "DS", "ES", "FS", "GS", "TR"):
    selector = F[f"HOST_{name}_SELECTOR"]
    breaks(f"{selector.name.lower()}.rpl", LONG, {selector: 0x1B})
    breaks(f"{selector.name.lower()}.ti", LONG, {selector: 0x1C})
breaks("host_cs_selector.null", LONG, {F.HOST_CS_SELECTOR: 0})
breaks("host_tr_selector.null", LONG, {F.HOST_TR_SELECTOR: 0})
breaks("host_ss_selector.null", SHORT_HOST, {F.HOST_SS_SELECTOR: 0})
breaks("host.cr4.pcide", SHORT_HOST, {F.HOST_CR4: 0x2_2000})
breaks("host.cr4.fred", SHORT_HOST, {F.HOST_CR4: 1 << 32 | 0x2000})
breaks("host.rip.width", SHORT_HOST, {F.HOST_RIP: 1 << 32})
breaks("host_ia32_s_cet.width", having(SHORT_HOST, PrimaryExit.load_cet_state), {F.HOST_IA32_S_CET: 1 << 32})
breaks("host_ssp.width", having(SHORT_HOST, PrimaryExit.load_cet_state), {F.HOST_SSP: 1 << 32})

# Guest registers

for rule, base, changes in (
    ("guest.cr0.fixed0", LONG, {F.GUEST_CR0: 0x8000_0011}),
    ("guest.cr0.fixed1", LONG, {F.GUEST_CR0: 1 << 32 | 0x8000_0031}),
    ("guest.cr0.pe", LONG, {F.GUEST_CR0: 0x8000_0030}),
    ("guest.cr0.pg", LONG, {F.GUEST_CR0: 0x31}),
    ("guest.cr0.pg_without_pe", REAL_MODE, {F.GUEST_CR0: 0x8000_0030}),
    ("guest.cr4.fixed0", LONG, {F.GUEST_CR4: 0x20}),
    ("guest.cr4.fixed1", LONG, {F.GUEST_CR4: 0x8000_2020}),
    ("guest.cr4.cet", LONG, {F.GUEST_CR4: 0x80_2020}),
    ("guest.debugctl", having(LONG, Entry.load_debug_controls), {F.GUEST_IA32_DEBUGCTL: 1 << 3}),
    ("guest.long.paging", UNRESTRICTED, {F.GUEST_CR0: 0x31}),
    ("guest.long.pae", LONG, {F.GUEST_CR4: 0x2000}),
    ("guest.cr4.pcide", PROTECTED, {F.GUEST_CR4: 0x2_2000}),
    ("guest.cr4.fred", PROTECTED, {F.GUEST_CR4: 1 << 32 | 0x2000}),
    ("guest.cr3.width", LONG, {F.GUEST_CR3: 1 << 63 | 0x1000}),
    ("guest.dr7", having(LONG, Entry.load_debug_controls), {F.GUEST_DR7: 1 << 32}),
    ("guest_ia32_sysenter_esp.canonical", LONG, {F.GUEST_IA32_SYSENTER_ESP: NOT_CANONICAL}),
    ("guest_ia32_sysenter_eip.canonical", LONG, {F.GUEST_IA32_SYSENTER_EIP: NOT_CANONICAL}),
):
    breaks(rule, base, changes)
for rule, control, changes in (
    ("guest.s_cet.canonical", Entry.load_cet_state, {F.GUEST_IA32_S_CET: NOT_CANONICAL}),
    ("guest.ssp_table.canonical", Entry.load_cet_state, {F.GUEST_IA32_INTERRUPT_SSP_TABLE_ADDR: NOT_CANONICAL}),
    ("guest.s_cet.reserved", Entry.load_cet_state, {F.GUEST_IA32_S_CET: 1 << 6}),
    ("guest.s_cet.tracker", Entry.load_cet_state, {F.GUEST_IA32_S_CET: 0xC00}),
    ("guest.perf_global_ctrl", Entry.load_perf_global_ctrl, {F.GUEST_IA32_PERF_GLOBAL_CTRL: 1 << 40}),
    ("guest.pat", Entry.load_pat, {F.GUEST_IA32_PAT: 0x0300}),
    ("guest.efer.reserved", Entry.load_efer, {F.GUEST_IA32_EFER: 0x502}),
    ("guest.efer.lma", Entry.load_efer, {F.GUEST_IA32_EFER: 0x100}),
    ("guest.efer.lme", Entry.load_efer, {F.GUEST_IA32_EFER: 0x400}),
    ("guest.bndcfgs.reserved", Entry.load_bndcfgs, {F.GUEST_IA32_BNDCFGS: 4}),
    ("guest.bndcfgs.canonical", Entry.load_bndcfgs, {F.GUEST_IA32_BNDCFGS: NOT_CANONICAL}),
    ("guest.rtit_ctl", Entry.load_rtit_ctl, {F.GUEST_IA32_RTIT_CTL: 1 << 63}),
    ("guest.lbr_ctl", Entry.load_lbr_ctl, {F.GUEST_IA32_LBR_CTL: 1 << 63}),
    ("guest.pkrs", Entry.load_pkrs, {F.GUEST_IA32_PKRS: 1 << 32}),
    ("guest.uinv", Entry.load_uinv, {F.GUEST_UINV: 0x100}),
    ("guest.fred_config.reserved", Entry.load_fred, {F.GUEST_IA32_FRED_CONFIG: 4}),
    ("guest.fred_config.canonical", Entry.load_fred, {F.GUEST_IA32_FRED_CONFIG: NOT_CANONICAL}),
    ("guest.spec_ctrl", Entry.load_spec_ctrl, {F.GUEST_IA32_SPEC_CTRL: 8}),
    ("guest.ssp.aligned", Entry.load_cet_state, {F.GUEST_SSP: 2}),
    ("guest.ssp.high", Entry.load_cet_state, {F.GUEST_SSP: 1 << 48}),
):
    breaks(rule, having(LONG, control), changes)
breaks("guest.ssp.width", having(PROTECTED, Entry.load_cet_state), {F.GUEST_SSP: 1 << 32})

# Guest segments

breaks("guest.tr.ti", LONG, {F.GUEST_TR_SELECTOR: 0x1C})
breaks("guest.ldtr.ti", LONG, {F.GUEST_LDTR_SELECTOR: 0x24, F.GUEST_LDTR_ACCESS_RIGHTS: 0x82})
breaks("guest.ss.rpl", LONG, {F.GUEST_SS_SELECTOR: 0x13})
for which in SIX:
    name = which.name.lower()
    usable = LONG[which.rights]
    breaks(f"guest.{name}.v86_base", VIRTUAL_8086, {which.base: 0x110})
    breaks(f"guest.{name}.v86_limit", VIRTUAL_8086, {which.limit: 0xFFFE})
    breaks(f"guest.{name}.v86_rights", VIRTUAL_8086, {which.rights: 0x93})
    breaks(f"guest.{name}.s", LONG, {which.rights: usable & ~0x10})
    breaks(f"guest.{name}.present", LONG, {which.rights: usable & ~0x80})
    breaks(f"guest.{name}.reserved_low", LONG, {which.rights: usable | 0x100})
    breaks(f"guest.{name}.reserved_high", LONG, {which.rights: usable | 0x2_0000})
    breaks(f"guest.{name}.granularity_bytes", LONG, {which.limit: 0xFFFF_FFFE})
    breaks(f"guest.{name}.granularity_pages", LONG, {which.rights: usable & ~0x8000})
for name in ("tr", "fs", "gs"):
    breaks(f"guest.{name}.base_canonical", LONG, {F[f"GUEST_{name.upper()}_BASE"]: NOT_CANONICAL})
LDTR = changed(LONG, {F.GUEST_LDTR_ACCESS_RIGHTS: 0x82, F.GUEST_LDTR_LIMIT: 0xFF})
breaks("guest.ldtr.base_canonical", LDTR, {F.GUEST_LDTR_BASE: NOT_CANONICAL})
for name in ("cs", "ss", "ds", "es"):
    breaks(f"guest.{name}.base_width", LONG, {F[f"GUEST_{name.upper()}_BASE"]: 1 << 32})
breaks("guest.cs.type", LONG, {F.GUEST_CS_ACCESS_RIGHTS: 0xA093})
breaks("guest.cs.type_unrestricted", UNRESTRICTED, {F.GUEST_CS_ACCESS_RIGHTS: 0xA097})
breaks("guest.ss.type", LONG, {F.GUEST_SS_ACCESS_RIGHTS: 0xC091})
for which in DATA:
    breaks(f"guest.{which.name.lower()}.accessed", LONG, {which.rights: 0xC092})
    breaks(f"guest.{which.name.lower()}.readable", LONG, {which.rights: 0xC099})
    breaks(f"guest.{which.name.lower()}.dpl", LONG, {which.selector: 0x13})
breaks("guest.cs.dpl_real_mode", REAL_MODE, {F.GUEST_CS_ACCESS_RIGHTS: 0xB3})
breaks("guest.cs.dpl_nonconforming", LONG, {F.GUEST_CS_ACCESS_RIGHTS: 0xA0FB})
breaks("guest.cs.dpl_conforming", LONG, {F.GUEST_CS_ACCESS_RIGHTS: 0xA0FF})
breaks("guest.ss.dpl", LONG, {F.GUEST_SS_SELECTOR: 0x13, F.GUEST_CS_SELECTOR: 0x0B})
breaks("guest.ss.dpl_data_cs", REAL_MODE, {F.GUEST_SS_ACCESS_RIGHTS: 0xF3})
breaks("guest.ss.dpl_real_mode", REAL_MODE, {F.GUEST_SS_ACCESS_RIGHTS: 0xF3, F.GUEST_CS_ACCESS_RIGHTS: 0xFB})
FRED = changed(LONG, {F.GUEST_CR4: 1 << 32 | 0x2020})
USER = {
    F.GUEST_SS_ACCESS_RIGHTS: 0xC0F3,
    F.GUEST_SS_SELECTOR: 0x13,
    F.GUEST_CS_ACCESS_RIGHTS: 0xA0FB,
    F.GUEST_CS_SELECTOR: 0x0B,
}
MIDDLE = {
    F.GUEST_SS_ACCESS_RIGHTS: 0xC0B3,
    F.GUEST_SS_SELECTOR: 0x11,
    F.GUEST_CS_ACCESS_RIGHTS: 0xA0BB,
    F.GUEST_CS_SELECTOR: 0x09,
}
breaks("guest.fred.ss_dpl", FRED, MIDDLE)
breaks("guest.fred.cs_l", FRED, {F.GUEST_CS_ACCESS_RIGHTS: 0xC09B})
breaks("guest.fred.iopl", FRED, {**USER, F.GUEST_RFLAGS: 0x3002})
breaks("guest.fred.sti", FRED, {**USER, F.GUEST_INTERRUPTIBILITY_STATE: 1, F.GUEST_RFLAGS: 0x202})
breaks("guest.cs.d_with_l", LONG, {F.GUEST_CS_ACCESS_RIGHTS: 0xE09B})
for part, rights, limit in (
    ("s", 0x9B, 0x67),
    ("present", 0x0B, 0x67),
    ("reserved_low", 0x18B, 0x67),
    ("granularity_bytes", 0x808B, 0x67),
    ("granularity_pages", 0x8B, 0xFFFF_FFFF),
    ("usable", 0x1008B, 0x67),
    ("reserved_high", 0x2008B, 0x67),
):
    breaks(f"guest.tr.{part}", LONG, {F.GUEST_TR_ACCESS_RIGHTS: rights, F.GUEST_TR_LIMIT: limit})
breaks("guest.tr.type", PROTECTED, {F.GUEST_TR_ACCESS_RIGHTS: 0x89})
breaks("guest.tr.type_long", LONG, {F.GUEST_TR_ACCESS_RIGHTS: 0x83})
for part, rights, limit in (
    ("type", 0x83, 0xFF),
    ("s", 0x92, 0xFF),
    ("present", 0x02, 0xFF),
    ("reserved_low", 0x182, 0xFF),
    ("granularity_bytes", 0x8082, 0xFF),
    ("granularity_pages", 0x82, 0xFFFF_FFFF),
    ("reserved_high", 0x20082, 0xFF),
):
    breaks(f"guest.ldtr.{part}", LONG, {F.GUEST_LDTR_ACCESS_RIGHTS: rights, F.GUEST_LDTR_LIMIT: limit})
for table in ("GDTR", "IDTR"):
    breaks(f"guest_{table.lower()}_base.canonical", LONG, {F[f"GUEST_{table}_BASE"]: NOT_CANONICAL})
    breaks(f"guest_{table.lower()}_limit.width", LONG, {F[f"GUEST_{table}_LIMIT"]: 0x1_0000})

# Guest RIP, RFLAGS and non-register state

ACTIVITY, BLOCKING, FLAGS, DEBUG = (
    F.GUEST_ACTIVITY_STATE,
    F.GUEST_INTERRUPTIBILITY_STATE,
    F.GUEST_RFLAGS,
    F.GUEST_PENDING_DEBUG_EXCEPTIONS,
)
INTERRUPT, NMI = 0x8000_0020, 0x8000_0202
for rule, changes in {
    "guest.rip.high": {F.GUEST_RIP: 1 << 48},
    "guest.rflags.reserved": {FLAGS: 0x8002},
    "guest.rflags.bit_1": {FLAGS: 0},
    "guest.rflags.if": {EVENT: INTERRUPT},
    "guest.activity.defined": {ACTIVITY: 4},
    "guest.activity.blocking": {ACTIVITY: 1, BLOCKING: 2},
    "guest.activity.hlt_event": {ACTIVITY: 1, EVENT: 0x8000_0306},
    "guest.activity.shutdown_event": {ACTIVITY: 2, EVENT: INTERRUPT, FLAGS: 0x202},
    "guest.activity.sipi_event": {ACTIVITY: 3, EVENT: NMI},
    "guest.blocking.reserved": {BLOCKING: 0x20},
    "guest.blocking.both": {BLOCKING: 3, FLAGS: 0x202},
    "guest.blocking.sti_without_if": {BLOCKING: 1},
    "guest.blocking.interrupt_sti": {BLOCKING: 1, FLAGS: 0x202, EVENT: INTERRUPT},
    "guest.blocking.interrupt_mov_ss": {BLOCKING: 2, FLAGS: 0x202, EVENT: INTERRUPT},
    "guest.blocking.nmi_mov_ss": {BLOCKING: 2, EVENT: NMI},
    "guest.blocking.nmi_sti": {BLOCKING: 1, FLAGS: 0x202, EVENT: NMI},
    "guest.blocking.smi": {BLOCKING: 4},
    "guest.blocking.enclave": {BLOCKING: 0x10},
    "guest.pending_debug.reserved": {DEBUG: 0x10},
    "guest.pending_debug.bus_lock": {DEBUG: 0x800},
    "guest.pending_debug.step_missing": {BLOCKING: 2, FLAGS: 0x102},
    "guest.pending_debug.step_unexpected": {BLOCKING: 2, DEBUG: 0x4000},
    "guest.pending_debug.rtm": {DEBUG: 0x11000},
    "link.aligned": {F.VMCS_LINK_POINTER: 0x42010},
    "link.width": {F.VMCS_LINK_POINTER: BEYOND},
    "link.revision": {F.VMCS_LINK_POINTER: 0x48000},
    "link.shadow": {F.VMCS_LINK_POINTER: LINKED + 0x1000},
    "link.current": {F.VMCS_LINK_POINTER: VMCS},
}.items():
    breaks(rule, LONG, changes)
breaks("guest.rip.width", PROTECTED, {F.GUEST_RIP: 1 << 32})
breaks("guest.rflags.vm_long", having(VIRTUAL_8086, Entry.ia32e_mode_guest), {F.GUEST_CR4: 0x2020})
UNRESTRICTED_8086 = changed(
    having(VIRTUAL_8086, SecondaryProcessorBased.enable_ept, SecondaryProcessorBased.unrestricted_guest),
    {F.EPTP: 0x5001E, F.GUEST_CR0: 0x30},
)
breaks("guest.rflags.vm_real", UNRESTRICTED_8086)
breaks("guest.activity.supported", LONG, {ACTIVITY: 2}, {**EVERYTHING, 0x485: EVERYTHING[0x485] & ~(1 << 7)})
breaks("guest.activity.hlt_privilege", LONG, {**USER, ACTIVITY: 1})
breaks(
    "guest.blocking.virtual_nmi",
    having(LONG, PinBased.nmi_exiting, PinBased.virtual_nmis),
    {BLOCKING: 8, EVENT: NMI},
)
breaks("guest.pdpte.memory", PAE, {F.GUEST_CR3: BAD_PDPT})
for number in range(4):
    breaks(f"guest_pdpte{number}", PAE_EPT, {F[f"GUEST_PDPTE{number}"]: 0x1E7})

UNREACHABLE = {
    "host.mode.guest_64": "a 64-bit guest under a 32-bit host breaks host.mode.guest_32 or host.mode.host_64 first",
    "guest.activity.smm": "“entry to SMM” outside SMM breaks entry.to_smm first",
    "guest.blocking.smm": "“entry to SMM” outside SMM breaks entry.to_smm first",
}
"""Rules that another one always precedes."""

__all__ = ["UNREACHABLE", "WITNESSES", "VmFunctions"]
