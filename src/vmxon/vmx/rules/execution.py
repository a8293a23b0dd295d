"""Rules on the VM-execution control fields (Vol. 3C §27.2.1.1)."""

from __future__ import annotations

from vmxon.arch.msr_vmx import EptVpidCapabilities
from vmxon.microcode import inline
from vmxon.vmx.controls import Entry as EntryControl
from vmxon.vmx.controls import (
    EptPointer,
    PinBased,
    PrimaryExit,
    PrimaryProcessorBased,
    SecondaryProcessorBased,
    TertiaryProcessorBased,
    VmFunctions,
)
from vmxon.vmx.fields import VmcsField as Field
from vmxon.vmx.rules.book import Area, rule
from vmxon.vmx.rules.sections import EXECUTION
from vmxon.vmx.rules.terms import Dependence, Structure, aligned
from vmxon.vmx.rules.view import MISC, EntryView

PIN = Field.PIN_BASED_VM_EXECUTION_CONTROLS
PRIMARY = Field.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS
SECONDARY = Field.SECONDARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS
TERTIARY = Field.TERTIARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS
CONTROLS = Area.CONTROLS
LOW = 0xFFFF_FFFF
EPT_CAPABILITIES = 0x48C


@rule("pin.must_be_one", CONTROLS, EXECUTION, ("27.2.1.1#1",), (PIN,))
def pin_has_required_bits(entry: EntryView) -> bool:
    """The pin-based controls have every bit that IA32_VMX_PINBASED_CTLS (TRUE where it exists) demands."""
    return entry.settings(0x481) & LOW & ~entry.field(PIN) == 0


@rule("pin.may_be_one", CONTROLS, EXECUTION, ("27.2.1.1#2",), (PIN,))
def pin_has_only_allowed_bits(entry: EntryView) -> bool:
    """The pin-based controls have no bit that IA32_VMX_PINBASED_CTLS (TRUE where it exists) forbids."""
    return entry.field(PIN) & ~(entry.settings(0x481) >> 32) == 0


@rule("primary.must_be_one", CONTROLS, EXECUTION, ("27.2.1.1#3",), (PRIMARY,))
def primary_has_required_bits(entry: EntryView) -> bool:
    """The primary processor-based controls have every bit that IA32_VMX_PROCBASED_CTLS (TRUE where it exists) demands."""
    return entry.settings(0x482) & LOW & ~entry.field(PRIMARY) == 0


@rule("primary.may_be_one", CONTROLS, EXECUTION, ("27.2.1.1#4",), (PRIMARY,))
def primary_has_only_allowed_bits(entry: EntryView) -> bool:
    """The primary processor-based controls have no bit that IA32_VMX_PROCBASED_CTLS (TRUE where it exists) forbids."""
    return entry.field(PRIMARY) & ~(entry.settings(0x482) >> 32) == 0


@rule("secondary.may_be_one", CONTROLS, EXECUTION, ("27.2.1.1#5",), (PRIMARY, SECONDARY))
def secondary_has_only_allowed_bits(entry: EntryView) -> bool:
    """The activated secondary processor-based controls have no bit that IA32_VMX_PROCBASED_CTLS2 forbids."""
    return entry.vector(SecondaryProcessorBased) & ~(entry.capability(0x48B) >> 32) == 0


@rule("tertiary.may_be_one", CONTROLS, EXECUTION, ("27.2.1.1#6",), (PRIMARY, TERTIARY))
def tertiary_has_only_allowed_bits(entry: EntryView) -> bool:
    """The activated tertiary processor-based controls have no bit that IA32_VMX_PROCBASED_CTLS3 forbids."""
    return entry.vector(TertiaryProcessorBased) & ~entry.capability(0x492) == 0


@rule("cr3_target.count", CONTROLS, EXECUTION, ("27.2.1.1#7",), (Field.CR3_TARGET_COUNT,))
def cr3_targets_are_few(entry: EntryView) -> bool:
    """CR3_TARGET_COUNT is not above the number of CR3 targets in IA32_VMX_MISC bits 24:16 (4 on every known processor)."""
    return entry.field(Field.CR3_TARGET_COUNT) <= entry.capability(MISC) >> 16 & 0x1FF


