"""Rules on the host-state area (Vol. 3C §27.2.2 to §27.2.4): what the next VM exit will load."""

from __future__ import annotations

from vmxon.arch.control import Cr0, Cr4, Efer
from vmxon.arch.msr import MSRS, CetControl
from vmxon.vmx.controls import PrimaryExit, SecondaryExit
from vmxon.vmx.fields import VmcsField as Field
from vmxon.vmx.rules.book import Area, rule
from vmxon.vmx.rules.sections import HOST_ADDRESS_SPACE, HOST_REGISTERS, HOST_SEGMENTS
from vmxon.vmx.rules.terms import Single, aligned, long_guest, long_host, memory_types_valid, singles
from vmxon.vmx.rules.view import EntryView

HOST = Area.HOST_STATE
EXIT = Field.PRIMARY_VM_EXIT_CONTROLS
EXIT2 = Field.SECONDARY_VM_EXIT_CONTROLS
CACHING = Cr0.nw.mask | Cr0.cd.mask
"""Bits of CR0 that transitions leave alone and checks ignore."""
FRED_CONFIG_RESERVED = 0x834
SPEC_CTRL_WRITABLE = 0b111
PERF_GLOBAL_WRITABLE = MSRS[0x38F].writable
"""Eight general and three fixed counters, the most that a model here has."""


@rule("host.cr0.fixed0", HOST, HOST_REGISTERS, ("27.2.2#1",), (Field.HOST_CR0,))
def host_cr0_has_required_bits(entry: EntryView) -> bool:
    """HOST_CR0 has every bit that IA32_VMX_CR0_FIXED0 demands (PE, NE, PG)."""
    return entry.capability(0x486) & ~CACHING & ~entry.field(Field.HOST_CR0) == 0


@rule("host.cr0.fixed1", HOST, HOST_REGISTERS, ("27.2.2#2",), (Field.HOST_CR0,))
def host_cr0_has_only_allowed_bits(entry: EntryView) -> bool:
    """HOST_CR0 has no bit that IA32_VMX_CR0_FIXED1 forbids."""
    return entry.field(Field.HOST_CR0) & ~CACHING & ~entry.capability(0x487) == 0


@rule("host.cr4.fixed0", HOST, HOST_REGISTERS, ("27.2.2#3",), (Field.HOST_CR4,))
def host_cr4_has_required_bits(entry: EntryView) -> bool:
    """HOST_CR4 has every bit that IA32_VMX_CR4_FIXED0 demands (VMXE)."""
    return entry.capability(0x488) & ~entry.field(Field.HOST_CR4) == 0


@rule("host.cr4.fixed1", HOST, HOST_REGISTERS, ("27.2.2#4",), (Field.HOST_CR4,))
def host_cr4_has_only_allowed_bits(entry: EntryView) -> bool:
    """HOST_CR4 has no bit that IA32_VMX_CR4_FIXED1 forbids."""
    return entry.field(Field.HOST_CR4) & ~entry.capability(0x489) == 0


@rule("host.cr4.cet", HOST, HOST_REGISTERS, ("27.2.2#5",), (Field.HOST_CR4, Field.HOST_CR0))
def host_cet_needs_write_protection(entry: EntryView) -> bool:
    """Where HOST_CR4.CET is 1, HOST_CR0.WP is 1."""
    return entry.field(Field.HOST_CR4) & Cr4.cet.mask == 0 or entry.field(Field.HOST_CR0) & Cr0.wp.mask != 0


@rule("host.cr3.width", HOST, HOST_REGISTERS, ("27.2.2#6",), (Field.HOST_CR3,))
def host_cr3_fits(entry: EntryView) -> bool:
    """HOST_CR3 has no bit beyond the processor's physical-address width."""
    return entry.field(Field.HOST_CR3) >> entry.physical_width() == 0


@rule(
    "{}.canonical",
    HOST,
    HOST_REGISTERS,
    ("27.2.2#7",),
    ("field",),
    each=singles(Field.HOST_IA32_SYSENTER_ESP, Field.HOST_IA32_SYSENTER_EIP),
)
def host_sysenter_is_canonical(entry: EntryView, which: Single) -> bool:
    """{} is a canonical address."""
    return entry.canonical(entry.field(which.field))


