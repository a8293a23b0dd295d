"""The ACPI tables: root pointer, RSDT, XSDT, FADT, FACS, MADT and DSDT.

Source: ACPI Specification 6.4, §5.2 “ACPI System Description Tables”. There is no HPET table, for there is no HPET.

The tables name each other by address and carry checksums, so they are built without both, with a list of where each belongs:
`AcpiTables.at` fills them in for a place, and firmware that chooses its own place (SeaBIOS) does the same from the same lists.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from vmxon.devices.power.advanced import ACPI_DISABLE, ACPI_ENABLE, COMMAND_PORT
from vmxon.machine.tables.dsdt import definition_block
from vmxon.machine.tables.hardware import IO_APIC, IO_APIC_ID, LEVEL_INTERRUPTS, LOCAL_APIC, SCI, TIMER_PIN, Hardware

HEADER = struct.Struct("<4sIBB6s8sI4sI")
OWNER, MODEL, CREATOR = b"VMXON ", b"VMXON PC", b"VMXN"
CHECKSUM_IN_HEADER = 9
ALIGNMENT = 64
"""The FACS must have it; here all tables do."""
ROOT_SIZE, ROOT_FIRST_PART = 36, 20
"""The root pointer, and what its first checksum covers: the whole of it in ACPI 1.0."""
ROOT_CHECKSUM, ROOT_RSDT, ROOT_XSDT, ROOT_EXTENDED_CHECKSUM = 8, 16, 24, 32
FACS_SIZE = 64
RESET_PORT, RESET_VALUE = 0xCF9, 0x06


@dataclass(frozen=True, slots=True)
class Pointer:
    """A place in the tables that holds an offset, to which the tables' address must be added."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Checksum:
    """A byte that makes `length` bytes from `start` on add up to 0."""

    offset: int
    start: int
    length: int


@dataclass(slots=True)
class AcpiTables:
    """All tables but the root pointer, one after the other, and what must be filled in."""

    data: bytearray = field(default_factory=bytearray)
    pointers: list[Pointer] = field(default_factory=list)
    checksums: list[Checksum] = field(default_factory=list)
    rsdt: int = 0
    xsdt: int = 0
    """Where the two root tables are."""

    def place(self, data: bytes) -> int:
        """The offset at which `data` is put."""
        self.data += bytes(-len(self.data) % ALIGNMENT)
        offset = len(self.data)
        self.data += data
        return offset

    def add(self, signature: bytes, revision: int, body: bytes, pointers: Sequence[tuple[int, int]] = ()) -> int:
        """Put a table with a header; `pointers` are the offset from the table's start and the size of each."""
        header = HEADER.pack(signature, HEADER.size + len(body), revision, 0, OWNER, MODEL, 1, CREATOR, 1)
        offset = self.place(header + body)
        self.pointers += [Pointer(offset + at, size) for at, size in pointers]
        self.checksums.append(Checksum(offset + CHECKSUM_IN_HEADER, offset, HEADER.size + len(body)))
        return offset

    def at(self, address: int) -> bytes:
        """The tables as they lie at `address`."""
        data = bytearray(self.data)
        for pointer in self.pointers:
            end = pointer.offset + pointer.size
            value = int.from_bytes(data[pointer.offset : end], "little") + address
            data[pointer.offset : end] = value.to_bytes(pointer.size, "little")
        for checksum in self.checksums:
            data[checksum.offset] = -sum(data[checksum.start : checksum.start + checksum.length]) & 0xFF
        return bytes(data)

    def root_pointer(self, address: int) -> bytes:
        """The structure that a system searches for, with the tables at `address` (§5.2.5 “Root System Description Pointer”)."""
        root = bytearray(
            struct.pack("<8sB6sBIIQB3x", b"RSD PTR ", 0, OWNER, 2, self.rsdt + address, ROOT_SIZE, self.xsdt + address, 0)
        )
        root[ROOT_CHECKSUM] = -sum(root[:ROOT_FIRST_PART]) & 0xFF
        root[ROOT_EXTENDED_CHECKSUM] = -sum(root) & 0xFF
        return bytes(root)


