"""ELF programs (System V ABI, “Object Files”): the segments to load and the entry point, by physical address.

Read with `struct` and not with pyelftools: a hostile file must end in one line that names the offending bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from vmxon.errors import ImageError

MAGIC = b"\x7fELF"
LITTLE_ENDIAN = 1
EXECUTABLE, SHARED = 2, 3
LOAD = 1
HEADERS = {1: struct.Struct("<HHIIIIIHHH"), 2: struct.Struct("<HHIQQQIHHH")}
"""type, machine, version, entry, program headers, section headers, flags, header size, entry size, entries; by class."""
PROGRAM_HEADERS = {1: struct.Struct("<IIIIIIII"), 2: struct.Struct("<IIQQQQQQ")}
MACHINES = {1: {3: "i386"}, 2: {62: "x86-64"}}
IDENTIFICATION = 16
EXTENDED_COUNT = 0xFFFF


@dataclass(frozen=True, slots=True)
class ElfSegment:
    """A segment to load: file bytes, then zeros up to `size`."""

    virtual: int
    physical: int
    offset: int
    data: bytes
    size: int


@dataclass(frozen=True, slots=True)
class ElfProgram:
    """An ELF program; `entry` is physical."""

    bits: int
    entry: int
    segments: tuple[ElfSegment, ...]


def is_elf(image: bytes) -> bool:
    """It begins as an ELF file."""
    return image.startswith(MAGIC)


def load_elf(image: bytes, name: str, memory_size: int) -> ElfProgram:
    """Read a 32- or 64-bit x86 program whose segments fit below `memory_size`.

    Raises:
        ImageError: not such a program, truncated, or outside memory.
    """
    if not is_elf(image):
        raise ImageError(f"starts with {image[:4].hex(' ') or 'nothing'}", where=name, expected="an ELF program (7f 45 4c 46)")
    if len(image) < IDENTIFICATION + 2:
        raise ImageError(f"ends at {len(image):#x}, inside the ELF header", where=name, advice="the file is truncated")
    elf_class, order = image[4], image[5]
    if elf_class not in HEADERS:
        raise ImageError(f"ELF class {elf_class} at 0x4", where=name, expected="1 (32-bit) or 2 (64-bit)")
    if order != LITTLE_ENDIAN:
        raise ImageError(f"ELF byte order {order} at 0x5", where=name, expected="1 (little-endian)")
    layout = HEADERS[elf_class]
    if len(image) < IDENTIFICATION + layout.size:
        raise ImageError(f"ends at {len(image):#x}, inside the ELF header", where=name, advice="the file is truncated")
    kind, machine, _, entry, table, _, _, _, row, rows = layout.unpack_from(image, IDENTIFICATION)
    if machine not in MACHINES[elf_class]:
        number, architecture = next(iter(MACHINES[elf_class].items()))
        raise ImageError(f"ELF machine {machine} at 0x12", where=name, expected=f"{number} ({architecture})")
    if kind not in (EXECUTABLE, SHARED):
        raise ImageError(f"ELF type {kind} at 0x10", where=name, expected="2 (executable)", advice="link the object file")
    segments = _segments(image, name, memory_size, elf_class, (table, row, rows))
    return ElfProgram(32 * elf_class, physical_entry(entry, segments, name), segments)


def _segments(image: bytes, name: str, memory_size: int, elf_class: int, where: tuple[int, int, int]) -> tuple[ElfSegment, ...]:
    table, row, rows = where
    layout = PROGRAM_HEADERS[elf_class]
    if rows in (0, EXTENDED_COUNT):
        raise ImageError(f"has {rows} program headers", where=name, expected="1 to 65534", advice="link it as an executable")
    if row < layout.size:
        raise ImageError(f"program headers of {row} bytes", where=name, expected=f"{layout.size}")
    if table + row * rows > len(image):
        raise ImageError(
            f"{rows} program headers at {table:#x} end past the file's {len(image):#x} bytes",
            where=name,
            advice="the file is truncated",
        )
    segments = []
    for number in range(rows):
        if elf_class == 1:
            kind, offset, virtual, physical, stored, size, _, _ = layout.unpack_from(image, table + row * number)
        else:
            kind, _, offset, virtual, physical, stored, size, _ = layout.unpack_from(image, table + row * number)
        if kind != LOAD or size == 0:
            continue
        place = f"segment {number} ({physical:#x}–{physical + size:#x})"
        if stored > size:
            raise ImageError(
                f"{place} has {stored:#x} bytes in the file and {size:#x} in memory",
                where=name,
                advice="the program header is damaged",
            )
        if offset + stored > len(image):
            raise ImageError(
                f"{place} wants {offset:#x}–{offset + stored:#x} of the file's {len(image):#x} bytes",
                where=name,
                advice="the file is truncated",
            )
        if physical + size > memory_size:
            raise ImageError(
                f"{place} does not fit the guest's memory of {memory_size:#x} bytes",
                where=name,
                advice=_advice(physical + size),
            )
        segments.append(ElfSegment(virtual, physical, offset, image[offset : offset + stored], size))
    if not segments:
        raise ImageError("has no segment to load", where=name, advice="link it as an executable")
    if sum(segment.size for segment in segments) > 2 * memory_size:
        raise ImageError("segments overlap many times over", where=name, advice="the program headers are damaged")
    return tuple(segments)


def _advice(end: int) -> str:
    if end <= 1 << 36:
        return f"give --memory {(end + (1 << 20) - 1 >> 20) + 1}M or more"
    return "its physical addresses are those of no PC: link it with load addresses (AT) near 0x100000"


def physical_entry(entry: int, segments: tuple[ElfSegment, ...], name: str) -> int:
    """The physical address of the entry, which the file gives as virtual (linked high) or physical address."""
    for segment in segments:
        if segment.virtual <= entry < segment.virtual + segment.size:
            return entry - segment.virtual + segment.physical
    if any(segment.physical <= entry < segment.physical + segment.size for segment in segments):
        return entry
    raise ImageError(f"the entry point {entry:#x} lies in no segment", where=name, advice="check ENTRY in the linker script")
