"""LZ4's legacy frames, as Linux's build compresses a kernel (“LZ4 Frame Format”, section “Legacy frame”)."""

from __future__ import annotations

import struct

LEGACY_MAGIC = b"\x02\x21\x4c\x18"


def decompress_legacy(frame: bytes) -> bytes:
    """The content of a legacy frame; what follows its last block is left alone."""
    if frame[:4] != LEGACY_MAGIC:
        raise ValueError(f"begins with {frame[:4].hex()}, not with a legacy frame's {LEGACY_MAGIC.hex()}")
    content = bytearray()
    at = 4
    while at + 4 <= len(frame):
        (size,) = struct.unpack_from("<I", frame, at)
        at += 4
        if size == 0 or at + size > len(frame):
            break
        content += decompress_block(frame[at : at + size])
        at += size
    return bytes(content)


def decompress_block(block: bytes) -> bytearray:
    """The content of one block: runs of literals, each followed by a copy from what came before."""
    out = bytearray()
    at, end = 0, len(block)
    while at < end:
        token = block[at]
        at += 1
        literals = token >> 4
        if literals == 15:
            while True:
                more = block[at]
                at += 1
                literals += more
                if more != 255:
                    break
        out += block[at : at + literals]
        at += literals
        if at >= end:
            break
        start = len(out) - (block[at] | block[at + 1] << 8)
        at += 2
        length = token & 15
        if length == 15:
            while True:
                more = block[at]
                at += 1
                length += more
                if more != 255:
                    break
        length += 4
        piece = out[start : start + length]
        while len(piece) < length:  # the copy overlaps itself: a repeated pattern
            piece += piece[: length - len(piece)]
        out += piece
    return out
