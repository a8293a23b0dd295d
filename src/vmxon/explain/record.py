"""One VM entry as plain data, of which any part may be unknown: the fields, what the processor can do, who wrote what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, cast

from vmxon.arch.cpuid import Model
from vmxon.arch.msr import MSRS
from vmxon.arch.msr_vmx import VmxBasic
from vmxon.vmx.capabilities import capability_msrs
from vmxon.vmx.fields import SLOTS, VmcsField
from vmxon.vmx.rules import RULES, EntryRule, EntryView

CAPABILITY_MSRS = range(0x480, 0x494)
NARROWEST, WIDEST = 32, 52
"""Physical-address widths between which every processor with VMX lies."""
LINEAR_WIDTHS = (48, 57)
NOT_IN_CAPABILITIES: dict[str, str] = {
    "guest.blocking.enclave": "SGX (CPUID.07H.0:EBX bit 2)",
    "guest.pending_debug.bus_lock": "bus-lock detection (CPUID.07H.0:ECX bit 24)",
    "guest.pending_debug.rtm": "RTM (CPUID.07H.0:EBX bit 11)",
}
"""Rules that are broken only on processors without a feature that no capability MSR reports."""


class Unknown(LookupError):
    """A rule asked for something that the record does not have."""


class UnknownNumber:
    """A number that is not known: computing with it gives another one, deciding by it raises `Unknown`.

    So a rule whose control is 0 holds, whatever the field that the control governs.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def _same(self, _: object) -> UnknownNumber:
        return self

    __and__ = __or__ = __xor__ = __add__ = __sub__ = __mul__ = __lshift__ = __rshift__ = _same
    __rand__ = __ror__ = __rxor__ = __radd__ = __rsub__ = __rmul__ = __rlshift__ = __rrshift__ = _same
    __lt__ = __le__ = __gt__ = __ge__ = _same
    __hash__ = None  # type: ignore[assignment]  # equality does not answer

    def __eq__(self, other: object) -> bool:
        return cast(bool, self)

    def __ne__(self, other: object) -> bool:
        return cast(bool, self)

    def __invert__(self) -> UnknownNumber:
        return self

    def __bool__(self) -> bool:
        raise Unknown(self.name)

    __int__ = __index__ = __bool__


class BySlot(Protocol):
    """An array with one number for each field."""

    def __getitem__(self, slot: int, /) -> int: ...


class CachedFields(Protocol):
    """What `record_of_cache` reads: `vmxon.vmx.state.VmcsCache`, or anything with its three arrays by slot."""

    @property
    def fields(self) -> BySlot:
        """Values."""

    @property
    def writer_rip(self) -> BySlot:
        """RIP of the last VMWRITE."""

    @property
    def writer_number(self) -> BySlot:
        """Number of that instruction, from 1; 0 where there was none since VMCLEAR."""


@dataclass(frozen=True, slots=True)
class Writer:
    """The VMWRITE that set a field: its RIP, and its number among the instructions that ran."""

    rip: int
    number: int
    program: str = ""
    """Who ran it, where that is no code at RIP: “the Python program at guest.py:12”."""


@dataclass(frozen=True, slots=True)
class EntryRecord:
    """A VMCS and the processor that enters it; None stands for “unknown”, and so does a field that is absent."""

    fields: Mapping[VmcsField, int]
    capabilities: Mapping[int, int] = field(default_factory=dict)
    """Capability MSRs by address; absent ones are unknown, those that the processor lacks are 0."""
    writers: Mapping[VmcsField, Writer] | None = None
    """Who wrote each field; with a mapping, fields outside it were never written since VMCLEAR."""
    physical_width: int | None = None
    linear_width: int | None = None
    efer: int | None = None
    """IA32_EFER while the entry instruction runs."""
    pointer: int | None = None
    """Physical address of the VMCS."""
    read_quad: Callable[[int], int] | None = None
    """Physical memory, 64 bits at an address."""
    complete_processor: bool = False
    """The processor is one of our models: what its capability MSRs do not tell is known too."""


