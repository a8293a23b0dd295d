"""Whom a message is for (Vol. 3A §11.6.2 “Determining IPI Destination”)."""

from __future__ import annotations

from typing import NamedTuple

from vmxon.arch.apic import ApicMode
from vmxon.devices.apic.message import BROADCAST, Message

EVERYBODY = 0xFFFF_FFFF
"""The destination that names every processor in x2APIC mode."""
FLAT = 0xF
"""The model of the destination-format register in which each bit is a processor."""


class Names(NamedTuple):
    """What a local APIC with ID 0 answers to."""

    mode: ApicMode
    logical: int
    """The logical-destination register."""
    format: int
    """The destination-format register."""

    @property
    def logical_destination(self) -> int:
        """LDR as software reads it; in x2APIC mode it follows from the ID, 0: cluster 0, first member."""
        return 1 if self.mode == ApicMode.X2APIC else self.logical

    def include(self, target: int, *, logical: bool) -> bool:
        """A destination in the form that the ICR has in this mode names this APIC."""
        if self.mode == ApicMode.X2APIC:
            if target == EVERYBODY or not logical:
                return target in (EVERYBODY, 0)
            own = self.logical_destination
            return target >> 16 == own >> 16 and bool(target & own & 0xFFFF)
        target >>= 24
        if not logical:
            return target in (BROADCAST, 0)
        own = self.logical >> 24
        if self.format >> 28 == FLAT:
            return bool(target & own)
        return target >> 4 in (own >> 4, 0xF) and bool(target & own & 0xF)

    def receive(self, message: Message) -> bool:
        """A message with a destination of 8 bits is for this APIC."""
        everybody = message.destination == BROADCAST and not message.logical
        destination = EVERYBODY if everybody else message.destination
        if self.mode != ApicMode.X2APIC:
            destination = destination << 24 & EVERYBODY
        return self.include(destination, logical=message.logical)
