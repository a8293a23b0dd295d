"""The rule book: every check of VM entry as a named predicate, in the order in which hardware reports them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from vmxon.arch.sdm import Sdm
from vmxon.microcode import inline
from vmxon.vmx.fields import VmcsField
from vmxon.vmx.rules.view import EntryView

Predicate = Callable[..., bool]
P = TypeVar("P", bound=Predicate)


class Area(Enum):
    """A group of checks; all of one group come before those of the next, and the group decides how VM entry fails."""

    CONTROLS = "VMfailValid with error 7: VM entry with invalid control fields"
    HOST_STATE = "VMfailValid with error 8: VM entry with invalid host-state fields"
    GUEST_STATE = "VM exit with reason 33: VM-entry failure due to invalid guest state"


@dataclass(frozen=True, slots=True)
class EntryRule:
    """One thing that can be wrong in a VMCS; `number` counts the rules of the book from 1."""

    number: int
    name: str
    area: Area
    source: Sdm
    keys: tuple[str, ...]
    """Rows of the list of entry checks that the rule covers, as “section#ordinal”."""
    reads: tuple[VmcsField, ...]
    """The fields that decide."""
    qualification: int
    """Exit qualification of the failure, for the guest-state area."""
    predicate: Predicate
    subject: object | None
    """What the predicate is about, where one predicate serves several registers or addresses."""

    def holds(self, entry: EntryView) -> bool:
        """True where the VMCS obeys the rule."""
        return self.predicate(entry) if self.subject is None else self.predicate(entry, self.subject)

    @property
    def explanation(self) -> str:
        """What must hold, for the reader of an error report."""
        text = " ".join((self.predicate.__doc__ or "").split())
        return text if self.subject is None else text.format(self.subject)


RULES: list[EntryRule] = []
"""The book, in order; complete once `vmxon.vmx.rules` is imported."""

_ORDER = tuple(Area)


def rule(
    name: str,
    area: Area,
    section: Sdm,
    keys: Sequence[str],
    reads: Sequence[VmcsField | str],
    *,
    qualification: int = 0,
    each: Iterable[object] = (),
) -> Callable[[P], P]:
    """Enter a predicate (true when obeyed) into the book; its docstring is the explanation.

    With `each`, the predicate takes a second argument and gives one rule for each subject: `{}` in the name and the
    docstring becomes the subject, and strings in `keys` and `reads` that name its attributes become their values.
    """

    def add(predicate: P) -> P:
        if not predicate.__doc__:
            raise TypeError(f"entry rule {name} has no docstring that explains it")
        if RULES and _ORDER.index(RULES[-1].area) > _ORDER.index(area):
            raise TypeError(f"entry rule {name}: the area {area.name} comes before {RULES[-1].area.name}")
        for subject in tuple(each) or (None,):
            title = name.format(getattr(subject, "slug", None) or str(subject).lower())
            if any(known.name == title for known in RULES):
                raise TypeError(f"entry rule {title} is defined twice")
            fields = tuple(VmcsField(field) for field in _resolve(reads, subject))
            rows = tuple(str(key) for key in _resolve(keys, subject))
            RULES.append(EntryRule(len(RULES) + 1, title, area, section, rows, fields, qualification, predicate, subject))
        return inline(predicate)

    return add


def _resolve(items: Sequence[VmcsField | str], subject: object | None) -> list[VmcsField | str]:
    """Items with the names of the subject's attributes replaced by their values."""
    return [getattr(subject, item) if isinstance(item, str) and hasattr(subject, item) else item for item in items]


def rules_of(area: Area) -> tuple[EntryRule, ...]:
    """The rules of one area, in order."""
    return tuple(rule for rule in RULES if rule.area is area)


def broken_rules(entry: EntryView) -> list[EntryRule]:
    """Every rule that the entry breaks, in order; hardware reports the first."""
    return [rule for rule in RULES if not rule.holds(entry)]


def first_broken(entry: EntryView) -> EntryRule | None:
    """The rule that decides how VM entry fails; None where it succeeds."""
    return next((rule for rule in RULES if not rule.holds(entry)), None)
