"""A CD-ROM drive: what it answers to the commands of SCSI's multimedia set, and the disc in it.

Sources: SCSI Primary Commands 3 (T10 1416-D), SCSI Multimedia Commands 4 (T10 1545-D). A disc is one data track of 2048-byte
blocks, as an ISO file is. Audio, sessions, writing and raw sectors are not there.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from vmxon.devices.disk.drive import identity_text
from vmxon.devices.disk.image import SECTOR, Disk, DiskImageError
from vmxon.devices.disk.modes import TransferModes
from vmxon.devices.state import Saved

BLOCK = 2048
"""Bytes in a block of a data track."""
SECTORS = BLOCK // SECTOR
PACKET_SIZE = 12
LEAD_OUT = 0xAA
PREGAP, FRAMES, SECONDS = 150, 75, 60
"""Blocks before block 0 in times of minute, second and frame; frames in a second, seconds in a minute."""
SPEED = 706
"""Kilobytes a second: four times that of audio."""
CD_ROM_PROFILE = 0x0008
ERROR_PAGE, CAPABILITIES_PAGE, ALL_PAGES = 0x01, 0x2A, 0x3F


@dataclass(frozen=True, slots=True)
class Sense:
    """Why a command failed: sense key, additional sense code and its qualifier."""

    key: int
    code: int = 0
    qualifier: int = 0


GOOD = Sense(0)
NO_MEDIUM = Sense(2, 0x3A)
UNREADABLE = Sense(3, 0x11)
UNKNOWN_COMMAND = Sense(5, 0x20)
OUT_OF_RANGE = Sense(5, 0x21)
BAD_FIELD = Sense(5, 0x24)
NOT_SAVED = Sense(5, 0x39)
LOCKED = Sense(5, 0x53, 0x02)
CHANGED = Sense(6, 0x28)


@dataclass(frozen=True, slots=True)
class Blocks:
    """An answer that is read from the disc."""

    first: int
    count: int


Answer = bytes | Blocks | Sense
"""Data, blocks of the disc, or how the command ended without data."""


class CdromDrive(Saved, saves=("sense", "locked", "open", "changed", "event", "modes")):
    """A drive with a disc or without; `failure` is the last DiskImageError that the guest saw as an unreadable block."""

    def __init__(self, disk: Disk | None = None, model: str = "VMXON CD-ROM", serial: str = "VX00002") -> None:
        self.disk = disk
        self.model, self.serial = model, serial
        self.modes = TransferModes()
        self.sense = [0, 0, 0]
        self.locked = False
        self.open = False
        self.changed = False
        """The next command but a few is told that there is another disc."""
        self.event = 0
        """What GET EVENT STATUS NOTIFICATION will tell: 2 a new disc, 3 none any more."""
        self.failure: DiskImageError | None = None

    @property
    def blocks(self) -> int:
        """Blocks of the disc."""
        return 0 if self.disk is None else -(-self.disk.sectors // SECTORS)

    @property
    def loaded(self) -> bool:
        """There is a disc in the closed tray."""
        return self.disk is not None and not self.open

    def insert(self, disk: Disk | None) -> None:
        """Change the disc, or take it out; the guest hears of it."""
        self.disk, self.open = disk, False
        self.changed = disk is not None
        self.event = 2 if disk is not None else 3

    def read(self, first: int, count: int) -> bytes | None:
        """Blocks, or None where the image is broken."""
        if self.disk is None:
            return None
        start = first * SECTORS
        try:
            data = self.disk.read(start, min(count * SECTORS, self.disk.sectors - start))
        except DiskImageError as error:
            self.failure = error
            return None
        return data.ljust(count * BLOCK, b"\0")

    def identify(self) -> bytes:
        """The 512 bytes of IDENTIFY PACKET DEVICE (ATA/ATAPI-6, §8.16)."""
        words = [0] * 256
        words[0] = 0x85C0  # a removable CD-ROM with packets of 12 bytes
        words[10:20] = identity_text(self.serial, 20)
        words[23:27] = identity_text("1.0", 8)
        words[27:47] = identity_text(self.model, 40)
        self.modes.describe(words)
        words[80] = 0x007E  # ATA-1 to ATA-6
        words[82] = words[85] = 0x0210  # PACKET, DEVICE RESET
        words[83] = words[84] = words[87] = 0x4000
        words[93] = 0x6001
        return struct.pack("<256H", *words)

    # -- commands ------------------------------------------------------------------------------------------------------

    def execute(self, packet: bytes) -> Answer:
        """What the drive answers to a command packet of 12 bytes; a `Sense` other than GOOD stays until it is asked for."""
        answer = self._answer(packet)
        if packet[0] != REQUEST_SENSE:
            self.fail(answer if isinstance(answer, Sense) else GOOD)
        return answer

    def fail(self, sense: Sense) -> None:
        """Keep a sense for REQUEST SENSE."""
        self.sense = [sense.key, sense.code, sense.qualifier]

    def _answer(self, packet: bytes) -> Answer:
        command = self.COMMANDS.get(packet[0])
        if command is None:
            return UNKNOWN_COMMAND
        if packet[0] not in ALWAYS and self.changed:
            self.changed = False
            return CHANGED
        if packet[0] in WITH_DISC and not self.loaded:
            return NO_MEDIUM
        return command(self, packet)

    def _test_unit_ready(self, packet: bytes) -> Answer:
        return GOOD

    def _request_sense(self, packet: bytes) -> Answer:
        key, code, qualifier = self.sense
        self.sense = [0, 0, 0]
        return bytes((0x70, 0, key, 0, 0, 0, 0, 10, 0, 0, 0, 0, code, qualifier, 0, 0, 0, 0))[: packet[4]]

    def _inquiry(self, packet: bytes) -> Answer:
        if packet[1] & 1 or packet[2]:  # vital product data
            return BAD_FIELD
        vendor, _, product = self.model.partition(" ")
        text = vendor[:8].ljust(8) + product[:16].ljust(16) + "1.0 "
        return (bytes((5, 0x80, 0, 0x21, 31, 0, 0, 0)) + text.encode("ascii", "replace"))[: packet[4]]

    def _mode_sense_6(self, packet: bytes) -> Answer:
        pages = self._pages(packet[2])
        if isinstance(pages, Sense):
            return pages
        return (bytes((3 + len(pages), self._medium, 0, 0)) + pages)[: packet[4]]

    def _mode_sense_10(self, packet: bytes) -> Answer:
        pages = self._pages(packet[2])
        if isinstance(pages, Sense):
            return pages
        return (struct.pack(">HB5x", 6 + len(pages), self._medium) + pages)[: _word(packet, 7)]

    @property
    def _medium(self) -> int:
        """Medium type: door open, no disc, a data disc of 120 mm."""
        if self.open:
            return 0x71
        return 0x01 if self.disk is not None else 0x70

    def _pages(self, which: int) -> bytes | Sense:
        control, page = which >> 6, which & 0x3F
        if control == 3:
            return NOT_SAVED
        wanted = [number for number in (ERROR_PAGE, CAPABILITIES_PAGE) if page in (number, ALL_PAGES)]
        if not wanted:
            return BAD_FIELD
        pages = {
            ERROR_PAGE: bytes((ERROR_PAGE, 6, 0, 5, 0, 0, 0, 0)),
            # Reads nothing but data; can lock and eject; has a tray.
            CAPABILITIES_PAGE: struct.pack(
                ">BB4xBxHHHH6x", CAPABILITIES_PAGE, 20, 0x29 | self.locked << 1, SPEED, 0, 0, SPEED
            ),
        }
        # What a guest may change, it is told, is nothing.
        return b"".join(pages[number][:2] + (bytes(len(pages[number]) - 2) if control == 1 else pages[number][2:]) for number in wanted)

    def _start_stop(self, packet: bytes) -> Answer:
        load, start = packet[4] >> 1 & 1, packet[4] & 1
        if load and not start:
            if self.locked:
                return LOCKED
            self.event = 0 if self.open else 3
            self.open = True
        elif load:
            if self.open and self.disk is not None:
                self.event, self.changed = 2, True
            self.open = False
        return GOOD

    def _prevent(self, packet: bytes) -> Answer:
        self.locked = bool(packet[4] & 1)
        return GOOD

    def _capacity(self, packet: bytes) -> Answer:
        return struct.pack(">II", self.blocks - 1, BLOCK)

    def _read_10(self, packet: bytes) -> Answer:
        return self._blocks(_double(packet, 2), _word(packet, 7))

    def _read_12(self, packet: bytes) -> Answer:
        return self._blocks(_double(packet, 2), _double(packet, 6))

    def _read_cd(self, packet: bytes) -> Answer:
        count = packet[6] << 16 | _word(packet, 7)
        match packet[9] & 0xF8:
            case 0x00:
                return GOOD
            case 0x10 if not packet[9] & 7 and not packet[10] & 7:  # user data alone
                return self._blocks(_double(packet, 2), count)
        return BAD_FIELD

    def _blocks(self, first: int, count: int) -> Answer:
        if first + count > self.blocks:
            return OUT_OF_RANGE
        return Blocks(first, count) if count else GOOD

    def _seek(self, packet: bytes) -> Answer:
        return GOOD if _double(packet, 2) < self.blocks else OUT_OF_RANGE

    def _contents(self, packet: bytes) -> Answer:
        """READ TOC: one data track, then the lead-out; as blocks or as minute, second, frame."""
        times, wanted = bool(packet[1] & 2), packet[6]
        match packet[2] & 0x0F or packet[9] >> 6:
            case 0:
                if wanted > 1 and wanted != LEAD_OUT:
                    return BAD_FIELD
                tracks = ((1, 0),) if wanted <= 1 else ()
                rows = b"".join(self._track(number, first, times) for number, first in (*tracks, (LEAD_OUT, self.blocks)))
                return (struct.pack(">HBB", 2 + len(rows), 1, 1) + rows)[: _word(packet, 7)]
            case 1:
                return (struct.pack(">HBB", 10, 1, 1) + self._track(1, 0, times))[: _word(packet, 7)]
            case 2:
                last = self.blocks + PREGAP
                points = ((0xA0, 1, 0, 0), (0xA1, 1, 0, 0), (0xA2, *_time(last)), (1, *_time(PREGAP)))
                rows = b"".join(bytes((1, 0x14, 0, point, 0, 0, 0, 0, *time)) for point, *time in points)
                return (struct.pack(">HBB", 2 + len(rows), 1, 1) + rows)[: _word(packet, 7)]
        return BAD_FIELD

    def _track(self, number: int, first: int, times: bool) -> bytes:
        place = bytes((0, *_time(first + PREGAP))) if times else struct.pack(">I", first)
        return bytes((0, 0x14, number, 0)) + place

    def _configuration(self, packet: bytes) -> Answer:
        """GET CONFIGURATION: the profile list, core, removable medium, random reading, CD reading."""
        kind, start = packet[1] & 3, _word(packet, 2)
        present = int(self.loaded)
        features = (
            (0x0000, 3, struct.pack(">HBx", CD_ROM_PROFILE, present)),
            (0x0001, 3, struct.pack(">I", 2)),  # ATAPI
            (0x0003, 3, bytes((0x29, 0, 0, 0))),  # a tray that locks and ejects
            (0x0010, 1, struct.pack(">IHBx", BLOCK, 1, 0)),
            (0x001E, 1, bytes(4)),
        )
        rows = b""
        for number, flags, data in features:
            current = flags & 2 or present
            if (number < start and kind != 2) or (kind == 2 and number != start) or (kind == 1 and not current):
                continue
            rows += struct.pack(">HBB", number, flags & ~1 | 1 if current else flags & ~1, len(data)) + data
        return (struct.pack(">IHH", 4 + len(rows), 0, CD_ROM_PROFILE if present else 0) + rows)[: _word(packet, 7)]

    def _event_status(self, packet: bytes) -> Answer:
        """GET EVENT STATUS NOTIFICATION, polled: media events are all that there are."""
        if not packet[1] & 1:
            return BAD_FIELD
        if not packet[4] & 0x10:
            return struct.pack(">HBB", 2, 0x80, 0x10)[: _word(packet, 7)]
        event, self.event = self.event, 0
        status = self.open | self.loaded << 1
        return struct.pack(">HBBBBxx", 6, 4, 0x10, event, status)[: _word(packet, 7)]

    def _sub_channel(self, packet: bytes) -> Answer:
        """READ SUB-CHANNEL: no audio plays."""
        return (bytes((0, 0x15, 0, 0)))[: _word(packet, 7)]

    def _disc_information(self, packet: bytes) -> Answer:
        """READ DISC INFORMATION: a finished disc of one session and one track."""
        return struct.pack(">HBBBBBBB25x", 32, 0x0E, 1, 1, 1, 1, 0x20, 0)[: _word(packet, 7)]

    def _mechanism(self, packet: bytes) -> Answer:
        return struct.pack(">BB6x", 0, self.open << 4)[: _word(packet, 8)]

    def _nothing(self, packet: bytes) -> Answer:
        return GOOD

    COMMANDS: ClassVar[dict[int, Callable[[CdromDrive, bytes], Answer]]] = {
        0x00: _test_unit_ready,
        0x03: _request_sense,
        0x12: _inquiry,
        0x1A: _mode_sense_6,
        0x1B: _start_stop,
        0x1E: _prevent,
        0x25: _capacity,
        0x28: _read_10,
        0x2B: _seek,
        0x2F: _nothing,  # VERIFY
        0x35: _nothing,  # SYNCHRONIZE CACHE
        0x42: _sub_channel,
        0x43: _contents,
        0x46: _configuration,
        0x4A: _event_status,
        0x51: _disc_information,
        0x5A: _mode_sense_10,
        0xA8: _read_12,
        0xBB: _nothing,  # SET CD SPEED
        0xBD: _mechanism,
        0xBE: _read_cd,
    }


REQUEST_SENSE = 0x03
ALWAYS = (REQUEST_SENSE, 0x12, 0x46, 0x4A)
"""Commands that never hear of a changed disc."""
WITH_DISC = (0x00, 0x25, 0x28, 0x2B, 0x2F, 0x42, 0x43, 0x51, 0xA8, 0xBE)


def _word(packet: bytes, at: int) -> int:
    return int.from_bytes(packet[at : at + 2], "big")


def _double(packet: bytes, at: int) -> int:
    return int.from_bytes(packet[at : at + 4], "big")


def _time(block: int) -> tuple[int, int, int]:
    """Minute, second and frame; a disc longer than 255 minutes wraps."""
    return block // FRAMES // SECONDS & 0xFF, block // FRAMES % SECONDS, block % FRAMES
