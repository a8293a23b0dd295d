"""Programs with a PVH entry, such as Linux's unpacked vmlinux.

Source: Xen's “x86/HVM direct boot ABI” (docs/misc/pvh.pandoc, start_info.h).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from vmxon.engine.memory_layout import MemoryLayout
from vmxon.errors import ImageError
from vmxon.machine.loader.elf import is_elf, load_elf
from vmxon.machine.loader.image import BootImage, MemoryWrite, Module
from vmxon.machine.loader.information import INFORMATION, c_string, memory_map
from vmxon.machine.loader.placement import free, place_modules, too_small

NOTE, PVH_ENTRY = 4, 18
START_MAGIC = 0x336E_C578
START = struct.Struct("<IIIIQQQQII")
MODULE = struct.Struct("<QQQQ")
MAP_ENTRY = struct.Struct("<QQII")
VERSION_1 = 1


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
    low = MemoryLayout.of_pc(memory_size).low
    program = load_elf(image, name, low)
    writes = [MemoryWrite(segment.physical, segment.data, segment.size) for segment in program.segments]
    placed = place_modules(modules, writes, low)
    rows = b"".join(MAP_ENTRY.pack(row.start, row.end - row.start, row.kind, 0) for row in memory_map(memory_size))
    lines = [c_string(command_line), *(c_string(module.command_line) for module in modules)]
    size = START.size + MODULE.size * len(modules) + len(rows) + sum(map(len, lines))
    at = free(size, INFORMATION, writes, low)
    if at + size > low:
        raise too_small(name, "start information", size, low)
    modules_at = at + START.size
    map_at = modules_at + MODULE.size * len(modules)
    line_at = map_at + len(rows)
    start = START.pack(
        *(START_MAGIC, VERSION_1, 0, len(modules), modules_at if modules else 0, line_at, root_pointer, map_at),
        *(len(rows) // MAP_ENTRY.size, 0),
    )
    listed, text = b"", line_at + len(lines[0])
    for (_, write), line in zip(placed, lines[1:], strict=True):
        listed += MODULE.pack(write.address, write.size, text if len(line) > 1 else 0, 0)
        text += len(line)
    writes.append(MemoryWrite(at, start + listed + rows + b"".join(lines), size))
    return BootImage(tuple(writes), entry, 0, at, 0)
