"""The commands of a packet device, which carry SCSI commands to a CD-ROM drive.

Source: ATA/ATAPI-6 (T13 1410D), §8.23 “PACKET”, §9.9 “PACKET non-data and PIO data command protocol”, §9.10 “PACKET DMA command
protocol”.
"""

from __future__ import annotations

from typing import ClassVar

from vmxon.devices.disk.cdrom import BLOCK, PACKET_SIZE, UNREADABLE, Blocks, CdromDrive, Sense
from vmxon.devices.ide.channel import CommandSet, IdeChannel
from vmxon.devices.ide.status import (
    ABORTED,
    COMMAND_PACKET,
    COMPLETED,
    COUNT,
    DATA_TO_HOST,
    DEVICE_RESET,
    FEATURES,
    HIGH,
    MIDDLE,
)

PACKET, IDENTIFY_PACKET_DEVICE, IDENTIFY_DEVICE, READ_SECTORS = 0xA0, 0xA1, 0xEC, 0x20
USE_DMA, OVERLAPPED = 1, 2
"""Features of PACKET."""
LARGEST_CHUNK = 0xFFFE
BLOCKS_AT_ONCE = 32
SET_TRANSFER_MODE = 0x03
WITHOUT_DATA = (0xE0, 0xE1, 0xE2, 0xE3, 0xE6, 0xE7)


class PacketCommands(CommandSet, saves=("chunk", "by_dma", "identified", "buffer", "next_block", "blocks_left")):
    """A CD-ROM drive on a channel."""

    signature: ClassVar[tuple[int, int, int, int]] = (1, 1, 0x14, 0xEB)
    prompt: ClassVar[frozenset[int]] = frozenset((PACKET,))

    def __init__(self, channel: IdeChannel, drive: CdromDrive) -> None:
        self.channel = channel
        self.drive = drive
        self.chunk = LARGEST_CHUNK
        """The most bytes that the guest wants at once."""
        self.by_dma = False
        self.identified = False
        """What the guest reads is no answer to a packet."""
        self.buffer = bytearray()
        """Bytes of the answer that the guest has not been offered yet, before those of the blocks."""
        self.next_block = 0
        self.blocks_left = 0

    def reset(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self.identified = False
        self.buffer.clear()
        self.blocks_left = 0

    # -- commands ------------------------------------------------------------------------------------------------------

    def execute(self, command: int) -> None:
        channel = self.channel
        self._forget()
        count, feature = channel.low_bytes(COUNT, FEATURES)
        match command:
            case _ if command == PACKET:
                self._await_packet(feature)
            case _ if command == IDENTIFY_PACKET_DEVICE:
                self.identified = True
                channel.offer(self.drive.identify())
            case _ if command in (IDENTIFY_DEVICE, READ_SECTORS):
                # So a system tells a packet device from a disk (§8.15.5.2).
                channel.sign()
                channel.fail(ABORTED)
            case _ if command == DEVICE_RESET:
                channel.sign()
                channel.status = 0
            case 0xEF if feature == SET_TRANSFER_MODE and self.drive.modes.choose(count):
                channel.finish()
            case 0xE5:  # CHECK POWER MODE
                channel.show(count=0xFF)
                channel.finish()
            case _ if command in WITHOUT_DATA:
                channel.finish()
            case _:
                channel.fail(ABORTED)

    def _await_packet(self, feature: int) -> None:
        self.by_dma = bool(feature & USE_DMA)
        if feature & OVERLAPPED or (self.by_dma and not self.drive.modes.dma):
            self.channel.fail(ABORTED)
            return
        middle, high = self.channel.low_bytes(MIDDLE, HIGH)
        # 0 is as much as there can be; a chunk that is not the last has an even number of bytes.
        self.chunk = max(min(middle | high << 8 or LARGEST_CHUNK, LARGEST_CHUNK) & ~1, 2)
        self.channel.show(count=COMMAND_PACKET)
        self.channel.expect(PACKET_SIZE)

    # -- data ----------------------------------------------------------------------------------------------------------

    def block_written(self, data: bytes) -> None:
        answer = self.drive.execute(data)
        match answer:
            case Sense():
                self._end(answer)
            case Blocks(first, count):
                self.next_block, self.blocks_left = first, count
                self._answer(count * BLOCK)
            case _:
                self.buffer[:] = answer
                self._answer(len(answer))

    def _answer(self, size: int) -> None:
        if not size:
            self.complete()
        elif self.by_dma:
            self.channel.show(count=DATA_TO_HOST)
            self.channel.move(size, to_memory=True)
        else:
            self._offer()

    def _offer(self) -> None:
        """The next chunk by PIO; the last one of an odd size has a byte of padding."""
        data = self._take(self.chunk)
        if data:
            self.channel.show(count=DATA_TO_HOST, middle=len(data) & 0xFF, high=len(data) >> 8)
            self.channel.offer(data + bytes(len(data) % 2))

    def _take(self, size: int) -> bytes:
        """Up to `size` bytes of the answer; none where the disc cannot be read, and the command has failed."""
        while len(self.buffer) < size and self.blocks_left:
            count = min(self.blocks_left, BLOCKS_AT_ONCE)
            data = self.drive.read(self.next_block, count)
            if data is None:
                self._forget()
                self.drive.fail(UNREADABLE)
                self._end(UNREADABLE)
                return b""
            self.buffer += data
            self.next_block += count
            self.blocks_left -= count
        taken = bytes(self.buffer[:size])
        del self.buffer[:size]
        return taken

    def block_read(self) -> None:
        if self.identified:
            self.identified = False
            self.channel.finish(interrupt=False)
        elif self.buffer or self.blocks_left:
            self._offer()
        else:
            self.complete()

    def dma_read(self, size: int) -> bytes:
        return self._take(size)

    def complete(self) -> None:
        self._end(Sense(0))

    def _end(self, sense: Sense) -> None:
        self.channel.show(count=COMPLETED)
        if sense.key:
            self.channel.fail(sense.key << 4 | ABORTED)
        else:
            self.channel.finish()
