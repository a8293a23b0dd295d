"""Multiboot 1 (“Multiboot Specification version 0.6.96”): from files to memory and registers, without side effects."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vmxon.arch.bits import Word, flag
from vmxon.engine.memory_layout import MemoryLayout
from vmxon.errors import ImageError
from vmxon.machine.loader.address_fields import place_by_addresses
from vmxon.machine.loader.elf import is_elf, load_elf
from vmxon.machine.loader.image import BootImage, MemoryWrite, Module
from vmxon.machine.loader.information import INFORMATION, build_information
from vmxon.machine.loader.placement import free, place_modules, too_small
from vmxon.machine.loader.sections import place_sections

HEADER_MAGIC = 0x1BAD_B002
LOADER_MAGIC = 0x2BAD_B002
"""EAX at the entry."""
SEARCHED = 8192
"""The header lies completely within so many bytes."""
STACK_TOP = 0x7C00
"""ESP at the entry; the protocol promises none, but kernels whose entry is compiled C rely on one."""
WORDS = struct.Struct("<8I")


class HeaderFlags(Word, width=32):
    """Word 1 of the header (§3.1.2): what the kernel asks for; of bits 15:0, one that we do not know must stop us."""

    page_align = flag(0, "modules on page boundaries")
    memory_information = flag(1, "memory sizes and map")
    video = flag(2, "a video mode; it gets 80 × 25 text")
    addresses = flag(16, "the address fields are valid and count instead of an ELF header")


REQUIRED = 0xFFFF
KNOWN = HeaderFlags.page_align.mask | HeaderFlags.memory_information.mask | HeaderFlags.video.mask


@dataclass(frozen=True, slots=True)
class Header:
    """The multiboot header and where it lies in the file."""

    offset: int
    flags: HeaderFlags
    addresses: tuple[int, int, int, int, int]
    """header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr; valid under `flags.addresses`."""


def find_header(image: bytes, name: str) -> Header:
    """The header in the first 8 KiB.

    Raises:
        ImageError: there is none, or it asks for what we do not have.
    """
    for offset in range(0, min(len(image), SEARCHED) - 11, 4):
        magic, flags, checksum = struct.unpack_from("<III", image, offset)
        if magic != HEADER_MAGIC or magic + flags + checksum & 0xFFFF_FFFF:
            continue
        unknown = flags & REQUIRED & ~KNOWN
        if unknown:
            raise ImageError(
                f"its multiboot header at {offset:#x} demands feature bits {unknown:#x}",
                where=name,
                expected="bits 2:0 at most",
            )
        words = WORDS.unpack(image[offset : offset + WORDS.size].ljust(WORDS.size, b"\0"))
        return Header(offset, HeaderFlags(flags), words[3:8])
    advice = "build it with a multiboot 1 header (magic 0x1badb002)"
    raise ImageError(f"no multiboot header in its first {min(len(image), SEARCHED)} bytes", where=name, advice=advice)


def has_header(image: bytes) -> bool:
    """A multiboot 1 header is in the first 8 KiB."""
    return any(
        magic == HEADER_MAGIC and not magic + flags + checksum & 0xFFFF_FFFF
        for magic, flags, checksum in (struct.unpack_from("<III", image, at) for at in range(0, min(len(image), SEARCHED) - 11, 4))
    )


def load_multiboot(image: bytes, name: str, memory_size: int, command_line: str = "", modules: Sequence[Module] = ()) -> BootImage:
    """Lay a kernel, its modules and the boot information out in `memory_size` bytes.

    Raises:
        ImageError: a file is not what it should be, or memory is too small.
    """
    header = find_header(image, name)
    entry, kernel = _by_addresses(image, name, memory_size, header) if header.flags.addresses else _by_elf(image, name, memory_size)
    writes = list(kernel)
    low, line = MemoryLayout.of_pc(memory_size).low, f"{name} {command_line}".rstrip()
    placed = place_modules(modules, writes, low)
    sections = place_sections(image, writes, low)
    size = len(build_information(0, memory_size, line, placed, sections))
    address = free(size, INFORMATION, writes, low)
    if address + size > low:
        raise too_small(name, "boot information", size, low)
    information = build_information(address, memory_size, line, placed, sections)
    writes.append(MemoryWrite(address, information, size))
    return BootImage(tuple(writes), entry, LOADER_MAGIC, address, STACK_TOP)


def _by_elf(image: bytes, name: str, memory_size: int) -> tuple[int, Iterator[MemoryWrite]]:
    if not is_elf(image):
        raise ImageError(
            "has a multiboot header without addresses, and is no ELF program",
            where=name,
            advice="set header flag 16 or link it as ELF",
        )
    program = load_elf(image, name, memory_size)
    return program.entry, (MemoryWrite(s.physical, s.data, s.size) for s in program.segments)


def _by_addresses(image: bytes, name: str, memory_size: int, header: Header) -> tuple[int, Iterator[MemoryWrite]]:
    """The address fields (§3.1.3)."""
    own, load, load_end, bss_end, entry = header.addresses
    part = place_by_addresses(image, name, memory_size, "multiboot", header.offset, (own, load, load_end, bss_end))
    if not part.address <= entry < part.end:
        raise ImageError(f"its entry point {entry:#x} is outside {part.address:#x}–{part.end:#x}", where=name, advice="check entry_addr")
    return entry, iter((part,))
