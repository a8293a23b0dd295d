"""Starting a CD-ROM: its boot catalog, the program in it, and the diskette that it may be.

Source: Phoenix, IBM “El Torito Bootable CD-ROM Format Specification” version 1.0, §2 “The Booting Catalog”, §4.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from vmxon.devices.disk import SECTOR
from vmxon.machine.firmware.areas import BOOT_ADDRESS
from vmxon.machine.firmware.memory import BiosMemory
from vmxon.machine.firmware.services.disk_packets import DiskPackets
from vmxon.machine.firmware.services.units import Disc, Diskette, Geometry, Unit
from vmxon.machine.loader.image import RealStart

BOOT_RECORD = 17
"""The block of the boot record volume descriptor."""
IDENTIFIER = b"\0CD001\1EL TORITO SPECIFICATION"
CATALOG_AT = 0x47
VALIDATION, BOOTABLE = 1, 0x88
ENTRY = struct.Struct("<BBHBxHI")
NO_EMULATION, LAST_DISKETTE = 0, 3
DISKETTES = {1: Geometry(80, 2, 15), 2: Geometry(80, 2, 18), 3: Geometry(80, 2, 36)}
"""By media type: 1.2, 1.44 and 2.88 MB."""
SPECIFICATION = struct.Struct("<BBBBIHHHHBBB")
PER_BLOCK = 4
DISKETTE_NUMBER = 0


@dataclass(frozen=True, slots=True)
class Program:
    """The catalog's default entry."""

    media: int
    segment: int
    sectors: int
    """Of 512 bytes."""
    block: int


def find_program(disc: Disc) -> Program | str:
    """What the disc wants to have started, or why nothing can be."""
    record = _block(disc, BOOT_RECORD)
    if not record.startswith(IDENTIFIER):
        return "it has no boot record" if disc.sectors else "it has no disc"
    catalog = _block(disc, *struct.unpack_from("<I", record, CATALOG_AT))
    if catalog[0] != VALIDATION or catalog[30:32] != b"\x55\xaa" or sum(struct.unpack_from("<16H", catalog)) & 0xFFFF:
        return "its boot catalog is damaged"
    bootable, media, segment, _, sectors, block = ENTRY.unpack_from(catalog, 32)
    if bootable != BOOTABLE:
        return "its boot catalog has nothing to start"
    if media & 15 > LAST_DISKETTE:
        return f"its boot program wants media type {media & 15}, a hard disk"
    return Program(media & 15, segment or BOOT_ADDRESS >> 4, sectors or PER_BLOCK, block)


def _block(disc: Disc, number: int) -> bytes:
    """A block; zeros where the disc has none."""
    data = disc.read(number, 1) if number < disc.sectors else None
    return data if data is not None else bytes(disc.size)


class BootDisc:
    """A CD-ROM drive as INT 19h starts it; a diskette on the disc becomes drive 0."""

    def __init__(self, memory: BiosMemory, number: int, disc: Disc, units: dict[int, Unit], packets: DiskPackets) -> None:
        self.memory, self.number, self.disc, self.units, self.packets = memory, number, disc, units, packets

    def start(self) -> RealStart | str:
        """The program where it wants to be, if the disc has one."""
        name = f"CD-ROM {self.number:02X}h"
        program = find_program(self.disc)
        if isinstance(program, str):
            return f"{name}: {program}"
        blocks = -(-program.sectors // PER_BLOCK)
        data = self.disc.read(program.block, blocks) if program.block + blocks <= self.disc.sectors else None
        if data is None:
            return f"{name}: its boot program ends past the disc's {self.disc.sectors} blocks"
        number = self.number
        if program.media != NO_EMULATION:
            number = DISKETTE_NUMBER
            self.units[number] = Diskette(self.disc, program.block, DISKETTES[program.media])
        self.memory.write(program.segment << 4, data[: program.sectors * SECTOR])
        self.packets.specification = SPECIFICATION.pack(
            SPECIFICATION.size, program.media, number, 0, program.block, 0, 0, program.segment, program.sectors, 0, 0, 0
        )
        # Some programs compare CS with 0: the same place, told as the boot sector of a disk is.
        return RealStart(program.segment & 0xF000, program.segment << 4 & 0xFFFF, drive=number)
