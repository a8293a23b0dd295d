"""Where the engine keeps its tables: sizes, and the decoder's part of memory. Light to import: every start needs it."""

from __future__ import annotations

from vmxon.microcode.layout import State, scalar
from vmxon.microcode.types import u64

TABLE_ENTRIES = 1 << 16
"""Heads of the block cache's hash chains."""
JUMP_ENTRIES = 4096
"""Entries of the jump cache: RIP, context, record, unused."""

PSEUDO_HANDLERS = 4
"""Handlers that no encoding names: those of `engine.pseudo`, which stand first in the table of addresses."""


class DecodeTables(State):
    """Host addresses of the tables, and what the decoder is in the middle of."""

    starts = scalar(u64)
    candidates = scalar(u64)
    slots = scalar(u64)
    handlers = scalar(u64)
    """Pointers to handlers by number."""
    undefined = scalar(u64)
    too_long = scalar(u64)
    outside = scalar(u64)

    # The instruction being decoded.
    at = scalar(u64)
    """Bytes consumed."""
    available = scalar(u64)
    pointer = scalar(u64)
    prefixes = scalar(u64)
    rex = scalar(u64)
    vex = scalar(u64)
    """1 with a VEX prefix."""
    vvvv = scalar(u64)
    vex_long = scalar(u64)
    mandatory = scalar(u64)
    override = scalar(u64)
    """Segment override + 1, 0 for none."""
    opcode_map = scalar(u64)
    opcode = scalar(u64)
    modrm = scalar(u64)
    operand_code = scalar(u64)
    address_code = scalar(u64)
    short = scalar(u64)
    """1 when the bytes at hand did not suffice."""
