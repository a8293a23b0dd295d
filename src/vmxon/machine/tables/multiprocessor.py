"""The MultiProcessor table, by which systems without ACPI find processors and the I/O APIC.

Source: Intel MultiProcessor Specification 1.4, §4 “MP Configuration Table”, §5 “Default Configurations”.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from vmxon.machine.tables.hardware import IO_APIC, IO_APIC_ID, IO_APIC_VERSION, LEVEL_INTERRUPTS, LOCAL_APIC, TIMER_PIN, Hardware

POINTER_SIZE = 16
HEADER = struct.Struct("<4sHBB8s12sIHHIHBB")
PROCESSOR, BUS, IO_APIC_ENTRY, IO_INTERRUPT, LOCAL_INTERRUPT = range(5)
VECTORED, NMI, EXTERNAL = 0, 1, 3
ACTIVE_HIGH_LEVEL = 0b1101
LOCAL_APIC_VERSION = 0x14
ENABLED, BOOTS = 1, 2
EVERY_PROCESSOR = 0xFF
CASCADE = 2


def floating_pointer(table: int) -> bytes:
    """The structure that a system searches for (§4.1 “MP Floating Pointer Structure”), the table being at `table`."""
    pointer = bytearray(struct.pack("<4sIBBB5s", b"_MP_", table, 1, 4, 0, b""))
    pointer[10] = -sum(pointer) & 0xFF
    return bytes(pointer)


def configuration_table(hardware: Hardware, signature: int, features: int) -> bytes:
    """The table of a machine that has an I/O APIC; CPUID.1 gives `signature` (EAX) and `features` (EDX)."""
    entries = list(_entries(hardware, signature, features))
    body = b"".join(entries)
    size = HEADER.size + len(body)
    head = (b"PCMP", size, 4, 0, b"VMXON   ", b"PC          ", 0, 0, len(entries), LOCAL_APIC, 0, 0, 0)
    table = bytearray(HEADER.pack(*head) + body)
    table[7] = -sum(table) & 0xFF
    return bytes(table)


def _entries(hardware: Hardware, signature: int, features: int) -> Iterator[bytes]:
    for number in range(hardware.processors):
        flags = ENABLED | (BOOTS if number == 0 else 0)
        yield struct.pack("<BBBBII8x", PROCESSOR, number, LOCAL_APIC_VERSION, flags, signature, features)
    buses = ("PCI", "ISA") if hardware.pci else ("ISA",)
    for number, bus in enumerate(buses):
        yield struct.pack("<BB6s", BUS, number, bus.ljust(6).encode())
    yield struct.pack("<BBBBI", IO_APIC_ENTRY, IO_APIC_ID, IO_APIC_VERSION, ENABLED, IO_APIC)
    isa = len(buses) - 1
    for source in range(16):
        if source != CASCADE:
            how = ACTIVE_HIGH_LEVEL if source in LEVEL_INTERRUPTS else 0
            pin = TIMER_PIN if source == 0 else source
            yield struct.pack("<BBHBBBB", IO_INTERRUPT, VECTORED, how, isa, source, IO_APIC_ID, pin)
    for local_input, kind in enumerate((EXTERNAL, NMI)):
        yield struct.pack("<BBHBBBB", LOCAL_INTERRUPT, kind, 0, isa, 0, EVERY_PROCESSOR, local_input)
