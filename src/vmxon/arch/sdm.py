"""Citations of the Intel manual: one revision for the whole package, number and title together."""

from __future__ import annotations

from dataclasses import dataclass

REVISION = "325462-079US (March 2023)"


@dataclass(frozen=True, slots=True)
class Sdm:
    """A section of the manual: volume, number in `REVISION`, and the title, which outlives the number."""

    volume: str
    section: str
    title: str

    def __str__(self) -> str:
        mark = "" if self.section.startswith(("App", "Table")) else "§"
        return f"Vol. {self.volume} {mark}{self.section} “{self.title}”"
