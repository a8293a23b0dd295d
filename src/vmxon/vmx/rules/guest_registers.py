"""Rules on guest control registers, debug registers and MSRs (Vol. 3C §27.3.1.1)."""

from __future__ import annotations

from vmxon.arch.control import Cr0, Cr4, Efer
from vmxon.arch.msr import MSRS, CetControl
from vmxon.vmx.controls import Entry
from vmxon.vmx.fields import VmcsField as Field
from vmxon.vmx.rules.book import Area, rule
from vmxon.vmx.rules.host import CACHING, FRED_CONFIG_RESERVED, PERF_GLOBAL_WRITABLE, SPEC_CTRL_WRITABLE
from vmxon.vmx.rules.sections import GUEST_REGISTERS
from vmxon.vmx.rules.terms import Single, aligned, long_guest, memory_types_valid, singles, unrestricted
from vmxon.vmx.rules.view import EntryView

GUEST = Area.GUEST_STATE
ENTRY = Field.VM_ENTRY_CONTROLS
SECONDARY = Field.SECONDARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS
PROTECTION_AND_PAGING = Cr0.pe.mask | Cr0.pg.mask
DEBUGCTL_WRITABLE = MSRS[0x1D9].writable
LBR_CTL_WRITABLE = 0x7F_000F
RTIT_CTL_WRITABLE = 0x0_FFFF_FFFF_FFFF & ~(1 << 6 | 1 << 18 | 1 << 23 | 0xF << 28)


@rule("guest.cr0.fixed0", GUEST, GUEST_REGISTERS, ("27.3.1.1#1",), (Field.GUEST_CR0,))
def guest_cr0_has_required_bits(entry: EntryView) -> bool:
    """GUEST_CR0 has every bit other than PE and PG that IA32_VMX_CR0_FIXED0 demands (NE)."""
    return entry.capability(0x486) & ~CACHING & ~PROTECTION_AND_PAGING & ~entry.field(Field.GUEST_CR0) == 0


@rule("guest.cr0.fixed1", GUEST, GUEST_REGISTERS, ("27.3.1.1#2",), (Field.GUEST_CR0,))
def guest_cr0_has_only_allowed_bits(entry: EntryView) -> bool:
    """GUEST_CR0 has no bit that IA32_VMX_CR0_FIXED1 forbids."""
    return entry.field(Field.GUEST_CR0) & ~CACHING & ~entry.capability(0x487) == 0


@rule("guest.cr0.pe", GUEST, GUEST_REGISTERS, ("27.3.1.1#3",), (Field.GUEST_CR0, SECONDARY))
def guest_is_in_protected_mode(entry: EntryView) -> bool:
    """GUEST_CR0.PE is 1, unless the guest is an unrestricted one."""
    return unrestricted(entry) or entry.field(Field.GUEST_CR0) & Cr0.pe.mask != 0


@rule("guest.cr0.pg", GUEST, GUEST_REGISTERS, ("27.3.1.1#4",), (Field.GUEST_CR0, SECONDARY))
def guest_has_paging(entry: EntryView) -> bool:
    """GUEST_CR0.PG is 1, unless the guest is an unrestricted one."""
    return unrestricted(entry) or entry.field(Field.GUEST_CR0) & Cr0.pg.mask != 0


@rule("guest.cr0.pg_without_pe", GUEST, GUEST_REGISTERS, ("27.3.1.1#5",), (Field.GUEST_CR0,))
def guest_paging_needs_protection(entry: EntryView) -> bool:
    """GUEST_CR0.PG is 1 only with GUEST_CR0.PE."""
    return entry.field(Field.GUEST_CR0) & PROTECTION_AND_PAGING != Cr0.pg.mask


@rule("guest.cr4.fixed0", GUEST, GUEST_REGISTERS, ("27.3.1.1#6",), (Field.GUEST_CR4,))
def guest_cr4_has_required_bits(entry: EntryView) -> bool:
    """GUEST_CR4 has every bit that IA32_VMX_CR4_FIXED0 demands (VMXE); hide it from the guest by mask and shadow."""
    return entry.capability(0x488) & ~entry.field(Field.GUEST_CR4) == 0


