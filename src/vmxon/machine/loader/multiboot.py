"""Multiboot 1 (“Multiboot Specification version 0.6.96”): from files to memory and registers, without side effects."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vmxon.arch.bits import Word, flag
from vmxon.errors import ImageError
from vmxon.machine.loader.elf import is_elf, load_elf
from vmxon.machine.loader.image import BootImage, MemoryWrite, Module
from vmxon.machine.loader.information import INFORMATION, LOWEST, build_information

HEADER_MAGIC = 0x1BAD_B002
LOADER_MAGIC = 0x2BAD_B002
"""EAX at the entry."""
SEARCHED = 8192
"""The header lies completely within so many bytes."""
STACK_TOP = 0x7C00
"""ESP at the entry; the protocol promises none, but kernels whose entry is compiled C rely on one."""
WORDS = struct.Struct("<8I")
PAGE = 0x1000


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


def load_multiboot(image: bytes, name: str, memory_size: int, command_line: str = "", modules: Sequence[Module] = ()) -> BootImage:
    """Lay a kernel, its modules and the boot information out in `memory_size` bytes.

    Raises:
        ImageError: a file is not what it should be, or memory is too small.
    """
    header = find_header(image, name)
    entry, kernel = _by_addresses(image, name, memory_size, header) if header.flags.addresses else _by_elf(image, name, memory_size)
    writes = list(kernel)
    placed = []
    for module in modules:
        write = _place_module(module, writes, memory_size)
        writes.append(write)
        placed.append((module, write))
    address = INFORMATION
    size = len(build_information(address, memory_size, f"{name} {command_line}".rstrip(), placed))
    address = _free(size, INFORMATION, writes, memory_size)
    information = build_information(address, memory_size, f"{name} {command_line}".rstrip(), placed)
    if address + size > memory_size:
        raise _too_small(name, "boot information", size, memory_size)
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
    start = header.offset - (own - load)
    if not load <= own or start < 0:
        raise ImageError(
            f"its multiboot header is at {header.offset:#x} in the file, but says load_addr {load:#x} and header_addr {own:#x}",
            where=name,
        )
    stored = load_end - load if load_end else len(image) - start
    if stored < 0 or start + stored > len(image):
        raise ImageError(
            f"its multiboot header wants {start:#x}–{start + stored:#x} of the file's {len(image):#x} bytes",
            where=name,
            advice="the file is truncated",
        )
    end = max(load + stored, bss_end)
    if end > memory_size:
        raise ImageError(
            f"it loads at {load:#x}–{end:#x}, outside the guest's memory of {memory_size:#x} bytes",
            where=name,
            advice="give a larger --memory",
        )
    if not load <= entry < end:
        raise ImageError(f"its entry point {entry:#x} is outside {load:#x}–{end:#x}", where=name, advice="check entry_addr")
    return entry, iter((MemoryWrite(load, image[start : start + stored], end - load),))


def _place_module(module: Module, taken: Sequence[MemoryWrite], memory_size: int) -> MemoryWrite:
    """The first free pages above the kernel."""
    address = _free(len(module.data), max(LOWEST, *(write.end for write in taken)), taken, memory_size)
    if address + len(module.data) > memory_size:
        raise _too_small(module.name, "module", len(module.data), memory_size)
    return MemoryWrite(address, module.data, len(module.data))


def _free(size: int, lowest: int, taken: Sequence[MemoryWrite], memory_size: int) -> int:
    """The lowest page boundary from `lowest` on with `size` free bytes; below 1 MiB, it ends under 512 KiB."""
    address = (lowest + PAGE - 1) & ~(PAGE - 1)
    while address < memory_size:
        if address < LOWEST and address + size > LOWEST // 2:
            address = LOWEST
        conflict = next((write for write in taken if write.overlaps(address, address + size)), None)
        if conflict is None:
            break
        address = (conflict.end + PAGE - 1) & ~(PAGE - 1)
    return address


def _too_small(name: str, what: str, size: int, memory_size: int) -> ImageError:
    return ImageError(
        f"no room for the {what} of {size:#x} bytes in a memory of {memory_size:#x}",
        where=name,
        advice="give a larger --memory",
    )
