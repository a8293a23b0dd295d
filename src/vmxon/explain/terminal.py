"""Documents drawn by rich."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from vmxon.explain.document import STEP, Block, Document, Style, Table


def drawn(document: Document) -> Group:
    """A document with colours and tables."""
    return Group(Text(document.title, style="bold"), *map(_block, document.blocks))


def _block(block: Block) -> RenderableType:
    left = STEP * block.indent
    if isinstance(block, Table):
        return Padding(_table(block), (0, 0, 0, left))
    top = 1 if block.style is Style.HEADING else 0
    return Padding(Text(block.text, style=block.style.value), (top, 0, 0, left))


def _table(table: Table) -> RichTable:
    shown = RichTable(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for heading in table.headings:
        shown.add_column(heading, overflow="fold")
    for row in table.rows:
        shown.add_row(*map(Text, row))
    return shown