@rule("guest.cr4.fixed1", GUEST, GUEST_REGISTERS, ("27.3.1.1#7",), (Field.GUEST_CR4,))
def guest_cr4_has_only_allowed_bits(entry: EntryView) -> bool:
    """GUEST_CR4 has no bit that IA32_VMX_CR4_FIXED1 forbids."""
    return entry.field(Field.GUEST_CR4) & ~entry.capability(0x489) == 0


@rule("guest.cr4.cet", GUEST, GUEST_REGISTERS, ("27.3.1.1#8",), (Field.GUEST_CR4, Field.GUEST_CR0))
def guest_cet_needs_write_protection(entry: EntryView) -> bool:
    """Where GUEST_CR4.CET is 1, GUEST_CR0.WP is 1."""
    return entry.field(Field.GUEST_CR4) & Cr4.cet.mask == 0 or entry.field(Field.GUEST_CR0) & Cr0.wp.mask != 0


@rule("guest.debugctl", GUEST, GUEST_REGISTERS, ("27.3.1.1#9",), (ENTRY, Field.GUEST_IA32_DEBUGCTL))
def guest_debugctl_is_valid(entry: EntryView) -> bool:
    """GUEST_IA32_DEBUGCTL has no reserved bit, as entry loads debug controls."""
    value = entry.field(Field.GUEST_IA32_DEBUGCTL)
    return not entry.has(Entry.load_debug_controls) or value & ~DEBUGCTL_WRITABLE == 0


@rule("guest.long.paging", GUEST, GUEST_REGISTERS, ("27.3.1.1#10",), (ENTRY, Field.GUEST_CR0))
def long_guest_has_paging(entry: EntryView) -> bool:
    """GUEST_CR0.PG is 1 under “IA-32e mode guest”."""
    return not long_guest(entry) or entry.field(Field.GUEST_CR0) & Cr0.pg.mask != 0


@rule("guest.long.pae", GUEST, GUEST_REGISTERS, ("27.3.1.1#11",), (ENTRY, Field.GUEST_CR4))
def long_guest_has_pae(entry: EntryView) -> bool:
    """GUEST_CR4.PAE is 1 under “IA-32e mode guest”."""
    return not long_guest(entry) or entry.field(Field.GUEST_CR4) & Cr4.pae.mask != 0


@rule("guest.cr4.pcide", GUEST, GUEST_REGISTERS, ("27.3.1.1#12",), (ENTRY, Field.GUEST_CR4))
def pcid_needs_long_guest(entry: EntryView) -> bool:
    """GUEST_CR4.PCIDE is 1 only under “IA-32e mode guest”."""
    return long_guest(entry) or entry.field(Field.GUEST_CR4) & Cr4.pcide.mask == 0


@rule("guest.cr4.fred", GUEST, GUEST_REGISTERS, ("27.3.1.1#13",), (ENTRY, Field.GUEST_CR4))
def fred_needs_long_guest(entry: EntryView) -> bool:
    """GUEST_CR4.FRED is 1 only under “IA-32e mode guest”."""
    return long_guest(entry) or entry.field(Field.GUEST_CR4) & Cr4.fred.mask == 0


@rule("guest.cr3.width", GUEST, GUEST_REGISTERS, ("27.3.1.1#14",), (Field.GUEST_CR3,))
def guest_cr3_fits(entry: EntryView) -> bool:
    """GUEST_CR3 has no bit beyond the processor's physical-address width; bit 63 of a MOV to CR3 is never part of CR3."""
    return entry.field(Field.GUEST_CR3) >> entry.physical_width() == 0


@rule("guest.dr7", GUEST, GUEST_REGISTERS, ("27.3.1.1#15",), (ENTRY, Field.GUEST_DR7))
def guest_dr7_is_short(entry: EntryView) -> bool:
    """GUEST_DR7 bits 63:32 are 0, as entry loads debug controls."""
    return not entry.has(Entry.load_debug_controls) or entry.field(Field.GUEST_DR7) >> 32 == 0


