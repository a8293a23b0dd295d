"""Values of VMCS fields and MSRs in words: bit by bit, and in one short line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

from vmxon.arch.bits import Bits, Word
from vmxon.arch.control import Cr0, Cr3, Cr4, Dr7, Efer
from vmxon.arch.exceptions import PageFaultErrorCode, Vector
from vmxon.arch.flags import Rflags
from vmxon.arch.msr import MSRS
from vmxon.arch.msr_rules import Whole
from vmxon.arch.paging import MemoryType
from vmxon.arch.segments import AccessRights, SegmentType, Selector, SystemType
from vmxon.vmx.controls import DEFAULT1, EptPointer
from vmxon.vmx.events import (
    ActivityState,
    EntryInterruption,
    EventType,
    ExitInterruption,
    IdtVectoring,
    InterruptibilityState,
    PendingDebugExceptions,
)
from vmxon.vmx.exit_reasons import ExitReason, ExitReasonWord
from vmxon.vmx.fields import VmcsField as Field
from vmxon.vmx.instruction_information import INSTRUCTION_INFORMATION
from vmxon.vmx.qualifications import QUALIFICATIONS
from vmxon.vmx.rules.view import VECTORS

E = TypeVar("E", bound=IntEnum)
REGISTERS = {Cr0, Cr4, Dr7, Efer, Rflags, AccessRights, Selector}
"""Words whose bit names are the manual's abbreviations, written in capitals."""


def _layouts() -> dict[Field, type[Word]]:
    """The word that gives each field its bits, where it has any."""
    layouts: dict[Field, type[Word]] = {which: vector for vector, which in VECTORS.items()}
    for which in Field:
        name = which.name
        if name.endswith("_ACCESS_RIGHTS"):
            layouts[which] = AccessRights
        elif name.endswith("_SELECTOR"):
            layouts[which] = Selector
        for register, layout in (("_CR0", Cr0), ("_CR3", Cr3), ("_CR4", Cr4), ("_DR7", Dr7), ("_RFLAGS", Rflags)):
            if name.endswith(register):
                layouts[which] = layout
        if name.startswith(("CR0_", "CR4_")):
            layouts[which] = Cr0 if name.startswith("CR0_") else Cr4
    by_name = {msr.name: msr.layout for msr in MSRS.values() if msr.layout is not Whole}
    for which in Field:
        register = which.name.removeprefix("GUEST_").removeprefix("HOST_")
        if register in by_name and which not in layouts:
            layouts[which] = by_name[register]
    layouts |= {
        Field.EPTP: EptPointer,
        Field.EXIT_REASON: ExitReasonWord,
        Field.VM_ENTRY_INTERRUPTION_INFORMATION: EntryInterruption,
        Field.VM_EXIT_INTERRUPTION_INFORMATION: ExitInterruption,
        Field.IDT_VECTORING_INFORMATION: IdtVectoring,
        Field.GUEST_INTERRUPTIBILITY_STATE: InterruptibilityState,
        Field.GUEST_PENDING_DEBUG_EXCEPTIONS: PendingDebugExceptions,
        Field.PAGE_FAULT_ERROR_CODE_MASK: PageFaultErrorCode,
        Field.PAGE_FAULT_ERROR_CODE_MATCH: PageFaultErrorCode,
    }
    return layouts


LAYOUTS = _layouts()
FOR_READERS = {
    "`ExitReason`": "basic exit reason",
    "`SegmentType` or, with S = 0, `SystemType`": "segment type; of a system segment where S is 0",
}
"""Descriptions that name a class of ours, in words."""
ABBREVIATIONS = {word: word.upper() for word in ("nmi", "mtf", "lmsw", "rep", "dr", "io", "sti", "ss", "smi", "ept", "pt", "ve")}


