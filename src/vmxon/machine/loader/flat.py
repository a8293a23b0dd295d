"""A flat binary in real mode: bytes that begin with a boot sector, put where a BIOS puts one."""

from __future__ import annotations

from vmxon.errors import ImageError
from vmxon.machine.loader.image import BootImage, MemoryWrite, RealStart
from vmxon.machine.loader.information import CONVENTIONAL_END

ADDRESS = 0x7C00
SIGNATURE_AT, SIGNATURE = 510, b"\x55\xaa"


def is_flat(image: bytes) -> bool:
    """Its first sector ends as a boot sector does."""
    return image[SIGNATURE_AT : SIGNATURE_AT + 2] == SIGNATURE


def load_flat(image: bytes, name: str) -> BootImage:
    """All of it at 7C00h, where it starts after the firmware's self test.

    Raises:
        ImageError: it reaches into the extended BIOS data area.
    """
    most = CONVENTIONAL_END - ADDRESS
    if len(image) > most:
        raise ImageError(
            f"has {len(image):#x} bytes, and a boot sector",
            where=name,
            expected=f"at most {most:#x}",
            advice="is it a disk? give it as --drive",
        )
    return BootImage((MemoryWrite(ADDRESS, image, len(image)),), ADDRESS, start=RealStart(0, ADDRESS))
