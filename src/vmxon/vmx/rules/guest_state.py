"""Rules on guest RIP, RFLAGS and SSP, non-register state, and PDPTEs (Vol. 3C §27.3.1.4 to §27.3.1.6)."""

from __future__ import annotations

from vmxon.arch.control import Cr0, Cr4
from vmxon.arch.msr_vmx import VmxMisc
from vmxon.microcode import inline
from vmxon.vmx.controls import Entry, PinBased, SecondaryProcessorBased
from vmxon.vmx.fields import VmcsField as Field
from vmxon.vmx.rules.book import Area, rule
from vmxon.vmx.rules.sections import GUEST_NON_REGISTER, GUEST_PDPTES, GUEST_POINTERS
from vmxon.vmx.rules.terms import (
    EXCEPTION,
    EXTERNAL,
    NMI,
    OTHER,
    SS,
    Single,
    aligned,
    code_64,
    event_type,
    event_vector,
    injecting,
    injects,
    long_guest,
    privilege,
    real_mode,
    singles,
    virtual_8086,
)
from vmxon.vmx.rules.view import ALL_ONES, BASIC, MISC, EntryView

GUEST = Area.GUEST_STATE
FLAGS = Field.GUEST_RFLAGS
ENTRY = Field.VM_ENTRY_CONTROLS
EVENT = Field.VM_ENTRY_INTERRUPTION_INFORMATION
ACTIVITY = Field.GUEST_ACTIVITY_STATE
BLOCKING = Field.GUEST_INTERRUPTIBILITY_STATE
DEBUG = Field.GUEST_PENDING_DEBUG_EXCEPTIONS
LINK = Field.VMCS_LINK_POINTER
IF, TF, BTF = 1 << 9, 1 << 8, 1 << 1
RESERVED_FLAGS = ALL_ONES & ~0x3F_FFFF | 1 << 15 | 1 << 5 | 1 << 3
ACTIVE, HLT, SHUTDOWN, WAIT_FOR_SIPI = range(4)
STI, MOV_SS, SMI, NMI_BLOCKING, ENCLAVE = (1 << n for n in range(5))
SINGLE_STEP, ENABLED_BREAKPOINT, RTM = 1 << 14, 1 << 12, 1 << 16
PENDING_RESERVED = ALL_ONES & ~0x1FFFF | 1 << 15 | 1 << 13 | 0x7F0
LINK_FAILURE, NMI_FAILURE, PDPTE_FAILURE = 4, 3, 2
"""Exit qualifications of reason 33 (Vol. 3C §27.8 “VM-Entry Failures During or After Loading Guest State”)."""


@rule("guest.rip.width", GUEST, GUEST_POINTERS, ("27.3.1.4#1",), (Field.GUEST_RIP, Field.GUEST_CS_ACCESS_RIGHTS, ENTRY))
def rip_is_32_bit(entry: EntryView) -> bool:
    """GUEST_RIP bits 63:32 are 0 outside 64-bit mode (“IA-32e mode guest” 0 or CS.L 0)."""
    return code_64(entry) or entry.field(Field.GUEST_RIP) >> 32 == 0


@rule("guest.rip.high", GUEST, GUEST_POINTERS, ("27.3.1.4#2",), (Field.GUEST_RIP, Field.GUEST_CS_ACCESS_RIGHTS, ENTRY))
def rip_high_bits_are_alike(entry: EntryView) -> bool:
    """GUEST_RIP bits above the linear-address width are all alike in 64-bit mode."""
    return not code_64(entry) or entry.alike_above(entry.field(Field.GUEST_RIP))


@rule("guest.rflags.reserved", GUEST, GUEST_POINTERS, ("27.3.1.4#3",), (FLAGS,))
def reserved_flags_are_zero(entry: EntryView) -> bool:
    """GUEST_RFLAGS bits 63:22, 15, 5 and 3 are 0."""
    return entry.field(FLAGS) & RESERVED_FLAGS == 0


@rule("guest.rflags.bit_1", GUEST, GUEST_POINTERS, ("27.3.1.4#4",), (FLAGS,))
def flag_1_is_one(entry: EntryView) -> bool:
    """GUEST_RFLAGS bit 1 is 1."""
    return entry.field(FLAGS) & 2 != 0


@rule("guest.rflags.vm_long", GUEST, GUEST_POINTERS, ("27.3.1.4#5",), (FLAGS, ENTRY))
def no_v86_in_long_mode(entry: EntryView) -> bool:
    """GUEST_RFLAGS.VM is 0 under “IA-32e mode guest”."""
    return not long_guest(entry) or not virtual_8086(entry)