@rule(
    "{}.canonical",
    GUEST,
    GUEST_REGISTERS,
    ("27.3.1.1#16",),
    ("field",),
    each=singles(Field.GUEST_IA32_SYSENTER_ESP, Field.GUEST_IA32_SYSENTER_EIP),
)
def guest_sysenter_is_canonical(entry: EntryView, which: Single) -> bool:
    """{} is a canonical address."""
    return entry.canonical(entry.field(which.field))


@rule("guest.s_cet.canonical", GUEST, GUEST_REGISTERS, ("27.3.1.1#17",), (ENTRY, Field.GUEST_IA32_S_CET))
def guest_s_cet_is_canonical(entry: EntryView) -> bool:
    """GUEST_IA32_S_CET is canonical, as entry loads CET state."""
    return not entry.has(Entry.load_cet_state) or entry.canonical(entry.field(Field.GUEST_IA32_S_CET))


@rule(
    "guest.ssp_table.canonical",
    GUEST,
    GUEST_REGISTERS,
    ("27.3.1.1#18",),
    (ENTRY, Field.GUEST_IA32_INTERRUPT_SSP_TABLE_ADDR),
)
def guest_ssp_table_is_canonical(entry: EntryView) -> bool:
    """GUEST_IA32_INTERRUPT_SSP_TABLE_ADDR is a canonical address, as entry loads CET state."""
    table = entry.field(Field.GUEST_IA32_INTERRUPT_SSP_TABLE_ADDR)
    return not entry.has(Entry.load_cet_state) or entry.canonical(table)


@rule("guest.s_cet.reserved", GUEST, GUEST_REGISTERS, ("27.3.1.1#19",), (ENTRY, Field.GUEST_IA32_S_CET))
def guest_s_cet_is_valid(entry: EntryView) -> bool:
    """GUEST_IA32_S_CET bits 9:6 are 0, as entry loads CET state."""
    value = entry.field(Field.GUEST_IA32_S_CET)
    return not entry.has(Entry.load_cet_state) or value & CetControl.layout.reserved == 0


@rule("guest.s_cet.tracker", GUEST, GUEST_REGISTERS, ("27.3.1.1#20",), (ENTRY, Field.GUEST_IA32_S_CET))
def guest_s_cet_does_not_both_suppress_and_wait(entry: EntryView) -> bool:
    """GUEST_IA32_S_CET bits 10 (SUPPRESS) and 11 (TRACKER) are not both 1, as entry loads CET state."""
    return not entry.has(Entry.load_cet_state) or entry.field(Field.GUEST_IA32_S_CET) & 0xC00 != 0xC00


@rule("guest.perf_global_ctrl", GUEST, GUEST_REGISTERS, ("27.3.1.1#21",), (ENTRY, Field.GUEST_IA32_PERF_GLOBAL_CTRL))
def guest_perf_global_is_valid(entry: EntryView) -> bool:
    """GUEST_IA32_PERF_GLOBAL_CTRL has no reserved bit, as entry loads it."""
    value = entry.field(Field.GUEST_IA32_PERF_GLOBAL_CTRL)
    return not entry.has(Entry.load_perf_global_ctrl) or value & ~PERF_GLOBAL_WRITABLE == 0


@rule("guest.pat", GUEST, GUEST_REGISTERS, ("27.3.1.1#22",), (ENTRY, Field.GUEST_IA32_PAT))
def guest_pat_is_valid(entry: EntryView) -> bool:
    """Each byte of GUEST_IA32_PAT is a memory type (0, 1, 4, 5, 6 or 7), as entry loads it."""
    return not entry.has(Entry.load_pat) or memory_types_valid(entry.field(Field.GUEST_IA32_PAT))


