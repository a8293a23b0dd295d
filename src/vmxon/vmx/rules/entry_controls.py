"""Rules on the VM-entry control fields and the event to inject (Vol. 3C §27.2.1.3)."""

from __future__ import annotations

from vmxon.arch.msr_vmx import VmxBasic, VmxMisc
from vmxon.microcode import inline, u64
from vmxon.vmx.controls import Entry, PrimaryProcessorBased
from vmxon.vmx.fields import VmcsField as Field
from vmxon.vmx.rules.book import Area, rule
from vmxon.vmx.rules.sections import ENTRY
from vmxon.vmx.rules.terms import (
    EXCEPTION,
    NMI,
    OTHER,
    PRIVILEGED_EXCEPTION,
    SOFTWARE_EXCEPTION,
    SOFTWARE_INTERRUPT,
    event_has_code,
    event_type,
    event_vector,
    injecting,
    injects,
    real_mode,
)
from vmxon.vmx.rules.view import BASIC, MISC, EntryView

CONTROLS = Area.CONTROLS
ENTRY_CONTROLS = Field.VM_ENTRY_CONTROLS
EVENT = Field.VM_ENTRY_INTERRUPTION_INFORMATION
LENGTH = Field.VM_ENTRY_INSTRUCTION_LENGTH
LOW = 0xFFFF_FFFF
ERROR_CODE_VECTORS = 1 << 8 | 0b11111 << 10 | 1 << 17
"""#DF, #TS, #NP, #SS, #GP, #PF, #AC."""
PLAIN_VECTORS = 0xFF | 1 << 9 | 0b11 << 15 | 0x3FFF << 18
"""Vectors below 32 that push no error code, as the rule lists them."""


@rule("entry.must_be_one", CONTROLS, ENTRY, ("27.2.1.3#1",), (ENTRY_CONTROLS,))
def entry_has_required_bits(entry: EntryView) -> bool:
    """The VM-entry controls have every bit that IA32_VMX_ENTRY_CTLS (TRUE where it exists) demands."""
    return entry.settings(0x484) & LOW & ~entry.field(ENTRY_CONTROLS) == 0


@rule("entry.may_be_one", CONTROLS, ENTRY, ("27.2.1.3#2",), (ENTRY_CONTROLS,))
def entry_has_only_allowed_bits(entry: EntryView) -> bool:
    """The VM-entry controls have no bit that IA32_VMX_ENTRY_CTLS (TRUE where it exists) forbids."""
    return entry.field(ENTRY_CONTROLS) & ~(entry.settings(0x484) >> 32) == 0


@rule("injection.type_reserved", CONTROLS, ENTRY, ("27.2.1.3#3",), (EVENT,))
def injected_type_is_defined(entry: EntryView) -> bool:
    """The type of the injected event, bits 10:8, is not the reserved value 1."""
    return not injects(entry, 1)


@rule("injection.type_other", CONTROLS, ENTRY, ("27.2.1.3#4",), (EVENT,))
def other_event_needs_monitor_trap_flag(entry: EntryView) -> bool:
    """The type of the injected event is 7 (other event) only where the processor has the monitor trap flag."""
    trap = PrimaryProcessorBased.monitor_trap_flag.mask << 32
    return not injects(entry, OTHER) or entry.settings(0x482) & trap != 0


@rule("injection.nmi_vector", CONTROLS, ENTRY, ("27.2.1.3#5",), (EVENT,))
def injected_nmi_has_vector_2(entry: EntryView) -> bool:
    """An injected NMI (type 2) has vector 2."""
    return not injects(entry, NMI) or event_vector(entry) == 2


@rule("injection.exception_vector", CONTROLS, ENTRY, ("27.2.1.3#6",), (EVENT,))
def injected_exception_is_below_32(entry: EntryView) -> bool:
    """An injected hardware exception (type 3) has a vector below 32."""
    return not injects(entry, EXCEPTION) or event_vector(entry) < 32


@rule("injection.other_vector", CONTROLS, ENTRY, ("27.2.1.3#7",), (EVENT,))
def other_event_has_vector_0(entry: EntryView) -> bool:
    """An injected event of type 7 has vector 0, a pending exit of the monitor trap flag."""
    return not injects(entry, OTHER) or event_vector(entry) == 0


@rule("injection.code_missing", CONTROLS, ENTRY, ("27.2.1.3#8",), (EVENT, Field.GUEST_CR0))
def exception_with_code_has_one(entry: EntryView) -> bool:
    """In protected mode, injected #DF, #TS, #NP, #SS, #GP, #PF and #AC have bit 11 (deliver error code) set."""
    return not strict_exception(entry, ERROR_CODE_VECTORS) or real_mode(entry) or event_has_code(entry)