@rule("guest.rflags.vm_real", GUEST, GUEST_POINTERS, ("27.3.1.4#6",), (FLAGS, Field.GUEST_CR0))
def no_v86_in_real_mode(entry: EntryView) -> bool:
    """GUEST_RFLAGS.VM is 0 where GUEST_CR0.PE is 0."""
    return not real_mode(entry) or not virtual_8086(entry)


@rule("guest.rflags.if", GUEST, GUEST_POINTERS, ("27.3.1.4#7",), (FLAGS, EVENT))
def injected_interrupt_needs_if(entry: EntryView) -> bool:
    """GUEST_RFLAGS.IF is 1 where an external interrupt is injected: use interrupt-window exiting to wait for it."""
    return not injects(entry, EXTERNAL) or entry.field(FLAGS) & IF != 0


@rule("guest.ssp.aligned", GUEST, GUEST_POINTERS, ("27.3.1.4#8",), (ENTRY, Field.GUEST_SSP))
def guest_ssp_is_aligned(entry: EntryView) -> bool:
    """GUEST_SSP is 4-byte aligned, as entry loads CET state."""
    return not entry.has(Entry.load_cet_state) or aligned(entry.field(Field.GUEST_SSP), 4)


@rule("guest.ssp.high", GUEST, GUEST_POINTERS, ("27.3.1.4#9",), (ENTRY, Field.GUEST_SSP))
def guest_ssp_high_bits_are_alike(entry: EntryView) -> bool:
    """GUEST_SSP bits above the linear-address width are all alike, as entry loads CET state."""
    return not entry.has(Entry.load_cet_state) or entry.alike_above(entry.field(Field.GUEST_SSP))


@rule("guest.ssp.width", GUEST, GUEST_POINTERS, ("27.3.1.4#10",), (ENTRY, Field.GUEST_CS_ACCESS_RIGHTS, Field.GUEST_SSP))
def guest_ssp_is_32_bit(entry: EntryView) -> bool:
    """GUEST_SSP bits 63:32 are 0 outside 64-bit mode, as entry loads CET state."""
    return not entry.has(Entry.load_cet_state) or code_64(entry) or entry.field(Field.GUEST_SSP) >> 32 == 0


@rule("guest.activity.defined", GUEST, GUEST_NON_REGISTER, ("27.3.1.5#1",), (ACTIVITY,))
def activity_is_defined(entry: EntryView) -> bool:
    """GUEST_ACTIVITY_STATE is 0 (active), 1 (HLT), 2 (shutdown) or 3 (wait for SIPI)."""
    return entry.field(ACTIVITY) <= WAIT_FOR_SIPI


@rule("guest.activity.supported", GUEST, GUEST_NON_REGISTER, ("27.3.1.5#2",), (ACTIVITY,))
def activity_is_supported(entry: EntryView) -> bool:
    """GUEST_ACTIVITY_STATE is one that IA32_VMX_MISC bits 8:6 report."""
    state, misc = entry.field(ACTIVITY), entry.capability(MISC)
    return (
        state == ACTIVE
        or (state == HLT and misc & VmxMisc.hlt_state.mask != 0)
        or (state == SHUTDOWN and misc & VmxMisc.shutdown_state.mask != 0)
        or (state == WAIT_FOR_SIPI and misc & VmxMisc.wait_for_sipi_state.mask != 0)
    )


@rule("guest.activity.hlt_privilege", GUEST, GUEST_NON_REGISTER, ("27.3.1.5#3",), (ACTIVITY, SS.rights))
def halted_guest_has_privilege_0(entry: EntryView) -> bool:
    """The DPL of SS is 0 where the activity state is HLT."""
    return entry.field(ACTIVITY) != HLT or privilege(entry, SS) == 0


@rule("guest.activity.blocking", GUEST, GUEST_NON_REGISTER, ("27.3.1.5#4",), (ACTIVITY, BLOCKING))
def blocking_needs_activity(entry: EntryView) -> bool:
    """The activity state is active where blocking by STI or by MOV SS is indicated."""
    return entry.field(BLOCKING) & (STI | MOV_SS) == 0 or entry.field(ACTIVITY) == ACTIVE


