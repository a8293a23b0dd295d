"""Linux kernels: bzImage by the 32-bit boot protocol, and the unpacked vmlinux by PVH.

Sources: “The Linux/x86 Boot Protocol” (Documentation/arch/x86/boot.rst) and Xen's “x86/HVM direct boot ABI” (start_info.h).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from vmxon.engine.memory_layout import MemoryLayout
from vmxon.errors import ImageError
from vmxon.machine.loader.elf import is_elf, load_elf
from vmxon.machine.loader.image import BootImage, MemoryWrite, Module
from vmxon.machine.loader.information import memory_map

SETUP_HEADER, BOOT_FLAG, MAGIC_AT, VERSION_AT = 0x1F1, 0x1FE, 0x202, 0x206
HEADER_MAGIC, OLDEST = b"HdrS", 0x0206
ACPI_ROOT_POINTER = 0x070
E820_COUNT, E820_TABLE, E820_MOST = 0x1E8, 0x2D0, 128
ZERO_PAGE, COMMAND_LINE, START_INFO = 0x1_0000, 0x1_2000, 0x1_0000
KERNEL = 0x10_0000
LOADED_HIGH = 1
OTHER_LOADER = 0xFF
NORMAL_VIDEO = 0xFFFF
SCREEN = struct.pack("<BBHHBBBxHHBBH", 0, 0, 0, 0, 3, 80, 0, 0, 0, 25, 1, 16)
"""“screen_info” for text mode 3 of a VGA: 80 columns, 25 lines, characters of 16 dots; by it Linux knows that there is a screen."""
PAGE = 4096

NOTE, PVH_ENTRY = 4, 18
START_MAGIC = 0x336E_C578
START = struct.Struct("<IIIIQQQQII")
MODULE = struct.Struct("<QQQQ")
MAP_ENTRY = struct.Struct("<QQII")


def is_bzimage(image: bytes) -> bool:
    """It begins with a boot sector that has Linux's setup header."""
    return image[BOOT_FLAG : BOOT_FLAG + 2] == b"\x55\xaa" and image[MAGIC_AT : MAGIC_AT + 4] == HEADER_MAGIC


def load_bzimage(
    image: bytes, name: str, memory_size: int, command_line: str = "", modules: Sequence[Module] = (), root_pointer: int = 0
) -> BootImage:
    """Lay out a bzImage, its command line and its initial RAM disk; `root_pointer` is as in `load_files`.

    Raises:
        ImageError: it is truncated or too old, memory is too small, or there is more than one RAM disk.
    """
    if len(image) < 0x268:
        raise ImageError(f"ends at {len(image):#x}, inside its setup header", where=name, advice="the file is truncated")
    (version,) = struct.unpack_from("<H", image, VERSION_AT)
    if version < OLDEST:
        raise ImageError(f"boot protocol {version >> 8}.{version & 0xFF:02} at {VERSION_AT:#x}", where=name, expected="2.06 or newer")
    sectors = image[SETUP_HEADER] or 4
    kernel = image[(sectors + 1) * 512 :]
    if not kernel:
        start = (sectors + 1) * 512
        raise ImageError(f"ends at {len(image):#x}, before its kernel at {start:#x}", where=name, advice="the file is truncated")
    (needed,) = struct.unpack_from("<I", image, 0x260)
    size = max(len(kernel), needed if version >= 0x020A else 0)
    if KERNEL + size > memory_size:
        raise ImageError(f"needs {KERNEL + size:#x} bytes of memory, not {memory_size:#x}", where=name, advice="give a larger --memory")
    page = bytearray(SCREEN.ljust(PAGE, b"\0"))
    end = min(MAGIC_AT + image[0x201], 0x290)
    page[SETUP_HEADER:end] = image[SETUP_HEADER:end]
    struct.pack_into("<Q", page, ACPI_ROOT_POINTER, root_pointer)
    page[0x210] = OTHER_LOADER
    page[0x211] |= LOADED_HIGH
    struct.pack_into("<H", page, 0x1FA, NORMAL_VIDEO)
    struct.pack_into("<I", page, 0x228, COMMAND_LINE)
    rows = [(row.start, row.end - row.start, row.kind) for row in memory_map(memory_size)][:E820_MOST]
    page[E820_COUNT] = len(rows)
    for number, row in enumerate(rows):
        struct.pack_into("<QQI", page, E820_TABLE + 20 * number, *row)
    writes = [MemoryWrite(KERNEL, kernel, len(kernel)), *_command(command_line, name, COMMAND_LINE)]
    if modules:
        (highest,) = struct.unpack_from("<I", image, 0x22C)
        disk = _ram_disk(modules, name, KERNEL + size, min(MemoryLayout.of_pc(memory_size).low, highest + 1))
        writes.append(disk)
        struct.pack_into("<II", page, 0x218, disk.address, disk.size)
    writes.append(MemoryWrite(ZERO_PAGE, bytes(page), PAGE))
    return BootImage(tuple(writes), KERNEL, 0, 0, 0, esi=ZERO_PAGE)


