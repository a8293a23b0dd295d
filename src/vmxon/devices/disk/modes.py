"""Transfer modes of an ATA drive, as IDENTIFY tells them.

Source: ATA/ATAPI-6 (T13 1410D), §8.46.11 “Set transfer mode”, §8.15 “IDENTIFY DEVICE”, words 49, 53, 63 to 68 and 88. The modes
differ in nothing but what is reported.
"""

from __future__ import annotations

from vmxon.devices.state import Saved

PIO_DEFAULT, PIO, MULTIWORD, ULTRA = 0x00, 0x08, 0x20, 0x40
HIGHEST = {PIO_DEFAULT: 1, PIO: 4, MULTIWORD: 2, ULTRA: 5}
"""The highest mode of each kind."""
WORD_DMA, CYCLE = 0x0007, 120
"""Multiword modes 0 to 2; nanoseconds of their cycle and of a PIO cycle."""
ULTRA_DMA = 0x003F
"""Ultra modes 0 to 5."""


class TransferModes(Saved, saves=("dma", "chosen")):
    """Which modes a drive has: PIO, and DMA where a bus master is there to use it."""

    def __init__(self) -> None:
        self.dma = False
        self.chosen = ULTRA | 5
        """The DMA mode in use."""

    def choose(self, mode: int) -> bool:
        """SET FEATURES, “set transfer mode”; False where there is no such mode."""
        kind = mode & 0x78
        if mode & 0x80 or kind not in HIGHEST or mode & 7 > HIGHEST[kind]:
            return False
        if kind in (MULTIWORD, ULTRA):
            if not self.dma:
                return False
            self.chosen = mode
        return True

    def describe(self, words: list[int]) -> None:
        """Fill in the words of IDENTIFY that are about transfer modes."""
        words[49] |= 0x0A00  # LBA, IORDY
        words[51] = 0x0200  # PIO mode 2
        words[53] |= 0x0002  # words 64 to 70 are valid
        words[64] = 0x0003  # PIO modes 3 and 4
        words[67] = words[68] = CYCLE
        if self.dma:
            kind, number = self.chosen & 0x78, self.chosen & 7
            words[49] |= 0x0100
            words[53] |= 0x0004  # word 88 is valid
            words[63] = WORD_DMA | (0x100 << number if kind == MULTIWORD else 0)
            words[65] = words[66] = CYCLE
            words[88] = ULTRA_DMA | (0x100 << number if kind == ULTRA else 0)
