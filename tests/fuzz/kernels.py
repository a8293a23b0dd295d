"""The kernel campaign: damaged boot images of every protocol give a boot image that fits memory, or one clear line."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from random import Random

from tests.fuzz.campaign import Outcome, Report
from tests.machine.loader.images import elf, multiboot_header
from tests.machine.loader.test_linux import bzimage, vmlinux
from tests.machine.loader.test_multiboot2 import header, tag
from vmxon.errors import ImageError
from vmxon.machine.loader.files import load_image
from vmxon.machine.loader.image import BootImage, Module
from vmxon.machine.loader.linux import LinuxEntry

BATCH = 500
MEMORY = 32 << 20
NUMBERS = (0, 1, 3, 4, 8, 0x1000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0xFFFF_F000, 1 << 32, 1 << 63, (1 << 64) - 1)


def _with_sections(image: bytes) -> bytes:
    """Two section headers behind a 32-bit program, the second for symbols."""
    body = bytearray(image.ljust(-(-len(image) // 8) * 8, b"\0"))
    table = len(body)
    body += bytes(40) + struct.pack("<10I", 1, 2, 0, 0, 52, 32, 0, 0, 4, 16)
    struct.pack_into("<I", body, 0x20, table)
    struct.pack_into("<HHH", body, 0x2E, 40, 2, 0)
    return bytes(body)


CODE = b"\x90" * 64
ADDRESSES = (0x20_0000, 0x20_0000, 0, 0x20_2000, 0x20_0030)
TAGS = (
    tag(1, struct.pack("<II", 6, 15)),
    tag(2, struct.pack("<4I", 0x20_0000, 0x20_0000, 0, 0)),
    tag(3, struct.pack("<I", 0x20_0060)),
    tag(10, struct.pack("<4I", 0x10_0000, 0x100_0000, 0x1000, 1)),
)
SOURCES: tuple[Callable[[Random], bytes], ...] = (
    lambda chance: elf(multiboot_header() + CODE, bits=chance.choice((32, 64)), size=0x2000),
    lambda chance: multiboot_header(0x1_0003, *ADDRESSES) + CODE,
    lambda chance: _with_sections(elf(multiboot_header() + CODE)),
    lambda chance: _with_sections(elf(bytes(4) + header(*chance.sample(TAGS, chance.randrange(4))) + CODE)),
    lambda chance: header(*TAGS[:3]) + CODE,
    lambda chance: vmlinux(),
    lambda chance: bzimage(),
    lambda chance: b"\xeb\xfe".ljust(510, b"\0") + b"\x55\xaa" + CODE,
    lambda chance: gzip.compress(elf(multiboot_header() + CODE), 1),
)


def damage(chance: Random, image: bytes) -> bytes:
    """A few bytes or whole numbers changed, a piece moved or lost; most of the damage is in the first headers."""
    data = bytearray(image)
    for _ in range(chance.choice((1, 1, 2, 4))):
        at = chance.randrange(min(len(data), chance.choice((64, 128, 0x270, len(data)))) or 1) if data else 0
        match chance.randrange(6):
            case 0 | 1:
                data[at : at + 1] = bytes((chance.choice((0, 1, 0x7F, 0xFF, chance.randrange(256))),))
            case 2 | 3:
                size = chance.choice((2, 4, 8))
                at &= -2
                data[at : at + size] = (chance.choice(NUMBERS) & (1 << 8 * size) - 1).to_bytes(size, "little")
            case 4:
                del data[at : at + chance.choice((1, 4, 32))]
            case _:
                del data[at + chance.randrange(256) :]
    return bytes(data)


def check(image: BootImage) -> None:
    """Every byte lands in memory, and no write is longer than the file and the modules could make it."""
    for write in image.writes:
        if write.address < 0 or write.end > MEMORY or len(write.data) > write.size:
            raise ValueError(f"a write of {len(write.data):#x} bytes to {write.address:#x}–{write.end:#x}")


def try_kernel(chance: Random) -> bool:
    """One case. True where it can be started."""
    data = damage(chance, chance.choice(SOURCES)(chance))
    modules = [Module("module", b"M" * 100, "line")] * chance.choice((0, 0, 1, 2))
    try:
        check(load_image(data, "file", MEMORY, "quiet", modules, chance.choice((0, 0xE_0000)), chance.choice(list(LinuxEntry))))
    except ImageError as error:
        line = str(error)
        if "\n" in line or not line.startswith(("file: ", "module: ")):
            raise ValueError(f"no clear line: {line}") from error
        return False
    return True


def run(count: int, seed: int, report: Report) -> Outcome:
    """`count` images; a batch is repeated by its seed."""
    outcome = Outcome(0)
    started = 0
    while outcome.cases < count:
        chance = Random(seed)
        failures = []
        for case in range(min(BATCH, count - outcome.cases)):
            try:
                started += try_kernel(chance)
            except Exception as error:  # noqa: BLE001 - anything but an ImageError is what we look for
                failures.append(f"kernels, seed {seed}, case {case}: {type(error).__name__}: {error}")
            outcome.cases += 1
        outcome.failures += failures
        report(outcome.cases, failures)
        seed += 1
    outcome.notes.append(f"{started:,} could be started")
    return outcome
