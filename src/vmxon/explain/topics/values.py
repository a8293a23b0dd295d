"""Topics about fields, control bits, MSRs and registers, with or without a value."""

from __future__ import annotations

from collections.abc import Iterator

from vmxon.arch.bits import Bits, Word
from vmxon.arch.control import Cr0, Cr3, Cr4, Dr6, Dr7, Efer, Xcr0
from vmxon.arch.exceptions import PageFaultErrorCode, SelectorErrorCode
from vmxon.arch.flags import Rflags
from vmxon.arch.msr import Msr
from vmxon.arch.msr_rules import Whole
from vmxon.arch.sdm import Sdm
from vmxon.arch.segments import AccessRights, Selector
from vmxon.explain.decode import BRIEF, Part, layout_of, layout_parts, number, parts
from vmxon.explain.record import CAPABILITY_MSRS
from vmxon.explain.topics.msrs import purpose
from vmxon.explain.topics.topic import HEADINGS, LAYOUT_HEADINGS, Topic
from vmxon.vmx.controls import (
    DEFAULT1,
    EptPointer,
    PinBased,
    PrimaryExit,
    PrimaryProcessorBased,
    SecondaryExit,
    SecondaryProcessorBased,
    TertiaryProcessorBased,
    VmFunctions,
)
from vmxon.vmx.controls import VECTORS as VECTOR_NAMES
from vmxon.vmx.controls import Entry as EntryControl
from vmxon.vmx.ept_entries import MEMORY_TYPES, EptPage4K
from vmxon.vmx.events import EntryInterruption, InterruptibilityState, PendingDebugExceptions
from vmxon.vmx.field_support import NEEDS
from vmxon.vmx.fields import Kind, VmcsField
from vmxon.vmx.rules import RULES
from vmxon.vmx.rules.terms import Dependence
from vmxon.vmx.rules.view import ACTIVATORS, VECTORS

ENCODINGS = Sdm("3D", "App. B", "Field Encoding in VMCS")
MSRS_LISTED = Sdm("4", "Chapter 2", "Model-Specific Registers (MSRs)")
CAPABILITIES = Sdm("3D", "App. A", "VMX Capability Reporting Facility")
CAPABILITY_OF: dict[type[Word], str] = {
    PinBased: "IA32_VMX_(TRUE_)PINBASED_CTLS",
    PrimaryProcessorBased: "IA32_VMX_(TRUE_)PROCBASED_CTLS",
    SecondaryProcessorBased: "IA32_VMX_PROCBASED_CTLS2",
    TertiaryProcessorBased: "IA32_VMX_PROCBASED_CTLS3",
    PrimaryExit: "IA32_VMX_(TRUE_)EXIT_CTLS",
    SecondaryExit: "IA32_VMX_EXIT_CTLS2",
    EntryControl: "IA32_VMX_(TRUE_)ENTRY_CTLS",
    VmFunctions: "IA32_VMX_VMFUNC",
}
CONTROL_SECTIONS: dict[type[Word], Sdm] = {
    PinBased: Sdm("3C", "25.6.1", "Pin-Based VM-Execution Controls"),
    **dict.fromkeys(
        (PrimaryProcessorBased, SecondaryProcessorBased, TertiaryProcessorBased),
        Sdm("3C", "25.6.2", "Processor-Based VM-Execution Controls"),
    ),
    **dict.fromkeys((PrimaryExit, SecondaryExit), Sdm("3C", "25.7.1", "VM-Exit Controls")),
    EntryControl: Sdm("3C", "25.8.1", "VM-Entry Controls"),
    VmFunctions: Sdm("3C", "25.6.14", "VM-Function Controls"),
}
KINDS = {Kind.CONTROL: "control", Kind.EXIT_INFORMATION: "exit information, read-only", Kind.GUEST: "guest state", Kind.HOST: "host state"}

