"""ELF and multiboot images made by hand."""

import struct

HEADER_MAGIC = 0x1BADB002


def multiboot_header(flags: int = 3, *addresses: int) -> bytes:
    """A multiboot header with a good checksum."""
    return struct.pack(f"<3I{len(addresses)}I", HEADER_MAGIC, flags, -(HEADER_MAGIC + flags) & 0xFFFF_FFFF, *addresses)


def elf(
    body: bytes,
    *,
    bits: int = 32,
    entry: int = 0x10_0000,
    virtual: int = 0x10_0000,
    physical: int = 0x10_0000,
    size: int | None = None,
    kind: int = 2,
    machine: int | None = None,
    offset: int | None = None,
    stored: int | None = None,
    rows: int = 1,
) -> bytes:
    """An executable with one segment, whose bytes follow the headers."""
    machine = machine if machine is not None else {32: 3, 64: 62}[bits]
    header, row = (52, 32) if bits == 32 else (64, 56)
    offset = header + row if offset is None else offset
    stored = len(body) if stored is None else stored
    size = stored if size is None else size
    identification = bytes((0x7F, 0x45, 0x4C, 0x46, bits // 32, 1, 1)).ljust(16, b"\0")
    if bits == 32:
        fixed = struct.pack("<HHIIIIIHHHHHH", kind, machine, 1, entry, header, 0, 0, header, row, rows, 0, 0, 0)
        table = struct.pack("<8I", 1, offset, virtual, physical, stored, size, 7, 4096)
    else:
        fixed = struct.pack("<HHIQQQIHHHHHH", kind, machine, 1, entry, header, 0, 0, header, row, rows, 0, 0, 0)
        table = struct.pack("<IIQQQQQQ", 1, 7, offset, virtual, physical, stored, size, 4096)
    return identification + fixed + table + body
