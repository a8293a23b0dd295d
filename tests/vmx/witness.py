"""Valid VMCSs, and for each entry rule a change that makes it the first to be broken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from vmxon.arch.bits import Bits, Word
from vmxon.arch.models import MAX
from vmxon.vmx.capabilities import capability_msrs
from vmxon.vmx.controls import (
    Entry,
    PinBased,
    PrimaryExit,
    PrimaryProcessorBased,
    SecondaryExit,
    SecondaryProcessorBased,
    TertiaryProcessorBased,
    VmFunctions,
)
from vmxon.vmx.fields import VmcsField as F
from vmxon.vmx.rules import Snapshot
from vmxon.vmx.rules.view import ACTIVATORS, VECTORS, vector_of

ALL_ONES = (1 << 64) - 1
WIDTH = MAX.physical_width
BEYOND = 1 << WIDTH
NOT_CANONICAL = 1 << 47
VMCS, LINKED, BITMAPS, PDPT, BAD_PDPT = 0x41000, 0x42000, 0x44000, 0x45000, 0x46000
REVISION = capability_msrs(MAX)[0x480] & 0x7FFF_FFFF

REAL = capability_msrs(MAX)
EVERYTHING = {
    **REAL,
    0x480: REAL[0x480] & ~(1 << 55),
    **dict.fromkeys((1153, 1154, 1155, 1156, 1163), 4294967295 << 32),
    **dict.fromkeys((1169, 1170, 1171), ALL_ONES),
    0x489: REAL[0x489] | 1 << 23 | 1 << 32,
}
"""A processor that has every control, so that the rules of all features can be broken."""

SHADOWED = 1 << 31
MEMORY = {
    VMCS: REVISION,
    LINKED: REVISION,
    LINKED + 0x1000: REVISION | SHADOWED,
    **{PDPT + 8 * n: 0x47001 for n in range(4)},
    BAD_PDPT + 8: 0x47003,
}
"""What the rules may find in memory, 64 bits at an address."""


def on(*controls: Bits[bool]) -> dict[F, int]:
    """Bits to set for these controls, with those that activate their vectors."""
    bits: dict[F, int] = {}
    for control in controls:
        vector: type[Word] = vector_of(control)
        bits[VECTORS[vector]] = bits.get(VECTORS[vector], 0) | control.mask
        if vector in ACTIVATORS:
            for name, mask in on(ACTIVATORS[vector]).items():
                bits[name] = bits.get(name, 0) | mask
    return bits


FLAT = {
    **{F[f"GUEST_{name}_SELECTOR"]: 0x10 for name in ("SS", "DS", "ES", "FS", "GS")},
    **{F[f"GUEST_{name}_LIMIT"]: 0xFFFF_FFFF for name in ("CS", "SS", "DS", "ES", "FS", "GS")},
    **{F[f"GUEST_{name}_ACCESS_RIGHTS"]: 0xC093 for name in ("SS", "DS", "ES", "FS", "GS")},
    F.GUEST_CS_SELECTOR: 0x08,
    F.GUEST_CS_ACCESS_RIGHTS: 0xA09B,
    F.GUEST_TR_SELECTOR: 0x18,
    F.GUEST_TR_LIMIT: 0x67,
    F.GUEST_TR_ACCESS_RIGHTS: 0x8B,
    F.GUEST_LDTR_ACCESS_RIGHTS: 0x10000,
}

LONG: dict[F, int] = {
    F.PIN_BASED_VM_EXECUTION_CONTROLS: 0x16,
    F.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS: 0x0400_6172,
    F.PRIMARY_VM_EXIT_CONTROLS: 0x0003_6DFB | PrimaryExit.host_address_space_size.mask,
    F.VM_ENTRY_CONTROLS: 0x0000_11FB | Entry.ia32e_mode_guest.mask,
    F.HOST_CR0: 0x8000_0031,
    F.HOST_CR3: 0x1000,
    F.HOST_CR4: 0x2020,
    F.HOST_CS_SELECTOR: 0x08,
    **{F[f"HOST_{name}_SELECTOR"]: 0x10 for name in ("SS", "DS", "ES", "FS", "GS")},
    F.HOST_TR_SELECTOR: 0x18,
    F.HOST_RIP: 0x10000,
    F.HOST_RSP: 0x38000,
    F.GUEST_CR0: 0x8000_0031,
    F.GUEST_CR3: 0x1000,
    F.GUEST_CR4: 0x2020,
    F.GUEST_DR7: 0x400,
    F.GUEST_RFLAGS: 2,
    F.GUEST_RIP: 0x12000,
    F.GUEST_RSP: 0x30000,
    F.GUEST_GDTR_LIMIT: 0xFFFF,
    F.GUEST_IDTR_LIMIT: 0xFFFF,
    F.VMCS_LINK_POINTER: ALL_ONES,
    **FLAT,
}
"""A 64-bit guest without EPT: what `max` accepts."""


def changed(base: Mapping[F, int], *changes: Mapping[F, int]) -> dict[F, int]:
    """`base` with fields replaced."""
    result = dict(base)
    for change in changes:
        result.update(change)
    return result


def having(base: Mapping[F, int], *controls: Bits[bool]) -> dict[F, int]:
    """`base` with controls set."""
    return {**base, **{name: base.get(name, 0) | mask for name, mask in on(*controls).items()}}


def lacking(base: Mapping[F, int], *controls: Bits[bool]) -> dict[F, int]:
    """`base` with controls cleared."""
    result = dict(base)
    for control in controls:
        result[VECTORS[vector_of(control)]] &= ~control.mask
    return result


PROTECTED = changed(lacking(LONG, Entry.ia32e_mode_guest), {F.GUEST_CR4: 0x2000, F.GUEST_CS_ACCESS_RIGHTS: 0xC09B})
"""A guest in 32-bit protected mode with 32-bit paging."""
PAE = changed(PROTECTED, {F.GUEST_CR4: 0x2020, F.GUEST_CR3: PDPT})
EPT = changed(having(LONG, SecondaryProcessorBased.enable_ept), {F.EPTP: 0x5001E})
PAE_EPT = changed(having(PAE, SecondaryProcessorBased.enable_ept), {F.EPTP: 0x5001E})
VIRTUAL_8086 = changed(
    PROTECTED,
    {F.GUEST_RFLAGS: 0x2_0002},
    {F[f"GUEST_{name}_ACCESS_RIGHTS"]: 0xF3 for name in ("CS", "SS", "DS", "ES", "FS", "GS")},
    {F[f"GUEST_{name}_LIMIT"]: 0xFFFF for name in ("CS", "SS", "DS", "ES", "FS", "GS")},
    {F[f"GUEST_{name}_BASE"]: 0x100 for name in ("SS", "DS", "ES", "FS", "GS")},
    {F.GUEST_CS_BASE: 0x80},
)
UNRESTRICTED = having(changed(EPT, {}), SecondaryProcessorBased.unrestricted_guest)
REAL_MODE = changed(
    lacking(UNRESTRICTED, Entry.ia32e_mode_guest),
    {F.GUEST_CR0: 0x30, F.GUEST_CR4: 0x2000, F.GUEST_CS_ACCESS_RIGHTS: 0x93},
    {F[f"GUEST_{name}_ACCESS_RIGHTS"]: 0x93 for name in ("SS", "DS", "ES", "FS", "GS")},
    {F[f"GUEST_{name}_LIMIT"]: 0xFFFF for name in ("CS", "SS", "DS", "ES", "FS", "GS")},
    {F[f"GUEST_{name}_SELECTOR"]: 0 for name in ("CS", "SS", "DS", "ES", "FS", "GS")},
)
SHORT_HOST = changed(lacking(PROTECTED, PrimaryExit.host_address_space_size), {F.HOST_CR4: 0x2000})
"""A 32-bit host with a 32-bit guest."""

BASES = {
    "LONG": LONG,
    "PROTECTED": PROTECTED,
    "PAE": PAE,
    "EPT": EPT,
    "PAE_EPT": PAE_EPT,
    "VIRTUAL_8086": VIRTUAL_8086,
    "UNRESTRICTED": UNRESTRICTED,
    "REAL_MODE": REAL_MODE,
    "SHORT_HOST": SHORT_HOST,
}
"""Valid ones, on a processor that has everything."""


@dataclass(frozen=True, slots=True)
class Witness:
    """A VMCS, the capability MSRs of the processor, and whether that is in IA-32e mode."""

    fields: Mapping[F, int]
    capabilities: Mapping[int, int] = field(default_factory=lambda: EVERYTHING)
    long_mode: bool = True

    def snapshot(self, read_quad: Callable[[int], int] = lambda address: MEMORY.get(address, 0)) -> Snapshot:
        """The same for the Python book, over MEMORY or the memory of a machine."""
        fields = {name: value & ((1 << name.bits) - 1) for name, value in self.fields.items()}
        return Snapshot(
            fields,
            self.capabilities,
            efer_now=0x500 if self.long_mode else 0,
            pointer=VMCS,
            maximum_physical=WIDTH,
            read_quad=read_quad,
        )


__all__ = [
    "BASES",
    "Entry",
    "PinBased",
    "PrimaryExit",
    "PrimaryProcessorBased",
    "SecondaryExit",
    "SecondaryProcessorBased",
    "TertiaryProcessorBased",
    "VmFunctions",
    "Witness",
    "changed",
    "having",
    "lacking",
]
