"""The ACPI tables for firmware that chooses their place: a script of what to allocate, link and sum.

Source: QEMU's hw/acpi/bios-linker-loader.c describes the format: entries of 128 bytes, a command each.
"""

from __future__ import annotations

import struct

from vmxon.machine.tables.acpi import ALIGNMENT as TABLE_ALIGNMENT
from vmxon.machine.tables.acpi import (
    ROOT_CHECKSUM,
    ROOT_EXTENDED_CHECKSUM,
    ROOT_FIRST_PART,
    ROOT_RSDT,
    ROOT_SIZE,
    ROOT_XSDT,
    AcpiTables,
)

TABLES_FILE, ROOT_FILE, SCRIPT_FILE = "etc/acpi/tables", "etc/acpi/rsdp", "etc/table-loader"
ENTRY_SIZE, NAME_SIZE = 128, 56
ALLOCATE, ADD_POINTER, ADD_CHECKSUM = 1, 2, 3
HIGH, BIOS_SEGMENT = 1, 2
"""Zones: anywhere, or where a system searches."""
ROOT_ALIGNMENT = 16


def loader_files(tables: AcpiTables) -> dict[str, bytes]:
    """The tables, the root pointer and the script, as files of the firmware configuration device."""
    root = bytearray(tables.root_pointer(0))
    root[ROOT_CHECKSUM] = root[ROOT_EXTENDED_CHECKSUM] = 0
    commands = [
        _allocate(TABLES_FILE, TABLE_ALIGNMENT, HIGH),
        _allocate(ROOT_FILE, ROOT_ALIGNMENT, BIOS_SEGMENT),
        *(_pointer(TABLES_FILE, pointer.offset, pointer.size) for pointer in tables.pointers),
        *(_checksum(TABLES_FILE, sum_.offset, sum_.start, sum_.length) for sum_ in tables.checksums),
        _pointer(ROOT_FILE, ROOT_RSDT, 4),
        _pointer(ROOT_FILE, ROOT_XSDT, 8),
        _checksum(ROOT_FILE, ROOT_CHECKSUM, 0, ROOT_FIRST_PART),
        _checksum(ROOT_FILE, ROOT_EXTENDED_CHECKSUM, 0, ROOT_SIZE),
    ]
    return {TABLES_FILE: bytes(tables.data), ROOT_FILE: bytes(root), SCRIPT_FILE: b"".join(commands)}


def _entry(command: int, layout: str, *values: bytes | int) -> bytes:
    return struct.pack(f"<I{layout}", command, *values).ljust(ENTRY_SIZE, b"\0")


def _allocate(file: str, alignment: int, zone: int) -> bytes:
    return _entry(ALLOCATE, f"{NAME_SIZE}sIB", file.encode(), alignment, zone)


def _pointer(file: str, offset: int, size: int) -> bytes:
    return _entry(ADD_POINTER, f"{NAME_SIZE}s{NAME_SIZE}sIB", file.encode(), TABLES_FILE.encode(), offset, size)


def _checksum(file: str, offset: int, start: int, length: int) -> bytes:
    return _entry(ADD_CHECKSUM, f"{NAME_SIZE}sIII", file.encode(), offset, start, length)
