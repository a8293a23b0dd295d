"""A VGA in text mode: its registers, and the screen as characters.

Source: IBM PS/2 Hardware Interface Technical Reference, “Video Subsystem”, “VGA Function”; timing: 720×400 at 70 Hz.
The display memory is guest RAM; nothing here is told when it changes.

Not there: graphics; the planes, so that 0xA0000–0xBFFFF is plain memory; a second character set; VESA's registers; a BIOS of its own.
"""

from __future__ import annotations

from typing import ClassVar, Protocol

from vmxon.arch.bits import Word, flag
from vmxon.devices.bus import Device, PortSpace, reads, writes
from vmxon.devices.clock import VirtualClock

WINDOW = 0x8000
"""Bytes of text memory, from guest-physical 0xB8000."""
LINE = 31_778
"""Nanoseconds of a scan line."""
FRAME_LINES, SHOWN_LINES, RETRACE_LINES = 449, 400, range(412, 414)
TEXT_MODE_CRTC = bytes.fromhex("5f4f50558281bf1f004f0d0e000000009c8e8f281f96b9a3ff")
"""The 25 CRT controller registers of mode 3: 80 × 25 characters of 9 × 16 dots."""
TEXT_MODE_ATTRIBUTE = bytes([0, 1, 2, 3, 4, 5, 0x14, 7, *range(0x38, 0x40), 0x0C, 0, 0x0F, 8, 0])
TEXT_MODE_SEQUENCER = bytes([3, 0, 3, 0, 2])
TEXT_MODE_GRAPHICS = bytes([0, 0, 0, 0, 0, 0x10, 0x0E, 0, 0xFF])
SEQUENCER_BITS = bytes([0x03, 0x3D, 0x0F, 0x3F, 0x0E])
GRAPHICS_BITS = bytes([0x0F, 0x0F, 0x0F, 0x1F, 0x03, 0x7B, 0x0F, 0x0F, 0xFF])
"""What each register holds; reserved bits read as 0."""
GLYPHS = (
    " ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼"
    + bytes(range(0x20, 0x7F)).decode("ascii")
    + "⌂"
    + bytes(range(0x80, 0xFF)).decode("cp437")
    + " "
)
"""What each of the 256 character codes looks like."""


class Memory(Protocol):
    """What the screen reads: a memoryview, bytes, or anything that indexes like them."""

    def __getitem__(self, index: int, /) -> int: ...

    def __len__(self) -> int: ...


class InputStatus(Word, width=8):
    """Input status register 1."""

    blanked = flag(0, "nothing is being displayed")
    retrace = flag(3, "vertical retrace")


def standard_palette() -> bytearray:
    """The first 64 colours of the DAC in text mode, as the BIOS loads them: two bits for each of red, green, blue."""
    palette = bytearray(768)
    for colour in range(64):
        for place, (strong, weak) in enumerate(((2, 5), (1, 4), (0, 3))):
            palette[3 * colour + place] = 42 * (colour >> strong & 1) + 21 * (colour >> weak & 1)
    return palette