@dataclass(frozen=True, slots=True)
class Part:
    """Some bits of a value."""

    place: str
    """“bit 7” or “bits 13:12”."""
    name: str
    value: int
    meaning: str
    expected: bool = True
    """False for reserved bits that are set."""

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """A row of a table."""
        return (self.place, self.name, f"{self.value:#x}" if self.value > 9 else str(self.value), self.meaning)


def number(value: int, bits: int) -> str:
    """A value in hex with the digits of its width."""
    return f"{value:#0{bits // 4 + 2}x}"


def layout_of(which: Field, values: Mapping[Field, int]) -> type[Word] | None:
    """The word that gives a field its bits; for exit information that depends on the exit reason in `values`."""
    if which in (Field.EXIT_QUALIFICATION, Field.VM_EXIT_INSTRUCTION_INFORMATION):
        table = QUALIFICATIONS if which is Field.EXIT_QUALIFICATION else INSTRUCTION_INFORMATION
        reason = values.get(Field.EXIT_REASON, -1) & 0xFFFF
        basic = member(ExitReason, reason)
        return None if basic is None else table.get(basic)
    return LAYOUTS.get(which)


def parts(layout: type[Word], value: int, *, every: bool = False) -> tuple[Part, ...]:
    """The parts of a value that are not 0, and reserved bits that should not be 1; with `every`, all of them."""
    found = []
    for bits in layout.layout.fields:
        raw = bits.get(value)
        if raw or every:
            found.append((bits.low, Part(place(bits.high, bits.low), label(layout, bits), raw, _meaning(bits.read, raw, bits.doc))))
    ones = DEFAULT1.get(layout, 0)
    reserved = value & layout.layout.reserved & (-1 if every else ~ones)
    for bit in range(layout.layout.width):
        if reserved >> bit & 1:
            known = ones >> bit & 1 != 0
            found.append((bit, Part(f"bit {bit}", "reserved", 1, "reserved, 1 by default" if known else "reserved, should be 0", known)))
    return tuple(part for _, part in sorted(found, key=lambda pair: pair[0]))


def layout_parts(layout: type[Word]) -> tuple[Part, ...]:
    """The parts of a layout, without a value."""
    fields = layout.layout.fields
    return tuple(Part(place(bits.high, bits.low), label(layout, bits), 0, FOR_READERS.get(bits.doc, bits.doc)) for bits in fields)


def place(high: int, low: int) -> str:
    """How the manual writes a range of bits."""
    return f"bit {low}" if high == low else f"bits {high}:{low}"


def label(layout: type[Word], bits: Bits[object]) -> str:
    """Name of some bits as the manual writes it."""
    if layout in REGISTERS:
        return bits.title.upper().rstrip("_")
    if bits.title != bits.name:
        return bits.title
    return " ".join(ABBREVIATIONS.get(word, word) for word in bits.name.split("_"))


def _meaning(read: Callable[[int], object], raw: int, doc: str) -> str:
    """The description, and the word for the value where it has one."""
    doc = FOR_READERS.get(doc, doc)
    try:
        value = read(raw)
    except ValueError:
        return f"{doc}: undefined"
    return f"{doc}: {words(value)}" if isinstance(value, IntEnum) else doc


def member(kind: type[E], value: int) -> E | None:
    """The member of an enum with this value."""
    try:
        return kind(value)
    except ValueError:
        return None


def words(item: IntEnum) -> str:
    """An enum member's name as words."""
    return item.name.lower().replace("_", " ")


def bit_names(layout: type[Word], mask: int) -> list[str]:
    """Each bit of `mask` by number, with its name where it has one."""
    names = []
    for bit in range(layout.layout.width):
        if mask >> bit & 1:
            bits = layout.layout.at(bit)
            names.append(f"{bit} (“{label(layout, bits)}”)" if bits else f"{bit} (reserved)")
    return names


# One short line.