@rule("guest.efer.reserved", GUEST, GUEST_REGISTERS, ("27.3.1.1#23",), (ENTRY, Field.GUEST_IA32_EFER))
def guest_efer_is_valid(entry: EntryView) -> bool:
    """GUEST_IA32_EFER has no reserved bit, as entry loads it."""
    return not entry.has(Entry.load_efer) or entry.field(Field.GUEST_IA32_EFER) & ~Efer.layout.named == 0


@rule("guest.efer.lma", GUEST, GUEST_REGISTERS, ("27.3.1.1#24",), (ENTRY, Field.GUEST_IA32_EFER))
def guest_efer_lma_matches(entry: EntryView) -> bool:
    """GUEST_IA32_EFER.LMA equals “IA-32e mode guest”, as entry loads it."""
    lma = entry.field(Field.GUEST_IA32_EFER) & Efer.lma.mask != 0
    return not entry.has(Entry.load_efer) or lma == long_guest(entry)


@rule("guest.efer.lme", GUEST, GUEST_REGISTERS, ("27.3.1.1#25",), (ENTRY, Field.GUEST_IA32_EFER, Field.GUEST_CR0))
def guest_efer_lme_matches(entry: EntryView) -> bool:
    """With paging, GUEST_IA32_EFER.LME equals LMA, as entry loads it."""
    value = entry.field(Field.GUEST_IA32_EFER)
    paging = entry.field(Field.GUEST_CR0) & Cr0.pg.mask != 0
    return not entry.has(Entry.load_efer) or not paging or value >> 8 & 1 == value >> 10 & 1


@rule("guest.bndcfgs.reserved", GUEST, GUEST_REGISTERS, ("27.3.1.1#26",), (ENTRY, Field.GUEST_IA32_BNDCFGS))
def guest_bndcfgs_is_valid(entry: EntryView) -> bool:
    """GUEST_IA32_BNDCFGS bits 11:2 are 0, as entry loads it."""
    return not entry.has(Entry.load_bndcfgs) or entry.field(Field.GUEST_IA32_BNDCFGS) & 0xFFC == 0


@rule("guest.bndcfgs.canonical", GUEST, GUEST_REGISTERS, ("27.3.1.1#27",), (ENTRY, Field.GUEST_IA32_BNDCFGS))
def guest_bndcfgs_is_canonical(entry: EntryView) -> bool:
    """The address in GUEST_IA32_BNDCFGS bits 63:12 is canonical, as entry loads it."""
    return not entry.has(Entry.load_bndcfgs) or entry.canonical(entry.field(Field.GUEST_IA32_BNDCFGS) & ~0xFFF)


@rule("guest.rtit_ctl", GUEST, GUEST_REGISTERS, ("27.3.1.1#28",), (ENTRY, Field.GUEST_IA32_RTIT_CTL))
def guest_rtit_ctl_is_valid(entry: EntryView) -> bool:
    """GUEST_IA32_RTIT_CTL has no reserved bit, as entry loads it."""
    return not entry.has(Entry.load_rtit_ctl) or entry.field(Field.GUEST_IA32_RTIT_CTL) & ~RTIT_CTL_WRITABLE == 0


@rule("guest.lbr_ctl", GUEST, GUEST_REGISTERS, ("27.3.1.1#29",), (ENTRY, Field.GUEST_IA32_LBR_CTL))
def guest_lbr_ctl_is_valid(entry: EntryView) -> bool:
    """GUEST_IA32_LBR_CTL has no reserved bit, as entry loads it."""
    return not entry.has(Entry.load_lbr_ctl) or entry.field(Field.GUEST_IA32_LBR_CTL) & ~LBR_CTL_WRITABLE == 0


@rule("guest.pkrs", GUEST, GUEST_REGISTERS, ("27.3.1.1#30",), (ENTRY, Field.GUEST_IA32_PKRS))
def guest_pkrs_is_short(entry: EntryView) -> bool:
    """GUEST_IA32_PKRS bits 63:32 are 0, as entry loads it."""
    return not entry.has(Entry.load_pkrs) or entry.field(Field.GUEST_IA32_PKRS) >> 32 == 0


