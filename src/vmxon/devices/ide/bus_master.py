"""Bus-master IDE: a channel's data goes to memory, or comes from it, by a table of regions.

Sources: Programming Interface for Bus Master IDE Controller, revision 1.0; Intel 82371SB (PIIX3) data sheet (290550), “Bus Master
IDE I/O Space Registers”. A transfer takes no time: it is done when both the drive and the guest have started it.
"""

from __future__ import annotations

import struct
from typing import ClassVar

from vmxon.arch.bits import Word, flag
from vmxon.devices.bus import Device, reads, writes
from vmxon.devices.dma import DmaMemory
from vmxon.devices.ide.channel import IdeChannel

REGION = struct.Struct("<IHH")
TABLE_LIMIT = 1 << 16
"""A table does not cross a boundary of so many bytes."""
WHOLE = 0x1_0000
"""Bytes of a region whose count is 0."""
LAST = 0x8000
AT_ONCE = 64 << 10
"""Bytes that are moved in one piece."""


class BusMasterCommand(Word, width=8):
    """The command register."""

    start = flag(0, "transfer, as soon as the drive is ready")
    to_memory = flag(3, "from the drive to memory; here the drive's command decides")


class BusMasterStatus(Word, width=8):
    """The status register; a written one clears `error` and `interrupt`."""

    active = flag(0, "started, and the table is not used up")
    error = flag(1, "the table is broken")
    interrupt = flag(2, "the drive's interrupt rose")
    drive_0 = flag(5, "a BIOS says: drive 0 can do this")
    drive_1 = flag(6, "a BIOS says: drive 1 can do this")


class BusMaster(Device, span=8):
    """The bus master of one channel."""

    saves: ClassVar[tuple[str, ...]] = ("command", "status", "table")

    def __init__(self, channel: IdeChannel, memory: DmaMemory) -> None:
        self.channel = channel
        self.memory = memory
        self.command = BusMasterCommand(0)
        self.status = BusMasterStatus(0)
        self.table = 0
        channel.engine = self

    # -- for the channel -----------------------------------------------------------------------------------------------

    def interrupted(self) -> None:
        """As `DmaEngine`."""
        self.status = self.status.replace(interrupt=True)

    def wake(self) -> None:
        """As `DmaEngine`."""
        if self.status.active and self.channel.dma_left:
            self._transfer()

    def _transfer(self) -> None:
        channel, memory = self.channel, self.memory
        regions = Regions(memory, self.table)
        while channel.dma_left and not regions.used_up:
            parts = regions.parts(min(channel.dma_left, AT_ONCE))
            size = sum(length for _, length in parts)
            if not channel.dma_to_memory:
                channel.dma_give(b"".join(memory.read(at, length) for at, length in parts))
                continue
            data = channel.dma_take(size)
            done = 0
            for at, length in parts:
                memory.write(at, data[done : done + length])
                done += length
        # A table with more room than data stays active; one with less ends without the drive's interrupt.
        self.status = self.status.replace(active=not regions.used_up, error=self.status.error or regions.broken)

    # -- registers -----------------------------------------------------------------------------------------------------

    @reads(0)
    def read_command(self) -> int:
        return self.command

    @writes(0)
    def write_command(self, value: int) -> None:
        before, self.command = self.command, BusMasterCommand(value & ~BusMasterCommand.layout.reserved)
        if self.command.start != before.start:
            self.status = self.status.replace(active=self.command.start)
            self.wake()

    @reads(2)
    def read_status(self) -> int:
        return self.status

    @writes(2)
    def write_status(self, value: int) -> None:
        word = BusMasterStatus(value & ~BusMasterStatus.layout.reserved)
        self.status = self.status.replace(
            error=self.status.error and not word.error,
            interrupt=self.status.interrupt and not word.interrupt,
            drive_0=word.drive_0,
            drive_1=word.drive_1,
        )

    @reads(4, 4)
    def read_table(self) -> int:
        return self.table

    @writes(4, 4)
    def write_table(self, value: int) -> None:
        self.table = value & ~3


class Regions:
    """A walk over the regions of a table; `used_up` when the last one is full, `broken` where no last one comes."""

    def __init__(self, memory: DmaMemory, table: int) -> None:
        self.memory = memory
        self.entry = table
        self.end = (table & -TABLE_LIMIT) + TABLE_LIMIT
        self.at = 0
        self.room = 0
        """Bytes left in the present region."""
        self.last = False
        self.broken = False

    @property
    def used_up(self) -> bool:
        """There is no room, and will be none."""
        return self.broken or (self.last and not self.room)

    def parts(self, size: int) -> list[tuple[int, int]]:
        """Addresses and lengths of the next `size` bytes; fewer bytes where the table is used up."""
        found = []
        while size and (self.room or self._next()):
            length = min(size, self.room)
            found.append((self.at, length))
            self.at += length
            self.room -= length
            size -= length
        return found

    def _next(self) -> bool:
        """Go on to the next region; False where there is none."""
        if self.used_up:
            return False
        if self.entry + REGION.size > self.end:
            self.broken = True
            return False
        at, count, flags = REGION.unpack(self.memory.read(self.entry, REGION.size))
        self.entry += REGION.size
        self.at, self.room, self.last = at & ~1, (count & ~1) or WHOLE, bool(flags & LAST)
        return True
