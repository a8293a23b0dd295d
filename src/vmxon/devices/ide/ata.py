"""The commands of a hard disk.

Source: ATA/ATAPI-6 (T13 1410D), §8 “Command descriptions”.
"""

from __future__ import annotations

from typing import ClassVar

from vmxon.devices.disk.drive import LARGEST_MULTIPLE, LBA28_LIMIT, AtaDrive
from vmxon.devices.disk.image import SECTOR
from vmxon.devices.ide.channel import CommandSet, IdeChannel
from vmxon.devices.ide.status import ABORTED, COUNT, FEATURES, HIGH, LOW, MIDDLE, NOT_FOUND, UNCORRECTABLE, USE_LBA

READS = {0x20: False, 0x21: False, 0x24: True, 0xC4: False, 0x29: True}
WRITES = {0x30: False, 0x31: False, 0x34: True, 0xC5: False, 0x39: True}
VERIFIES = {0x40: False, 0x41: False, 0x42: True}
DMA_READS = {0xC8: False, 0xC9: False, 0x25: True}
DMA_WRITES = {0xCA: False, 0xCB: False, 0x35: True}
"""READ, WRITE, READ VERIFY, READ DMA and WRITE DMA; True where the address has 48 bits."""
MULTIPLE = (0xC4, 0xC5, 0x29, 0x39)
IDENTIFY_DEVICE = 0xEC
SET_TRANSFER_MODE = 0x03
ACCEPTED_FEATURES = (0x02, 0x82, 0x55, 0xAA, 0x66, 0xCC)
"""Write cache, look-ahead, power-on defaults: accepted, without effect."""
WITHOUT_DATA = (0xE0, 0xE1, 0xE2, 0xE3, 0xE6, 0xE7, 0xEA)
"""Power modes and cache flushes: nothing is cached here."""


