"""INT 13h by cylinder, head and sector: functions 00h to 15h.

Source: IBM PS/2 and PC BIOS Interface Technical Reference, “Interrupt 13H, Diskette” and “Fixed Disk”; error codes as in its
“Return codes”.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

from vmxon.machine.firmware.areas import Bda
from vmxon.machine.firmware.call import Call
from vmxon.machine.firmware.memory import BiosMemory, linear
from vmxon.machine.firmware.services.units import Kind, Unit

FIRST_FIXED, FIRST_DISC = 0x80, 0xE0
"""The numbers of the first fixed disk and of the first CD-ROM drive."""
MOST_SECTORS = 128
"""In one transfer: 64 KiB."""
FUNCTIONS_OF_PACKETS = range(0x41, 0x4C)
DISKETTES = {15: 2, 18: 4, 36: 6}
"""INT 13h AH=08h: the type in BL by sectors in a track: 1.2, 1.44 and 2.88 MB."""
DISKETTE_TABLE = 4 * 0x1E
"""The vector that points to the diskette parameter table."""


class Status(IntEnum):
    """What AH tells."""

    SUCCESS = 0x00
    BAD_COMMAND = 0x01
    WRITE_PROTECTED = 0x03
    NOT_FOUND = 0x04
    UNCORRECTABLE = 0x10
    NO_MEDIUM = 0x31


Transfer = Callable[[BiosMemory, Unit, int, int, int], Status]
"""Moves sectors: memory, unit, address, first sector, count."""


def read_sectors(memory: BiosMemory, unit: Unit, address: int, lba: int, count: int) -> Status:
    """Sectors to memory."""
    if lba + count > unit.sectors:
        return Status.NOT_FOUND if unit.sectors else Status.NO_MEDIUM
    data = unit.read(lba, count)
    if data is None:
        return Status.UNCORRECTABLE
    memory.write(address, data)
    return Status.SUCCESS


def write_sectors(memory: BiosMemory, unit: Unit, address: int, lba: int, count: int) -> Status:
    """Sectors from memory."""
    if not unit.writable:
        return Status.WRITE_PROTECTED
    if lba + count > unit.sectors:
        return Status.NOT_FOUND
    good = unit.write(lba, memory.read(address, count * unit.size))
    return Status.SUCCESS if good else Status.UNCORRECTABLE


def verify_sectors(_: BiosMemory, unit: Unit, __: int, lba: int, count: int) -> Status:
    """The sectors exist."""
    if lba + count > unit.sectors:
        return Status.NOT_FOUND if unit.sectors else Status.NO_MEDIUM
    return Status.SUCCESS


class DiskServices:
    """INT 13h; `units` are by number, and `packets` serves functions from 41h on."""

    def __init__(self, memory: BiosMemory, units: dict[int, Unit], packets: Callable[[Call, Unit], Status | None]) -> None:
        self.memory, self.units, self.packets = memory, units, packets

    def serve(self, call: Call) -> None:
        """INT 13h."""
        unit = self.units.get(call.dl)
        if call.ah == 0x01:
            self._finish(call, self.memory.byte(Bda.DISK_STATUS))
        elif call.ah == 0x15:
            self._kind(call, unit)
        elif unit is None or (call.ah == 0x08 and unit.geometry is None):
            self._finish(call, Status.BAD_COMMAND)
        elif call.ah == 0x08:
            self._parameters(call, unit)
        else:
            self._finish(call, self._on_unit(call, unit))

    def _finish(self, call: Call, status: int | None) -> None:
        """Carry and AH; None where AH has an answer of its own."""
        self.memory.set_byte(Bda.DISK_STATUS, status or 0)
        if status:
            call.fail(status)
            return
        call.succeed()
        if status is not None:
            call.ah = 0

    def _on_unit(self, call: Call, unit: Unit) -> Status | None:
        match call.ah:
            case 0x00 | 0x09 | 0x0D | 0x10 | 0x11 | 0x14:  # reset, set up, reset, ready, recalibrate, diagnose
                return Status.SUCCESS
            case 0x02:
                return self._transfer(call, unit, read_sectors)
            case 0x03:
                return self._transfer(call, unit, write_sectors)
            case 0x04:
                return self._transfer(call, unit, verify_sectors)
            case 0x0C:
                return Status.SUCCESS if self._locate(call, unit) is not None else Status.NOT_FOUND
            case function if function in FUNCTIONS_OF_PACKETS:
                return self.packets(call, unit)
        return Status.BAD_COMMAND

    def _locate(self, call: Call, unit: Unit) -> int | None:
        if unit.geometry is None:
            return None
        return unit.geometry.lba(call.ch | (call.cl & 0xC0) << 2, call.dh, call.cl & 0x3F)

    def _transfer(self, call: Call, unit: Unit, transfer: Transfer) -> Status:
        count = call.al
        if not 1 <= count <= MOST_SECTORS:
            return Status.BAD_COMMAND
        lba = self._locate(call, unit)
        status = Status.NOT_FOUND if lba is None else transfer(self.memory, unit, linear(call.es, call.bx), lba, count)
        if status:
            call.al = 0
        return status

    def _parameters(self, call: Call, unit: Unit) -> None:
        assert unit.geometry is not None  # `serve` has looked
        geometry, last = unit.geometry, unit.geometry.cylinders - 1
        call.ch, call.cl = last & 0xFF, last >> 2 & 0xC0 | geometry.sectors
        call.dh, call.dl = geometry.heads - 1, self._count(call.dl)
        call.bl = 0
        if unit.kind is Kind.DISKETTE:
            call.bl = DISKETTES.get(geometry.sectors, 0)
            call.di, call.es = self.memory.word(DISKETTE_TABLE), self.memory.word(DISKETTE_TABLE + 2)
        self._finish(call, Status.SUCCESS)
        call.al = 0

    def _count(self, number: int) -> int:
        """How many drives there are of the kind that a number belongs to."""
        return sum(other & FIRST_FIXED == number & FIRST_FIXED and other < FIRST_DISC for other in self.units)

    def _kind(self, call: Call, unit: Unit | None) -> None:
        """AH = 0: no such drive; 3: a fixed disk with CX:DX sectors."""
        self._finish(call, Status.SUCCESS)
        call.al = 0
        if unit is None:
            return
        call.ah = unit.kind
        if unit.kind is Kind.FIXED_DISK:
            sectors = min(unit.sectors, 0xFFFF_FFFF)
            call.cx, call.dx = sectors >> 16, sectors & 0xFFFF
