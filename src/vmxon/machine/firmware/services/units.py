"""What DL names in INT 13h: fixed disks, the disc in a CD-ROM drive, and the diskette that a disc may contain."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from vmxon.devices.disk import SECTOR, AtaDrive
from vmxon.devices.disk.cdrom import BLOCK, CdromDrive

MOST_CYLINDERS, SECTORS_PER_TRACK = 1024, 63


class Kind(IntEnum):
    """What INT 13h AH=15h calls a drive."""

    DISKETTE = 1
    REMOVABLE = 2
    FIXED_DISK = 3


@dataclass(frozen=True, slots=True)
class Geometry:
    """How programs that count cylinders see a disk."""

    cylinders: int
    heads: int
    sectors: int

    @classmethod
    def of(cls, sectors: int) -> Geometry:
        """16 heads while 1024 cylinders are enough, then as many as LBA-assisted translation gives (Phoenix EDD 3.0 §3)."""
        tracks = sectors // SECTORS_PER_TRACK
        heads = next((heads for heads in (16, 32, 64, 128) if tracks // heads <= MOST_CYLINDERS), 255)
        return cls(min(max(tracks // heads, 1), MOST_CYLINDERS), heads, SECTORS_PER_TRACK)

    def lba(self, cylinder: int, head: int, sector: int) -> int | None:
        """The sector's number from 0, or None where the geometry has none."""
        if cylinder >= self.cylinders or head >= self.heads or not 1 <= sector <= self.sectors:
            return None
        return (cylinder * self.heads + head) * self.sectors + sector - 1


class Unit(Protocol):
    """Sectors of `size` bytes; one without a geometry is read by packets only."""

    size: int
    kind: Kind
    writable: bool
    geometry: Geometry | None

    @property
    def sectors(self) -> int: ...

    def read(self, lba: int, count: int) -> bytes | None:
        """Sectors, or None where the image is broken; all of them exist."""
        ...

    def write(self, lba: int, data: bytes) -> bool:
        """Store sectors; False where that fails."""
        ...


class FixedDisk:
    """An ATA drive."""

    size, kind, writable = SECTOR, Kind.FIXED_DISK, True

    def __init__(self, drive: AtaDrive) -> None:
        self.drive = drive
        self.sectors = drive.sectors
        self.geometry: Geometry | None = Geometry.of(drive.sectors)
        self.read, self.write = drive.read, drive.write


class Disc:
    """Whatever disc is in a CD-ROM drive, in blocks of 2048 bytes."""

    size, kind, writable = BLOCK, Kind.REMOVABLE, False
    geometry: Geometry | None = None

    def __init__(self, drive: CdromDrive) -> None:
        self.drive = drive
        self.read = drive.read

    @property
    def sectors(self) -> int:
        """None without a disc."""
        return self.drive.blocks if self.drive.loaded else 0

    def write(self, _: int, __: bytes) -> bool:
        """Discs are read only."""
        return False


class Diskette:
    """The image of a diskette on a disc, from block `start` on."""

    size, kind, writable = SECTOR, Kind.DISKETTE, False

    def __init__(self, disc: Disc, start: int, geometry: Geometry) -> None:
        self.disc, self.start = disc, start
        self.geometry: Geometry | None = geometry
        self.sectors = geometry.cylinders * geometry.heads * geometry.sectors

    def read(self, lba: int, count: int) -> bytes | None:
        """Sectors out of the blocks that hold them."""
        per_block = BLOCK // SECTOR
        first, last = lba // per_block, (lba + count - 1) // per_block
        if self.start + last >= self.disc.sectors:
            return None
        blocks = self.disc.read(self.start + first, last - first + 1)
        at = (lba - first * per_block) * SECTOR
        return None if blocks is None else blocks[at : at + count * SECTOR]

    def write(self, _: int, __: bytes) -> bool:
        """Discs are read only."""
        return False