class Vga(Device, span=0x30):
    """Registers at 0x3B0 to 0x3DF; powers on in mode 3 (80 × 25, sixteen colours)."""

    saves: ClassVar[tuple[str, ...]] = (
        "crtc", "crtc_index", "attribute", "attribute_index", "attribute_data_next", "sequencer", "sequencer_index",
        "graphics", "graphics_index", "dac", "dac_read", "dac_write", "dac_mask", "dac_reading", "miscellaneous",
        "feature",
    )  # fmt: skip

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.crtc = bytearray(TEXT_MODE_CRTC)
        self.crtc_index = 0
        self.attribute = bytearray(TEXT_MODE_ATTRIBUTE)
        self.attribute_index = 0x20
        self.attribute_data_next = False
        self.sequencer = bytearray(TEXT_MODE_SEQUENCER)
        self.sequencer_index = 0
        self.graphics = bytearray(TEXT_MODE_GRAPHICS)
        self.graphics_index = 0
        self.dac = standard_palette()
        self.dac_read = self.dac_write = 0
        """Positions in `dac`: three bytes for each colour."""
        self.dac_mask = 0xFF
        self.dac_reading = False
        self.miscellaneous = 0x67
        self.feature = 0

    def connect(self, ports: PortSpace) -> None:
        """Attach at 0x3B0."""
        ports.attach(0x3B0, self)

    # -- the screen ----------------------------------------------------------------------------------------------------

    @property
    def columns(self) -> int:
        """Characters in a row."""
        return self.crtc[0x01] + 1

    @property
    def rows(self) -> int:
        """Rows on the screen."""
        overflow = self.crtc[0x07]
        last_line = self.crtc[0x12] | (overflow & 0x02) << 7 | (overflow & 0x40) << 3
        return max((last_line + 1) // ((self.crtc[0x09] & 0x1F) + 1), 1)

    @property
    def start(self) -> int:
        """The character cell shown at the top left."""
        return self.crtc[0x0C] << 8 | self.crtc[0x0D]

    @property
    def cursor(self) -> tuple[int, int] | None:
        """Row and column of the cursor, or None where it is off or outside the screen."""
        if self.crtc[0x0A] & 0x20:
            return None
        row, column = divmod((self.crtc[0x0E] << 8 | self.crtc[0x0F]) - self.start, self._pitch())
        return (row, column) if 0 <= row < self.rows and column < self.columns else None

    def _pitch(self) -> int:
        return self.crtc[0x13] * 2 or self.columns

    def screen(self, memory: Memory) -> list[list[tuple[int, int]]]:
        """The rows of the screen as (character code, attribute), read from the 32 KiB at guest-physical 0xB8000."""
        size = min(len(memory), WINDOW) // 2
        if not size:
            return []
        pitch, columns = self._pitch(), self.columns
        rows = []
        for row in range(self.rows):
            cells = ((self.start + row * pitch + column) % size * 2 for column in range(columns))
            rows.append([(memory[cell], memory[cell + 1]) for cell in cells])
        return rows

    def text(self, memory: Memory) -> str:
        """The screen as text, without blanks at the end of a row."""
        return "\n".join("".join(GLYPHS[code] for code, _ in row).rstrip() for row in self.screen(memory))

    def colours(self) -> list[tuple[int, int, int]]:
        """Red, green and blue (0 to 255) of the sixteen text colours."""
        entries = ((self.attribute[colour] & 0x3F & self.dac_mask) * 3 for colour in range(16))
        return [(self._level(at), self._level(at + 1), self._level(at + 2)) for at in entries]

    def _level(self, position: int) -> int:
        return self.dac[position] * 255 // 63

    # -- CRT controller, at 0x3D4 in colour and at 0x3B4 in monochrome -------------------------------------------------

    def _here(self, colour: bool) -> bool:
        return bool(self.miscellaneous & 1) == colour

    @reads(0x24)
    def read_crtc_index(self) -> int:
        return self.crtc_index if self._here(colour=True) else 0xFF

    @reads(0x25)
    def read_crtc(self) -> int:
        return self._read_crtc() if self._here(colour=True) else 0xFF

    @writes(0x24)
    def select_crtc(self, value: int) -> None:
        if self._here(colour=True):
            self.crtc_index = value

    @writes(0x25)
    def write_crtc(self, value: int) -> None:
        if self._here(colour=True):
            self._write_crtc(value)

    @reads(0x04)
    def read_mono_crtc_index(self) -> int:
        return self.crtc_index if self._here(colour=False) else 0xFF

    @reads(0x05)
    def read_mono_crtc(self) -> int:
        return self._read_crtc() if self._here(colour=False) else 0xFF

    @writes(0x04)
    def select_mono_crtc(self, value: int) -> None:
        if self._here(colour=False):
            self.crtc_index = value

    @writes(0x05)
    def write_mono_crtc(self, value: int) -> None:
        if self._here(colour=False):
            self._write_crtc(value)

    def _read_crtc(self) -> int:
        return _register(self.crtc, self.crtc_index)

    def _write_crtc(self, value: int) -> None:
        index = self.crtc_index
        if index >= len(self.crtc):
            return
        if index <= 7 and self.crtc[0x11] & 0x80:  # protected, except for line-compare bit 8
            if index == 7:
                self.crtc[7] = self.crtc[7] & ~0x10 | value & 0x10
            return
        self.crtc[index] = value

    # -- attribute controller ------------------------------------------------------------------------------------------

    @reads(0x10)
    def read_attribute_index(self) -> int:
        return self.attribute_index

    @writes(0x10)
    def write_attribute(self, value: int) -> None:
        if not self.attribute_data_next:
            self.attribute_index = value & 0x3F
        elif self.attribute_index & 0x1F < len(self.attribute):
            self.attribute[self.attribute_index & 0x1F] = value
        self.attribute_data_next = not self.attribute_data_next

    @reads(0x11)
    def read_attribute(self) -> int:
        return _register(self.attribute, self.attribute_index & 0x1F)

    # -- status and miscellaneous --------------------------------------------------------------------------------------

    @reads(0x12)
    def input_status_0(self) -> int:
        return 0x10  # a monitor is attached

    @writes(0x12)
    def write_miscellaneous(self, value: int) -> None:
        self.miscellaneous = value

    @reads(0x1C)
    def read_miscellaneous(self) -> int:
        return self.miscellaneous

    @reads(0x1A)
    def read_feature(self) -> int:
        return self.feature

    @reads(0x2A)
    def input_status_1(self) -> int:
        return self._status() if self._here(colour=True) else 0xFF

    @reads(0x0A)
    def mono_input_status_1(self) -> int:
        return self._status() if self._here(colour=False) else 0xFF

    def _status(self) -> int:
        """Also: the next write to 0x3C0 is an index."""
        self.attribute_data_next = False
        line, into_line = divmod(self.clock.now % (LINE * FRAME_LINES), LINE)
        blanked = line >= SHOWN_LINES or into_line >= LINE * 8 // 10
        return InputStatus(0).replace(blanked=blanked, retrace=line in RETRACE_LINES)

    @writes(0x2A)
    def write_feature(self, value: int) -> None:
        self.feature = value & 3

    # -- sequencer and graphics controller -----------------------------------------------------------------------------

    @reads(0x14)
    def read_sequencer_index(self) -> int:
        return self.sequencer_index

    @writes(0x14)
    def select_sequencer(self, value: int) -> None:
        self.sequencer_index = value & 7

    @reads(0x15)
    def read_sequencer(self) -> int:
        return _register(self.sequencer, self.sequencer_index)

    @writes(0x15)
    def write_sequencer(self, value: int) -> None:
        if self.sequencer_index < len(self.sequencer):
            self.sequencer[self.sequencer_index] = value & SEQUENCER_BITS[self.sequencer_index]

    @reads(0x1E)
    def read_graphics_index(self) -> int:
        return self.graphics_index

    @writes(0x1E)
    def select_graphics(self, value: int) -> None:
        self.graphics_index = value & 0x0F

    @reads(0x1F)
    def read_graphics(self) -> int:
        return _register(self.graphics, self.graphics_index)

    @writes(0x1F)
    def write_graphics(self, value: int) -> None:
        if self.graphics_index < len(self.graphics):
            self.graphics[self.graphics_index] = value & GRAPHICS_BITS[self.graphics_index]

    # -- palette -------------------------------------------------------------------------------------------------------

    @reads(0x16)
    def read_dac_mask(self) -> int:
        return self.dac_mask

    @writes(0x16)
    def write_dac_mask(self, value: int) -> None:
        self.dac_mask = value

    @reads(0x17)
    def dac_state(self) -> int:
        return 3 if self.dac_reading else 0

    @writes(0x17)
    def select_dac_read(self, value: int) -> None:
        self.dac_read, self.dac_reading = value * 3, True

    @reads(0x18)
    def read_dac_index(self) -> int:
        return self.dac_write // 3

    @writes(0x18)
    def select_dac_write(self, value: int) -> None:
        self.dac_write, self.dac_reading = value * 3, False

    @reads(0x19)
    def read_dac(self) -> int:
        value = self.dac[self.dac_read]
        self.dac_read = (self.dac_read + 1) % len(self.dac)
        return value

    @writes(0x19)
    def write_dac(self, value: int) -> None:
        self.dac[self.dac_write] = value & 0x3F
        self.dac_write = (self.dac_write + 1) % len(self.dac)


def _register(values: bytearray, index: int) -> int:
    """A register that exists, else 0."""
    return values[index] if index < len(values) else 0