STRUCTURES = (
    Structure(Field.IO_BITMAP_A_ADDRESS, PrimaryProcessorBased.use_io_bitmaps, "27.2.1.1#8", "27.2.1.1#9"),
    Structure(Field.IO_BITMAP_B_ADDRESS, PrimaryProcessorBased.use_io_bitmaps, "27.2.1.1#8", "27.2.1.1#9"),
    Structure(Field.MSR_BITMAP_ADDRESS, PrimaryProcessorBased.use_msr_bitmaps, "27.2.1.1#10", "27.2.1.1#11"),
    Structure(Field.VIRTUAL_APIC_ADDRESS, PrimaryProcessorBased.use_tpr_shadow, "27.2.1.1#12", "27.2.1.1#13"),
    Structure(Field.APIC_ACCESS_ADDRESS, SecondaryProcessorBased.virtualize_apic_accesses, "27.2.1.1#18", "27.2.1.1#19"),
    Structure(Field.POSTED_INTERRUPT_DESCRIPTOR_ADDRESS, PinBased.posted_interrupts, "27.2.1.1#29", "27.2.1.1#30", 64),
    Structure(Field.PID_POINTER_TABLE_ADDRESS, TertiaryProcessorBased.ipi_virtualization, "27.2.1.1#31", "27.2.1.1#32", 8),
    Structure(Field.PML_ADDRESS, SecondaryProcessorBased.enable_pml, "27.2.1.1#50", "27.2.1.1#51"),
    Structure(Field.SPPTP, SecondaryProcessorBased.sub_page_write_permissions, "27.2.1.1#52", "27.2.1.1#53"),
    Structure(Field.EPTP_LIST_ADDRESS, VmFunctions.eptp_switching, "27.2.1.1#62", "27.2.1.1#63"),
    Structure(Field.VMREAD_BITMAP_ADDRESS, SecondaryProcessorBased.vmcs_shadowing, "27.2.1.1#64", "27.2.1.1#65"),
    Structure(Field.VMWRITE_BITMAP_ADDRESS, SecondaryProcessorBased.vmcs_shadowing, "27.2.1.1#64", "27.2.1.1#65"),
    Structure(
        Field.VIRTUALIZATION_EXCEPTION_INFORMATION_ADDRESS,
        SecondaryProcessorBased.ept_violation_ve,
        "27.2.1.1#66",
        "27.2.1.1#67",
    ),
    Structure(Field.LOW_PASID_DIRECTORY_ADDRESS, SecondaryProcessorBased.pasid_translation, "27.2.1.1#69", "27.2.1.1#70"),
    Structure(Field.HIGH_PASID_DIRECTORY_ADDRESS, SecondaryProcessorBased.pasid_translation, "27.2.1.1#69", "27.2.1.1#70"),
)
"""What the processor finds through a physical address in the VMCS."""


@rule("{}.aligned", CONTROLS, EXECUTION, ("aligned",), (PRIMARY, SECONDARY, "field"), each=STRUCTURES)
def structure_is_aligned(entry: EntryView, structure: Structure) -> bool:
    """{} is aligned as its structure demands (4 KiB; 64 bytes and 8 bytes for descriptors of posted interrupts)."""
    return not entry.has(structure.control) or aligned(entry.field(structure.field), structure.alignment)


@rule("{}.width", CONTROLS, EXECUTION, ("fits",), (PRIMARY, SECONDARY, "field"), each=STRUCTURES)
def structure_fits(entry: EntryView, structure: Structure) -> bool:
    """{} has no bit beyond the processor's physical-address width."""
    return not entry.has(structure.control) or entry.fits(entry.field(structure.field))


@rule("tpr_threshold.reserved", CONTROLS, EXECUTION, ("27.2.1.1#14",), (PRIMARY, SECONDARY, Field.TPR_THRESHOLD))
def tpr_threshold_is_a_class(entry: EntryView) -> bool:
    """Under “use TPR shadow” without “virtual-interrupt delivery”, TPR_THRESHOLD uses only bits 3:0."""
    return not threshold_counts(entry) or entry.field(Field.TPR_THRESHOLD) >> 4 == 0


@rule(
    "tpr_threshold.above_vtpr",
    CONTROLS,
    EXECUTION,
    ("27.2.1.1#15",),
    (PRIMARY, SECONDARY, Field.TPR_THRESHOLD, Field.VIRTUAL_APIC_ADDRESS),
)
def tpr_threshold_not_above_vtpr(entry: EntryView) -> bool:
    """TPR_THRESHOLD is not above the priority class in VTPR, bits 7:4 at offset 80H of the virtual-APIC page."""
    if not threshold_counts(entry) or entry.has(SecondaryProcessorBased.virtualize_apic_accesses):
        return True
    virtual_tpr = entry.word((entry.field(Field.VIRTUAL_APIC_ADDRESS) & ~0xFFF) + 0x80)
    return entry.field(Field.TPR_THRESHOLD) & 15 <= virtual_tpr >> 4 & 15


