"""What is known about one thing: what it means, where the SDM says it, what usually causes it, and what to do."""

from __future__ import annotations

from dataclasses import dataclass

from vmxon.explain.decode import Part
from vmxon.explain.document import Block, Document, Json, Line, Shown, Style, Table

HEADINGS = ("place", "name", "value", "meaning")


@dataclass(frozen=True, slots=True)
class Topic(Shown):
    """One thing that can be looked up."""

    kind: str
    """“exit reason”, “VMCS field”, …"""
    title: str
    meaning: str
    source: str
    """Where the manual says it."""
    cause: str = ""
    action: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    parts: tuple[Part, ...] = ()
    """The bits, of a value or of the layout."""
    headings: tuple[str, ...] = HEADINGS

    def document(self) -> Document:
        blocks: list[Block] = [Line(_sentence(self.meaning), 1)]
        blocks += [Line(f"{name}: {value}", 1) for name, value in self.facts]
        if self.parts:
            blocks.append(Table(self.headings, tuple(self._cells(part) for part in self.parts), 1))
        if self.cause:
            blocks.append(Line(f"Usual cause: {_sentence(self.cause)}", 1))
        if self.action:
            blocks.append(Line(f"What to do: {_sentence(self.action)}", 1, Style.GOOD))
        blocks.append(Line(self.source, 1, Style.QUIET))
        return Document(f"{self.title} ({self.kind})", tuple(blocks))

    def _cells(self, part: Part) -> tuple[str, ...]:
        place, name, value, meaning = part.cells
        return (place, name, value, meaning) if "value" in self.headings else (place, name, meaning)

    def to_json(self) -> dict[str, Json]:
        """Plain data, ready for `json.dumps`."""
        return {
            "kind": self.kind,
            "title": self.title,
            "meaning": self.meaning,
            "source": self.source,
            "cause": self.cause,
            "action": self.action,
            "facts": dict(self.facts),
            "parts": [{"place": part.place, "name": part.name, "value": hex(part.value), "meaning": part.meaning} for part in self.parts],
        }


LAYOUT_HEADINGS = ("place", "name", "meaning")
"""For the bits of a layout, without a value."""


def _sentence(text: str) -> str:
    """With a full stop."""
    return text if text.endswith((".", "…")) else f"{text}."