def acpi_tables(hardware: Hardware) -> AcpiTables:
    """The tables of a machine."""
    tables = AcpiTables()
    facs = tables.place(struct.pack("<4sI", b"FACS", FACS_SIZE).ljust(FACS_SIZE, b"\0"))
    tables.data[facs + 32] = 1  # its version; no global lock, no waking vector
    dsdt = tables.add(b"DSDT", 2, definition_block(hardware))
    fadt = tables.add(b"FACP", 3, _fixed_description(hardware, facs, dsdt), ((36, 4), (40, 4), (132, 8), (140, 8)))
    named = [fadt]
    if hardware.io_apic:
        # Without it Linux would see a MADT that names no I/O APIC, and turn the 8259's way to the local APIC off.
        named.append(tables.add(b"APIC", 3, _interrupt_controllers(hardware)))
    for signature, size in ((b"RSDT", 4), (b"XSDT", 8)):
        entries = b"".join(offset.to_bytes(size, "little") for offset in named)
        places = [(HEADER.size + size * number, size) for number in range(len(named))]
        offset = tables.add(signature, 1, entries, places)
        if signature == b"RSDT":
            tables.rsdt = offset
        else:
            tables.xsdt = offset
    return tables


def _register(port: int, size: int) -> bytes:
    """A generic address of ports, `size` bytes wide (§5.2.3.2 “Generic Address Structure”)."""
    access = {0: 0, 1: 1, 2: 2, 4: 3}[size]
    return struct.pack("<BBBBQ", port != 0, 8 * size, 0, access, port)


def _fixed_description(hardware: Hardware, facs: int, dsdt: int) -> bytes:
    """The FADT (§5.2.9 “Fixed ACPI Description Table”)."""
    events, control, timer, general = (hardware.power_ports + at for at in (0, 4, 8, 12))
    wbinvd, halt, sleep_button_absent, wide_timer, reset = 1, 1 << 2, 1 << 5, 1 << 8, 1 << 10
    flags = wbinvd | halt | sleep_button_absent | (wide_timer if hardware.timer_bits == 32 else 0) | (reset if hardware.pci else 0)
    legacy_devices, keyboard_controller = 1, 2
    no_c2, no_c3 = 101, 1001
    body = struct.pack("<IIBBHIBBBB", facs, dsdt, 0, 0, SCI, COMMAND_PORT, ACPI_ENABLE, ACPI_DISABLE, 0, 0)
    body += struct.pack("<8I", events, 0, control, 0, 0, timer, general, 0)
    body += struct.pack("<BBBBBBBB", 4, 2, 0, 4, 4, 0, 0, 0)
    body += struct.pack("<HHHHBB", no_c2, no_c3, 0, 0, 0, 0)
    body += struct.pack("<BBB", 0, 0, 0x32)  # where the RTC keeps the century; it has no alarm by day or month
    body += struct.pack("<HBI", legacy_devices | keyboard_controller, 0, flags)
    body += (_register(RESET_PORT, 1) if hardware.pci else bytes(12)) + struct.pack("<BHB", RESET_VALUE if hardware.pci else 0, 0, 0)
    body += struct.pack("<QQ", facs, dsdt)
    none = bytes(12)
    body += struct.pack("<BBBBQ", 1, 32, 0, 2, events) + none + _register(control, 2) + none + none
    return body + _register(timer, 4) + struct.pack("<BBBBQ", 1, 32, 0, 1, general) + none


def _interrupt_controllers(hardware: Hardware) -> bytes:
    """The MADT (§5.2.12 “Multiple APIC Description Table”)."""
    pc_compatible = 1
    body = struct.pack("<II", LOCAL_APIC, pc_compatible)
    for number in range(hardware.processors):
        body += struct.pack("<BBBBI", 0, 8, number, number, 1)
    body += struct.pack("<BBBBII", 1, 12, IO_APIC_ID, 0, IO_APIC, 0)
    for source, pin, how in ((0, TIMER_PIN, 0), *((number, number, 0b1101) for number in LEVEL_INTERRUPTS)):
        body += struct.pack("<BBBBIH", 2, 10, 0, source, pin, how)
    every_processor, local_input = 0xFF, 1
    return body + struct.pack("<BBBHB", 4, 6, every_processor, 0, local_input)