def _rights(value: int) -> str:
    rights = AccessRights(value & 0xFFFF_FFFF)
    if rights.unusable:
        return "unusable"
    kind = _segment_kind(rights)
    flags = [f"DPL {rights.dpl}", "present" if rights.p else "not present"]
    flags += [name for name, on in (("AVL", rights.avl), ("L", rights.l), ("D/B", rights.db), ("G", rights.g)) if on]
    reserved = rights.reserved_bits
    return ", ".join([kind, *flags, *([f"reserved bits {reserved:#x}"] if reserved else [])])


def _segment_kind(rights: AccessRights) -> str:
    if not rights.s:
        system = member(SystemType, rights.type)
        return "undefined system type" if system is None else words(system).replace("tss", "TSS").replace("ldt", "LDT")
    kind = SegmentType(rights.type)
    if kind.code:
        names = ["code", "readable" if kind.writable_or_readable else "execute-only"]
        names += ["conforming"] if kind.expand_down_or_conforming else []
    else:
        names = ["data", "writable" if kind.writable_or_readable else "read-only"]
        names += ["expand-down"] if kind.expand_down_or_conforming else []
    return " ".join([*names, "accessed" if kind.accessed else "not accessed"])


def _event(value: int) -> str:
    if not value >> 31 & 1:
        return "none"
    kind, vector = EventType(value >> 8 & 7), value & 0xFF
    name = "" if kind is EventType.EXTERNAL_INTERRUPT else f" {_mnemonic(vector)}".removesuffix(f" {vector}")
    return f"{words(kind)}, vector {vector}{name}" + (", with error code" if value >> 11 & 1 else "")


def _mnemonic(vector: int) -> str:
    known = member(Vector, vector)
    return str(vector) if known is None else known.mnemonic


def _reason(value: int) -> str:
    reason = member(ExitReason, value & 0xFFFF)
    return f"{value & 0xFFFF}: {'undefined' if reason is None else reason.title}"


def _memory_type(value: int) -> str:
    known = member(MemoryType, value)
    return f"memory type {value}" if known is None else known.name


def _pat(value: int) -> str:
    return ", ".join(_memory_type(byte) for byte in value.to_bytes(8, "little"))


def _exceptions(value: int) -> str:
    return " ".join(_mnemonic(bit) for bit in range(32) if value >> bit & 1) or "none"


def _activity(value: int) -> str:
    known = member(ActivityState, value)
    return "undefined" if known is None else words(known)


def _eptp(value: int) -> str:
    pointer = EptPointer(value)
    kind = _memory_type(pointer.memory_type)
    flags = ", accessed and dirty flags" if pointer.accessed_dirty else ""
    return f"table at {pointer.root << 12:#x}, {pointer.walk_length + 1} levels, {kind}{flags}"


BRIEF: dict[Field, Callable[[int], str]] = {
    **{which: _rights for which, layout in LAYOUTS.items() if layout is AccessRights},
    **dict.fromkeys((Field.GUEST_IA32_PAT, Field.HOST_IA32_PAT), _pat),
    **dict.fromkeys(
        (Field.VM_ENTRY_INTERRUPTION_INFORMATION, Field.VM_EXIT_INTERRUPTION_INFORMATION, Field.IDT_VECTORING_INFORMATION), _event
    ),
    Field.EXIT_REASON: _reason,
    Field.EXCEPTION_BITMAP: _exceptions,
    Field.GUEST_ACTIVITY_STATE: _activity,
    Field.EPTP: _eptp,
}
"""Fields with a better short line than the names of the bits that are set."""


def brief(which: Field, value: int, values: Mapping[Field, int]) -> str:
    """A field's value in one short line; empty where hex says all."""
    if which in BRIEF:
        return BRIEF[which](value)
    layout = layout_of(which, values)
    if layout is None:
        return ""
    if not value:
        return "none"
    return ", ".join(_short(part) for part in parts(layout, value)) or "none"


def _short(part: Part) -> str:
    if part.name == "reserved":
        return f"reserved {part.place}"
    return part.name if part.value == 1 and part.place.startswith("bit ") else f"{part.name} {part.value:#x}"