@rule("injection.code_on_other_type", CONTROLS, ENTRY, ("27.2.1.3#9",), (EVENT,))
def only_exceptions_have_codes(entry: EntryView) -> bool:
    """Bit 11 (deliver error code) is set only for hardware exceptions (type 3)."""
    return not injecting(entry) or not event_has_code(entry) or event_type(entry) == EXCEPTION


@rule("injection.code_in_real_mode", CONTROLS, ENTRY, ("27.2.1.3#10",), (EVENT, Field.GUEST_CR0))
def no_code_in_real_mode(entry: EntryView) -> bool:
    """Bit 11 (deliver error code) is 0 where the guest's CR0.PE is 0: real mode pushes no error codes."""
    return not injecting(entry) or not event_has_code(entry) or not real_mode(entry)


@rule("injection.code_unexpected", CONTROLS, ENTRY, ("27.2.1.3#11",), (EVENT,))
def exception_without_code_has_none(entry: EntryView) -> bool:
    """Bit 11 (deliver error code) is 0 for exceptions that push no error code."""
    return not strict_exception(entry, PLAIN_VECTORS) or not event_has_code(entry)


@inline
def strict_exception(entry: EntryView, vectors: int) -> bool:
    """An exception out of the (static) set is injected, on a processor that cares whether it has an error code."""
    return (
        injects(entry, EXCEPTION)
        and entry.capability(BASIC) & VmxBasic.any_error_code.mask == 0
        and event_vector(entry) < 32
        and u64(vectors) >> event_vector(entry) & 1 != 0
    )


@rule("injection.reserved", CONTROLS, ENTRY, ("27.2.1.3#12",), (EVENT,))
def injection_reserved_bits_are_zero(entry: EntryView) -> bool:
    """Bits 12 and 30:14 of the interruption information are 0."""
    return not injecting(entry) or entry.field(EVENT) & 0x7FFF_D000 == 0


@rule("injection.nested_exception", CONTROLS, ENTRY, ("27.2.1.3#13",), (EVENT,))
def nested_exception_is_supported(entry: EntryView) -> bool:
    """Bit 13 of the interruption information is 0 but for hardware exceptions on processors with IA32_VMX_BASIC bit 58."""
    allowed = event_type(entry) == EXCEPTION and entry.capability(BASIC) & VmxBasic.nested_exception.mask != 0
    return not injecting(entry) or entry.field(EVENT) & 1 << 13 == 0 or allowed


@rule("injection.code_width", CONTROLS, ENTRY, ("27.2.1.3#14",), (EVENT, Field.VM_ENTRY_EXCEPTION_ERROR_CODE))
def injected_code_is_short(entry: EntryView) -> bool:
    """The error code of an injected exception has no bit above bit 15."""
    code = entry.field(Field.VM_ENTRY_EXCEPTION_ERROR_CODE)
    return not injecting(entry) or not event_has_code(entry) or code >> 16 == 0


@inline
def software_event(entry: EntryView) -> bool:
    """The injected event is one that an instruction raises, so that it has an instruction length."""
    return injecting(entry) and (
        event_type(entry) == SOFTWARE_INTERRUPT or event_type(entry) == PRIVILEGED_EXCEPTION or event_type(entry) == SOFTWARE_EXCEPTION
    )


@rule("injection.length_above_15", CONTROLS, ENTRY, ("27.2.1.3#15",), (EVENT, LENGTH))
def injected_length_is_possible(entry: EntryView) -> bool:
    """The instruction length of an injected software interrupt or exception is not above 15."""
    return not software_event(entry) or entry.field(LENGTH) <= 15


@rule("injection.length_zero", CONTROLS, ENTRY, ("27.2.1.3#16",), (EVENT, LENGTH))
def injected_length_is_not_zero(entry: EntryView) -> bool:
    """The instruction length of an injected software event is not 0, unless IA32_VMX_MISC bit 30 allows that."""
    allowed = entry.capability(MISC) & VmxMisc.zero_length_injection.mask != 0
    return not software_event(entry) or entry.field(LENGTH) != 0 or allowed


@rule("entry.to_smm", CONTROLS, ENTRY, ("27.2.1.3#22",), (ENTRY_CONTROLS,))
def no_entry_to_smm(entry: EntryView) -> bool:
    """“entry to SMM” is 0, as the processor is not in SMM."""
    return not entry.has(Entry.entry_to_smm)


@rule("entry.deactivate_dual_monitor", CONTROLS, ENTRY, ("27.2.1.3#23", "27.2.1.3#24"), (ENTRY_CONTROLS,))
def no_deactivation_outside_smm(entry: EntryView) -> bool:
    """“deactivate dual-monitor treatment” is 0, as the processor is not in SMM."""
    return not entry.has(Entry.deactivate_dual_monitor)
