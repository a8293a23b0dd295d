"""Everything of a kind, for those who do not know the name yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from vmxon.arch.exceptions import Vector
from vmxon.arch.msr import MSRS
from vmxon.arch.sdm import Sdm
from vmxon.explain.decode import Part
from vmxon.explain.names import dashed
from vmxon.explain.topics.msrs import purpose
from vmxon.explain.topics.topic import Topic
from vmxon.explain.topics.values import ENCODINGS, MSRS_LISTED
from vmxon.vmx.controls import VECTORS
from vmxon.vmx.errors import InstructionError
from vmxon.vmx.exit_reasons import ExitReason
from vmxon.vmx.fields import VmcsField
from vmxon.vmx.rules import RULES

REASONS = Sdm("3D", "App. C", "VMX Basic Exit Reasons")
CONTROLS = Sdm("3C", "25.6", "VM-Execution Control Fields")
EXCEPTIONS = Sdm("3A", "6.15", "Exception and Interrupt Reference")
RULES_CHECKED = Sdm("3C", "27", "VM Entries")
ERRORS = Sdm("3C", "31.4", "VM Instruction Error Numbers")


def _list(kind: str, source: Sdm, rows: Iterable[tuple[str, str, str]]) -> Topic:
    """A topic that lists things: number, name, meaning."""
    parts_ = tuple(Part(number_, name, 0, meaning) for number_, name, meaning in rows)
    return Topic("list", kind, f"{len(parts_)} {kind}", str(source), parts=parts_, headings=("number", "name", "meaning"))


def _list_exits() -> Topic:
    return _list("exit reasons", REASONS, ((str(int(r)), dashed(r.name), r.title) for r in ExitReason))


def _list_errors() -> Topic:
    return _list("VM-instruction errors", ERRORS, ((str(int(e)), dashed(e.name), e.meaning) for e in InstructionError))


def _list_fields() -> Topic:
    return _list("VMCS fields", ENCODINGS, ((f"{int(which):#06x}", which.name, which.doc) for which in VmcsField))


def _list_controls() -> Topic:
    rows = ((f"{name} {bits.low}", bits.title, bits.doc) for name, vector in VECTORS.items() for bits in vector.layout.fields)
    return _list("controls", CONTROLS, rows)


def _list_exceptions() -> Topic:
    return _list("exceptions", EXCEPTIONS, ((str(int(vector)), vector.mnemonic, vector.title) for vector in Vector))


def _list_rules() -> Topic:
    return _list("rules of VM entry", RULES_CHECKED, ((str(rule.number), rule.name, rule.explanation) for rule in RULES))


def _list_msrs() -> Topic:
    rows = ((f"{msr.address:#x}", msr.name, purpose(msr)) for msr in MSRS.values())
    return _list("MSRs", MSRS_LISTED, sorted(rows, key=lambda row: int(row[0], 16)))


LISTS: dict[str, Callable[[], Topic]] = {
    "exits": _list_exits,
    "errors": _list_errors,
    "fields": _list_fields,
    "controls": _list_controls,
    "msrs": _list_msrs,
    "exceptions": _list_exceptions,
    "rules": _list_rules,
}
"""Words that stand for all items of a kind."""
