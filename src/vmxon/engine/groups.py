"""Groups of instructions whose handlers are compiled when a guest first uses one of them, not at the first start."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the table is for builders; a start needs the names of the groups only
    from vmxon.isa.table import Instruction

GROUPS: dict[str, tuple[str, ...]] = {
    "mmx": (),
    "x87": ("vmxon.isa.x87",),
    "floating": ("vmxon.isa.sse.arithmetic", "vmxon.isa.sse.convert", "vmxon.isa.sse.root_compare"),
    "later": tuple(f"vmxon.isa.sse.{name}" for name in ("sse3", "ssse3", "blend", "sse4_integer", "sse4_floating", "strings")),
    "vector": ("vmxon.isa.sse",),
}
"""Each group by the modules and packages that declare its instructions; the first that fits counts. MMX shares its modules with SSE."""


def group_of(row: Instruction) -> str:
    """The group of an instruction; empty for those that every engine has from the start."""
    if row.feature == "mmx":
        return "mmx"
    for name, places in GROUPS.items():
        if any(row.source == place or row.source.startswith(place + ".") for place in places):
            return name
    return ""
