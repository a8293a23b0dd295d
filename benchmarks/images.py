"""Flat code as a multiboot program: an ELF file of one segment that every loader takes."""

from __future__ import annotations

import struct

ORIGIN = 0x40_0000
"""Where our guests are loaded: 4 MiB, above everything that firmware and boot sectors use."""
HEADER = struct.Struct("<16sHHIIIIIHHHHHH")
SEGMENT = struct.Struct("<8I")
LOAD, READ_WRITE_EXECUTE = 1, 7


def multiboot_elf(code: bytes, entry: int, zeros: int = 0, origin: int = ORIGIN) -> bytes:
    """`code` at physical `origin`, then `zeros` bytes of zeros; starts at the address `entry`."""
    offset = HEADER.size + SEGMENT.size
    identification = b"\x7fELF\1\1\1"
    header = HEADER.pack(identification, 2, 3, 1, entry, HEADER.size, 0, 0, HEADER.size, SEGMENT.size, 1, 0, 0, 0)
    segment = SEGMENT.pack(LOAD, offset, origin, origin, len(code), len(code) + zeros, READ_WRITE_EXECUTE, 1)
    return header + segment + code
