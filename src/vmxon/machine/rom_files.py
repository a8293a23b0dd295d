"""ROM files: the firmware's, and the VGA BIOS that distributions keep beside it."""

from __future__ import annotations

from pathlib import Path

from vmxon.errors import ImageError
from vmxon.machine.configuration import LARGEST_ROM

VIDEO_ROMS = ("vgabios-stdvga.bin", "vgabios-isavga.bin", "vgabios.bin")
"""Names of a VGA BIOS for plain VGA registers, as SeaBIOS's packages have them."""
LARGEST_VIDEO_ROM = 64 << 10


def read_rom(path: Path, largest: int = LARGEST_ROM) -> bytes:
    """The content of a ROM file.

    Raises:
        ImageError: it cannot be read, or is too large.
    """
    try:
        with path.open("rb") as file:
            data = file.read(largest + 1)
    except OSError as error:
        raise ImageError((error.strerror or str(error)).lower(), where=path) from None
    if len(data) > largest:
        raise ImageError(f"a ROM of more than {largest:#x} bytes", where=path)
    return data


def video_rom_beside(path: Path) -> bytes:
    """The VGA BIOS in the folder of a firmware's ROM file; empty where there is none.

    Raises:
        ImageError: it cannot be read, or is too large.
    """
    found = next((beside for name in VIDEO_ROMS if (beside := path.with_name(name)).is_file()), None)
    return b"" if found is None else read_rom(found, LARGEST_VIDEO_ROM)
