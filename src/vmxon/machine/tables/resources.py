"""Resource descriptors: which ports, interrupts and addresses a device uses.

Source: ACPI Specification 6.4, §6.4 “Resource Data Types for ACPI”.
"""

from __future__ import annotations

import struct
from enum import IntEnum

from vmxon.machine.tables import aml

END_TAG = b"\x79\0"
"""Without a checksum (§6.4.2.9 “End Tag”)."""
INTERRUPT_NUMBER = 5
"""Where an `interrupt` has its first number, in bytes."""


class Window(IntEnum):
    """What a bridge hands on (§6.4.3.5 “Address Space Resource Descriptors”)."""

    MEMORY = 0
    IO = 1
    BUSES = 2


def template(*descriptors: bytes) -> bytes:
    """A buffer of descriptors, as _CRS and _PRS give it."""
    return aml.buffer(b"".join(descriptors) + END_TAG)


def ports(first: int, count: int) -> bytes:
    """Fixed ports, all 16 address bits decoded (§6.4.2.5 “I/O Port Descriptor”)."""
    return struct.pack("<BBHHBB", 0x47, 1, first, first, 1, count)


def isa_interrupt(number: int) -> bytes:
    """An edge-triggered interrupt (§6.4.2.1 “IRQ Descriptor”)."""
    return struct.pack("<BH", 0x22, 1 << number)


def interrupts(*numbers: int) -> bytes:
    """Level triggered, active high, shared; one of several (§6.4.3.6 “Extended Interrupt Descriptor”)."""
    return struct.pack(f"<BHBB{len(numbers)}I", 0x89, 2 + 4 * len(numbers), 0b1001, len(numbers), *numbers)


def window(kind: Window, first: int, last: int) -> bytes:
    """Addresses `first` to `last` that a bridge hands on, in 16 bits, memory in 32."""
    # Both ends are fixed; memory can be written, I/O covers ISA and other ports.
    specific = {Window.MEMORY: 1, Window.IO: 3, Window.BUSES: 0}[kind]
    width, tag = ("I", 0x87) if kind == Window.MEMORY else ("H", 0x88)
    body = struct.pack(f"<BBB5{width}", kind, 0b1100, specific, 0, first, last, 0, last - first + 1)
    return struct.pack("<BH", tag, len(body)) + body