@rule("host.perf_global_ctrl", HOST, HOST_REGISTERS, ("27.2.2#8",), (EXIT, Field.HOST_IA32_PERF_GLOBAL_CTRL))
def host_perf_global_is_valid(entry: EntryView) -> bool:
    """HOST_IA32_PERF_GLOBAL_CTRL has no reserved bit, as exits load it."""
    value = entry.field(Field.HOST_IA32_PERF_GLOBAL_CTRL)
    return not entry.has(PrimaryExit.load_perf_global_ctrl) or value & ~PERF_GLOBAL_WRITABLE == 0


@rule("host.pat", HOST, HOST_REGISTERS, ("27.2.2#9",), (EXIT, Field.HOST_IA32_PAT))
def host_pat_is_valid(entry: EntryView) -> bool:
    """Each byte of HOST_IA32_PAT is a memory type (0, 1, 4, 5, 6 or 7), as exits load it."""
    return not entry.has(PrimaryExit.load_pat) or memory_types_valid(entry.field(Field.HOST_IA32_PAT))


@rule("host.efer.reserved", HOST, HOST_REGISTERS, ("27.2.2#10",), (EXIT, Field.HOST_IA32_EFER))
def host_efer_is_valid(entry: EntryView) -> bool:
    """HOST_IA32_EFER has no reserved bit, as exits load it."""
    value = entry.field(Field.HOST_IA32_EFER)
    return not entry.has(PrimaryExit.load_efer) or value & ~Efer.layout.named == 0


@rule("host.efer.lma", HOST, HOST_REGISTERS, ("27.2.2#11",), (EXIT, Field.HOST_IA32_EFER))
def host_efer_lma_matches(entry: EntryView) -> bool:
    """HOST_IA32_EFER.LMA equals “host address-space size”, as exits load it."""
    lma = entry.field(Field.HOST_IA32_EFER) & Efer.lma.mask != 0
    return not entry.has(PrimaryExit.load_efer) or lma == long_host(entry)


@rule("host.efer.lme", HOST, HOST_REGISTERS, ("27.2.2#12",), (EXIT, Field.HOST_IA32_EFER))
def host_efer_lme_matches(entry: EntryView) -> bool:
    """HOST_IA32_EFER.LME equals “host address-space size”, as exits load it."""
    lme = entry.field(Field.HOST_IA32_EFER) & Efer.lme.mask != 0
    return not entry.has(PrimaryExit.load_efer) or lme == long_host(entry)


@rule("host.s_cet.reserved", HOST, HOST_REGISTERS, ("27.2.2#13",), (EXIT, Field.HOST_IA32_S_CET))
def host_s_cet_is_valid(entry: EntryView) -> bool:
    """HOST_IA32_S_CET bits 9:6 are 0, as exits load CET state."""
    value = entry.field(Field.HOST_IA32_S_CET)
    return not entry.has(PrimaryExit.load_cet_state) or value & CetControl.layout.reserved == 0


@rule("host.s_cet.tracker", HOST, HOST_REGISTERS, ("27.2.2#14",), (EXIT, Field.HOST_IA32_S_CET))
def host_s_cet_does_not_both_suppress_and_wait(entry: EntryView) -> bool:
    """HOST_IA32_S_CET bits 10 (SUPPRESS) and 11 (TRACKER) are not both 1, as exits load CET state."""
    value = entry.field(Field.HOST_IA32_S_CET)
    return not entry.has(PrimaryExit.load_cet_state) or value & 0xC00 != 0xC00


@rule("host.ssp.aligned", HOST, HOST_REGISTERS, ("27.2.2#15",), (EXIT, Field.HOST_SSP))
def host_ssp_is_aligned(entry: EntryView) -> bool:
    """HOST_SSP is 4-byte aligned, as exits load CET state."""
    return not entry.has(PrimaryExit.load_cet_state) or aligned(entry.field(Field.HOST_SSP), 4)


