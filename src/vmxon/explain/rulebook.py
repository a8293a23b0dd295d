"""The rule book for readers: lists of rules, and one rule with all that is known about it."""

from __future__ import annotations

from collections.abc import Sequence

from vmxon.errors import VmxonError
from vmxon.explain.advice import advice_for
from vmxon.explain.document import Document, Json, Table, counted, listed
from vmxon.explain.names import nearest
from vmxon.explain.topics.topic import Topic
from vmxon.vmx.rules import RULES, Area, EntryRule

AREA_NAMES = {"controls": Area.CONTROLS, "host": Area.HOST_STATE, "guest": Area.GUEST_STATE}


def area_named(name: str) -> Area:
    """An area by its short name."""
    return AREA_NAMES[name]


def short_area(rule: EntryRule) -> str:
    """The short name of a rule's area."""
    return next(name for name, area in AREA_NAMES.items() if area is rule.area)


def find_rules(text: str) -> tuple[EntryRule, ...]:
    """The rules with this ID or number, or all with this key.

    Raises:
        VmxonError: there is none; the message names the nearest.
    """
    found = rules_called(text)
    if not found:
        close = nearest(text, [rule.name for rule in RULES])
        advice = f"nearest: {', '.join(close)}" if close else "vmxon rules list shows them all"
        raise VmxonError(f"there is no entry rule {text[:80]!r}", expected="an ID, a number or a key such as 27.2.1.1#35", advice=advice)
    return found


def rules_called(text: str) -> tuple[EntryRule, ...]:
    """The rules with this ID, number or key; none where there is none."""
    name = text.strip().lower()
    return tuple(rule for rule in RULES if name == rule.name or name in rule.keys or name == str(rule.number))


def rule_table(rules: Sequence[EntryRule]) -> Document:
    """A list of rules."""
    rows = tuple((str(rule.number), rule.name, short_area(rule), ", ".join(rule.keys), rule.explanation) for rule in rules)
    return Document(counted(len(rules), "rule"), (Table(("no.", "id", "area", "keys", "what must hold"), rows),))


def rule_json(rule: EntryRule) -> dict[str, Json]:
    """One rule as plain data."""
    advice = advice_for(rule.name)
    return {
        "number": rule.number,
        "id": rule.name,
        "area": short_area(rule),
        "outcome": rule.area.value,
        "qualification": rule.qualification,
        "keys": list(rule.keys),
        "volume": rule.source.volume,
        "section": rule.source.section,
        "title": rule.source.title,
        "fields": [which.name for which in dict.fromkeys(rule.reads)],
        "explanation": rule.explanation,
        "cause": advice.cause,
        "action": advice.action,
    }


def rule_topic(rule: EntryRule) -> Topic:
    """One rule for a reader."""
    advice = advice_for(rule.name)
    qualification = f", exit qualification {rule.qualification}" if rule.qualification else ""
    return Topic(
        f"entry rule {rule.number} of {len(RULES)}",
        rule.name,
        rule.explanation,
        str(rule.source),
        advice.cause,
        advice.action,
        (
            ("If broken", f"{rule.area.value}{qualification}"),
            ("Rows of the list of entry checks", listed(rule.keys)),
            ("Fields that decide", ", ".join(which.name for which in dict.fromkeys(rule.reads))),
        ),
    )
