"""Linux's bzImage, by each of its three entries.

Source: “The Linux/x86 Boot Protocol” (Documentation/arch/x86/boot.rst).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from vmxon.engine.memory_layout import MemoryLayout
from vmxon.errors import ImageError
from vmxon.machine.loader.image import BootImage, LongStart, MemoryWrite, Module, RealStart
from vmxon.machine.loader.information import memory_map

SETUP_HEADER, BOOT_FLAG, MAGIC_AT, VERSION_AT = 0x1F1, 0x1FE, 0x202, 0x206
HEADER_MAGIC, OLDEST = b"HdrS", 0x0206
ACPI_ROOT_POINTER = 0x070
E820_COUNT, E820_TABLE, E820_MOST = 0x1E8, 0x2D0, 128
ZERO_PAGE, COMMAND_LINE = 0x1_0000, 0x1_2000
TABLES, MAPPED = 0x2_0000, 4
"""Where the 64-bit entry's page tables are, and how many GiB they map onto themselves."""
REAL_SEGMENT, REAL_COMMAND_LINE, HEAP_END = 0x9000, 0x9_E000, 0xDE00
"""Where the real-mode entry finds its setup sectors and its command line, and where its heap ends, counted from 0x9_0200."""
SETUP_AFTER = 0x20
"""The real-mode entry is in the second sector."""
KERNEL = 0x10_0000
LOADED_HIGH, CAN_USE_HEAP = 0x01, 0x80
HAS_64_BIT_ENTRY, FIRST_WITH_FLAGS = 1, 0x020C
ENTRY_64 = 0x200
OTHER_LOADER = 0xFF
NORMAL_VIDEO = 0xFFFF
SCREEN = struct.pack("<BBHHBBBxHHBBH", 0, 0, 0, 0, 3, 80, 0, 0, 0, 25, 1, 16)
"""“screen_info” for text mode 3 of a VGA: 80 columns, 25 lines, characters of 16 dots; by it Linux knows that there is a screen."""
PAGE = 4096



def is_bzimage(image: bytes) -> bool:
    """It begins with a boot sector that has Linux's setup header."""
    return image[BOOT_FLAG : BOOT_FLAG + 2] == b"\x55\xaa" and image[MAGIC_AT : MAGIC_AT + 4] == HEADER_MAGIC


@dataclass(frozen=True, slots=True)
class Kernel:
    """A bzImage taken apart; `size` is what it needs from 1 MiB on."""

    name: str
    version: int
    setup: bytes
    code: bytes
    size: int


def _take_apart(image: bytes, name: str, memory_size: int) -> Kernel:
    if len(image) < 0x268:
        raise ImageError(f"ends at {len(image):#x}, inside its setup header", where=name, advice="the file is truncated")
    (version,) = struct.unpack_from("<H", image, VERSION_AT)
    if version < OLDEST:
        raise ImageError(f"boot protocol {version >> 8}.{version & 0xFF:02} at {VERSION_AT:#x}", where=name, expected="2.06 or newer")
    start = ((image[SETUP_HEADER] or 4) + 1) * 512
    code = image[start:]
    if not code:
        raise ImageError(f"ends at {len(image):#x}, before its kernel at {start:#x}", where=name, advice="the file is truncated")
    (needed,) = struct.unpack_from("<I", image, 0x260)
    size = max(len(code), needed if version >= 0x020A else 0)
    if KERNEL + size > memory_size:
        raise ImageError(f"needs {KERNEL + size:#x} bytes of memory, not {memory_size:#x}", where=name, advice="give a larger --memory")
    return Kernel(name, version, image[:start], code, size)


class LinuxEntry(Enum):
    """Where a bzImage starts."""

    REAL = 16
    PROTECTED = 32
    LONG = 64


def load_bzimage(
    image: bytes,
    name: str,
    memory_size: int,
    command_line: str = "",
    modules: Sequence[Module] = (),
    root_pointer: int = 0,
    entry: LinuxEntry = LinuxEntry.PROTECTED,
) -> BootImage:
    """Lay out a bzImage, its command line and its initial RAM disk; `root_pointer` is as in `load_files`.

    Raises:
        ImageError: it is truncated or too old, memory is too small, or there is more than one RAM disk.
    """
    kernel = _take_apart(image, name, memory_size)
    writes = [MemoryWrite(KERNEL, kernel.code, len(kernel.code))]
    if modules:
        (highest,) = struct.unpack_from("<I", image, 0x22C)
        writes.append(_ram_disk(modules, name, KERNEL + kernel.size, min(MemoryLayout.of_pc(memory_size).low, highest + 1)))
    disk = writes[1] if modules else None
    if entry is LinuxEntry.REAL:
        return _real(kernel, command_line, writes, disk)
    page = _zero_page(kernel, memory_size, disk, root_pointer)
    writes += [*_command(command_line, name, COMMAND_LINE), MemoryWrite(ZERO_PAGE, page, PAGE)]
    if entry is LinuxEntry.PROTECTED:
        return BootImage(tuple(writes), KERNEL, esi=ZERO_PAGE)
    if kernel.version < FIRST_WITH_FLAGS or not image[0x236] & HAS_64_BIT_ENTRY:
        raise ImageError("has no 64-bit entry", where=name, expected="bit 0 of xloadflags at 0x236")
    tables = _identity_map()
    writes.append(MemoryWrite(TABLES, tables, len(tables)))
    return BootImage(tuple(writes), KERNEL + ENTRY_64, esi=ZERO_PAGE, start=LongStart(TABLES))


