"""INT 13h by packets: functions 41h to 48h, which name sectors by 64-bit numbers.

Source: Phoenix “BIOS Enhanced Disk Drive Specification” version 3.0, §4 “INT 13h Extensions”.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from vmxon.devices.disk import SECTOR
from vmxon.machine.firmware.call import Call
from vmxon.machine.firmware.memory import BiosMemory, linear
from vmxon.machine.firmware.services.disk import FixedDisk, Status

PACKET = struct.Struct("<BBHHHQ")
LONG_PACKET = PACKET.size + 8
EVERYWHERE = (0xFFFF, 0xFFFF)
"""Offset and segment that stand for the 64-bit address behind the packet."""
QUESTION, ANSWER = 0x55AA, 0xAA55
VERSION_3 = 0x30
PACKETS, PARAMETERS = 1, 4
"""Subsets in CX: access by packets, EDD parameters."""
RESULT = struct.Struct("<HHIIIQH")
RESULT_WITH_TABLE = RESULT.size + 4
NO_TABLE = b"\xff" * 4
GEOMETRY_VALID = 2


class DiskPackets:
    """The extensions of INT 13h."""

    def __init__(self, memory: BiosMemory) -> None:
        self.memory = memory

    def serve(self, call: Call, disk: FixedDisk) -> Status | None:
        """One function on one disk; None where AH answers."""
        match call.ah:
            case 0x41:
                return self._check(call)
            case 0x42:
                return self._transfer(call, disk.read)
            case 0x43:
                return self._transfer(call, disk.write) if call.al <= 2 else Status.BAD_COMMAND
            case 0x44 | 0x47:  # verify, seek
                return self._transfer(call, disk.verify)
            case 0x48:
                return self._parameters(call, disk)
        return Status.BAD_COMMAND

    def _check(self, call: Call) -> Status | None:
        if call.bx != QUESTION:
            return Status.BAD_COMMAND
        call.bx, call.cx, call.ah = ANSWER, PACKETS | PARAMETERS, VERSION_3
        return None

    def _transfer(self, call: Call, action: Callable[[BiosMemory, int, int, int], Status]) -> Status:
        packet = linear(call.ds, call.si)
        size, _, count, offset, segment, lba = PACKET.unpack(self.memory.read(packet, PACKET.size))
        if size < PACKET.size:
            return Status.BAD_COMMAND
        address = linear(segment, offset)
        if (offset, segment) == EVERYWHERE and size >= LONG_PACKET:
            address = int.from_bytes(self.memory.read(packet + PACKET.size, 8), "little")
        status = action(self.memory, address, lba, count)
        if status:
            self.memory.set_word(packet + 2, 0)
        return status

    def _parameters(self, call: Call, disk: FixedDisk) -> Status:
        buffer = linear(call.ds, call.si)
        size = self.memory.word(buffer)
        if size < RESULT.size:
            return Status.BAD_COMMAND
        geometry, with_table = disk.geometry, size >= RESULT_WITH_TABLE
        result = RESULT.pack(
            RESULT_WITH_TABLE if with_table else RESULT.size,
            GEOMETRY_VALID,
            geometry.cylinders,
            geometry.heads,
            geometry.sectors,
            disk.drive.sectors,
            SECTOR,
        )
        self.memory.write(buffer, result + (NO_TABLE if with_table else b""))
        return Status.SUCCESS