class AtaCommands(CommandSet, saves=("block", "lba", "remaining", "partial")):
    """A hard disk on a channel."""

    signature: ClassVar[tuple[int, int, int, int]] = (1, 1, 0, 0)
    prompt: ClassVar[frozenset[int]] = frozenset(WRITES)

    def __init__(self, channel: IdeChannel, drive: AtaDrive) -> None:
        self.channel = channel
        self.drive = drive
        self.block = 0
        """Sectors in each data block of the present command."""
        self.lba = 0
        self.remaining = 0
        """Sectors of the present command that nothing has carried yet."""
        self.partial = bytearray()
        """Bytes of a sector that a region table divides: read and not moved yet, or moved and not written yet."""

    def reset(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self.remaining = 0
        self.partial.clear()

    # -- data ----------------------------------------------------------------------------------------------------------

    def block_read(self) -> None:
        if self.remaining:
            self._next_read_block()
        else:
            self.channel.finish(interrupt=False)

    def _next_read_block(self) -> None:
        data = self._read(min(self.block, self.remaining))
        if data:
            self.channel.offer(data)

    def _read(self, count: int) -> bytes:
        data = self.drive.read(self.lba, count)
        if data is None:
            self.channel.fail(UNCORRECTABLE)
            return b""
        self.lba += count
        self.remaining -= count
        return data

    def _await(self) -> None:
        self.channel.expect(min(self.block, self.remaining) * SECTOR)

    def block_written(self, data: bytes) -> None:
        if not self._write(data):
            return
        if self.remaining:
            self._await()
            self.channel.request()
        else:
            self.channel.finish()

    def dma_read(self, size: int) -> bytes:
        missing = size - len(self.partial)
        if missing > 0:
            self.partial += self._read(-(-missing // SECTOR))
        taken = bytes(self.partial[:size])
        del self.partial[:size]
        return taken

    def dma_written(self, data: bytes) -> bool:
        self.partial += data
        whole = len(self.partial) & -SECTOR
        sectors = bytes(self.partial[:whole])
        del self.partial[:whole]
        return self._write(sectors)

    def _write(self, data: bytes) -> bool:
        if not self.drive.write(self.lba, data):
            self.channel.fail(UNCORRECTABLE)
            return False
        count = len(data) // SECTOR
        self.lba += count
        self.remaining -= count
        return True

    def complete(self) -> None:
        self.channel.finish()

    # -- commands ------------------------------------------------------------------------------------------------------

    def execute(self, command: int) -> None:
        self._forget()
        if command in READS:
            self._transfer(command, READS[command])
        elif command in WRITES:
            self._transfer(command, WRITES[command])
        elif command in VERIFIES:
            if self._locate(VERIFIES[command]):
                self.channel.finish()
        elif command in DMA_READS:
            self._move(DMA_READS[command], to_memory=True)
        elif command in DMA_WRITES:
            self._move(DMA_WRITES[command], to_memory=False)
        elif command == IDENTIFY_DEVICE:
            self.channel.offer(self.drive.identify())
        else:
            self._command_without_data(command)

    def _command_without_data(self, command: int) -> None:
        channel, drive = self.channel, self.drive
        count, feature = channel.low_bytes(COUNT, FEATURES)
        good = True
        match command:
            case 0x91:  # INITIALIZE DEVICE PARAMETERS
                good = count != 0
                if good:
                    drive.sectors_per_track, drive.heads = count, (channel.device & 0x0F) + 1
            case 0xC6:  # SET MULTIPLE MODE: a power of two, or 0
                good = count <= LARGEST_MULTIPLE and not count & (count - 1)
                if good:
                    drive.multiple = count
            case 0xEF:  # SET FEATURES
                good = drive.modes.choose(count) if feature == SET_TRANSFER_MODE else feature in ACCEPTED_FEATURES
            case 0xE5:  # CHECK POWER MODE
                channel.show(count=0xFF)
            case 0xF8:  # READ NATIVE MAX ADDRESS
                self._show_lba(min(drive.sectors, LBA28_LIMIT + 1) - 1)
            case 0x27:  # READ NATIVE MAX ADDRESS EXT
                self._show_wide_lba(drive.sectors - 1)
            case _ if 0x70 <= command <= 0x7F:  # SEEK
                if not self._locate(wide=False, one=True):
                    return
            case _:
                good = command in WITHOUT_DATA or 0x10 <= command <= 0x1F  # RECALIBRATE
        if good:
            channel.finish()
        else:
            channel.fail(ABORTED)

    def _show_lba(self, lba: int) -> None:
        channel = self.channel
        channel.show(low=lba & 0xFF, middle=lba >> 8 & 0xFF, high=lba >> 16 & 0xFF)
        channel.device = channel.device & 0xF0 | lba >> 24

    def _show_wide_lba(self, lba: int) -> None:
        low, middle, high = ((lba >> at & 0xFF) | (lba >> at + 24 & 0xFF) << 8 for at in (0, 8, 16))
        self.channel.show(low=low, middle=middle, high=high)

    def _transfer(self, command: int, wide: bool) -> None:
        if command in MULTIPLE and not self.drive.multiple:
            self.channel.fail(ABORTED)
            return
        if not self._locate(wide):
            return
        self.block = self.drive.multiple if command in MULTIPLE else 1
        if command in READS:
            self._next_read_block()
        else:
            self._await()

    def _move(self, wide: bool, *, to_memory: bool) -> None:
        if not self.drive.modes.dma:
            self.channel.fail(ABORTED)
        elif self._locate(wide):
            self.channel.move(self.remaining * SECTOR, to_memory=to_memory)

    def _locate(self, wide: bool, one: bool = False) -> bool:
        """Set `lba` and `remaining` from the task file; False, with the error reported, outside the drive."""
        channel, drive = self.channel, self.drive
        task = channel.task
        low, middle, high = channel.low_bytes(LOW, MIDDLE, HIGH)
        lba: int | None
        if wide:
            lba = low | middle << 8 | high << 16
            lba |= (task[LOW] >> 8) << 24 | (task[MIDDLE] >> 8) << 32 | (task[HIGH] >> 8) << 40
            count = task[COUNT] or 0x1_0000
        else:
            count = task[COUNT] & 0xFF or 0x100
            head = channel.device & 0x0F
            if channel.device & USE_LBA:
                lba = low | middle << 8 | high << 16 | head << 24
            else:
                lba = drive.from_chs(middle | high << 8, head, low)
        if one:
            count = 1
        if lba is None or lba + count > drive.sectors or (wide and not channel.device & USE_LBA):
            channel.fail(NOT_FOUND)
            return False
        self.lba, self.remaining = lba, count
        return True
