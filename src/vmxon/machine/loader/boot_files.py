"""A Linux kernel and what belongs to it, for a firmware in the ROM to start."""

from __future__ import annotations

from dataclasses import dataclass

from vmxon.errors import ImageError
from vmxon.machine.loader.linux import is_bzimage

SECTOR = 512
SETUP_SECTORS = 0x1F1


@dataclass(frozen=True, slots=True)
class BootFiles:
    """What a firmware is to start: a bzImage, its initial RAM disk and its command line."""

    kernel: bytes
    initrd: bytes = b""
    command_line: str = ""
    name: str = "kernel"

    def __post_init__(self) -> None:
        if not is_bzimage(self.kernel) or len(self.kernel) <= self.setup_size:
            raise ImageError("a firmware can start no such kernel", where=self.name, expected="a bzImage", advice="leave the ROM out")

    @property
    def setup_size(self) -> int:
        """Bytes of the real-mode part."""
        return ((self.kernel[SETUP_SECTORS] or 4) + 1) * SECTOR