CONTROL_REGISTERS = Sdm("3A", "2.5", "Control Registers")
DEBUG_REGISTERS = Sdm("3B", "18.2", "Debug Registers")
REGISTERS: dict[str, tuple[str, type[Word], str]] = {
    "cr0": ("CR0", Cr0, str(CONTROL_REGISTERS)),
    "cr3": ("CR3", Cr3, str(CONTROL_REGISTERS)),
    "cr4": ("CR4", Cr4, str(CONTROL_REGISTERS)),
    "efer": ("IA32_EFER", Efer, str(Sdm("3A", "2.2.1", "Extended Feature Enable Register"))),
    "xcr0": ("XCR0", Xcr0, str(Sdm("3A", "2.6", "Extended Control Registers (Including XCR0)"))),
    "dr6": ("DR6", Dr6, str(DEBUG_REGISTERS)),
    "dr7": ("DR7", Dr7, str(DEBUG_REGISTERS)),
    "rflags": ("RFLAGS", Rflags, str(Sdm("1", "3.4.3", "EFLAGS Register"))),
    "eflags": ("RFLAGS", Rflags, str(Sdm("1", "3.4.3", "EFLAGS Register"))),
    "access-rights": ("access rights", AccessRights, str(Sdm("3C", "Table 25-2", "Format of Access Rights"))),
    "selector": ("segment selector", Selector, str(Sdm("3A", "3.4.2", "Segment Selectors"))),
    "eptp": ("EPTP", EptPointer, str(Sdm("3C", "25.6.11", "Extended-Page-Table Pointer (EPTP)"))),
    "ept-entry": ("EPT page-table entry", EptPage4K, str(Sdm("3C", "29.3.2", "EPT Translation Mechanism"))),
    "interruption": ("interruption information", EntryInterruption, str(Sdm("3C", "25.8.3", "VM-Entry Controls for Event Injection"))),
    "interruptibility": ("interruptibility state", InterruptibilityState, str(Sdm("3C", "25.4.2", "Guest Non-Register State"))),
    "pending-debug": ("pending debug exceptions", PendingDebugExceptions, str(Sdm("3C", "25.4.2", "Guest Non-Register State"))),
    "page-fault": ("page-fault error code", PageFaultErrorCode, str(Sdm("3A", "4.7", "Page-Fault Exceptions"))),
    "selector-error": ("selector error code", SelectorErrorCode, str(Sdm("3A", "6.13", "Error Code"))),
}
"""Words that a value may follow: title, layout and section."""
BRIEF_OF = {"access-rights": BRIEF[VmcsField.GUEST_CS_ACCESS_RIGHTS], "eptp": BRIEF[VmcsField.EPTP]}


def field_topic(which: VmcsField, value: int | None = None) -> Topic:
    """A VMCS field."""
    facts = [
        ("Encoding", f"{int(which):#06x}" + (f", high half {which + 1:#06x}" if which.has_high_half else "")),
        ("Size", f"{which.bits} bits" + (", natural width" if which.width.name == "NATURAL" else "")),
        ("Area", KINDS[which.kind]),
    ]
    if which in NEEDS:
        facts.append(("Exists where the processor allows", " or ".join(NEEDS[which])))
    values = {} if value is None else {which: value}
    if value is not None:
        short = BRIEF[which](value) if which in BRIEF else ""
        facts.append(("Value", number(value, which.bits) + (f": {short}" if short else "")))
    readers = [rule.name for rule in RULES if which in rule.reads]
    if readers:
        more = f" and {len(readers) - 6} more" if len(readers) > 6 else ""
        facts.append(("Entry rules that read it", ", ".join(readers[:6]) + more))
    layout = layout_of(which, values)
    action = "VMREAD it after an exit; VMWRITE fails with error 13 unless IA32_VMX_MISC bit 29 is 1" if which.read_only else ""
    return Topic("VMCS field", which.name, which.doc, str(ENCODINGS), "", action, tuple(facts), *_table(layout, value))


def control_topics(text: str) -> Iterator[Topic]:
    """The controls whose name in the manual, or ours, is `text`; one name may be in several vectors."""
    wanted = _plain(text)
    for vector in VECTORS:
        for bits in vector.layout.fields:
            if wanted in (_plain(bits.title), _plain(bits.name)):
                yield control_topic(vector, bits)


