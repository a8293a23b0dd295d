"""An ATA drive: what it says about itself, and how it numbers its sectors.

Source: ATA/ATAPI-6 (T13 1410D), §8.15 “IDENTIFY DEVICE”, §8.22 “INITIALIZE DEVICE PARAMETERS”.
"""

from __future__ import annotations

import struct

from vmxon.devices.disk.image import Disk, DiskImageError
from vmxon.devices.disk.modes import TransferModes
from vmxon.devices.state import Saved, State, cast_state

HEADS, SECTORS_PER_TRACK, MOST_CYLINDERS = 16, 63, 16_383
LARGEST_MULTIPLE = 16
LBA28_LIMIT = 0x0FFF_FFFF


class AtaDrive(Saved, saves=("heads", "sectors_per_track", "multiple", "modes")):
    """A hard disk of `disk`'s size; `failure` is the last DiskImageError that the guest saw as a bad sector."""

    def __init__(self, disk: Disk, model: str = "VMXON HARDDISK", serial: str = "VX00001") -> None:
        self.disk = disk
        self.model, self.serial = model, serial
        self.sectors = disk.sectors
        self.heads, self.sectors_per_track = HEADS, SECTORS_PER_TRACK
        self.multiple = 0
        """Sectors in a block of READ and WRITE MULTIPLE; 0 while they are off."""
        self.modes = TransferModes()
        self.failure: DiskImageError | None = None

    @property
    def cylinders(self) -> int:
        """Cylinders of the geometry in use."""
        return min(max(self.sectors // (self.heads * self.sectors_per_track), 1), MOST_CYLINDERS)

    def from_chs(self, cylinder: int, head: int, sector: int) -> int | None:
        """The LBA of a sector (which counts from 1), or None where the geometry has none."""
        if head >= self.heads or not 1 <= sector <= self.sectors_per_track:
            return None
        return (cylinder * self.heads + head) * self.sectors_per_track + sector - 1

    def read(self, lba: int, count: int) -> bytes | None:
        """Sectors, or None where the image is broken."""
        try:
            return self.disk.read(lba, count)
        except DiskImageError as error:
            self.failure = error
            return None

    def write(self, lba: int, data: bytes) -> bool:
        """Store sectors; False where the image refuses."""
        try:
            self.disk.write(lba, data)
        except DiskImageError as error:
            self.failure = error
            return False
        return True

    def identify(self) -> bytes:
        """The 512 bytes of IDENTIFY DEVICE."""
        words = [0] * 256
        words[0] = 0x0040  # a fixed disk
        cylinders = min(max(self.sectors // (HEADS * SECTORS_PER_TRACK), 1), MOST_CYLINDERS)
        words[1], words[3], words[6] = cylinders, HEADS, SECTORS_PER_TRACK
        words[10:20] = identity_text(self.serial, 20)
        words[23:27] = identity_text("1.0", 8)
        words[27:47] = identity_text(self.model, 40)
        words[47] = 0x8000 | LARGEST_MULTIPLE
        self.modes.describe(words)
        words[50] = 0x4000
        words[53] |= 0x0001  # words 54 to 58 are valid
        words[54], words[55], words[56] = self.cylinders, self.heads, self.sectors_per_track
        current = self.cylinders * self.heads * self.sectors_per_track
        words[57], words[58] = current & 0xFFFF, current >> 16 & 0xFFFF
        words[59] = 0x0100 | self.multiple if self.multiple else 0
        lba28 = min(self.sectors, LBA28_LIMIT)
        words[60], words[61] = lba28 & 0xFFFF, lba28 >> 16
        words[80] = 0x007E  # ATA-1 to ATA-6
        words[82] = words[85] = 0x0060  # look-ahead, write cache
        words[83], words[84] = 0x7400, 0x4000  # FLUSH CACHE, FLUSH CACHE EXT, 48-bit addresses
        words[86], words[87] = 0x3400, 0x4000
        words[93] = 0x6001
        for place in range(4):
            words[100 + place] = self.sectors >> 16 * place & 0xFFFF
        return struct.pack("<256H", *words)

    def state(self) -> State:
        disk = self.disk.state() if isinstance(self.disk, Saved) else None
        return super().state() | {"disk": disk}

    def restore(self, state: State) -> None:
        super().restore(state)
        if isinstance(self.disk, Saved) and state.get("disk") is not None:
            self.disk.restore(cast_state(state["disk"]))


def identity_text(text: str, length: int) -> tuple[int, ...]:
    """ASCII, two characters in a word, the first in the high byte."""
    return struct.unpack(f">{length // 2}H", text.encode("ascii", "replace")[:length].ljust(length))