def _zero_page(kernel: Kernel, memory_size: int, disk: MemoryWrite | None, root_pointer: int) -> bytes:
    """What the real-mode code would have found out (Documentation/arch/x86/zero-page.rst)."""
    page = bytearray(SCREEN.ljust(PAGE, b"\0"))
    end = min(MAGIC_AT + kernel.setup[0x201], 0x290)
    page[SETUP_HEADER:end] = kernel.setup[SETUP_HEADER:end]
    struct.pack_into("<Q", page, ACPI_ROOT_POINTER, root_pointer)
    page[0x210] = OTHER_LOADER
    page[0x211] |= LOADED_HIGH
    struct.pack_into("<H", page, 0x1FA, NORMAL_VIDEO)
    struct.pack_into("<I", page, 0x228, COMMAND_LINE)
    if disk is not None:
        struct.pack_into("<II", page, 0x218, disk.address, disk.size)
    rows = [(row.start, row.end - row.start, row.kind) for row in memory_map(memory_size)][:E820_MOST]
    page[E820_COUNT] = len(rows)
    for number, row in enumerate(rows):
        struct.pack_into("<QQI", page, E820_TABLE + 20 * number, *row)
    return bytes(page)


def _identity_map() -> bytes:
    """Four levels of page tables for the lowest GiBs, in pages of 2 MiB."""
    present_writable, large = 3, 0x80
    levels = [TABLES + PAGE | present_writable] + [0] * 511
    levels += [TABLES + (2 + number) * PAGE | present_writable for number in range(MAPPED)] + [0] * (512 - MAPPED)
    levels += [number << 21 | large | present_writable for number in range(512 * MAPPED)]
    return struct.pack(f"<{len(levels)}Q", *levels)


def _real(kernel: Kernel, command_line: str, writes: list[MemoryWrite], disk: MemoryWrite | None) -> BootImage:
    """The setup sectors below 640 KiB: they ask the firmware for everything themselves."""
    setup = bytearray(kernel.setup)
    room = (REAL_SEGMENT << 4, REAL_COMMAND_LINE)
    if room[0] + len(setup) > room[1]:
        raise ImageError(f"has {len(setup):#x} bytes of setup sectors", where=kernel.name, expected=f"at most {room[1] - room[0]:#x}")
    setup[0x210] = OTHER_LOADER
    setup[0x211] |= LOADED_HIGH | CAN_USE_HEAP
    struct.pack_into("<H", setup, 0x1FA, NORMAL_VIDEO)
    struct.pack_into("<H", setup, 0x224, HEAP_END)
    struct.pack_into("<I", setup, 0x228, REAL_COMMAND_LINE)
    if disk is not None:
        struct.pack_into("<II", setup, 0x218, disk.address, disk.size)
    writes += [*_command(command_line, kernel.name, REAL_COMMAND_LINE), MemoryWrite(REAL_SEGMENT << 4, bytes(setup), len(setup))]
    entry = RealStart(REAL_SEGMENT + SETUP_AFTER, 0, data_segment=REAL_SEGMENT, interrupts=False)
    return BootImage(tuple(writes), (REAL_SEGMENT + SETUP_AFTER) << 4, start=entry)


def _command(text: str, name: str, address: int) -> Iterator[MemoryWrite]:
    data = text.encode() + b"\0"
    if len(data) > 2048:
        raise ImageError(f"a command line of {len(data) - 1} bytes", where=name, expected="at most 2047")
    yield MemoryWrite(address, data, len(data))


def _ram_disk(modules: Sequence[Module], name: str, lowest: int, end: int) -> MemoryWrite:
    """The one initial RAM disk, as high as it may be."""
    if len(modules) > 1:
        raise ImageError(f"{len(modules)} initial RAM disks", where=name, expected="one", advice="join them with cat")
    data = modules[0].data
    address = (end - len(data)) & ~(PAGE - 1)
    if address < lowest:
        raise ImageError(
            f"{len(data):#x} bytes do not fit between the kernel's end at {lowest:#x} and {end:#x}",
            where=modules[0].name,
            advice="give a larger --memory",
        )
    return MemoryWrite(address, data, len(data))