@rule("guest.activity.hlt_event", GUEST, GUEST_NON_REGISTER, ("27.3.1.5#5",), (ACTIVITY, EVENT))
def event_can_wake_hlt(entry: EntryView) -> bool:
    """Into HLT only events are injected that can end it: interrupts, NMI, #DB, #MC, a pending exit of the monitor trap flag."""
    if entry.field(ACTIVITY) != HLT or not injecting(entry):
        return True
    kind, vector = event_type(entry), event_vector(entry)
    exception = kind == EXCEPTION and (vector == 1 or vector == 18)
    return kind == EXTERNAL or kind == NMI or exception or (kind == OTHER and vector == 0)


@rule("guest.activity.shutdown_event", GUEST, GUEST_NON_REGISTER, ("27.3.1.5#6",), (ACTIVITY, EVENT))
def event_can_end_shutdown(entry: EntryView) -> bool:
    """Into shutdown only an NMI or #MC is injected."""
    machine_check = event_type(entry) == EXCEPTION and event_vector(entry) == 18
    ends = event_type(entry) == NMI or machine_check
    return entry.field(ACTIVITY) != SHUTDOWN or not injecting(entry) or ends


@rule("guest.activity.sipi_event", GUEST, GUEST_NON_REGISTER, ("27.3.1.5#7",), (ACTIVITY, EVENT))
def nothing_injected_into_wait_for_sipi(entry: EntryView) -> bool:
    """Into wait-for-SIPI nothing is injected."""
    return entry.field(ACTIVITY) != WAIT_FOR_SIPI or not injecting(entry)


@rule("guest.activity.smm", GUEST, GUEST_NON_REGISTER, ("27.3.1.5#8",), (ACTIVITY, ENTRY))
def smm_does_not_wait_for_sipi(entry: EntryView) -> bool:
    """The activity state is not wait-for-SIPI under “entry to SMM”."""
    return not entry.has(Entry.entry_to_smm) or entry.field(ACTIVITY) != WAIT_FOR_SIPI


@rule("guest.blocking.reserved", GUEST, GUEST_NON_REGISTER, ("27.3.1.5#9",), (BLOCKING,))
def blocking_reserved_bits_are_zero(entry: EntryView) -> bool:
    """GUEST_INTERRUPTIBILITY_STATE bits 31:5 are 0."""
    return entry.field(BLOCKING) >> 5 == 0


@rule("guest.blocking.both", GUEST, GUEST_NON_REGISTER, ("27.3.1.5#10",), (BLOCKING,))
def sti_and_mov_ss_exclude_each_other(entry: EntryView) -> bool:
    """Blocking by STI and blocking by MOV SS are not both indicated."""
    return entry.field(BLOCKING) & (STI | MOV_SS) != STI | MOV_SS


@rule("guest.blocking.sti_without_if", GUEST, GUEST_NON_REGISTER, ("27.3.1.5#11",), (BLOCKING, FLAGS))
def sti_blocking_needs_if(entry: EntryView) -> bool:
    """Blocking by STI is indicated only where GUEST_RFLAGS.IF is 1."""
    return entry.field(BLOCKING) & STI == 0 or entry.field(FLAGS) & IF != 0


@rule("guest.blocking.interrupt_sti", GUEST, GUEST_NON_REGISTER, ("27.3.1.5#12",), (BLOCKING, EVENT))
def no_interrupt_under_sti_blocking(entry: EntryView) -> bool:
    """Blocking by STI is not indicated where an external interrupt is injected."""
    return not injects(entry, EXTERNAL) or entry.field(BLOCKING) & STI == 0


@rule("guest.blocking.interrupt_mov_ss", GUEST, GUEST_NON_REGISTER, ("27.3.1.5#13",), (BLOCKING, EVENT))
def no_interrupt_under_mov_ss_blocking(entry: EntryView) -> bool:
    """Blocking by MOV SS is not indicated where an external interrupt is injected."""
    return not injects(entry, EXTERNAL) or entry.field(BLOCKING) & MOV_SS == 0


@rule("guest.blocking.nmi_mov_ss", GUEST, GUEST_NON_REGISTER, ("27.3.1.5#15",), (BLOCKING, EVENT))
def no_nmi_under_mov_ss_blocking(entry: EntryView) -> bool:
    """Blocking by MOV SS is not indicated where an NMI is injected."""
    return not injects(entry, NMI) or entry.field(BLOCKING) & MOV_SS == 0


@rule(
    "guest.blocking.nmi_sti",
    GUEST,
    GUEST_NON_REGISTER,
    ("27.3.1.5#14",),
    (BLOCKING, EVENT),
    qualification=NMI_FAILURE,
)
def no_nmi_under_sti_blocking(entry: EntryView) -> bool:
    """Blocking by STI is not indicated where an NMI is injected."""
    return not injects(entry, NMI) or entry.field(BLOCKING) & STI == 0


