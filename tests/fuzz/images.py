"""The image campaign: damaged qcow2, VMDK and raw images give sectors or one clear line, and no file is read outside its bounds."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from tests.fuzz.campaign import Outcome, Report
from vmxon.devices.disk import DiskImageError, open_image

BATCH = 200
MEMORY_FOLDER = Path("/dev/shm")
"""Linux has a file system in memory there; elsewhere the usual folder serves."""
SECTORS = 16
LARGEST_READ = 64
CONTENT = b"".join(struct.pack("<H", n) * 256 for n in range(SECTORS))
EDGES = (0, 1, 0x7F, 0x80, 0xFF)
NUMBERS = (0, 1, 9, 16, 21, 22, 0x200, 0x400, 0x600, 0x7FFF_FFFF, 0xFFFF_FFFF, 1 << 62, 1 << 63, (1 << 64) - 1)
DESCRIPTOR = b"""# Disk DescriptorFile
version=1
CID=fffffffe
parentCID=ffffffff
createType="monolithicFlat"
RW 8 FLAT "disk-flat.vmdk" 0
RW 4 ZERO
RW 4 FLAT "disk-flat.vmdk" 8
"""


def qcow2_image(chance: Random) -> bytes:
    """An image of 16 sectors in clusters of 512 bytes: absent, zero, plain and compressed ones."""
    header = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", chance.choice((2, 3)), 0, 0, 9, 16 * 512, 0, 1, 512, 0, 0, 0, 0)
    header += struct.pack(">QQQII", 0, 0, 0, 4, 104)
    entries = [chance.choice((0, 1, 0x600, 0x800 | 1 << 63, 1 << 62 | 0x900, 1 << 62 | 1 << 61 | 0xA03)) for _ in range(64)]
    tables = struct.pack(">Q", 0x400 | 1 << 63).ljust(512, b"\0") + struct.pack(">64Q", *entries)
    return header.ljust(512, b"\0") + tables + CONTENT[:2048]


def vmdk_image(chance: Random) -> bytes:
    """A descriptor; its extents are in the file beside it."""
    lines = DESCRIPTOR.splitlines(keepends=True)
    if chance.random() < 0.3:
        chance.shuffle(lines)
    return b"".join(lines)


SOURCES: tuple[Callable[[Random], bytes], ...] = (qcow2_image, qcow2_image, vmdk_image, lambda chance: CONTENT)


def damage(chance: Random, image: bytes) -> bytes:
    """A few bytes or whole numbers changed, a piece moved or lost; most of the damage is where the structure is."""
    data = bytearray(image)
    for _ in range(chance.choice((1, 1, 2, 4))):
        at = chance.randrange(min(len(data), chance.choice((112, 112, 0x610, len(data)))) or 1) if data else 0
        match chance.randrange(6):
            case 0:
                data[at : at + 1] = bytes((chance.choice(EDGES),))
            case 1:
                data[at : at + 1] = bytes((chance.randrange(256),))
            case 2:
                size = chance.choice((4, 8))
                number = chance.choice(NUMBERS) & (1 << 8 * size) - 1
                data[at & -4 : (at & -4) + size] = number.to_bytes(size, "big")
            case 3:
                del data[at : at + chance.choice((1, 8, 512))]
            case 4:
                data[at:at] = data[at : at + 16]
            case _:
                del data[at + chance.randrange(512) :]
    return bytes(data)


def try_image(chance: Random, folder: Path) -> bool:
    """One case: open, read here and there, close. True where it opened."""
    path = folder / "disk.img"
    path.write_bytes(damage(chance, chance.choice(SOURCES)(chance)))
    try:
        disk = open_image(path)
    except DiskImageError as error:
        if "\n" in str(error):
            raise ValueError(f"more than one line: {error}") from error
        return False
    try:
        for _ in range(3):
            lba = chance.randrange(disk.sectors)
            count = chance.randint(0, min(LARGEST_READ, disk.sectors - lba))
            try:
                if len(disk.read(lba, count)) != 512 * count:
                    raise ValueError(f"{count} sectors from {lba} on are not {512 * count} bytes")
            except DiskImageError:
                continue
    finally:
        disk.close()
    return True


def run(count: int, seed: int, report: Report) -> Outcome:
    """`count` images; a batch is repeated by its seed."""
    outcome = Outcome(0)
    opened = 0
    with TemporaryDirectory(prefix="vmxon-fuzz-", dir=MEMORY_FOLDER if MEMORY_FOLDER.is_dir() else None) as name:
        folder = Path(name)
        (folder / "disk-flat.vmdk").write_bytes(CONTENT)
        while outcome.cases < count:
            chance = Random(seed)
            failures = []
            for case in range(min(BATCH, count - outcome.cases)):
                try:
                    opened += try_image(chance, folder)
                except Exception as error:  # noqa: BLE001 - anything but a DiskImageError is what we look for
                    failures.append(f"images, seed {seed}, case {case}: {type(error).__name__}: {error}")
                outcome.cases += 1
            outcome.failures += failures
            report(outcome.cases, failures)
            seed += 1
    outcome.notes.append(f"{opened:,} opened")
    return outcome