class KnownView(EntryView):
    """The entry view over a record; what is not there is an `UnknownNumber`."""

    def __init__(self, record: EntryRecord) -> None:
        self.record = record
        self.read: dict[VmcsField, None] = {}
        """The fields that were asked for, in order."""

    def field(self, which: VmcsField) -> int:
        self.read[which] = None
        return self._known(self.record.fields.get(which), which.name)

    def capability(self, address: int) -> int:
        return self._known(self.record.capabilities.get(address), MSRS[address].name)

    def efer(self) -> int:
        return self._known(self.record.efer, "IA32_EFER of the host")

    def cr3(self) -> int:
        return self._known(None, "CR3 of the host")

    def vmcs_pointer(self) -> int:
        return self._known(self.record.pointer, "the address of the VMCS")

    def physical_width(self) -> int:
        return self._known(self.record.physical_width, "MAXPHYADDR")

    def linear_width(self) -> int:
        return self._known(self.record.linear_width, "the width of linear addresses")

    def word(self, address: int) -> int:
        return self.quad(address) & 0xFFFF_FFFF

    def quad(self, address: int) -> int:
        place: object = address
        if self.record.read_quad is None or isinstance(place, UnknownNumber):
            return self._known(None, "memory" if isinstance(place, UnknownNumber) else f"memory at {address:#x}")
        return self.record.read_quad(address)

    def fits(self, address: int) -> bool:
        """Known without MAXPHYADDR for addresses that fit every processor, or none."""
        if address >> NARROWEST == 0:
            return True
        if address >> WIDEST != 0 or self.record.capabilities.get(0x480, 0) & VmxBasic.address_32.mask:
            return False
        if self.record.physical_width is None:
            return bool(self.physical_width())
        return address >> self.record.physical_width == 0

    def canonical(self, address: int) -> bool:
        """Known without the width for addresses that are canonical on every processor, or on none."""
        return self._same_for_all_widths(lambda width: _alike_from(address, width - 1))

    def alike_above(self, address: int) -> bool:
        return self._same_for_all_widths(lambda width: _alike_from(address, width))

    def _same_for_all_widths(self, test: Callable[[int], bool]) -> bool:
        if self.record.linear_width is not None:
            return test(self.record.linear_width)
        answers = {test(width) for width in LINEAR_WIDTHS}
        return answers.pop() if len(answers) == 1 else bool(self.linear_width())

    @staticmethod
    def _known(value: int | None, name: str) -> int:
        return cast(int, UnknownNumber(name)) if value is None else value


def _alike_from(address: int, bit: int) -> bool:
    """All bits from `bit` upward are equal."""
    return address >> bit in (0, (1 << 64 - bit) - 1)


@dataclass(frozen=True, slots=True)
class Findings:
    """What the rule book says about a record, in the book's order."""

    broken: tuple[EntryRule, ...]
    undecided: tuple[tuple[EntryRule, str], ...]
    """Rules that cannot be decided, each with what is unknown."""
    read: tuple[VmcsField, ...]
    """The fields that the rules looked at."""

    @property
    def first(self) -> EntryRule | None:
        """The rule that hardware reports, as far as is known."""
        return self.broken[0] if self.broken else None

    @property
    def certain(self) -> bool:
        """No undecided rule comes before the first broken one."""
        first = self.first
        return not self.undecided if first is None else all(rule.number > first.number for rule, _ in self.undecided)


def examine(record: EntryRecord) -> Findings:
    """Run the whole rule book over a record."""
    view = KnownView(record)
    broken, undecided = [], []
    for rule in RULES:
        try:
            holds = bool(rule.holds(view))
        except Unknown as unknown:
            undecided.append((rule, str(unknown)))
            continue
        if holds:
            continue
        if rule.name in NOT_IN_CAPABILITIES and not record.complete_processor:
            undecided.append((rule, NOT_IN_CAPABILITIES[rule.name]))
        else:
            broken.append(rule)
    return Findings(tuple(broken), tuple(undecided), tuple(view.read))


def model_capabilities(model: Model) -> dict[int, int]:
    """All capability MSRs of a processor model; 0 for those that it does not have."""
    return {**dict.fromkeys(CAPABILITY_MSRS, 0), **capability_msrs(model)}


def record_of_cache(
    cache: CachedFields,
    model: Model,
    *,
    efer: int | None = None,
    pointer: int | None = None,
    read_quad: Callable[[int], int] | None = None,
) -> EntryRecord:
    """The record of a VMCS that the processor holds, with who wrote each field."""
    numbers = cache.writer_number
    writers = {which: Writer(cache.writer_rip[which.slot], numbers[which.slot]) for which in SLOTS if numbers[which.slot]}
    return EntryRecord(
        {which: cache.fields[which.slot] for which in SLOTS},
        model_capabilities(model),
        writers,
        physical_width=model.physical_width,
        linear_width=model.linear_width,
        efer=efer,
        pointer=pointer,
        read_quad=read_quad,
        complete_processor=True,
    )