@inline
def threshold_counts(entry: EntryView) -> bool:
    """The processor compares the TPR threshold with the virtual TPR."""
    return entry.has(PrimaryProcessorBased.use_tpr_shadow) and not entry.has(SecondaryProcessorBased.virtual_interrupt_delivery)


EPT, TPR_SHADOW = SecondaryProcessorBased.enable_ept, PrimaryProcessorBased.use_tpr_shadow
DELIVERY = SecondaryProcessorBased.virtual_interrupt_delivery
DEPENDENCES = (
    Dependence(PinBased.virtual_nmis, PinBased.nmi_exiting, "27.2.1.1#16"),
    Dependence(PrimaryProcessorBased.nmi_window_exiting, PinBased.virtual_nmis, "27.2.1.1#17"),
    Dependence(SecondaryProcessorBased.virtualize_x2apic_mode, TPR_SHADOW, "27.2.1.1#20"),
    Dependence(SecondaryProcessorBased.apic_register_virtualization, TPR_SHADOW, "27.2.1.1#21"),
    Dependence(DELIVERY, TPR_SHADOW, "27.2.1.1#22"),
    Dependence(TertiaryProcessorBased.ipi_virtualization, TPR_SHADOW, "27.2.1.1#23"),
    Dependence(DELIVERY, PinBased.external_interrupt_exiting, "27.2.1.1#25"),
    Dependence(PinBased.posted_interrupts, DELIVERY, "27.2.1.1#26"),
    Dependence(PinBased.posted_interrupts, PrimaryExit.acknowledge_interrupt, "27.2.1.1#27"),
    Dependence(SecondaryProcessorBased.enable_pml, EPT, "27.2.1.1#41"),
    Dependence(SecondaryProcessorBased.unrestricted_guest, EPT, "27.2.1.1#42"),
    Dependence(SecondaryProcessorBased.mode_based_execute, EPT, "27.2.1.1#43"),
    Dependence(SecondaryProcessorBased.sub_page_write_permissions, EPT, "27.2.1.1#44"),
    Dependence(SecondaryProcessorBased.pt_guest_physical, EPT, "27.2.1.1#45"),
    Dependence(TertiaryProcessorBased.enable_hlat, EPT, "27.2.1.1#46"),
    Dependence(TertiaryProcessorBased.ept_paging_write, EPT, "27.2.1.1#47"),
    Dependence(TertiaryProcessorBased.guest_paging_verification, EPT, "27.2.1.1#48"),
    Dependence(TertiaryProcessorBased.pebs_guest_physical, EPT, "27.2.1.1#49"),
    Dependence(SecondaryProcessorBased.pt_guest_physical, EntryControl.load_rtit_ctl, "27.2.1.1#54"),
    Dependence(SecondaryProcessorBased.pt_guest_physical, PrimaryExit.clear_rtit_ctl, "27.2.1.1#55"),
    Dependence(VmFunctions.eptp_switching, EPT, "27.2.1.1#61"),
    Dependence(TertiaryProcessorBased.apic_timer_virtualization, DELIVERY, "27.2.1.1#71"),
)
"""Controls that are useless or dangerous without another one."""


@rule("{}", CONTROLS, EXECUTION, ("key",), ("control_field", "needed_field"), each=DEPENDENCES)
def dependence_is_met(entry: EntryView, pair: Dependence) -> bool:
    """{}."""
    return not entry.has(pair.control) or entry.has(pair.needed)


@rule("x2apic.excludes_apic_accesses", CONTROLS, EXECUTION, ("27.2.1.1#24",), (PRIMARY, SECONDARY))
def apic_modes_exclude_each_other(entry: EntryView) -> bool:
    """“virtualize x2APIC mode” and “virtualize APIC accesses” are not both 1."""
    return not entry.has(SecondaryProcessorBased.virtualize_x2apic_mode) or not entry.has(SecondaryProcessorBased.virtualize_apic_accesses)


@rule(
    "posted_interrupts.vector",
    CONTROLS,
    EXECUTION,
    ("27.2.1.1#28",),
    (PIN, Field.POSTED_INTERRUPT_NOTIFICATION_VECTOR),
)
def notification_vector_is_a_vector(entry: EntryView) -> bool:
    """Under “process posted interrupts”, the notification vector is not above 255."""
    return not entry.has(PinBased.posted_interrupts) or entry.field(Field.POSTED_INTERRUPT_NOTIFICATION_VECTOR) >> 8 == 0