@rule("host.pkrs", HOST, HOST_REGISTERS, ("27.2.2#16",), (EXIT, Field.HOST_IA32_PKRS))
def host_pkrs_is_short(entry: EntryView) -> bool:
    """HOST_IA32_PKRS bits 63:32 are 0, as exits load it."""
    return not entry.has(PrimaryExit.load_pkrs) or entry.field(Field.HOST_IA32_PKRS) >> 32 == 0


@rule("host.fred_config.reserved", HOST, HOST_REGISTERS, ("27.2.2#17",), (EXIT, EXIT2, Field.HOST_IA32_FRED_CONFIG))
def host_fred_config_is_valid(entry: EntryView) -> bool:
    """HOST_IA32_FRED_CONFIG bits 2, 5:4 and 11 are 0, as exits load FRED state."""
    value = entry.field(Field.HOST_IA32_FRED_CONFIG)
    return not entry.has(SecondaryExit.load_fred) or value & FRED_CONFIG_RESERVED == 0


FRED_RSPS = singles(Field.HOST_IA32_FRED_RSP1, Field.HOST_IA32_FRED_RSP2, Field.HOST_IA32_FRED_RSP3)
FRED_SSPS = singles(Field.HOST_IA32_FRED_SSP1, Field.HOST_IA32_FRED_SSP2, Field.HOST_IA32_FRED_SSP3)
FRED_CONFIG = singles(Field.HOST_IA32_FRED_CONFIG)


@rule("{}.canonical", HOST, HOST_REGISTERS, ("27.2.2#18",), (EXIT, EXIT2, "field"), each=FRED_CONFIG)
def host_fred_config_is_canonical(entry: EntryView, which: Single) -> bool:
    """{} is a canonical address, as exits load FRED state."""
    return not entry.has(SecondaryExit.load_fred) or entry.canonical(entry.field(which.field))


@rule("{}.canonical", HOST, HOST_REGISTERS, ("27.2.2#19",), (EXIT, EXIT2, "field"), each=FRED_RSPS)
def host_fred_rsp_is_canonical(entry: EntryView, which: Single) -> bool:
    """{} is a canonical address, as exits load FRED state."""
    return not entry.has(SecondaryExit.load_fred) or entry.canonical(entry.field(which.field))


@rule("{}.aligned", HOST, HOST_REGISTERS, ("27.2.2#20",), (EXIT, EXIT2, "field"), each=FRED_RSPS)
def host_fred_rsp_is_aligned(entry: EntryView, which: Single) -> bool:
    """{} is 64-byte aligned, as exits load FRED state."""
    return not entry.has(SecondaryExit.load_fred) or aligned(entry.field(which.field), 64)


@rule("{}.canonical", HOST, HOST_REGISTERS, ("27.2.2#21",), (EXIT, EXIT2, "field"), each=FRED_SSPS)
def host_fred_ssp_is_canonical(entry: EntryView, which: Single) -> bool:
    """{} is a canonical address, as exits load FRED state."""
    return not entry.has(SecondaryExit.load_fred) or entry.canonical(entry.field(which.field))


@rule("{}.aligned", HOST, HOST_REGISTERS, ("27.2.2#22",), (EXIT, EXIT2, "field"), each=FRED_SSPS)
def host_fred_ssp_is_aligned(entry: EntryView, which: Single) -> bool:
    """{} is 8-byte aligned, as exits load FRED state."""
    return not entry.has(SecondaryExit.load_fred) or aligned(entry.field(which.field), 8)


@rule("host.spec_ctrl", HOST, HOST_REGISTERS, ("27.2.2#23",), (EXIT, EXIT2, Field.HOST_IA32_SPEC_CTRL))
def host_spec_ctrl_is_valid(entry: EntryView) -> bool:
    """HOST_IA32_SPEC_CTRL has no reserved bit, as exits load it."""
    value = entry.field(Field.HOST_IA32_SPEC_CTRL)
    return not entry.has(SecondaryExit.load_spec_ctrl) or value & ~SPEC_CTRL_WRITABLE == 0


