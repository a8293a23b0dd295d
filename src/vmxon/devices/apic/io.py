"""The I/O APIC: 24 interrupt inputs, each of which becomes a message to local APICs as its redirection entry says.

Source: Intel 82093AA data sheet (290566), §3 “Register Description”; the EOI register, which version 20H added: Intel I/O
Controller Hub 9 data sheet (316972), §13.5.5 “EOIR—EOI Register”.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from vmxon.arch.apic import DeliveryMode
from vmxon.arch.bits import Word, choice, field, flag
from vmxon.devices.apic.message import Message
from vmxon.devices.bus import Device, PortSpace, reads, writes

BASE = 0xFEC0_0000
INPUTS = 24
VERSION = 0x20 | (INPUTS - 1) << 16
ID, VERSION_REGISTER, ARBITRATION, REDIRECTION = 0, 1, 2, 0x10
ID_BITS = 0x0F00_0000
LOW = 0xFFFF_FFFF
UNSENT = (DeliveryMode.RESERVED, DeliveryMode.STARTUP)
"""“Reserved” in an entry: nothing is sent."""


class Redirection(Word, width=64):
    """An entry of the redirection table: where an input's interrupt goes, and how."""

    vector = field(7, 0, "vector of the interrupt")
    delivery = choice(10, 8, DeliveryMode, "how it reaches the processor")
    logical = flag(11, "the destination is logical")
    pending = flag(12, "sent and not yet accepted; read-only, never seen")
    active_low = flag(13, "the input is active low")
    remote_request = flag(14, "a level-triggered interrupt waits for its EOI; read-only")
    level_triggered = flag(15, "the level requests, not its rise")
    masked = flag(16, "nothing is sent")
    destination = field(63, 56, "an APIC ID, or a logical destination")


WRITABLE = Redirection.layout.named & ~(Redirection.pending.mask | Redirection.remote_request.mask)
POWER_ON = Redirection.masked.mask


class IoApic(Device, span=0x44):
    """Registers behind an index (offset 0) and a data window (offset 0x10); `send` answers False where nobody accepted."""

    saves: ClassVar[tuple[str, ...]] = ("index", "identity", "entries", "levels")

    def __init__(self, send: Callable[[Message], bool]) -> None:
        self.send = send
        self.index = 0
        self.identity = 0
        self.entries = [POWER_ON] * INPUTS
        self.levels = [False] * INPUTS

    def connect(self, memory: PortSpace) -> None:
        """Attach at FEC00000H."""
        memory.attach(BASE, self)

    def input(self, number: int) -> Callable[[bool], None]:
        """What listens to the wire at an input."""
        return lambda level: self._drive(number, level)

    def _drive(self, number: int, level: bool) -> None:
        before = self._active(number)
        self.levels[number] = level
        if self._active(number) and not before:
            self._service(number, rising=True)

    def _active(self, number: int) -> bool:
        return self.levels[number] != Redirection(self.entries[number]).active_low

    def _service(self, number: int, *, rising: bool) -> None:
        """Send what an active input asks for: an edge once, a level as long as no EOI is due. A masked edge is lost."""
        entry = Redirection(self.entries[number])
        # “ExtINT … must be edge triggered”; NMI, SMI and INIT are treated as edges whatever the entry says.
        level = entry.level_triggered and entry.delivery in (DeliveryMode.FIXED, DeliveryMode.LOWEST)
        if entry.masked or entry.delivery in UNSENT or not (rising or level) or entry.remote_request:
            return
        accepted = self.send(Message(entry.destination, bool(entry.logical), entry.delivery, entry.vector, level))
        if accepted and level:
            self.entries[number] |= Redirection.remote_request.mask

    @writes(0x40, 4)
    def end(self, vector: int) -> None:
        """An EOI for `vector`, broadcast by a local APIC or written to the EOI register: levels that are still there request again."""
        for number, value in enumerate(self.entries):
            entry = Redirection(value)
            if entry.remote_request and entry.vector == vector & 0xFF:
                self.entries[number] &= ~Redirection.remote_request.mask
                if self._active(number):
                    self._service(number, rising=False)

    # -- registers -----------------------------------------------------------------------------------------------------

    @reads(0, 4)
    def read_index(self) -> int:
        return self.index

    @writes(0, 4)
    def select(self, value: int) -> None:
        self.index = value & 0xFF

    @reads(0x10, 4)
    def read(self) -> int:
        if self.index in (ID, ARBITRATION):
            return self.identity
        if self.index == VERSION_REGISTER:
            return VERSION
        number, high = divmod(self.index - REDIRECTION, 2)
        return self.entries[number] >> 32 * high & LOW if 0 <= number < INPUTS else 0

    @writes(0x10, 4)
    def write(self, value: int) -> None:
        if self.index == ID:
            self.identity = value & ID_BITS
        number, high = divmod(self.index - REDIRECTION, 2)
        if 0 <= number < INPUTS:
            self._write_entry(number, value, high=bool(high))

    def _write_entry(self, number: int, value: int, *, high: bool) -> None:
        old = self.entries[number]
        new = (value << 32 | old & LOW if high else old & ~LOW | value) & WRITABLE
        if new & Redirection.level_triggered.mask:
            new |= old & Redirection.remote_request.mask
        was_active = self._active(number)
        self.entries[number] = new
        if self._active(number):
            self._service(number, rising=not was_active)