@rule(
    "pid_pointer_table.end",
    CONTROLS,
    EXECUTION,
    ("27.2.1.1#33",),
    (PRIMARY, TERTIARY, Field.PID_POINTER_TABLE_ADDRESS, Field.LAST_PID_POINTER_INDEX),
)
def pid_pointer_table_ends_in_memory(entry: EntryView) -> bool:
    """Under “IPI virtualization”, the last entry of the PID-pointer table lies within the physical-address width."""
    if not entry.has(TertiaryProcessorBased.ipi_virtualization):
        return True
    last = (entry.field(Field.PID_POINTER_TABLE_ADDRESS) >> 3) + entry.field(Field.LAST_PID_POINTER_INDEX)
    return last >> (entry.physical_width() - 3) == 0


@rule("vpid.zero", CONTROLS, EXECUTION, ("27.2.1.1#34",), (PRIMARY, SECONDARY, Field.VPID))
def vpid_is_not_zero(entry: EntryView) -> bool:
    """Under “enable VPID”, VPID is not 0, which is the tag of the host's own translations."""
    return not entry.has(SecondaryProcessorBased.enable_vpid) or entry.field(Field.VPID) != 0


@rule("eptp.memory_type", CONTROLS, EXECUTION, ("27.2.1.1#35",), (PRIMARY, SECONDARY, Field.EPTP))
def eptp_memory_type_is_supported(entry: EntryView) -> bool:
    """EPTP bits 2:0 are a memory type that IA32_VMX_EPT_VPID_CAP lists: 0 (UC) or 6 (WB)."""
    return not entry.has(EPT) or eptp_type_supported(entry, entry.field(Field.EPTP))


@rule("eptp.walk_length", CONTROLS, EXECUTION, ("27.2.1.1#36",), (PRIMARY, SECONDARY, Field.EPTP))
def eptp_walk_length_is_supported(entry: EntryView) -> bool:
    """EPTP bits 5:3 are the number of levels minus one: 3, or 4 where IA32_VMX_EPT_VPID_CAP bit 7 allows five levels."""
    return not entry.has(EPT) or eptp_walk_supported(entry, entry.field(Field.EPTP))


@rule("eptp.accessed_dirty", CONTROLS, EXECUTION, ("27.2.1.1#37",), (PRIMARY, SECONDARY, Field.EPTP))
def eptp_accessed_dirty_is_supported(entry: EntryView) -> bool:
    """EPTP bit 6 is 0 where IA32_VMX_EPT_VPID_CAP bit 21 does not report accessed and dirty flags."""
    return not entry.has(EPT) or eptp_flags_supported(entry, entry.field(Field.EPTP))


@rule("eptp.supervisor_shadow_stack", CONTROLS, EXECUTION, ("27.2.1.1#38",), (PRIMARY, SECONDARY, Field.EPTP))
def eptp_shadow_stack_is_supported(entry: EntryView) -> bool:
    """EPTP bit 7 is 0 where IA32_VMX_EPT_VPID_CAP bit 23 does not report supervisor shadow-stack control."""
    return not entry.has(EPT) or eptp_shadow_stack_supported(entry, entry.field(Field.EPTP))


@rule("eptp.reserved", CONTROLS, EXECUTION, ("27.2.1.1#39",), (PRIMARY, SECONDARY, Field.EPTP))
def eptp_reserved_bits_are_zero(entry: EntryView) -> bool:
    """EPTP bits 11:8 are 0."""
    return not entry.has(EPT) or entry.field(Field.EPTP) & 0xF00 == 0


@rule("eptp.width", CONTROLS, EXECUTION, ("27.2.1.1#40",), (PRIMARY, SECONDARY, Field.EPTP))
def eptp_fits(entry: EntryView) -> bool:
    """EPTP has no bit beyond the processor's physical-address width."""
    return not entry.has(EPT) or entry.fits(entry.field(Field.EPTP))


@inline
def eptp_type_supported(entry: EntryView, eptp: int) -> bool:
    """The memory type of an EPTP is one that the processor lists."""
    capabilities = entry.capability(EPT_CAPABILITIES)
    return (eptp & 7 == 0 and capabilities & EptVpidCapabilities.memory_type_uc.mask != 0) or (
        eptp & 7 == 6 and capabilities & EptVpidCapabilities.memory_type_wb.mask != 0
    )