SELECTORS = singles(*(Field[f"HOST_{name}_SELECTOR"] for name in ("CS", "SS", "DS", "ES", "FS", "GS", "TR")))
NEVER_NULL = singles(Field.HOST_CS_SELECTOR, Field.HOST_TR_SELECTOR)
BASES = singles(*(Field[f"HOST_{name}_BASE"] for name in ("FS", "GS", "TR", "GDTR", "IDTR")))


@rule("{}.rpl", HOST, HOST_SEGMENTS, ("27.2.3#1",), ("field",), each=SELECTORS)
def host_selector_has_privilege_0(entry: EntryView, which: Single) -> bool:
    """The RPL of {}, bits 1:0, is 0."""
    return entry.field(which.field) & 3 == 0


@rule("{}.ti", HOST, HOST_SEGMENTS, ("27.2.3#2",), ("field",), each=SELECTORS)
def host_selector_is_in_the_gdt(entry: EntryView, which: Single) -> bool:
    """{} refers to the GDT: bit 2 (TI) is 0."""
    return entry.field(which.field) & 4 == 0


@rule("{}.null", HOST, HOST_SEGMENTS, ("27.2.3#3",), ("field",), each=NEVER_NULL)
def host_selector_is_not_null(entry: EntryView, which: Single) -> bool:
    """{} is not 0."""
    return entry.field(which.field) != 0


@rule("host_ss_selector.null", HOST, HOST_SEGMENTS, ("27.2.3#4",), (EXIT, Field.HOST_SS_SELECTOR))
def host_stack_is_not_null(entry: EntryView) -> bool:
    """HOST_SS_SELECTOR is not 0, unless the host is 64-bit (“host address-space size”)."""
    return long_host(entry) or entry.field(Field.HOST_SS_SELECTOR) != 0


@rule("{}.canonical", HOST, HOST_SEGMENTS, ("27.2.3#5",), ("field",), each=BASES)
def host_base_is_canonical(entry: EntryView, which: Single) -> bool:
    """{} is a canonical address."""
    return entry.canonical(entry.field(which.field))


@rule("host.mode.guest_32", HOST, HOST_ADDRESS_SPACE, ("27.2.4#1",), (Field.VM_ENTRY_CONTROLS,))
def no_long_guest_under_32_bit_host(entry: EntryView) -> bool:
    """“IA-32e mode guest” is 0 where VM entry is executed outside IA-32e mode."""
    return entry.long_mode() or not long_guest(entry)


@rule("host.mode.host_32", HOST, HOST_ADDRESS_SPACE, ("27.2.4#2",), (EXIT,))
def host_stays_32_bit(entry: EntryView) -> bool:
    """“host address-space size” is 0 where VM entry is executed outside IA-32e mode."""
    return entry.long_mode() or not long_host(entry)


@rule("host.mode.host_64", HOST, HOST_ADDRESS_SPACE, ("27.2.4#3",), (EXIT,))
def host_stays_64_bit(entry: EntryView) -> bool:
    """“host address-space size” is 1 where VM entry is executed in IA-32e mode."""
    return not entry.long_mode() or long_host(entry)


@rule("host.mode.guest_64", HOST, HOST_ADDRESS_SPACE, ("27.2.4#4",), (EXIT, Field.VM_ENTRY_CONTROLS))
def long_guest_needs_long_host(entry: EntryView) -> bool:
    """“IA-32e mode guest” needs “host address-space size”."""
    return long_host(entry) or not long_guest(entry)


@rule("host.cr4.pcide", HOST, HOST_ADDRESS_SPACE, ("27.2.4#5",), (EXIT, Field.HOST_CR4))
def no_pcid_in_32_bit_host(entry: EntryView) -> bool:
    """HOST_CR4.PCIDE is 0 where “host address-space size” is 0."""
    return long_host(entry) or entry.field(Field.HOST_CR4) & Cr4.pcide.mask == 0


