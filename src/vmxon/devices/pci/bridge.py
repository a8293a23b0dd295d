"""The host bridge of the i440FX chip set, slot 0: which parts of the BIOS area are RAM.

Source: Intel 82441FX (PMC) data sheet (290549), “PAM—Programmable Attribute Map Registers”, “SMRAM—System Management RAM
Control Register”. The registers of DRAM timing and size are not there.
"""

from __future__ import annotations

from typing import Protocol

from vmxon.devices.pci.function import PciFunction, chip

ATTRIBUTES, ATTRIBUTES_END = 0x59, 0x60
READ_FROM_RAM, WRITE_TO_RAM = 1, 2
SMRAM = 0x72
SMRAM_RESET, SMRAM_BITS, SMRAM_LOCK = 0x02, 0x78, 0x10
SEGMENTS = 13


class ShadowMemory(Protocol):
    """Who knows what answers in the BIOS area."""

    def set_segment(self, number: int, *, read: bool, write: bool) -> None:
        """Let reads and writes of a segment reach RAM: segment 0 is 0xF0000–0xFFFFF, the others 16 KiB each from 0xC0000 on."""
        ...


class HostBridge(PciFunction):
    """82441FX: the attribute maps decide for `memory`; bits of SMRAM are kept, for there is no system management mode."""

    def __init__(self, memory: ShadowMemory | None = None) -> None:
        super().__init__(chip(0x1237, 0x06_00_00, revision=2))
        self.memory = memory
        self.allow(ATTRIBUTES, 0x30, 1)
        for offset in range(ATTRIBUTES + 1, ATTRIBUTES_END):
            self.allow(offset, 0x33, 1)
        self.preset(SMRAM, SMRAM_RESET, 1)
        self.allow(SMRAM, SMRAM_BITS, 1)

    def attributes(self, segment: int) -> int:
        """Two bits, READ_FROM_RAM and WRITE_TO_RAM, of a segment; it is in the high half of register 0, then low half first."""
        place = segment + 1
        return self.registers[ATTRIBUTES + place // 2] >> 4 * (place % 2) & 3

    def written(self, places: range) -> None:
        if self.registers[SMRAM] & SMRAM_LOCK:
            self.allow(SMRAM, 0, 1)
        if self.memory is None or places.stop <= ATTRIBUTES or places.start >= ATTRIBUTES_END:
            return
        for segment in range(SEGMENTS):
            bits = self.attributes(segment)
            self.memory.set_segment(segment, read=bool(bits & READ_FROM_RAM), write=bool(bits & WRITE_TO_RAM))

    def restored(self) -> None:
        self.allow(SMRAM, SMRAM_BITS, 1)
        super().restored()
