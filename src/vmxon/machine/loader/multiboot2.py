"""Multiboot 2 (“Multiboot2 Specification version 2.0”): from files to memory and registers, without side effects."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from vmxon.engine.memory_layout import MemoryLayout
from vmxon.errors import ImageError
from vmxon.machine.loader.address_fields import place_by_addresses
from vmxon.machine.loader.elf import is_elf, load_elf
from vmxon.machine.loader.image import BootImage, MemoryCopy, MemoryWrite, Module
from vmxon.machine.loader.information import INFORMATION, LOWEST
from vmxon.machine.loader.multiboot2_information import Information, Tag
from vmxon.machine.loader.placement import free, place_modules, too_small
from vmxon.machine.loader.sections import place_sections

HEADER_MAGIC, LOADER_MAGIC = 0xE852_50D6, 0x36D7_6289
SEARCHED = 32768
"""The header lies completely within so many bytes, on 8."""
I386 = 0
STACK_TOP = 0x7C00
END, REQUEST, ADDRESSES, ENTRY, RELOCATABLE = 0, 1, 2, 3, 10
IGNORED = (4, 5, 6, 7, 8, 9)
"""Console, framebuffer and module alignment, which we give in any case, and EFI, which is not there."""
NAMES = {REQUEST: "information request", ADDRESSES: "address", ENTRY: "entry address", RELOCATABLE: "relocatable header"}
OPTIONAL = 1
FROM_BEGINNING = 0xFFFF_FFFF
LOWEST_FIRST, HIGHEST_FIRST = 1, 2


@dataclass(frozen=True, slots=True)
class Relocation:
    """The relocatable header tag (§3.1.12)."""

    lowest: int
    highest: int
    alignment: int
    preference: int


@dataclass(frozen=True, slots=True)
class Header:
    """The header, where it lies in the file, and what its tags say."""

    offset: int
    addresses: tuple[int, int, int, int] | None = None
    """header_addr, load_addr, load_end_addr, bss_end_addr."""
    entry: int | None = None
    relocation: Relocation | None = None


def has_header(image: bytes) -> bool:
    """A multiboot 2 header is in the first 32 KiB."""
    return _find(image) is not None


def _find(image: bytes) -> tuple[int, int] | None:
    """Offset and length."""
    for offset in range(0, min(len(image), SEARCHED) - 15, 8):
        magic, architecture, length, checksum = struct.unpack_from("<4I", image, offset)
        if magic == HEADER_MAGIC and not magic + architecture + length + checksum & 0xFFFF_FFFF and architecture == I386:
            return offset, length
    return None


def read_header(image: bytes, name: str) -> Header:
    """The header with its tags.

    Raises:
        ImageError: there is none, it is damaged, or it demands what we do not have.
    """
    found = _find(image)
    if found is None:
        raise ImageError(f"no multiboot 2 header in its first {min(len(image), SEARCHED)} bytes", where=name)
    offset, length = found
    if length < 16 or offset + length > min(len(image), SEARCHED):
        raise ImageError(f"its multiboot 2 header at {offset:#x} has {length:#x} bytes", where=name, advice="the file is damaged")
    header, at, end = Header(offset), offset + 16, offset + length
    while at + 8 <= end:
        kind, flags, size = struct.unpack_from("<HHI", image, at)
        if kind == END:
            return header
        if size < 8 or at + size > end:
            raise ImageError(f"its multiboot 2 tag at {at:#x} has {size:#x} bytes", where=name, advice="the header is damaged")
        header = _with_tag(header, kind, flags, image[at + 8 : at + size], (name, at))
        at += size + 7 & ~7
    return header


def _with_tag(header: Header, kind: int, flags: int, data: bytes, where: tuple[str, int]) -> Header:
    name, at = where
    needed = {REQUEST: 0, ADDRESSES: 16, ENTRY: 4, RELOCATABLE: 16}
    if kind not in needed:
        if kind in IGNORED or flags & OPTIONAL:
            return header
        raise ImageError(f"its multiboot 2 header demands tag {kind} at {at:#x}", where=name, expected="tags 1 to 10")
    if len(data) < needed[kind]:
        raise ImageError(f"its multiboot 2 {NAMES[kind]} tag at {at:#x} has {len(data) + 8} bytes", where=name, advice="it is damaged")
    if kind == REQUEST:
        words = struct.unpack_from(f"<{len(data) // 4}I", data)
        unknown = [word for word in words if word > max(Tag)]
        if unknown and not flags & OPTIONAL:
            raise ImageError(f"it demands boot information of type {unknown[0]}", where=name, expected=f"0 to {max(Tag)}")
        return header
    if kind == ADDRESSES:
        return replace(header, addresses=struct.unpack_from("<4I", data))
    if kind == ENTRY:
        return replace(header, entry=struct.unpack_from("<I", data)[0])
    return replace(header, relocation=Relocation(*struct.unpack_from("<4I", data)))


def load_multiboot2(
    image: bytes, name: str, memory_size: int, command_line: str = "", modules: Sequence[Module] = (), root_pointer: int = 0
) -> BootImage:
    """Lay a kernel, its modules and the boot information out in `memory_size` bytes; `root_pointer` is as in `load_files`.

    Raises:
        ImageError: a file is not what it should be, or memory is too small.
    """
    header = read_header(image, name)
    low = MemoryLayout.of_pc(memory_size).low
    entry, base, kernel = _by_addresses(image, name, low, header) if header.addresses else _by_elf(image, name, low, header)
    writes = list(kernel)
    placed = place_modules(modules, writes, low)
    sections = place_sections(image, writes, low)
    # Xen, started by any loader but GRUB 2, takes the first word for its own name.
    line = f"{name} {command_line}".rstrip()
    information = Information(memory_size, line, placed, sections, root_pointer, base)
    size = len(information.build())
    address = free(size, INFORMATION, writes, low)
    if address + size > low:
        raise too_small(name, "boot information", size, low)
    writes.append(MemoryWrite(address, information.build(), size))
    copies = tuple(MemoryCopy(source, address + at, length) for source, at, length in information.copies)
    return BootImage(tuple(writes), entry, LOADER_MAGIC, address, STACK_TOP, copies=copies)


def _by_elf(image: bytes, name: str, memory_size: int, header: Header) -> tuple[int, int | None, Iterator[MemoryWrite]]:
    if not is_elf(image):
        raise ImageError(
            "has a multiboot 2 header without an address tag, and is no ELF program", where=name, advice="add the tag or link it as ELF"
        )
    program = load_elf(image, name, memory_size if header.relocation is None else 1 << 32)
    entry = program.entry if header.entry is None else header.entry
    distance, base = 0, None
    if header.relocation is not None:
        first = min(segment.physical for segment in program.segments)
        size = max(segment.physical + segment.size for segment in program.segments) - first
        base = _new_base(header.relocation, first, size, memory_size, name)
        distance = base - first
    writes = (MemoryWrite(segment.physical + distance, segment.data, segment.size) for segment in program.segments)
    return entry + distance, base, writes


def _new_base(relocation: Relocation, linked: int, size: int, memory_size: int, name: str) -> int:
    """Where a relocatable image goes, in memory above 1 MiB."""
    step = max(relocation.alignment, 1)
    lowest = -(-max(relocation.lowest, LOWEST) // step) * step
    highest = (min(relocation.highest, memory_size) - size) // step * step
    if highest < lowest:
        raise ImageError(
            f"its {size:#x} bytes must lie between {relocation.lowest:#x} and {relocation.highest:#x} on {step:#x}",
            where=name,
            advice="give a larger --memory",
        )
    if relocation.preference == HIGHEST_FIRST:
        return highest
    if relocation.preference != LOWEST_FIRST and linked % step == 0 and lowest <= linked <= highest:
        return linked
    return lowest


def _by_addresses(image: bytes, name: str, memory_size: int, header: Header) -> tuple[int, int | None, Iterator[MemoryWrite]]:
    """The address tag (§3.1.5)."""
    assert header.addresses is not None  # `load_multiboot2` has looked
    own, load, load_end, bss_end = header.addresses
    load = own - header.offset if load == FROM_BEGINNING else load
    part = place_by_addresses(image, name, memory_size, "multiboot 2", header.offset, (own, load, load_end, bss_end))
    span = f"{part.address:#x}–{part.end:#x}"
    if header.entry is None or not part.address <= header.entry < part.end:
        what = "it has no entry address tag" if header.entry is None else f"its entry point {header.entry:#x} is outside {span}"
        raise ImageError(what, where=name, advice="check entry_addr")
    return header.entry, None, iter((part,))
