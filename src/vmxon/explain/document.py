"""What an explanation looks like: a title, lines and tables, shown as plain text, by rich on a terminal, or as HTML in Jupyter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from html import escape
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Group

Json = None | bool | int | str | list["Json"] | dict[str, "Json"]
"""Plain data that `json.dumps` takes."""

STEP = 2
"""Blanks of one level of indentation."""


class Style(Enum):
    """What a line is, and rich's style for it."""

    PLAIN = ""
    HEADING = "bold"
    BAD = "bold red"
    GOOD = "green"
    QUIET = "dim"


@dataclass(frozen=True, slots=True)
class Line:
    """One paragraph."""

    text: str
    indent: int = 0
    style: Style = Style.PLAIN


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under headings."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    indent: int = 0

    def lines(self) -> Iterator[str]:
        """Columns two blanks apart."""
        columns = range(len(self.headings))
        cells = (self.headings, *self.rows)
        widths = [max(len(row[column]) for row in cells) for column in columns]
        for row in cells:
            yield "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


Block = Line | Table


@dataclass(frozen=True, slots=True)
class Document:
    """A title and what stands below it."""

    title: str
    blocks: tuple[Block, ...] = ()

    def text(self) -> str:
        """Plain lines, as a pipe gets them; ends without a newline."""
        lines = [self.title]
        for block in self.blocks:
            blanks = " " * (STEP * block.indent)
            rows = block.lines() if isinstance(block, Table) else [block.text]
            if isinstance(block, Line) and block.style is Style.HEADING:
                lines.append("")
            lines += [f"{blanks}{row}".rstrip() for row in rows]
        return "\n".join(lines)

    def rich(self) -> Group:
        """The same for a terminal."""
        from vmxon.explain.terminal import drawn  # noqa: PLC0415 - rich is loaded only where a terminal is drawn on

        return drawn(self)

    def html(self) -> str:
        """The same for a notebook."""
        parts = [f'<div class="vmxon"><h4>{escape(self.title)}</h4>']
        for block in self.blocks:
            margin = f"margin-left:{STEP * block.indent // 2}em"
            if isinstance(block, Table):
                head = "".join(f"<th>{escape(heading)}</th>" for heading in block.headings)
                body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in block.rows)
                parts.append(f'<table style="{margin}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>')
            else:
                parts.append(f'<p style="{margin};{CSS[block.style]}">{escape(block.text)}</p>')
        return "".join([*parts, "</div>"])

    def write(self, stream: TextIO) -> None:
        """Drawn by rich where `stream` is a terminal, otherwise plain."""
        if stream.isatty():
            from rich.console import Console  # noqa: PLC0415 - as above

            Console(file=stream, highlight=False).print(self.rich())
        else:
            stream.write(self.text() + "\n")


CSS = {
    Style.PLAIN: "",
    Style.HEADING: "font-weight:bold",
    Style.BAD: "color:#b00020;font-weight:bold",
    Style.GOOD: "color:#1b7f3b",
    Style.QUIET: "color:#777",
}


class Shown:
    """Something with a document: it prints in a terminal, in rich and in Jupyter."""

    def document(self) -> Document:
        """What the reader sees."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self.document().text()

    def __rich__(self) -> Group:
        return self.document().rich()

    def _repr_html_(self) -> str:
        return self.document().html()


def counted(number: int, what: str) -> str:
    """“1 rule”, “2 rules”."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def listed(words: Sequence[str]) -> str:
    """“a”, “a and b”, “a, b and c”."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
