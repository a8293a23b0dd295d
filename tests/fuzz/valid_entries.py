"""Valid VMCSs of many kinds, on several processors: where the changes of the rule campaign start."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations, product
from random import Random

from tests.vmx.witness import (
    ALL_ONES,
    BASES,
    BEYOND,
    EVERYTHING,
    LONG,
    PDPT,
    SHORT_HOST,
    VIRTUAL_8086,
    VMCS,
    WIDTH,
    Entry,
    PinBased,
    PrimaryExit,
    PrimaryProcessorBased,
    SecondaryProcessorBased,
    changed,
    having,
)
from tests.vmx.witnesses import WITNESSES
from vmxon.arch.cpuid import Model
from vmxon.arch.models import FIRST, MAX, NEHALEM
from vmxon.vmx.capabilities import capability_msrs
from vmxon.vmx.fields import VmcsField as F
from vmxon.vmx.rules import EntryRule, Snapshot
from vmxon.vmx.rules.view import VECTORS

MODELS: tuple[Model, ...] = (FIRST, NEHALEM, MAX)
ADDRESSES = {F.EPTP: 0x5001E, F.VPID: 1, F.TSC_MULTIPLIER: 1 << 48}
"""What controls need besides zeros."""
PAIRS = {
    F.PIN_BASED_VM_EXECUTION_CONTROLS: 0x481,
    F.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS: 0x482,
    F.PRIMARY_VM_EXIT_CONTROLS: 0x483,
    F.VM_ENTRY_CONTROLS: 0x484,
}
"""Control vectors with bits that must be 1, and their capability MSRs."""
WIDEST_REPAIR = 2


@dataclass(frozen=True, slots=True)
class ValidEntry:
    """A VMCS that enters, with everything that its entry depends on."""

    name: str
    fields: Mapping[F, int]
    capabilities: Mapping[int, int]
    long_mode: bool
    physical_width: int

    def snapshot(self, quad: Callable[[int], int], fields: Mapping[F, int] | None = None) -> Snapshot:
        """The entry for the Python book, over the memory that `quad` reads."""
        return Snapshot(
            self.fields if fields is None else fields,
            self.capabilities,
            efer_now=0x500 if self.long_mode else 0,
            pointer=VMCS,
            maximum_physical=self.physical_width,
            read_quad=quad,
        )


@dataclass(frozen=True, slots=True)
class Target:
    """A rule with a valid entry from which few changes break it: the fields and the values that do."""

    rule: EntryRule
    start: ValidEntry
    breaking: Mapping[F, int]


Accepts = Callable[[ValidEntry], bool]
"""Whether an entry succeeds."""


def with_all_controls(entry: ValidEntry, accepts: Accepts, chance: Random) -> ValidEntry:
    """As many controls as go together, tried in random order."""
    bits = [(field, 1 << bit) for field in VECTORS.values() for bit in range(field.bits)]
    chance.shuffle(bits)
    for field, bit in sorted(bits, key=lambda pair: pair[0] != F.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS):
        more = replace(entry, fields={**entry.fields, field: entry.fields.get(field, 0) | bit})
        if accepts(more):
            entry = more
    return entry


def valid_entries(accepts: Accepts) -> tuple[ValidEntry, ...]:
    """Every base on every processor that accepts it, each plain and twice with all controls that go together."""
    processors = [(model.name, capability_msrs(model), model.physical_width) for model in MODELS]
    found = []
    for processor, capabilities, width in [*processors, ("everything", EVERYTHING, WIDTH)]:
        for base, fields in BASES.items():
            demanded = {}
            for field, address in PAIRS.items():
                true = capabilities[0x480] >> 55 & 1
                pair = capabilities[address + 0x48D - 0x481 if true else address]
                demanded[field] = (fields[field] | pair & 0xFFFF_FFFF) & pair >> 32
            entry = ValidEntry(f"{base} on {processor}", changed(fields, demanded), capabilities, base != "SHORT_HOST", width)
            if accepts(entry):
                found.append(entry)
                rich = replace(entry, fields={**ADDRESSES, **entry.fields})
                found += [replace(with_all_controls(rich, accepts, Random(n)), name=f"{entry.name}, rich {n}") for n in range(2)]
    return tuple(found)


def repairs(field: F, value: int) -> Iterator[int]:
    """Values that may make a field valid again."""
    usual = (base.get(field, 0) for base in BASES.values())
    yield from dict.fromkeys([*usual, 0, ADDRESSES.get(field, 0), ALL_ONES & (1 << field.bits) - 1])
    for bit in range(field.bits):
        yield value ^ 1 << bit


POSTED = having(
    LONG,
    PrimaryProcessorBased.use_tpr_shadow,
    SecondaryProcessorBased.virtual_interrupt_delivery,
    PinBased.external_interrupt_exiting,
    PinBased.posted_interrupts,
    PrimaryExit.acknowledge_interrupt,
)
PAE_8086 = changed(VIRTUAL_8086, {F.GUEST_CR4: 0x2020, F.GUEST_CR3: PDPT})
LONG_GUEST = Entry.ia32e_mode_guest.mask
BY_HAND: dict[str, tuple[Mapping[F, int], Mapping[F, int]]] = {
    "posted_interrupt_descriptor_address.aligned": (POSTED, {F.POSTED_INTERRUPT_DESCRIPTOR_ADDRESS: 32}),
    "posted_interrupt_descriptor_address.width": (POSTED, {F.POSTED_INTERRUPT_DESCRIPTOR_ADDRESS: BEYOND}),
    "host.mode.guest_32": (SHORT_HOST, {F.VM_ENTRY_CONTROLS: SHORT_HOST[F.VM_ENTRY_CONTROLS] | LONG_GUEST}),
    "guest.ss.dpl": (LONG, {F.GUEST_SS_SELECTOR: 0x13, F.GUEST_CS_SELECTOR: 0x0B}),
    "guest.rflags.vm_long": (PAE_8086, {F.VM_ENTRY_CONTROLS: PAE_8086[F.VM_ENTRY_CONTROLS] | LONG_GUEST}),
}
"""Rules whose witness is further than that from any valid entry: another one, and what breaks it."""


def target_of(rule: EntryRule, accepts: Accepts) -> Target | None:
    """The witness of a rule, and what it becomes when one or two of the fields that decide are put right."""
    if rule.name in BY_HAND:
        base, breaking = BY_HAND[rule.name]
        return Target(rule, ValidEntry(rule.name, base, EVERYTHING, base is not SHORT_HOST, WIDTH), breaking)
    witness = WITNESSES[rule.name]
    fields = dict(witness.snapshot().fields)
    wrong = ValidEntry(rule.name, fields, witness.capabilities, witness.long_mode, WIDTH)
    deciding = list(dict.fromkeys([*rule.reads, F.VM_ENTRY_CONTROLS, F.PRIMARY_VM_EXIT_CONTROLS]))
    for count in range(1, WIDEST_REPAIR + 1):
        for chosen in combinations(deciding, count):
            for values in product(*([*repairs(field, fields.get(field, 0))] for field in chosen)):
                right = replace(wrong, fields={**fields, **dict(zip(chosen, values, strict=True))})
                if accepts(right):
                    return Target(rule, right, {field: fields.get(field, 0) for field in chosen})
    return None
