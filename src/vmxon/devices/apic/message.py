"""What travels from an interrupt's source to local APICs."""

from __future__ import annotations

from typing import NamedTuple

from vmxon.arch.apic import DeliveryMode

BROADCAST = 0xFF
"""The physical destination that names every processor."""


class Message(NamedTuple):
    """An interrupt message of the I/O APIC."""

    destination: int
    """8 bits: an APIC ID, or a logical destination."""
    logical: bool
    delivery: DeliveryMode
    vector: int
    level: bool
    """An EOI is expected, because the source is level triggered."""