@rule("guest.uinv", GUEST, GUEST_REGISTERS, ("27.3.1.1#31",), (ENTRY, Field.GUEST_UINV))
def guest_uinv_is_a_vector(entry: EntryView) -> bool:
    """GUEST_UINV is not above 255, as entry loads it."""
    return not entry.has(Entry.load_uinv) or entry.field(Field.GUEST_UINV) >> 8 == 0


@rule("guest.fred_config.reserved", GUEST, GUEST_REGISTERS, ("27.3.1.1#32",), (ENTRY, Field.GUEST_IA32_FRED_CONFIG))
def guest_fred_config_is_valid(entry: EntryView) -> bool:
    """GUEST_IA32_FRED_CONFIG bits 2, 5:4 and 11 are 0, as entry loads FRED state."""
    value = entry.field(Field.GUEST_IA32_FRED_CONFIG)
    return not entry.has(Entry.load_fred) or value & FRED_CONFIG_RESERVED == 0


FRED_RSPS = singles(Field.GUEST_IA32_FRED_RSP1, Field.GUEST_IA32_FRED_RSP2, Field.GUEST_IA32_FRED_RSP3)
FRED_SSPS = singles(Field.GUEST_IA32_FRED_SSP1, Field.GUEST_IA32_FRED_SSP2, Field.GUEST_IA32_FRED_SSP3)


@rule("guest.fred_config.canonical", GUEST, GUEST_REGISTERS, ("27.3.1.1#33",), (ENTRY, Field.GUEST_IA32_FRED_CONFIG))
def guest_fred_config_is_canonical(entry: EntryView) -> bool:
    """GUEST_IA32_FRED_CONFIG is a canonical address, as entry loads FRED state."""
    return not entry.has(Entry.load_fred) or entry.canonical(entry.field(Field.GUEST_IA32_FRED_CONFIG))


@rule("{}.canonical", GUEST, GUEST_REGISTERS, ("27.3.1.1#34",), (ENTRY, "field"), each=FRED_RSPS)
def guest_fred_rsp_is_canonical(entry: EntryView, which: Single) -> bool:
    """{} is a canonical address, as entry loads FRED state."""
    return not entry.has(Entry.load_fred) or entry.canonical(entry.field(which.field))


@rule("{}.aligned", GUEST, GUEST_REGISTERS, ("27.3.1.1#35",), (ENTRY, "field"), each=FRED_RSPS)
def guest_fred_rsp_is_aligned(entry: EntryView, which: Single) -> bool:
    """{} is 64-byte aligned, as entry loads FRED state."""
    return not entry.has(Entry.load_fred) or aligned(entry.field(which.field), 64)


@rule("{}.canonical", GUEST, GUEST_REGISTERS, ("27.3.1.1#36",), (ENTRY, "field"), each=FRED_SSPS)
def guest_fred_ssp_is_canonical(entry: EntryView, which: Single) -> bool:
    """{} is a canonical address, as entry loads FRED state."""
    return not entry.has(Entry.load_fred) or entry.canonical(entry.field(which.field))


@rule("{}.aligned", GUEST, GUEST_REGISTERS, ("27.3.1.1#37",), (ENTRY, "field"), each=FRED_SSPS)
def guest_fred_ssp_is_aligned(entry: EntryView, which: Single) -> bool:
    """{} is 8-byte aligned, as entry loads FRED state."""
    return not entry.has(Entry.load_fred) or aligned(entry.field(which.field), 8)


@rule("guest.spec_ctrl", GUEST, GUEST_REGISTERS, ("27.3.1.1#38",), (ENTRY, Field.GUEST_IA32_SPEC_CTRL))
def guest_spec_ctrl_is_valid(entry: EntryView) -> bool:
    """GUEST_IA32_SPEC_CTRL has no reserved bit, as entry loads it."""
    value = entry.field(Field.GUEST_IA32_SPEC_CTRL)
    return not entry.has(Entry.load_spec_ctrl) or value & ~SPEC_CTRL_WRITABLE == 0
