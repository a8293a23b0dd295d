"""INT 13h by packets: functions 41h to 4Bh, which name sectors by 64-bit numbers, and the questions of a disc's boot program.

Sources: Phoenix “BIOS Enhanced Disk Drive Specification” version 3.0, §4 “INT 13h Extensions”; Phoenix, IBM “El Torito Bootable
CD-ROM Format Specification” version 1.0, §4 “INT 13 Function 4Ah to 4Dh”.
"""

from __future__ import annotations

import struct

from vmxon.machine.firmware.call import Call
from vmxon.machine.firmware.memory import BiosMemory, linear
from vmxon.machine.firmware.services.disk import Status, Transfer, read_sectors, verify_sectors, write_sectors
from vmxon.machine.firmware.services.units import Kind, Unit

PACKET = struct.Struct("<BBHHHQ")
LONG_PACKET = PACKET.size + 8
EVERYWHERE = (0xFFFF, 0xFFFF)
"""Offset and segment that stand for the 64-bit address behind the packet."""
QUESTION, ANSWER = 0x55AA, 0xAA55
VERSION_3 = 0x30
PACKETS, REMOVABLE, PARAMETERS = 1, 2, 4
"""Subsets in CX: access by packets, locking and ejecting, EDD parameters."""
RESULT = struct.Struct("<HHIIIQH")
RESULT_WITH_TABLE = RESULT.size + 4
NO_TABLE = b"\xff" * 4
GEOMETRY_VALID, IS_REMOVABLE = 2, 4
NO_GEOMETRY = (0xFFFF_FFFF,) * 3


class DiskPackets:
    """The extensions of INT 13h; `specification` is what function 4Bh tells of the disc that was started."""

    def __init__(self, memory: BiosMemory) -> None:
        self.memory = memory
        self.specification = b""

    def serve(self, call: Call, unit: Unit) -> Status | None:
        """One function on one unit; None where AH answers."""
        match call.ah:
            case 0x41:
                return self._check(call, unit)
            case 0x42:
                return self._transfer(call, unit, read_sectors)
            case 0x43:
                return self._transfer(call, unit, write_sectors) if call.al <= 2 else Status.BAD_COMMAND
            case 0x44 | 0x47:  # verify, seek
                return self._transfer(call, unit, verify_sectors)
            case 0x45 | 0x46 | 0x49 if unit.kind is Kind.REMOVABLE:  # lock, eject, changed: the disc stays where it is
                call.al = 0
                return Status.SUCCESS
            case 0x48:
                return self._parameters(call, unit)
            case 0x4B if self.specification:
                self.memory.write(linear(call.ds, call.si), self.specification)
                return Status.SUCCESS
        return Status.BAD_COMMAND

    def _check(self, call: Call, unit: Unit) -> Status | None:
        if call.bx != QUESTION or unit.kind is Kind.DISKETTE:
            return Status.BAD_COMMAND
        call.bx, call.ah = ANSWER, VERSION_3
        call.cx = PACKETS | PARAMETERS | (REMOVABLE if unit.kind is Kind.REMOVABLE else 0)
        return None

    def _transfer(self, call: Call, unit: Unit, transfer: Transfer) -> Status:
        packet = linear(call.ds, call.si)
        size, _, count, offset, segment, lba = PACKET.unpack(self.memory.read(packet, PACKET.size))
        if size < PACKET.size:
            return Status.BAD_COMMAND
        address = linear(segment, offset)
        if (offset, segment) == EVERYWHERE and size >= LONG_PACKET:
            address = int.from_bytes(self.memory.read(packet + PACKET.size, 8), "little")
        status = transfer(self.memory, unit, address, lba, count)
        if status:
            self.memory.set_word(packet + 2, 0)
        return status

    def _parameters(self, call: Call, unit: Unit) -> Status:
        buffer = linear(call.ds, call.si)
        size = self.memory.word(buffer)
        if size < RESULT.size:
            return Status.BAD_COMMAND
        geometry, with_table = unit.geometry, size >= RESULT_WITH_TABLE
        counts = NO_GEOMETRY if geometry is None else (geometry.cylinders, geometry.heads, geometry.sectors)
        result = RESULT.pack(
            RESULT_WITH_TABLE if with_table else RESULT.size,
            IS_REMOVABLE if geometry is None else GEOMETRY_VALID,
            *counts,
            unit.sectors,
            unit.size,
        )
        self.memory.write(buffer, result + (NO_TABLE if with_table else b""))
        return Status.SUCCESS
