"""The PC's memory map: RAM around the hole below 4 GiB, the windows from 640 KiB to 1 MiB, the firmware's ROM, address line 20.

Sources: Intel 82441FX (PMC) data sheet (290549), “System Address Map” and “PAM—Programmable Attribute Map Registers”; QEMU's
documentation for what a ROM file is mapped to: all of it below 4 GiB, its last 128 KiB below 1 MiB as well.

    0         – 0x9FFFF     RAM
    0xA0000   – 0xBFFFF     display memory
    0xC0000   – 0xFFFFF     thirteen segments, each RAM or what lies behind it: the ROM from 0xE0000 on, nothing before
    0x100000  – 3 GiB       RAM, as far as there is some
    4 GiB − n – 4 GiB       the ROM
    4 GiB     –             RAM that did not fit below 3 GiB
"""

from __future__ import annotations

from vmxon.engine.memory_layout import EXTENDED, HIGH, PAGE
from vmxon.engine.native import Engine
from vmxon.processor.memory_map import NOWHERE, TO_READ, TO_WRITE, WINDOWS

SHADOW = 0x20000
"""Bytes of the ROM's end that show up below 1 MiB."""
SEGMENTS = ((0xF0000, 0x10000), *((0xC0000 + 0x4000 * number, 0x4000) for number in range(12)))
"""First address and size of what one half of a PAM register rules: the BIOS segment, then 16 KiB each from 0xC0000 to 0xEFFFF."""
ALL_LINES = (1 << 64) - 1
LINE_20 = 1 << 20


class MemoryMap:
    """The map of one machine, with the bytes of a ROM or none."""

    def __init__(self, engine: Engine, rom: bytes = b"") -> None:
        self.engine = engine
        self.rom = len(rom)
        self._rom_place = engine.layout.memory
        engine.write_place(self._rom_place, rom)
        self.reading, self.writing = [False] * len(SEGMENTS), [False] * len(SEGMENTS)
        """For each segment whether reads and writes go to RAM."""
        self.reset()

    def reset(self) -> None:
        """The state after RESET: the ROM is in front of RAM, where there is a ROM; address line 20 is let through."""
        self.engine.state.address_lines = ALL_LINES
        for number in range(len(SEGMENTS)):
            self._set(number, not self.rom, not self.rom)
        self._changed()

    def set_segment(self, number: int, *, read: bool, write: bool) -> None:
        """Let reads and writes of a segment go to RAM, or to what lies behind it, where writes are lost."""
        if (self.reading[number], self.writing[number]) != (read, write):
            self._set(number, read, write)
            self._changed()

    def set_a20(self, level: bool) -> None:
        """Let address line 20 through, or hold it low."""
        self.engine.state.address_lines = ALL_LINES if level else ALL_LINES & ~LINE_20
        self._changed()

    def _set(self, number: int, read: bool, write: bool) -> None:
        self.reading[number], self.writing[number] = read, write
        first, size = SEGMENTS[number]
        for page in range(first, first + size, PAGE):
            self.engine.state.windows[page - WINDOWS >> 12] = self._row(page, read, write)

    def _row(self, page: int, read: bool, write: bool) -> int:
        """What processor/memory_map.py may do without us: what a reader and a writer find must be the same bytes."""
        if read:
            return 0 if page >= self.engine.layout.low else page | TO_READ | (TO_WRITE if write else 0)
        behind = self._behind(page)
        return 0 if behind is None else behind | TO_READ

    def _behind(self, address: int) -> int | None:
        """The place of the ROM's byte at an address below 1 MiB."""
        distance = EXTENDED - address
        return self._rom_place + self.rom - distance if distance <= min(self.rom, SHADOW) else None

    def _changed(self) -> None:
        self.engine.call("invalidate_everything")
        self.engine.call("flush_blocks")

    def _segment(self, address: int) -> int | None:
        return next((number for number, (first, size) in enumerate(SEGMENTS) if first <= address < first + size), None)

    def read(self, address: int, size: int) -> int | None:
        """What a load finds that the processor could not make by itself; None where no memory answers."""
        if not (WINDOWS <= address < EXTENDED or HIGH - self.rom <= address < HIGH):
            return None
        at = self.engine.place(address, TO_READ)
        return None if at == NOWHERE else int.from_bytes(self.engine.store[at : at + size], "little")

    def write(self, address: int, size: int, value: int) -> bool:
        """Make a store that the processor could not make by itself; False where it is none of memory's, True also where a ROM drops it."""
        if not WINDOWS <= address < EXTENDED:
            return HIGH - self.rom <= address < HIGH
        segment = self._segment(address)
        if segment is None:
            return False
        if self.writing[segment] and address < self.engine.layout.low:
            self.engine.write_place(address, value.to_bytes(size, "little"))
        return True