@inline
def eptp_walk_supported(entry: EntryView, eptp: int) -> bool:
    """The walk length of an EPTP is one that the processor lists."""
    capabilities, levels = entry.capability(EPT_CAPABILITIES), eptp >> 3 & 7
    return (levels == 3 and capabilities & EptVpidCapabilities.walk_4.mask != 0) or (
        levels == 4 and capabilities & EptVpidCapabilities.walk_5.mask != 0
    )


@inline
def eptp_flags_supported(entry: EntryView, eptp: int) -> bool:
    """Accessed and dirty flags are off, or the processor has them."""
    return eptp & EptPointer.accessed_dirty.mask == 0 or entry.capability(EPT_CAPABILITIES) & EptVpidCapabilities.accessed_dirty.mask != 0


@inline
def eptp_shadow_stack_supported(entry: EntryView, eptp: int) -> bool:
    """Supervisor shadow-stack control is off, or the processor has it."""
    return (
        eptp & EptPointer.supervisor_shadow_stack.mask == 0
        or entry.capability(EPT_CAPABILITIES) & EptVpidCapabilities.supervisor_shadow_stack.mask != 0
    )


@inline
def eptp_valid(entry: EntryView, eptp: int) -> bool:
    """VM entry would accept this EPTP; INVEPT and EPTP switching ask the same."""
    return (
        eptp_type_supported(entry, eptp)
        and eptp_walk_supported(entry, eptp)
        and eptp_flags_supported(entry, eptp)
        and eptp_shadow_stack_supported(entry, eptp)
        and eptp & 0xF00 == 0
        and entry.fits(eptp)
    )


@rule("hlatp.reserved", CONTROLS, EXECUTION, ("27.2.1.1#57", "27.2.1.1#58"), (PRIMARY, TERTIARY, Field.HLATP))
def hlatp_reserved_bits_are_zero(entry: EntryView) -> bool:
    """Under “enable HLAT”, bits 2:0 and 11:5 of HLATP are 0."""
    return not entry.has(TertiaryProcessorBased.enable_hlat) or entry.field(Field.HLATP) & 0xFE7 == 0


@rule("hlatp.width", CONTROLS, EXECUTION, ("27.2.1.1#59",), (PRIMARY, TERTIARY, Field.HLATP))
def hlatp_fits(entry: EntryView) -> bool:
    """Under “enable HLAT”, HLATP has no bit beyond the processor's physical-address width."""
    return not entry.has(TertiaryProcessorBased.enable_hlat) or entry.fits(entry.field(Field.HLATP))


@rule("vm_functions.supported", CONTROLS, EXECUTION, ("27.2.1.1#60",), (PRIMARY, SECONDARY, Field.VM_FUNCTION_CONTROLS))
def vm_functions_are_supported(entry: EntryView) -> bool:
    """Under “enable VM functions”, the VM-function controls have no bit that IA32_VMX_VMFUNC does not report."""
    return entry.vector(VmFunctions) & ~entry.capability(0x491) == 0


@rule("tsc_multiplier.zero", CONTROLS, EXECUTION, ("27.2.1.1#68",), (PRIMARY, SECONDARY, Field.TSC_MULTIPLIER))
def tsc_multiplier_is_not_zero(entry: EntryView) -> bool:
    """Under “use TSC scaling”, the multiplier is not 0: the guest's time would stand still."""
    return not entry.has(SecondaryProcessorBased.use_tsc_scaling) or entry.field(Field.TSC_MULTIPLIER) != 0


@rule("apic_timer.rdtsc", CONTROLS, EXECUTION, ("27.2.1.1#72",), (PRIMARY, TERTIARY))
def apic_timer_excludes_rdtsc_exiting(entry: EntryView) -> bool:
    """“APIC-timer virtualization” and “RDTSC exiting” are not both 1."""
    return not entry.has(TertiaryProcessorBased.apic_timer_virtualization) or not entry.has(PrimaryProcessorBased.rdtsc_exiting)


@rule("apic_timer.vector", CONTROLS, EXECUTION, ("27.2.1.1#73",), (PRIMARY, TERTIARY, Field.VIRTUAL_TIMER_VECTOR))
def timer_vector_is_a_vector(entry: EntryView) -> bool:
    """Under “APIC-timer virtualization”, the virtual timer vector is not above 255."""
    return not entry.has(TertiaryProcessorBased.apic_timer_virtualization) or entry.field(Field.VIRTUAL_TIMER_VECTOR) >> 8 == 0
