"""Rules on the VM-exit control fields (Vol. 3C §27.2.1.2), and on all three MSR areas."""

from __future__ import annotations

from vmxon.microcode import inline
from vmxon.vmx.controls import PinBased, PrimaryExit, SecondaryExit
from vmxon.vmx.fields import VmcsField as Field
from vmxon.vmx.rules.book import Area, rule
from vmxon.vmx.rules.sections import ENTRY, EXIT
from vmxon.vmx.rules.terms import MsrArea, aligned
from vmxon.vmx.rules.view import EntryView

CONTROLS = Area.CONTROLS
EXIT_CONTROLS = Field.PRIMARY_VM_EXIT_CONTROLS
LOW = 0xFFFF_FFFF


@rule("exit.must_be_one", CONTROLS, EXIT, ("27.2.1.2#1",), (EXIT_CONTROLS,))
def exit_has_required_bits(entry: EntryView) -> bool:
    """The primary VM-exit controls have every bit that IA32_VMX_EXIT_CTLS (TRUE where it exists) demands."""
    return entry.settings(0x483) & LOW & ~entry.field(EXIT_CONTROLS) == 0


@rule("exit.may_be_one", CONTROLS, EXIT, ("27.2.1.2#2",), (EXIT_CONTROLS,))
def exit_has_only_allowed_bits(entry: EntryView) -> bool:
    """The primary VM-exit controls have no bit that IA32_VMX_EXIT_CTLS (TRUE where it exists) forbids."""
    return entry.field(EXIT_CONTROLS) & ~(entry.settings(0x483) >> 32) == 0


@rule(
    "secondary_exit.may_be_one",
    CONTROLS,
    EXIT,
    ("27.2.1.2#3",),
    (EXIT_CONTROLS, Field.SECONDARY_VM_EXIT_CONTROLS),
)
def secondary_exit_has_only_allowed_bits(entry: EntryView) -> bool:
    """The activated secondary VM-exit controls have no bit that IA32_VMX_EXIT_CTLS2 forbids."""
    return entry.vector(SecondaryExit) & ~entry.capability(0x493) == 0


@rule(
    "save_preemption_timer.needs_timer",
    CONTROLS,
    EXIT,
    ("27.2.1.2#4",),
    (Field.PIN_BASED_VM_EXECUTION_CONTROLS, EXIT_CONTROLS),
)
def timer_is_saved_only_if_active(entry: EntryView) -> bool:
    """“save VMX-preemption timer value” needs “activate VMX-preemption timer”."""
    return not entry.has(PrimaryExit.save_preemption_timer) or entry.has(PinBased.preemption_timer)


EXIT_AREAS = (
    MsrArea(
        "exit_msr_store",
        Field.VM_EXIT_MSR_STORE_COUNT,
        Field.VM_EXIT_MSR_STORE_ADDRESS,
        "27.2.1.2#5",
        "27.2.1.2#6",
        "27.2.1.2#7",
    ),
    MsrArea(
        "exit_msr_load",
        Field.VM_EXIT_MSR_LOAD_COUNT,
        Field.VM_EXIT_MSR_LOAD_ADDRESS,
        "27.2.1.2#8",
        "27.2.1.2#9",
        "27.2.1.2#10",
    ),
)
ENTRY_AREA = (
    MsrArea(
        "entry_msr_load",
        Field.VM_ENTRY_MSR_LOAD_COUNT,
        Field.VM_ENTRY_MSR_LOAD_ADDRESS,
        "27.2.1.3#19",
        "27.2.1.3#20",
        "27.2.1.3#21",
    ),
)


@inline
def area_aligned(entry: EntryView, area: MsrArea) -> bool:
    """The area is empty, or starts on a 16-byte boundary."""
    return entry.field(area.count) == 0 or aligned(entry.field(area.address), 16)


@inline
def area_fits(entry: EntryView, area: MsrArea) -> bool:
    """The area is empty, or starts within the physical-address width."""
    return entry.field(area.count) == 0 or entry.fits(entry.field(area.address))


@inline
def area_end_fits(entry: EntryView, area: MsrArea) -> bool:
    """The area is empty, or its last entry lies within the physical-address width; counted in entries, so nothing wraps."""
    count = entry.field(area.count)
    return count == 0 or entry.fits(((entry.field(area.address) >> 4) + count - 1) << 4)


@rule("{}.aligned", CONTROLS, EXIT, ("aligned",), ("count", "address"), each=EXIT_AREAS)
def exit_area_is_aligned(entry: EntryView, area: MsrArea) -> bool:
    """The {} area is 16-byte aligned, as its count is not 0."""
    return area_aligned(entry, area)


@rule("{}.width", CONTROLS, EXIT, ("fits",), ("count", "address"), each=EXIT_AREAS)
def exit_area_fits(entry: EntryView, area: MsrArea) -> bool:
    """The {} area starts within the physical-address width, as its count is not 0."""
    return area_fits(entry, area)


@rule("{}.end", CONTROLS, EXIT, ("end_fits",), ("count", "address"), each=EXIT_AREAS)
def exit_area_ends_in_memory(entry: EntryView, area: MsrArea) -> bool:
    """The {} area ends within the physical-address width: start + 16 × count - 1."""
    return area_end_fits(entry, area)


@rule("{}.aligned", CONTROLS, ENTRY, ("aligned",), ("count", "address"), each=ENTRY_AREA)
def entry_area_is_aligned(entry: EntryView, area: MsrArea) -> bool:
    """The {} area is 16-byte aligned, as its count is not 0."""
    return area_aligned(entry, area)


@rule("{}.width", CONTROLS, ENTRY, ("fits",), ("count", "address"), each=ENTRY_AREA)
def entry_area_fits(entry: EntryView, area: MsrArea) -> bool:
    """The {} area starts within the physical-address width, as its count is not 0."""
    return area_fits(entry, area)


@rule("{}.end", CONTROLS, ENTRY, ("end_fits",), ("count", "address"), each=ENTRY_AREA)
def entry_area_ends_in_memory(entry: EntryView, area: MsrArea) -> bool:
    """The {} area ends within the physical-address width: start + 16 × count - 1."""
    return area_end_fits(entry, area)
