"""A bootable raw disk from one multiboot program: boot.s in the first sector, the kernel's segments behind it."""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path

from vmxon.machine.assembler import assemble
from vmxon.machine.loader.elf import ElfProgram, load_elf

SECTOR = 512
CYLINDER = 16 * 63 * SECTOR
"""Bochs derives the cylinders of a flat disk from its size, for 16 heads and 63 sectors."""
LOWEST_ADDRESS = 0x10_0000
"""Below lie the boot sector, its bounce buffer and the firmware."""
MOST_SEGMENTS = 5
TABLE = struct.Struct(f"<II{MOST_SEGMENTS * 16}sH")
"""Entry, count, segments, boot signature: the end of boot.s."""
ROW = struct.Struct("<4I")
BOOT_ADDRESS = 0x7C00


@cache
def boot_code() -> bytes:
    """The boot sector without its table."""
    text = Path(__file__).with_name("boot.s").read_text()
    return assemble(text, 16, BOOT_ADDRESS)[: SECTOR - TABLE.size]


def disk_image(kernel: bytes, name: str, memory_size: int) -> bytes:
    """The whole disk: the boot sector, then each segment of the ELF file from a sector boundary on.

    Raises:
        ImageError: not an ELF program that fits in `memory_size`.
        ValueError: its segments are too many or too low for the boot sector.
    """
    program: ElfProgram = load_elf(kernel, name, memory_size)
    if len(program.segments) > MOST_SEGMENTS or min(s.physical for s in program.segments) < LOWEST_ADDRESS:
        raise ValueError(f"{name} must have at most {MOST_SEGMENTS} segments, all at {LOWEST_ADDRESS:#x} or above")
    body = rows = b""
    for segment in program.segments:
        sectors = -(-len(segment.data) // SECTOR)
        clear = max(0, segment.size - sectors * SECTOR)
        rows += ROW.pack(segment.physical, 1 + len(body) // SECTOR, sectors, clear)
        body += segment.data.ljust(sectors * SECTOR, b"\0")
    disk = boot_code() + TABLE.pack(program.entry, len(program.segments), rows, 0xAA55) + body
    return disk.ljust(-(-len(disk) // CYLINDER) * CYLINDER, b"\0")
