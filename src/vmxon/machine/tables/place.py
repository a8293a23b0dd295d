"""Where the tables are in memory: in the upper BIOS area, which every system searches and leaves alone."""

from __future__ import annotations

from collections.abc import Iterator

from vmxon.machine.loader.image import MemoryWrite
from vmxon.machine.loader.information import ROOT_POINTER
from vmxon.machine.tables.acpi import acpi_tables
from vmxon.machine.tables.hardware import Hardware
from vmxon.machine.tables.multiprocessor import POINTER_SIZE, configuration_table, floating_pointer

TABLES = ROOT_POINTER + 0x40
TABLES_END = 0xF_0000
FLOATING_POINTER = 0xA_0000 - POINTER_SIZE
"""The last bytes of the extended BIOS data area and of conventional memory (MultiProcessor Specification 1.4, §4)."""
ALIGNMENT = 16


def system_tables(hardware: Hardware, signature: int, features: int) -> Iterator[MemoryWrite]:
    """Everything to put into memory before a system starts; CPUID.1 gives `signature` (EAX) and `features` (EDX)."""
    tables = acpi_tables(hardware)
    data = tables.at(TABLES)
    root = tables.root_pointer(TABLES)
    yield MemoryWrite(ROOT_POINTER, root, len(root))
    yield MemoryWrite(TABLES, data, len(data))
    if hardware.io_apic:
        at = TABLES + len(data) + -len(data) % ALIGNMENT
        table = configuration_table(hardware, signature, features)
        yield MemoryWrite(at, table, len(table))
        yield MemoryWrite(FLOATING_POINTER, floating_pointer(at), POINTER_SIZE)
