"""Why a VM entry fails: every broken rule, the one that hardware reports, the values bit by bit, and who wrote them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from vmxon.arch.bits import Word
from vmxon.arch.control import Cr0, Cr4
from vmxon.arch.msr import MSRS
from vmxon.arch.msr_vmx import VmxBasic
from vmxon.explain.advice import Advice, advice_for
from vmxon.explain.decode import BRIEF, Part, bit_names, brief, layout_of, number, parts
from vmxon.explain.document import Block, Document, Json, Line, Shown, Style, Table, counted, listed
from vmxon.explain.record import EntryRecord, Findings, Writer, examine
from vmxon.vmx.controls import VECTORS, Entry, PinBased, PrimaryExit, PrimaryProcessorBased
from vmxon.vmx.field_support import NEEDS
from vmxon.vmx.fields import VmcsField
from vmxon.vmx.rules import RULES, EntryRule
from vmxon.vmx.rules.view import TRUE_DISTANCE
from vmxon.vmx.rules.view import VECTORS as VECTOR_FIELDS

Resolver = Callable[[int], str | None]
"""From an address to “function+0x12 (file.c:34)”; None where it is unknown."""


@dataclass(frozen=True, slots=True)
class FieldState:
    """One field that a broken rule read."""

    which: VmcsField
    value: int
    summary: str
    parts: tuple[Part, ...]
    writer: Writer | None
    symbol: str | None
    """Where the writer is in the program, if a resolver knows it."""
    unwritten: bool
    """No VMWRITE reached it since VMCLEAR."""

    @property
    def origin(self) -> str:
        """Who wrote it; empty where that is not recorded."""
        if self.unwritten:
            return "never written since VMCLEAR"
        if self.writer is None:
            return ""
        if self.writer.program:
            return f"written by {self.writer.program}, instruction {self.writer.number:,}"
        symbol = f" {self.symbol}" if self.symbol else ""
        return f"written at RIP {self.writer.rip:#x}{symbol}, instruction {self.writer.number:,}"

    def to_json(self) -> Json:
        """Plain data."""
        writer = self.writer
        return {
            "field": self.which.name,
            "value": hex(self.value),
            "summary": self.summary,
            "parts": [{"place": part.place, "name": part.name, "value": hex(part.value), "meaning": part.meaning} for part in self.parts],
            "writer": None if writer is None else {"rip": hex(writer.rip), "instruction": writer.number, "symbol": self.symbol},
            "never_written": self.unwritten,
        }


@dataclass(frozen=True, slots=True)
class Failure:
    """One broken rule."""

    rule: EntryRule
    fields: tuple[FieldState, ...]
    offending: tuple[str, ...]
    """Which bits are wrong, where the rule compares with a capability MSR."""
    advice: Advice

    def blocks(self, position: int, shown: set[VmcsField], *, certain: bool) -> Iterator[Block]:
        """What a reader sees of it; the bits of fields that were `shown` before are left out."""
        rule = self.rule
        first = position == 1
        verdict = f" (hardware {'reports' if certain else 'may report'} this one)" if first else ""
        yield Line(f"{position}. {rule.name}{verdict}", 1, Style.BAD if first else Style.PLAIN)
        yield Line(rule.explanation, 2)
        yield Line(f"{rule.source}, row {listed(rule.keys)} of the list of entry checks", 2, Style.QUIET)
        for state in self.fields:
            yield Line(_assignment(state), 2)
            if state.origin:
                yield Line(state.origin, 3, Style.QUIET)
            if state.which not in shown:
                yield from (_part_line(part) for part in state.parts)
            shown.add(state.which)
        yield from (Line(text, 2, Style.BAD) for text in self.offending)
        yield Line(f"Usual cause: {self.advice.cause}.", 2)
        yield Line(f"What to do: {self.advice.action}.", 2, Style.GOOD)

    def to_json(self) -> Json:
        """Plain data."""
        rule = self.rule
        return {
            "rule": rule.name,
            "number": rule.number,
            "area": rule.area.name,
            "keys": list(rule.keys),
            "section": str(rule.source),
            "explanation": rule.explanation,
            "fields": [state.to_json() for state in self.fields],
            "offending": list(self.offending),
            "cause": self.advice.cause,
            "action": self.advice.action,
        }


def _part_line(part: Part) -> Line:
    place, name, value, meaning = part.cells
    return Line(f"{place} {name} = {value} ({meaning})", 3, Style.PLAIN if part.expected else Style.BAD)


def _assignment(state: FieldState) -> str:
    text = f"{state.which.name} = {number(state.value, state.which.bits)}"
    return f"{text}: {state.summary}" if state.which in BRIEF or (state.summary and not state.parts) else text


@dataclass(frozen=True, slots=True)
class Explanation(Shown):
    """Why a VM entry fails, or that the rule book finds nothing wrong; prints, and shows in Jupyter."""

    failures: tuple[Failure, ...]
    undecided: tuple[tuple[EntryRule, str], ...]
    """Rules that cannot be told, with what is unknown."""
    certain: bool
    """The first failure is the one that hardware reports, whatever the unknown parts are."""
    unwritten: tuple[VmcsField, ...]
    """Fields that the rules looked at and that were never written since VMCLEAR."""

    @property
    def reported(self) -> EntryRule | None:
        """The rule that hardware reports."""
        return self.failures[0].rule if self.failures else None

    @property
    def outcome(self) -> str:
        """How the entry ends."""
        rule = self.reported
        if rule is None:
            return "cannot tell" if self.undecided else "VM entry succeeds: no rule is broken"
        qualification = f", exit qualification {rule.qualification}" if rule.qualification else ""
        return f"VM entry fails: {rule.area.value}{qualification}"

    def document(self) -> Document:
        checked = len(RULES) - len(self.undecided)
        if not self.failures:
            title = f"No broken rule among the {checked} that can be told" if self.undecided else self.outcome
        else:
            title = self.outcome
        blocks: list[Block] = []
        if self.failures:
            blocks.append(Line(f"{counted(len(self.failures), 'rule')} of {len(RULES)} broken", 0, Style.HEADING))
            shown: set[VmcsField] = set()
            for position, failure in enumerate(self.failures, 1):
                blocks += failure.blocks(position, shown, certain=self.certain)
            if not self.certain:
                blocks.append(Line("A rule that cannot be told comes earlier in the book; hardware may report that one instead.", 1))
        if self.unwritten:
            count = counted(len(self.unwritten), "field")
            blocks.append(Line(f"Never written since VMCLEAR: {count} that rules look at", 0, Style.HEADING))
            blocks.append(Line(", ".join(which.name for which in self.unwritten), 1))
        if self.undecided:
            blocks.append(Line(f"Cannot tell: {counted(len(self.undecided), 'rule')}", 0, Style.HEADING))
            blocks.append(Table(("unknown", "rules"), _by_reason(self.undecided), 1))
        return Document(title, tuple(blocks))

    def to_json(self) -> dict[str, Json]:
        """Plain data, ready for `json.dumps`."""
        reported = self.reported
        return {
            "outcome": self.outcome,
            "reported": reported.name if reported else None,
            "certain": self.certain,
            "broken": [failure.to_json() for failure in self.failures],
            "cannot_tell": [{"rule": rule.name, "unknown": what} for rule, what in self.undecided],
            "never_written": [which.name for which in self.unwritten],
        }


def _by_reason(undecided: tuple[tuple[EntryRule, str], ...]) -> tuple[tuple[str, str], ...]:
    """One row for each unknown thing."""
    reasons: dict[str, list[str]] = {}
    for rule, what in undecided:
        reasons.setdefault(what, []).append(rule.name)
    return tuple((what, ", ".join(names)) for what, names in reasons.items())


def explain_entry(record: EntryRecord, resolve: Resolver | None = None, findings: Findings | None = None) -> Explanation:
    """Explain what VM entry makes of a record; `resolve` finds the places in the program that wrote the fields."""
    found = findings or examine(record)
    unwritten = _unwritten(record, found)
    failures = []
    for rule in found.broken:
        states = tuple(_state(record, which, resolve) for which in dict.fromkeys(rule.reads) if which in record.fields)
        advice = advice_for(rule.name, [state.which.name for state in states if state.unwritten])
        failures.append(Failure(rule, states, tuple(_offending(rule, record)), advice))
    return Explanation(tuple(failures), found.undecided, found.certain, unwritten)


def _unwritten(record: EntryRecord, found: Findings) -> tuple[VmcsField, ...]:
    if record.writers is None:
        return ()
    writers = record.writers
    open_ = (which for which in found.read if which in record.fields and which not in writers and not which.read_only)
    return tuple(which for which in open_ if _in_use(which, record.fields))


def _in_use(which: VmcsField, values: Mapping[VmcsField, int]) -> bool:
    """A control that the field belongs to is 1, where it belongs to one."""
    controls = (name.split(".") for name in NEEDS.get(which, ()))
    masks = [(VECTOR_FIELDS[VECTORS[vector]], VECTORS[vector].layout[control].mask) for vector, control in controls]
    return not masks or any(values.get(vector, 0) & mask for vector, mask in masks)


def _state(record: EntryRecord, which: VmcsField, resolve: Resolver | None) -> FieldState:
    value = record.fields[which]
    layout = layout_of(which, record.fields)
    writer = record.writers.get(which) if record.writers is not None else None
    symbol = (writer.program or (resolve(writer.rip) if resolve else None)) if writer else None
    unwritten = record.writers is not None and writer is None
    found = parts(layout, value) if layout else ()
    return FieldState(which, value, brief(which, value, record.fields), found, writer, symbol, unwritten)


# Which bits are wrong

PAIRED: dict[str, tuple[int, type[Word]]] = {
    "pin": (0x481, PinBased),
    "primary": (0x482, PrimaryProcessorBased),
    "exit": (0x483, PrimaryExit),
    "entry": (0x484, Entry),
}
SINGLE = {"secondary": 0x48B, "tertiary": 0x492, "secondary_exit": 0x493, "vm_functions": 0x491}


def _offending(rule: EntryRule, record: EntryRecord) -> Iterator[str]:
    """The bits that a capability MSR demands or forbids, by name."""
    vector, _, kind = rule.name.partition(".")
    which = rule.reads[-1]
    value = record.fields.get(which, 0)
    capabilities = record.capabilities
    if vector in PAIRED and kind in ("must_be_one", "may_be_one"):
        address, layout = PAIRED[vector]
        if capabilities.get(0x480, 0) & VmxBasic.true_controls.mask:
            address += TRUE_DISTANCE
        allowed = capabilities.get(address, 0)
        wrong = allowed & 0xFFFF_FFFF & ~value if kind == "must_be_one" else value & ~(allowed >> 32)
        yield _verdict(layout, wrong, MSRS[address].name, allowed, missing=kind == "must_be_one")
    elif vector in SINGLE and kind in ("may_be_one", "supported"):
        address = SINGLE[vector]
        allowed = capabilities.get(address, 0)
        permitted = allowed >> 32 if vector == "secondary" else allowed
        layout_here = layout_of(which, record.fields)
        assert layout_here is not None  # every control vector has one
        yield _verdict(layout_here, value & ~permitted, MSRS[address].name, allowed, missing=False)
    elif rule.name.endswith((".cr0.fixed0", ".cr0.fixed1", ".cr4.fixed0", ".cr4.fixed1")):
        yield _fixed(rule, value, capabilities)


def _fixed(rule: EntryRule, value: int, capabilities: Mapping[int, int]) -> str:
    """The bits of CR0 or CR4 that a FIXED MSR demands or forbids."""
    _, register, kind = rule.name.split(".")
    address = (0x486 if register == "cr0" else 0x488) + (kind == "fixed1")
    allowed = capabilities.get(address, 0)
    wrong = allowed & ~value if kind == "fixed0" else value & ~allowed
    if rule.name == "guest.cr0.fixed0":
        wrong &= ~(Cr0.pe.mask | Cr0.pg.mask)
    return _verdict(Cr0 if register == "cr0" else Cr4, wrong, MSRS[address].name, allowed, missing=kind == "fixed0")


def _verdict(layout: type[Word], wrong: int, msr: str, allowed: int, *, missing: bool) -> str:
    bits = f"{'bit' if wrong.bit_count() == 1 else 'bits'} {listed(bit_names(layout, wrong))}"
    return f"must be 1 but 0: {bits} ({msr} = {allowed:#018x})" if missing else f"must be 0 but 1: {bits} ({msr} = {allowed:#018x})"