@rule("guest.blocking.smi", GUEST, GUEST_NON_REGISTER, ("27.3.1.5#16",), (BLOCKING,))
def no_smi_blocking_outside_smm(entry: EntryView) -> bool:
    """Blocking by SMI is not indicated, as the processor is not in SMM."""
    return entry.field(BLOCKING) & SMI == 0


@rule("guest.blocking.smm", GUEST, GUEST_NON_REGISTER, ("27.3.1.5#17",), (BLOCKING, ENTRY))
def smm_blocks_smi(entry: EntryView) -> bool:
    """Blocking by SMI is indicated under “entry to SMM”."""
    return not entry.has(Entry.entry_to_smm) or entry.field(BLOCKING) & SMI != 0


@rule("guest.blocking.virtual_nmi", GUEST, GUEST_NON_REGISTER, ("27.3.1.5#18",), (BLOCKING, EVENT))
def no_virtual_nmi_under_nmi_blocking(entry: EntryView) -> bool:
    """Under “virtual NMIs”, blocking by NMI is not indicated where an NMI is injected."""
    blocked = entry.has(PinBased.virtual_nmis) and entry.field(BLOCKING) & NMI_BLOCKING != 0
    return not injects(entry, NMI) or not blocked


@rule("guest.blocking.enclave", GUEST, GUEST_NON_REGISTER, ("27.3.1.5#19", "27.3.1.5#20"), (BLOCKING,))
def no_enclave_interruption(entry: EntryView) -> bool:
    """The enclave-interruption bit (4) is 0, as the processor has no SGX."""
    return entry.field(BLOCKING) & ENCLAVE == 0


@rule("guest.pending_debug.reserved", GUEST, GUEST_NON_REGISTER, ("27.3.1.5#21",), (DEBUG,))
def pending_debug_reserved_bits_are_zero(entry: EntryView) -> bool:
    """GUEST_PENDING_DEBUG_EXCEPTIONS bits 10:4, 13, 15 and 63:17 are 0."""
    return entry.field(DEBUG) & PENDING_RESERVED == 0


@rule("guest.pending_debug.bus_lock", GUEST, GUEST_NON_REGISTER, ("27.3.1.5#22",), (DEBUG,))
def no_pending_bus_lock(entry: EntryView) -> bool:
    """GUEST_PENDING_DEBUG_EXCEPTIONS bit 11 is 0, as the processor has no bus-lock detection."""
    return entry.field(DEBUG) & 1 << 11 == 0


@inline
def between_instructions(entry: EntryView) -> bool:
    """The guest will be where a single step cannot have been delivered yet: under blocking by STI or MOV SS, or in HLT."""
    return entry.field(BLOCKING) & (STI | MOV_SS) != 0 or entry.field(ACTIVITY) == HLT


@inline
def stepping(entry: EntryView) -> bool:
    """TF is 1 and BTF is 0: each instruction traps."""
    return entry.field(FLAGS) & TF != 0 and entry.field(Field.GUEST_IA32_DEBUGCTL) & BTF == 0


STEP_READS = (DEBUG, BLOCKING, ACTIVITY, FLAGS, Field.GUEST_IA32_DEBUGCTL)


@rule("guest.pending_debug.step_missing", GUEST, GUEST_NON_REGISTER, ("27.3.1.5#23",), STEP_READS)
def step_is_pending(entry: EntryView) -> bool:
    """Bit 14 (BS) of the pending debug exceptions is 1 where TF is 1, BTF is 0, and STI, MOV SS or HLT holds the trap back."""
    return not between_instructions(entry) or not stepping(entry) or entry.field(DEBUG) & SINGLE_STEP != 0


@rule("guest.pending_debug.step_unexpected", GUEST, GUEST_NON_REGISTER, ("27.3.1.5#24",), STEP_READS)
def step_is_not_pending(entry: EntryView) -> bool:
    """Bit 14 (BS) of the pending debug exceptions is 0 under STI or MOV SS blocking or in HLT where TF is 0 or BTF is 1."""
    return not between_instructions(entry) or stepping(entry) or entry.field(DEBUG) & SINGLE_STEP == 0


@rule(
    "guest.pending_debug.rtm",
    GUEST,
    GUEST_NON_REGISTER,
    ("27.3.1.5#25", "27.3.1.5#26", "27.3.1.5#27", "27.3.1.5#28"),
    (DEBUG,),
)
def no_pending_rtm(entry: EntryView) -> bool:
    """GUEST_PENDING_DEBUG_EXCEPTIONS bit 16 (RTM) is 0, as the processor has no transactional regions."""
    return entry.field(DEBUG) & RTM == 0