def control_names() -> list[str]:
    """The manual's names of all controls."""
    return [bits.title for vector in VECTORS for bits in vector.layout.fields]


def control_topic(vector: type[Word], bits: Bits[object]) -> Topic:
    """One control."""
    facts = [("Where", f"bit {bits.low} of {VECTORS[vector].name}"), ("Allowed by", f"{CAPABILITY_OF[vector]}, the bit in “may be 1”")]
    if vector in ACTIVATORS:
        facts.append(("Counts only under", f"“{ACTIVATORS[vector].title}”"))
    needed = [rule.subject.needed.title for rule in RULES if isinstance(rule.subject, Dependence) and rule.subject.control is bits]
    if needed:
        facts.append(("Needs", ", ".join(f"“{title}”" for title in needed)))
    full_name = next(f"{prefix}.{bits.name}" for prefix, known in VECTOR_NAMES.items() if known is vector)
    fields = [which.name for which, names in NEEDS.items() if full_name in names]
    if fields:
        facts.append(("Goes with the fields", ", ".join(fields)))
    stuck = DEFAULT1.get(vector, 0) & bits.mask
    action = "test the capability MSR before setting it; error 7 follows where it is not allowed"
    if stuck:
        action += "; in the plain capability MSR it must be 1, only the TRUE one may let it be 0"
    return Topic("control", f"“{bits.title}”", f"if 1: {bits.doc}", str(CONTROL_SECTIONS[vector]), "", action, tuple(facts))


def msr_topic(msr: Msr, value: int | None = None) -> Topic:
    """A model-specific register."""
    facts = [("Address", f"{msr.address:#x}"), ("In vmxon", msr.storage.value), ("WRMSR demands", msr.rule.value)]
    if msr.feature is not None:
        facts.append(("Exists with", msr.feature.doc))
    if value is not None:
        short = f": {BRIEF[VmcsField.GUEST_IA32_PAT](value)}" if msr.name == "IA32_PAT" else ""
        facts.append(("Value", number(value, 64) + short))
    source = CAPABILITIES if msr.address in CAPABILITY_MSRS else MSRS_LISTED
    table = _table(None if msr.layout is Whole else msr.layout, value)
    return Topic("MSR", msr.name, purpose(msr), str(source), "", "", tuple(facts), *table)


def register_topic(word: str, value: int | None = None) -> Topic:
    """A register or word by name, as in `REGISTERS`."""
    title, layout, source = REGISTERS[word]
    meaning = " ".join((layout.__doc__ or "").split())
    facts = []
    if value is not None:
        short = f": {BRIEF_OF[word](value)}" if word in BRIEF_OF else ""
        facts.append(("Value", number(value, layout.layout.width) + short))
        if layout is EptPage4K and (wrong := list(_misconfigurations(value))):
            facts.append(("Misconfigured", ", ".join(wrong)))
    return Topic("register" if title.isupper() else "word", title, meaning, source, "", "", tuple(facts), *_table(layout, value))


def _misconfigurations(value: int) -> Iterator[str]:
    """Why an EPT page-table entry exits with reason 49 (Vol. 3C §29.3.3.1 “EPT Misconfigurations”)."""
    entry = EptPage4K(value)
    if entry.write and not entry.read:
        yield "writes without reads"
    if entry.execute and not entry.read:
        yield "fetches without reads, unless IA32_VMX_EPT_VPID_CAP bit 0 is 1"
    if (entry.read or entry.write or entry.execute) and entry.memory_type not in MEMORY_TYPES:
        yield f"memory type {entry.memory_type}"


def _table(layout: type[Word] | None, value: int | None) -> tuple[tuple[Part, ...], tuple[str, ...]]:
    """The bits of a value, or of the layout where there is no value."""
    if layout is None:
        return (), HEADINGS
    if value is not None:
        return parts(layout, value), HEADINGS
    return layout_parts(layout), LAYOUT_HEADINGS


def _plain(name: str) -> str:
    """A name without what people vary."""
    return "".join(c for c in name.lower() if c.isalnum())
