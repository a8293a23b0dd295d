"""From what a user typed to what it means; a number may mean several things, and all of them are given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from vmxon.arch.exceptions import Vector
from vmxon.arch.msr import MSRS
from vmxon.arch.sdm import Sdm
from vmxon.errors import VmxonError
from vmxon.explain.decode import layout_parts, member, number, parts
from vmxon.explain.names import dashed, find_field, find_msr, integer, nearest
from vmxon.explain.rulebook import rule_topic, rules_called
from vmxon.explain.topics.exits import ABSENT, exit_advice
from vmxon.explain.topics.lists import ERRORS, EXCEPTIONS, LISTS
from vmxon.explain.topics.topic import HEADINGS, LAYOUT_HEADINGS, Topic
from vmxon.explain.topics.values import (
    REGISTERS,
    control_names,
    control_topics,
    field_topic,
    msr_topic,
    register_topic,
)
from vmxon.vmx.errors import InstructionError
from vmxon.vmx.exit_reasons import EntryFailure, ExitReason, ExitReasonWord
from vmxon.vmx.fields import VmcsField
from vmxon.vmx.qualifications import QUALIFICATIONS
from vmxon.vmx.rules import RULES

REASON_FORMAT = Sdm("3C", "25.9.1", "Basic VM-Exit Information")
QUALIFICATION = Sdm("3C", "28.2.1", "Basic VM-Exit Information")
LONGEST = 200
"""Characters of an item that are looked at."""


def look_up(words: Sequence[str]) -> list[Topic]:
    """Everything that the words may mean.

    Raises:
        VmxonError: nothing; the message names what is nearest.
    """
    text = " ".join(" ".join(words).replace("\u201c", " ").replace("\u201d", " ").split())[:LONGEST].strip("\"' ")
    listing = LISTS.get(text.lower())
    if listing is not None:
        return [listing()]
    first, _, rest = text.partition(" ")
    finder = FINDERS.get(first.lower())
    topics = list(finder(rest)) if finder and rest else []
    topics = topics or list(_anything(text))
    name, _, last = text.rpartition(" ")
    value = integer(last)
    if not topics and name and value is not None and not (finder and integer(rest) is not None):
        topics = list(_with_value(name, value))
    if not topics and integer(text) is not None:
        advice = "vmxon explain exits, errors, fields and msrs list those that vmxon has"
        raise VmxonError(f"no exit reason, error, field or MSR has the number {text}", advice=advice)
    if not topics:
        numbered = NUMBERED.get(first.lower()) if integer(rest) is not None else None
        advice = f"vmxon explain {numbered} lists them" if numbered else _suggestion(text)
        raise VmxonError(f"nothing is called {text!r}", advice=advice)
    return topics


def _suggestion(text: str) -> str:
    reasons = [dashed(reason.name) for reason in ExitReason]
    rules = [rule.name for rule in RULES]
    msrs = [msr.name for msr in MSRS.values()]
    name, _, last = text.rpartition(" ")
    wanted = name if name and integer(last) is not None else text
    close = nearest(wanted, [*reasons, *VmcsField.__members__, *control_names(), *msrs, *rules], 4)
    return f"nearest: {', '.join(close)}" if close else "vmxon explain --help shows what can be asked"


def _anything(text: str) -> Iterator[Topic]:
    """All that one name or number can mean, without a value."""
    yield from _reasons(text)
    yield from _errors(text)
    if integer(text) is None or not text.isdecimal():  # encodings and addresses are written in hex
        yield from _fields(text)
        yield from _msrs(text)
    yield from control_topics(text)
    if text.startswith("#") or text.upper() in Vector.__members__:
        yield from _exceptions(text)
    word = dashed(text)
    if word in REGISTERS and find_msr(text) is None and find_field(text) is None:
        yield register_topic(word)
    if integer(text) is None:
        yield from _rules(text)


def _with_value(name: str, value: int) -> Iterator[Topic]:
    """A name with a value of it."""
    reason = _reason_called(name)
    if reason is not None:
        yield qualification_topic(reason, value)
    which, msr, word = find_field(name), find_msr(name), dashed(name)
    if which is not None:
        if value >> which.bits:
            raise VmxonError(f"{value:#x} does not fit {which.name}", expected=f"a value of {which.bits} bits")
        yield field_topic(which, value)
    elif word in REGISTERS:
        layout = REGISTERS[word][1].layout
        if value >> layout.width:
            raise VmxonError(f"{value:#x} does not fit {word}", expected=f"a value of {layout.width} bits")
        yield register_topic(word, value)
    elif msr is not None:
        yield msr_topic(msr, value)


def _reasons(text: str) -> Iterator[Topic]:
    value = integer(text)
    if value is not None and value >> 31 == 1:
        yield word_topic(value)
        return
    reason = _reason_called(text)
    if reason is not None:
        yield reason_topic(reason)


def _reason_called(text: str) -> ExitReason | None:
    value = integer(text)
    if value is not None:
        return member(ExitReason, value)
    name = dashed(text).removeprefix("exit-reason-")
    return next((reason for reason in ExitReason if dashed(reason.name) in (name, f"{name}-or-nmi")), None)


def reason_topic(reason: ExitReason) -> Topic:
    """A basic exit reason, with the layout of its qualification."""
    advice = exit_advice(reason)
    layout = QUALIFICATIONS.get(reason)
    bits = layout_parts(layout) if layout else ()
    facts = [("Exit qualification", "as below")] if layout else []
    if reason in ABSENT:
        facts.append(("In vmxon", f"it never happens: {ABSENT[reason]}"))
    return Topic(
        f"exit reason {int(reason)}",
        reason.name.replace("_", " "),
        reason.title,
        str(advice.source),
        advice.cause,
        advice.action,
        tuple(facts),
        bits,
        LAYOUT_HEADINGS,
    )


def qualification_topic(reason: ExitReason, value: int) -> Topic:
    """The exit qualification of a reason, bit by bit."""
    advice = exit_advice(reason)
    layout = QUALIFICATIONS.get(reason)
    facts = [("Value", number(value, 64))]
    if reason is ExitReason.INVALID_GUEST_STATE:
        failure = member(EntryFailure, value)
        facts.append(("Meaning", "undefined" if failure is None else FAILURES[failure]))
    elif layout is None:
        facts.append(("Meaning", "the linear address of #PF or DR6 bits of #DB" if reason is ExitReason.EXCEPTION_OR_NMI else PLAIN))
    if reason is ExitReason.EPT_VIOLATION:
        facts.append(("In short", _ept_violation(value)))
    return Topic(
        "exit qualification",
        reason.name.replace("_", " "),
        reason.title,
        str(QUALIFICATION),
        advice.cause,
        advice.action,
        tuple(facts),
        parts(layout, value) if layout else (),
        HEADINGS,
    )


PLAIN = "the displacement or operand of the instruction, or nothing"
FAILURES = {
    EntryFailure.GENERAL: "no further information",
    EntryFailure.PDPTE: "loading the PDPTEs failed",
    EntryFailure.NMI_INJECTION: "an NMI was injected under blocking by STI",
    EntryFailure.LINK_POINTER: "the VMCS link pointer is not valid",
}


def _ept_violation(value: int) -> str:
    """One sentence for the usual question: who did what, and what was allowed."""
    done = [name for bit, name in enumerate(("read", "write", "instruction fetch")) if value >> bit & 1]
    allowed = [name for bit, name in enumerate(("reads", "writes", "fetches"), 3) if value >> bit & 1]
    target = "" if not value >> 7 & 1 else " of the translated address" if value >> 8 & 1 else " of a guest paging entry on the way"
    may = f"EPT allows {' and '.join(allowed)}" if allowed else "EPT maps nothing there"
    return f"{' and '.join(done) or 'an access'}{target}; {may}"


def word_topic(value: int) -> Topic:
    """A whole exit-reason field, whose bit 31 says that VM entry failed."""
    reason = member(ExitReason, value & 0xFFFF)
    advice = exit_advice(reason) if reason is not None else None
    return Topic(
        "exit-reason field",
        f"{value:#010x}",
        reason.title if reason is not None else "no reason of the manual has this number",
        str(advice.source if advice else REASON_FORMAT),
        advice.cause if advice else "",
        advice.action if advice else "",
        (("Basic exit reason", f"{value & 0xFFFF}" + (f", {reason.name.replace('_', ' ')}" if reason is not None else "")),),
        parts(ExitReasonWord, value & 0xFFFF_FFFF),
    )


def _errors(text: str) -> Iterator[Topic]:
    value = integer(text)
    error = (
        member(InstructionError, value) if value is not None else InstructionError.__members__.get(dashed(text).replace("-", "_").upper())
    )
    if error is not None:
        yield Topic(
            f"VM-instruction error {int(error)}",
            error.name.replace("_", " "),
            error.meaning,
            str(ERRORS),
            error.cause,
            ERROR_ACTIONS.get(error, ""),
        )


ERROR_ACTIONS = {
    InstructionError.ENTRY_CONTROLS: "vmxon check names the rules that a dump breaks; compare each control with its capability MSR",
    InstructionError.ENTRY_HOST_STATE: "vmxon check names the rules that a dump breaks; write every host field",
    InstructionError.VMLAUNCH_NOT_CLEAR: "VMCLEAR the VMCS, or use VMRESUME",
    InstructionError.VMRESUME_NOT_LAUNCHED: "use VMLAUNCH for the first entry",
    InstructionError.UNSUPPORTED_FIELD: "vmxon explain FIELD says which control makes a field exist",
    InstructionError.VMPTRLD_REVISION: "write IA32_VMX_BASIC bits 30:0 to the first four bytes of the region",
}


def _fields(text: str) -> Iterator[Topic]:
    which = find_field(text)
    if which is not None:
        yield field_topic(which)


def _msrs(text: str) -> Iterator[Topic]:
    msr = find_msr(text)
    if msr is not None:
        yield msr_topic(msr)


def _rules(text: str) -> Iterator[Topic]:
    yield from map(rule_topic, rules_called(text))


def _exceptions(text: str) -> Iterator[Topic]:
    name, value = text.strip().removeprefix("#").upper(), integer(text)
    vector = member(Vector, value) if value is not None else Vector.__members__.get(name)
    if vector is not None:
        facts = (
            ("Vector", f"{int(vector)}: bit {int(vector)} of the exception bitmap makes it exit"),
            ("Saved RIP", vector.kind.value),
            ("Error code", "pushed, and injected with bit 11 of the interruption information" if vector.pushes_error_code else "none"),
            ("On top of another", vector.severity.value),
        )
        yield Topic("exception", vector.mnemonic, vector.title, str(EXCEPTIONS), facts=facts)


FINDERS: dict[str, Callable[[str], Iterator[Topic]]] = {
    "exit": _reasons,
    "reason": _reasons,
    "exit-reason": _reasons,
    "error": _errors,
    "field": _fields,
    "msr": _msrs,
    "control": control_topics,
    "rule": _rules,
    "exception": _exceptions,
    "vector": _exceptions,
}
"""Words before an item that say of which kind it is."""

NUMBERED = {
    "exit": "exits",
    "reason": "exits",
    "exit-reason": "exits",
    "error": "errors",
    "field": "fields",
    "msr": "msrs",
    "rule": "rules",
    "exception": "exceptions",
    "vector": "exceptions",
}
"""The list that has what such a word and a number do not find."""
