"""Two VMCSs by meaning: the fields that differ, and in each the bits and names that do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from vmxon.arch.bits import Word
from vmxon.explain.decode import FOR_READERS, brief, label, layout_of, number, place
from vmxon.explain.document import Block, Document, Json, Line, Shown, Style, counted
from vmxon.vmx.fields import Kind, VmcsField

AREAS = {
    Kind.CONTROL: "Controls",
    Kind.GUEST: "Guest state",
    Kind.HOST: "Host state",
    Kind.EXIT_INFORMATION: "Exit information",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that is not the same; None where that side does not show it."""

    which: VmcsField
    before: int | None
    after: int | None
    changes: tuple[str, ...]
    """“+ HLT exiting (bit 7)”, “DPL 0 → 3 (bits 6:5)”; or the two meanings where the field has no bits."""

    def to_json(self) -> Json:
        """Plain data."""
        return {
            "field": self.which.name,
            "before": None if self.before is None else hex(self.before),
            "after": None if self.after is None else hex(self.after),
            "changes": list(self.changes),
        }


@dataclass(frozen=True, slots=True)
class Comparison(Shown):
    """What differs between two VMCSs."""

    differences: tuple[Difference, ...]
    only_before: tuple[VmcsField, ...]
    only_after: tuple[VmcsField, ...]
    same: int
    """Fields that both show with the same value."""

    def document(self) -> Document:
        title = f"{counted(len(self.differences), 'field')} {'differs' if len(self.differences) == 1 else 'differ'}, {self.same} the same"
        blocks: list[Block] = []
        for kind, heading in AREAS.items():
            here = [difference for difference in self.differences if difference.which.kind is kind]
            if here:
                blocks.append(Line(heading, 0, Style.HEADING))
            for difference in here:
                which, bits = difference.which, difference.which.bits
                assert difference.before is not None  # `differences` holds what both sides show
                assert difference.after is not None
                blocks.append(Line(f"{which.name}  {number(difference.before, bits)} → {number(difference.after, bits)}", 1))
                blocks += [Line(change, 2, _style(change)) for change in difference.changes]
        for fields, side in ((self.only_before, "first"), (self.only_after, "second")):
            if fields:
                blocks.append(Line(f"Only the {side} shows", 0, Style.HEADING))
                blocks.append(Line(", ".join(which.name for which in fields), 1, Style.QUIET))
        return Document(title, tuple(blocks))

    def to_json(self) -> dict[str, Json]:
        """Plain data, ready for `json.dumps`."""
        return {
            "differences": [difference.to_json() for difference in self.differences],
            "only_first": [which.name for which in self.only_before],
            "only_second": [which.name for which in self.only_after],
            "same": self.same,
        }


def _style(change: str) -> Style:
    return {"+": Style.GOOD, "-": Style.BAD}.get(change[0], Style.PLAIN)


def compare(before: Mapping[VmcsField, int], after: Mapping[VmcsField, int]) -> Comparison:
    """Compare two VMCSs, field by field in the order of the manual."""
    differences, same = [], 0
    for which in VmcsField:
        if which not in before or which not in after:
            continue
        if before[which] == after[which]:
            same += 1
        else:
            differences.append(Difference(which, before[which], after[which], tuple(_changes(which, before, after))))
    only_before = tuple(which for which in VmcsField if which in before and which not in after)
    only_after = tuple(which for which in VmcsField if which in after and which not in before)
    return Comparison(tuple(differences), only_before, only_after, same)


def _changes(which: VmcsField, before: Mapping[VmcsField, int], after: Mapping[VmcsField, int]) -> Iterator[str]:
    old, new = before[which], after[which]
    layout = layout_of(which, before)
    if layout is not None and layout is layout_of(which, after):
        yield from _changed_bits(layout, old, new)
        return
    meanings = brief(which, old, before), brief(which, new, after)
    if any(meanings) and meanings[0] != meanings[1]:
        yield " → ".join(meanings)


def _changed_bits(layout: type[Word], old: int, new: int) -> Iterator[str]:
    for bits in layout.layout.fields:
        was, now = bits.get(old), bits.get(new)
        if was == now:
            continue
        where = place(bits.high, bits.low)
        name, doc = label(layout, bits), FOR_READERS.get(bits.doc, bits.doc)
        if bits.width == 1:
            yield f"{'+' if now else '-'} {name} ({where}): {doc}"
        else:
            yield f"{name} {was:#x} → {now:#x} ({where}): {doc}"
    reserved = (old ^ new) & layout.layout.reserved
    for bit in range(layout.layout.width):
        if reserved >> bit & 1:
            yield f"{'+' if new >> bit & 1 else '-'} reserved (bit {bit})"