def pvh_entry(image: bytes) -> int | None:
    """The physical entry that an ELF program's Xen note names; None where it has none."""
    return next(_notes(image), None) if is_elf(image) and len(image) >= 64 else None


def _notes(image: bytes) -> Iterator[int]:
    if image[4] == 2:
        table, rows = struct.unpack_from("<Q", image, 32)[0], struct.unpack_from("<H", image, 56)[0]
        layout, step = "<IIQQQQQQ", 56
    else:
        table, rows = struct.unpack_from("<I", image, 28)[0], struct.unpack_from("<H", image, 44)[0]
        layout, step = "<IIIIIIII", 32
    for number in range(rows):
        at = table + step * number
        if at + step > len(image):
            return
        row = struct.unpack_from(layout, image, at)
        kind, offset, size = (row[0], row[2], row[5]) if step == 56 else (row[0], row[1], row[4])
        if kind == NOTE:
            yield from _entries(image[offset : offset + size])


def _entries(notes: bytes) -> Iterator[int]:
    at = 0
    while at + 12 <= len(notes):
        name_size, value_size, kind = struct.unpack_from("<III", notes, at)
        value = at + 12 + (name_size + 3 & ~3)
        if kind == PVH_ENTRY and notes[at + 12 : at + 15] == b"Xen" and len(notes[value : value + 4]) == 4:
            yield struct.unpack_from("<I", notes, value)[0]
        at = value + (value_size + 3 & ~3)


def load_pvh(
    image: bytes, name: str, memory_size: int, command_line: str = "", modules: Sequence[Module] = (), root_pointer: int = 0
) -> BootImage:
    """Lay out a vmlinux (or another program with a Xen note), its command line and its modules; `root_pointer` is as in `load_files`.

    Raises:
        ImageError: it has no such note, is damaged, or memory is too small.
    """
    entry = pvh_entry(image)
    if entry is None:
        raise ImageError("has no PVH note", where=name, expected="an ELF note Xen/18", advice="build it with CONFIG_PVH")
    program = load_elf(image, name, memory_size)
    writes = [MemoryWrite(segment.physical, segment.data, segment.size) for segment in program.segments]
    writes += _command(command_line, name, COMMAND_LINE)
    rows = [MAP_ENTRY.pack(row.start, row.end - row.start, row.kind, 0) for row in memory_map(memory_size)]
    modules_at = START_INFO + 256
    map_at = modules_at + 256
    descriptor = b""
    if modules:
        disk = _ram_disk(modules, name, max(write.end for write in writes), MemoryLayout.of_pc(memory_size).low)
        writes.append(disk)
        descriptor = MODULE.pack(disk.address, disk.size, 0, 0)
    start = START.pack(START_MAGIC, 1, 0, bool(modules), modules_at, COMMAND_LINE, root_pointer, map_at, len(rows), 0)
    block = start.ljust(256, b"\0") + descriptor.ljust(256, b"\0") + b"".join(rows)
    writes.append(MemoryWrite(START_INFO, block, len(block)))
    return BootImage(tuple(writes), entry, 0, START_INFO, 0)


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