@inline
def linked(entry: EntryView) -> bool:
    """The link pointer is in use: not all ones."""
    return entry.field(LINK) != ALL_ONES


@rule("link.aligned", GUEST, GUEST_NON_REGISTER, ("27.3.1.5#29",), (LINK,), qualification=LINK_FAILURE)
def link_is_aligned(entry: EntryView) -> bool:
    """VMCS_LINK_POINTER is all ones, or 4-KiB aligned."""
    return not linked(entry) or aligned(entry.field(LINK), 4096)


@rule("link.width", GUEST, GUEST_NON_REGISTER, ("27.3.1.5#30",), (LINK,), qualification=LINK_FAILURE)
def link_fits(entry: EntryView) -> bool:
    """VMCS_LINK_POINTER is all ones, or has no bit beyond the processor's physical-address width."""
    return not linked(entry) or entry.fits(entry.field(LINK))


@rule("link.revision", GUEST, GUEST_NON_REGISTER, ("27.3.1.5#31",), (LINK,), qualification=LINK_FAILURE)
def link_has_revision(entry: EntryView) -> bool:
    """The word at VMCS_LINK_POINTER holds this processor's VMCS revision identifier in bits 30:0."""
    if not linked(entry):
        return True
    return (entry.word(entry.field(LINK)) ^ entry.capability(BASIC)) & 0x7FFF_FFFF == 0


@rule("link.shadow", GUEST, GUEST_NON_REGISTER, ("27.3.1.5#32",), (LINK,), qualification=LINK_FAILURE)
def link_is_shadow_under_shadowing(entry: EntryView) -> bool:
    """Bit 31 of the word at VMCS_LINK_POINTER equals “VMCS shadowing”."""
    if not linked(entry):
        return True
    shadow = entry.word(entry.field(LINK)) >> 31 != 0
    return shadow == entry.has(SecondaryProcessorBased.vmcs_shadowing)


@rule("link.current", GUEST, GUEST_NON_REGISTER, ("27.3.1.5#33",), (LINK,), qualification=LINK_FAILURE)
def link_is_another_vmcs(entry: EntryView) -> bool:
    """VMCS_LINK_POINTER is not the address of the VMCS that is entered."""
    return entry.field(LINK) != entry.vmcs_pointer()


@inline
def pae_guest(entry: EntryView) -> bool:
    """The guest will use PAE paging: PG and PAE without IA-32e mode."""
    paging = entry.field(Field.GUEST_CR0) & Cr0.pg.mask != 0
    return paging and entry.field(Field.GUEST_CR4) & Cr4.pae.mask != 0 and not long_guest(entry)


@inline
def pdpte_valid(entry: EntryView, value: int) -> bool:
    """A PDPTE that is absent, or has no reserved bit (2:1, 8:5, beyond the physical-address width)."""
    return value & 1 == 0 or (value & 0x1E6 == 0 and value >> entry.physical_width() == 0)


PAE_READS = (ENTRY, Field.GUEST_CR0, Field.GUEST_CR4)


@rule(
    "guest.pdpte.memory",
    GUEST,
    GUEST_PDPTES,
    ("27.3.1.6#1",),
    (*PAE_READS, Field.GUEST_CR3),
    qualification=PDPTE_FAILURE,
)
def pdptes_in_memory_are_valid(entry: EntryView) -> bool:
    """The four PDPTEs at GUEST_CR3 have no reserved bit, as the guest uses PAE paging without EPT."""
    if not pae_guest(entry) or entry.has(SecondaryProcessorBased.enable_ept):
        return True
    table = entry.field(Field.GUEST_CR3) & 0xFFFF_FFE0
    for index in range(4):
        if not pdpte_valid(entry, entry.quad(table + 8 * index)):
            return False
    return True


PDPTES = singles(Field.GUEST_PDPTE0, Field.GUEST_PDPTE1, Field.GUEST_PDPTE2, Field.GUEST_PDPTE3)


@rule("{}", GUEST, GUEST_PDPTES, ("27.3.1.6#2",), (*PAE_READS, "field"), qualification=PDPTE_FAILURE, each=PDPTES)
def pdpte_field_is_valid(entry: EntryView, which: Single) -> bool:
    """{} has no reserved bit, as the guest uses PAE paging under EPT."""
    used = pae_guest(entry) and entry.has(SecondaryProcessorBased.enable_ept)
    return not used or pdpte_valid(entry, entry.field(which.field))
