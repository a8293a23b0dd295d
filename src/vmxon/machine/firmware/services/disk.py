"""INT 13h for fixed disks, by cylinder, head and sector: functions 00h to 15h.

Source: IBM PS/2 and PC BIOS Interface Technical Reference, “Interrupt 13H, Fixed Disk”; error codes as in its “Return codes”.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from vmxon.devices.disk import SECTOR, AtaDrive
from vmxon.machine.firmware.areas import Bda
from vmxon.machine.firmware.call import Call
from vmxon.machine.firmware.memory import BiosMemory, linear

FIRST = 0x80
"""The number of the first fixed disk."""
MOST_CYLINDERS, SECTORS = 1024, 63
FIXED_DISK = 3
MOST_SECTORS = 128
"""In one transfer: 64 KiB."""


class Status(IntEnum):
    """What AH tells."""

    SUCCESS = 0x00
    BAD_COMMAND = 0x01
    NOT_FOUND = 0x04
    UNCORRECTABLE = 0x10
    NOT_READY = 0xAA


@dataclass(frozen=True, slots=True)
class Geometry:
    """How programs that count cylinders see a disk."""

    cylinders: int
    heads: int
    sectors: int

    @classmethod
    def of(cls, sectors: int) -> Geometry:
        """16 heads while 1024 cylinders are enough, then as many as LBA-assisted translation gives (Phoenix EDD 3.0 §3)."""
        tracks = sectors // SECTORS
        heads = next((heads for heads in (16, 32, 64, 128) if tracks // heads <= MOST_CYLINDERS), 255)
        return cls(min(max(tracks // heads, 1), MOST_CYLINDERS), heads, SECTORS)

    def lba(self, cylinder: int, head: int, sector: int) -> int | None:
        """The sector's number from 0, or None where the geometry has none."""
        if cylinder >= self.cylinders or head >= self.heads or not 1 <= sector <= self.sectors:
            return None
        return (cylinder * self.heads + head) * self.sectors + sector - 1


class FixedDisk:
    """A drive and its geometry."""

    def __init__(self, drive: AtaDrive) -> None:
        self.drive = drive
        self.geometry = Geometry.of(drive.sectors)

    def read(self, memory: BiosMemory, address: int, lba: int, count: int) -> Status:
        """Sectors to memory."""
        if lba + count > self.drive.sectors:
            return Status.NOT_FOUND
        data = self.drive.read(lba, count)
        if data is None:
            return Status.UNCORRECTABLE
        memory.write(address, data)
        return Status.SUCCESS

    def write(self, memory: BiosMemory, address: int, lba: int, count: int) -> Status:
        """Sectors from memory."""
        if lba + count > self.drive.sectors:
            return Status.NOT_FOUND
        good = self.drive.write(lba, memory.read(address, count * SECTOR))
        return Status.SUCCESS if good else Status.UNCORRECTABLE

    def verify(self, _: BiosMemory, __: int, lba: int, count: int) -> Status:
        """The sectors exist."""
        return Status.SUCCESS if lba + count <= self.drive.sectors else Status.NOT_FOUND


class DiskServices:
    """Fixed disks from 80h on; there is no diskette drive. `extensions` serves functions from 41h on."""

    def __init__(
        self, memory: BiosMemory, drives: Sequence[AtaDrive], extensions: Callable[[Call, FixedDisk], Status | None]
    ) -> None:
        self.memory = memory
        self.disks = [FixedDisk(drive) for drive in drives]
        self.extensions = extensions

    def disk(self, number: int) -> FixedDisk | None:
        """The disk that DL names."""
        place = number - FIRST
        return self.disks[place] if 0 <= place < len(self.disks) else None

    def serve(self, call: Call) -> None:
        """INT 13h."""
        if call.ah == 0x01:
            self._finish(call, Status(self.memory.byte(Bda.DISK_STATUS)), remember=False)
        elif call.ah == 0x15:
            self._kind(call)
        elif call.ah == 0x08:
            self._parameters(call)
        else:
            disk = self.disk(call.dl)
            status = Status.BAD_COMMAND if disk is None else self._on_disk(call, disk)
            self._finish(call, status)

    def _finish(self, call: Call, status: Status | None, remember: bool = True) -> None:
        """Carry and AH; None where AH has an answer of its own."""
        if remember:
            self.memory.set_byte(Bda.DISK_STATUS, status or 0)
        if status:
            call.fail(status)
            return
        call.succeed()
        if status is not None:
            call.ah = 0

    def _on_disk(self, call: Call, disk: FixedDisk) -> Status | None:
        match call.ah:
            case 0x00 | 0x09 | 0x0D | 0x10 | 0x11 | 0x14:  # reset, set up, reset, ready, recalibrate, diagnose
                return Status.SUCCESS
            case 0x02:
                return self._transfer(call, disk.geometry, disk.read)
            case 0x03:
                return self._transfer(call, disk.geometry, disk.write)
            case 0x04:
                return self._transfer(call, disk.geometry, disk.verify)
            case 0x0C:
                return Status.SUCCESS if self._locate(call, disk.geometry) is not None else Status.NOT_FOUND
            case function if function >= 0x41:
                return self.extensions(call, disk)
        return Status.BAD_COMMAND

    def _locate(self, call: Call, geometry: Geometry) -> int | None:
        return geometry.lba(call.ch | (call.cl & 0xC0) << 2, call.dh, call.cl & 0x3F)

    def _transfer(self, call: Call, geometry: Geometry, action: Callable[[BiosMemory, int, int, int], Status]) -> Status:
        count = call.al
        if not 1 <= count <= MOST_SECTORS:
            return Status.BAD_COMMAND
        lba = self._locate(call, geometry)
        status = Status.NOT_FOUND if lba is None else action(self.memory, linear(call.es, call.bx), lba, count)
        if status:
            call.al = 0
        return status

    def _parameters(self, call: Call) -> None:
        disk = self.disk(call.dl)
        if disk is None:
            self._finish(call, Status.BAD_COMMAND)
            call.cx = call.dx = 0
            return
        geometry = disk.geometry
        last = geometry.cylinders - 1
        call.ch, call.cl = last & 0xFF, last >> 2 & 0xC0 | geometry.sectors
        call.dh, call.dl = geometry.heads - 1, len(self.disks)
        call.bl = 0
        self._finish(call, Status.SUCCESS)
        call.al = 0

    def _kind(self, call: Call) -> None:
        """AH = 0: no such drive; 3: a fixed disk with CX:DX sectors."""
        disk = self.disk(call.dl)
        self._finish(call, Status.SUCCESS)
        call.al = 0
        if disk is not None:
            sectors = min(disk.drive.sectors, 0xFFFF_FFFF)
            call.ah, call.cx, call.dx = FIXED_DISK, sectors >> 16, sectors & 0xFFFF