@rule("host.cr4.fred", HOST, HOST_ADDRESS_SPACE, ("27.2.4#6",), (EXIT, Field.HOST_CR4))
def no_fred_in_32_bit_host(entry: EntryView) -> bool:
    """HOST_CR4.FRED is 0 where “host address-space size” is 0."""
    return long_host(entry) or entry.field(Field.HOST_CR4) & Cr4.fred.mask == 0


@rule("host.rip.width", HOST, HOST_ADDRESS_SPACE, ("27.2.4#7",), (EXIT, Field.HOST_RIP))
def host_rip_is_32_bit(entry: EntryView) -> bool:
    """HOST_RIP bits 63:32 are 0 where “host address-space size” is 0."""
    return long_host(entry) or entry.field(Field.HOST_RIP) >> 32 == 0


CET = singles(Field.HOST_IA32_S_CET)
SSP = singles(Field.HOST_SSP)


@rule("{}.width", HOST, HOST_ADDRESS_SPACE, ("27.2.4#8",), (EXIT, "field"), each=CET)
def host_s_cet_is_32_bit(entry: EntryView, which: Single) -> bool:
    """{} bits 63:32 are 0 where “host address-space size” is 0, as exits load CET state."""
    return long_host(entry) or not entry.has(PrimaryExit.load_cet_state) or entry.field(which.field) >> 32 == 0


@rule("{}.width", HOST, HOST_ADDRESS_SPACE, ("27.2.4#9",), (EXIT, "field"), each=SSP)
def host_ssp_is_32_bit(entry: EntryView, which: Single) -> bool:
    """{} bits 63:32 are 0 where “host address-space size” is 0, as exits load CET state."""
    return long_host(entry) or not entry.has(PrimaryExit.load_cet_state) or entry.field(which.field) >> 32 == 0


@rule("host.cr4.pae", HOST, HOST_ADDRESS_SPACE, ("27.2.4#10",), (EXIT, Field.HOST_CR4))
def long_host_needs_pae(entry: EntryView) -> bool:
    """HOST_CR4.PAE is 1 where “host address-space size” is 1."""
    return not long_host(entry) or entry.field(Field.HOST_CR4) & Cr4.pae.mask != 0


@rule("host.rip.canonical", HOST, HOST_ADDRESS_SPACE, ("27.2.4#11",), (EXIT, Field.HOST_RIP))
def host_rip_is_canonical(entry: EntryView) -> bool:
    """HOST_RIP is a canonical address where “host address-space size” is 1."""
    return not long_host(entry) or entry.canonical(entry.field(Field.HOST_RIP))


@rule("{}.canonical", HOST, HOST_ADDRESS_SPACE, ("27.2.4#12",), (EXIT, "field"), each=CET)
def host_s_cet_is_canonical(entry: EntryView, which: Single) -> bool:
    """{} is canonical where “host address-space size” is 1, as exits load CET state."""
    used = long_host(entry) and entry.has(PrimaryExit.load_cet_state)
    return not used or entry.canonical(entry.field(which.field))


@rule("{}.canonical", HOST, HOST_ADDRESS_SPACE, ("27.2.4#13",), (EXIT, "field"), each=SSP)
def host_ssp_is_canonical(entry: EntryView, which: Single) -> bool:
    """{} is canonical where “host address-space size” is 1, as exits load CET state."""
    used = long_host(entry) and entry.has(PrimaryExit.load_cet_state)
    return not used or entry.canonical(entry.field(which.field))


@rule(
    "host.ssp_table.canonical",
    HOST,
    HOST_ADDRESS_SPACE,
    ("27.2.4#14",),
    (EXIT, Field.HOST_IA32_INTERRUPT_SSP_TABLE_ADDR),
)
def host_ssp_table_is_canonical(entry: EntryView) -> bool:
    """HOST_IA32_INTERRUPT_SSP_TABLE_ADDR is a canonical address, as exits load CET state."""
    table = entry.field(Field.HOST_IA32_INTERRUPT_SSP_TABLE_ADDR)
    return not entry.has(PrimaryExit.load_cet_state) or entry.canonical(table)
