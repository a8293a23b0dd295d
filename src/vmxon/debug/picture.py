"""A text screen as a PNG file (ISO/IEC 15948), with a palette of the card's sixteen colours."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

from vmxon.debug.font import HEIGHT, WIDTH, glyph

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PALETTE_8_BIT = (8, 3, 0, 0, 0)
"""Bit depth, colour type, compression, filter, interlace."""
CURSOR_ROWS = (13, 14)
Cell = tuple[int, int]
"""Character code and attribute."""


def png(rows: Sequence[Sequence[Cell]], colours: Sequence[tuple[int, int, int]], cursor: tuple[int, int] | None) -> bytes:
    """The picture of a screen; `cursor` is its row and column."""
    width, height = WIDTH * max(map(len, rows), default=1), HEIGHT * max(len(rows), 1)
    lines = bytearray()
    for number, row in enumerate(rows):
        for line in range(HEIGHT):
            under = cursor[1] if cursor is not None and cursor[0] == number and line in CURSOR_ROWS else -1
            lines.append(0)  # no filter
            for column, (code, attribute) in enumerate(row):
                dots = 0xFF if column == under else glyph(code)[line]
                inks = (attribute >> 4 & 7, attribute & 15)
                lines += bytes(inks[dots >> (WIDTH - 1 - dot) & 1] for dot in range(WIDTH))
    if not rows:
        lines += bytes(HEIGHT * (1 + WIDTH))
    palette = b"".join(bytes(colour) for colour in colours)
    header = struct.pack(">II5B", width, height, *PALETTE_8_BIT)
    chunks = ((b"IHDR", header), (b"PLTE", palette), (b"IDAT", zlib.compress(bytes(lines))), (b"IEND", b""))
    return SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
