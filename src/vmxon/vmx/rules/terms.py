"""Words that the rules share: what the guest will be, what is injected, and the subjects that one rule serves in turn."""

from __future__ import annotations

from dataclasses import dataclass

from vmxon.arch.bits import Bits
from vmxon.arch.control import Cr0
from vmxon.arch.flags import Rflags
from vmxon.microcode import inline, u64
from vmxon.vmx.controls import Entry, PrimaryExit, SecondaryProcessorBased
from vmxon.vmx.fields import VmcsField as Field
from vmxon.vmx.rules.view import VECTORS, EntryView, vector_of

PAGE = 4096
EVENT_VALID = 1 << 31
EVENT_HAS_CODE = 1 << 11
EXTERNAL, NMI, EXCEPTION, SOFTWARE_INTERRUPT, PRIVILEGED_EXCEPTION, SOFTWARE_EXCEPTION, OTHER = 0, 2, 3, 4, 5, 6, 7
"""Types of an injected event (Vol. 3C Table 25-17)."""


@dataclass(frozen=True, slots=True)
class Register:
    """A guest segment register by the four fields that describe it."""

    name: str
    selector: Field
    base: Field
    limit: Field
    rights: Field

    def __str__(self) -> str:
        return self.name


def register(name: str) -> Register:
    """The fields of a guest segment register."""
    return Register(name, *(Field[f"GUEST_{name}_{part}"] for part in ("SELECTOR", "BASE", "LIMIT", "ACCESS_RIGHTS")))


CS, SS, DS, ES, FS, GS, LDTR, TR = (register(name) for name in ("CS", "SS", "DS", "ES", "FS", "GS", "LDTR", "TR"))
SIX = (CS, SS, DS, ES, FS, GS)
DATA = (DS, ES, FS, GS)


@dataclass(frozen=True, slots=True)
class Single:
    """One field that a rule is about."""

    field: Field

    def __str__(self) -> str:
        return self.field.name


def singles(*fields: Field) -> tuple[Single, ...]:
    """One subject for each field."""
    return tuple(Single(field) for field in fields)


@dataclass(frozen=True, slots=True)
class MsrArea:
    """A list of MSRs in memory, 16 bytes an entry, by its count and address; with the rows that demand what."""

    name: str
    count: Field
    address: Field
    aligned: str
    fits: str
    end_fits: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Structure:
    """A structure in memory whose address counts while a control is 1; with the rows that demand alignment and width."""

    field: Field
    control: Bits[bool]
    aligned: str
    fits: str
    alignment: int = PAGE

    def __str__(self) -> str:
        return self.field.name


@dataclass(frozen=True, slots=True)
class Dependence:
    """A control that may be 1 only where another one is."""

    control: Bits[bool]
    needed: Bits[bool]
    key: str

    @property
    def control_field(self) -> Field:
        """The vector of the control."""
        return VECTORS[vector_of(self.control)]

    @property
    def needed_field(self) -> Field:
        """The vector of the control that it needs."""
        return VECTORS[vector_of(self.needed)]

    def __str__(self) -> str:
        return f"“{self.control.title}” needs “{self.needed.title}”"

    @property
    def slug(self) -> str:
        """Its part of the rule's name."""
        return f"{self.control.name}.needs_{self.needed.name}"


@inline
def aligned(address: int, alignment: int) -> bool:
    """`address` is a multiple of the (static) power of two `alignment`."""
    return address & (alignment - 1) == 0


@inline
def long_guest(entry: EntryView) -> bool:
    """“IA-32e mode guest”."""
    return entry.has(Entry.ia32e_mode_guest)


@inline
def long_host(entry: EntryView) -> bool:
    """“host address-space size”."""
    return entry.has(PrimaryExit.host_address_space_size)


@inline
def unrestricted(entry: EntryView) -> bool:
    """“unrestricted guest”."""
    return entry.has(SecondaryProcessorBased.unrestricted_guest)


@inline
def virtual_8086(entry: EntryView) -> bool:
    """The guest will be in virtual-8086 mode."""
    return entry.field(Field.GUEST_RFLAGS) & Rflags.vm.mask != 0


@inline
def real_mode(entry: EntryView) -> bool:
    """The guest will run with CR0.PE = 0, which takes an unrestricted guest."""
    return unrestricted(entry) and entry.field(Field.GUEST_CR0) & Cr0.pe.mask == 0


@inline
def code_64(entry: EntryView) -> bool:
    """The guest will be in 64-bit mode: IA-32e mode with CS.L = 1."""
    return long_guest(entry) and entry.field(Field.GUEST_CS_ACCESS_RIGHTS) & 1 << 13 != 0


@inline
def injecting(entry: EntryView) -> bool:
    """VM entry injects an event."""
    return entry.field(Field.VM_ENTRY_INTERRUPTION_INFORMATION) & EVENT_VALID != 0


@inline
def event_type(entry: EntryView) -> int:
    """Type of the injected event."""
    return entry.field(Field.VM_ENTRY_INTERRUPTION_INFORMATION) >> 8 & 7


@inline
def event_vector(entry: EntryView) -> int:
    """Vector of the injected event."""
    return entry.field(Field.VM_ENTRY_INTERRUPTION_INFORMATION) & 0xFF


@inline
def event_has_code(entry: EntryView) -> bool:
    """The injected event pushes an error code."""
    return entry.field(Field.VM_ENTRY_INTERRUPTION_INFORMATION) & EVENT_HAS_CODE != 0


@inline
def injects(entry: EntryView, kind: int) -> bool:
    """VM entry injects an event of this (static) type."""
    return injecting(entry) and event_type(entry) == kind


@inline
def usable(entry: EntryView, which: Register) -> bool:
    """The access rights do not say “unusable”."""
    return entry.field(which.rights) & 1 << 16 == 0


@inline
def segment_type(entry: EntryView, which: Register) -> int:
    """Type in the access rights."""
    return entry.field(which.rights) & 15


@inline
def privilege(entry: EntryView, which: Register) -> int:
    """DPL in the access rights."""
    return entry.field(which.rights) >> 5 & 3


@inline
def memory_types_valid(value: int) -> bool:
    """Each byte of an IA32_PAT value is 0, 1, 4, 5, 6 or 7: bits 7:3 are 0, and bit 1 only with bit 2."""
    return value & 0xF8F8_F8F8_F8F8_F8F8 == 0 and (value & u64(0x0202_0202_0202_0202)) << 1 & ~value == 0
