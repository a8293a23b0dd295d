"""An ELF program's section headers, which both multiboots pass on with the symbols and strings in memory.

Source: System V ABI, “Object Files”, “Sections”.
"""

from __future__ import annotations

import struct

from vmxon.machine.loader.elf import is_elf
from vmxon.machine.loader.image import MemoryWrite, SectionTable
from vmxon.machine.loader.placement import free

TABLE_AT = {1: ("<I", 0x20, 0x2E), 2: ("<Q", 0x28, 0x3A)}
"""By class: the table's offset, where it is, and where row size, rows and the names' index are."""
ROWS = {1: struct.Struct("<10I"), 2: struct.Struct("<IIQQQQIIQQ")}
SYMBOLS, STRINGS = 2, 3
TYPE, ADDRESS, OFFSET, SIZE = 1, 3, 4, 5


def place_sections(image: bytes, taken: list[MemoryWrite], memory_size: int) -> SectionTable | None:
    """The table, its symbols and strings placed above the kernel (added to `taken`); None without a sound one, or without room."""
    if not is_elf(image) or len(image) < 64 or image[4] not in ROWS:
        return None
    form, offset_at, counts_at = TABLE_AT[image[4]]
    (table,) = struct.unpack_from(form, image, offset_at)
    row_size, rows, names = struct.unpack_from("<HHH", image, counts_at)
    layout = ROWS[image[4]]
    if not rows or row_size < layout.size or table + rows * row_size > len(image):
        return None
    headers = bytearray(image[table : table + rows * row_size])
    added: list[MemoryWrite] = []
    for number in range(rows):
        row = list(layout.unpack_from(headers, number * row_size))
        if row[TYPE] not in (SYMBOLS, STRINGS) or row[ADDRESS] or not row[SIZE]:
            continue
        if row[OFFSET] + row[SIZE] > len(image):
            return None
        data = image[row[OFFSET] : row[OFFSET] + row[SIZE]]
        address = free(len(data), max(write.end for write in (*taken, *added)), (*taken, *added), memory_size)
        if address + len(data) > memory_size:
            return None
        added.append(MemoryWrite(address, data, len(data)))
        row[ADDRESS] = address
        layout.pack_into(headers, number * row_size, *row)
    taken += added
    return SectionTable(rows, row_size, names, bytes(headers))
