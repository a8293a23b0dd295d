"""INT 10h, the hardware's side: text modes, palette, fonts and switches.

Source: IBM PS/2 and PC BIOS Interface Technical Reference, “Interrupt 10H”, functions 00h, 10h, 11h and 12h; register values:
IBM PS/2 Hardware Interface Technical Reference, “VGA Function”.
"""

from __future__ import annotations

from dataclasses import dataclass

from vmxon.devices.vga import (
    TEXT_MODE_ATTRIBUTE,
    TEXT_MODE_CRTC,
    TEXT_MODE_GRAPHICS,
    TEXT_MODE_SEQUENCER,
    standard_palette,
)
from vmxon.machine.firmware.areas import Bda
from vmxon.machine.firmware.call import Call
from vmxon.machine.firmware.memory import BiosMemory, Ports, linear

PAGES = 8
CRTC = 0x3D4
ATTRIBUTE, MISCELLANEOUS, SEQUENCER, DAC_READ, DAC_WRITE, DAC, GRAPHICS, STATUS = (
    *(0x3C0, 0x3C2, 0x3C4, 0x3C7, 0x3C8, 0x3C9, 0x3CE, 0x3DA),
)
SCREEN_ON = 0x20
OVERSCAN, MODE_CONTROL = 0x11, 0x10
BLINK = 0x08
CURSOR_SHAPE = 0x0607
"""Lines 6 and 7 of 8: an underline."""
HEIGHT, ROWS = 16, 25
CRTC_40_COLUMNS = bytes.fromhex("2d2728902ba0bf1f004f0d0e000000009c8e8f141f96b9a3ff")
SEQUENCER_40_COLUMNS = bytes((3, 8, 3, 0, 2))
FONT_VECTORS = {0: 0x1F * 4, 1: 0x43 * 4}
"""Where the pointers to fonts are that INT 10h AX=1130h may be asked for; none is installed."""


@dataclass(frozen=True, slots=True)
class TextMode:
    """Registers of a mode."""

    columns: int
    page_bytes: int
    crtc: bytes
    sequencer: bytes


NARROW = TextMode(40, 0x800, CRTC_40_COLUMNS, SEQUENCER_40_COLUMNS)
WIDE = TextMode(80, 0x1000, TEXT_MODE_CRTC, TEXT_MODE_SEQUENCER)
MODES = {0: NARROW, 1: NARROW, 2: WIDE, 3: WIDE}


class VideoModes:
    """Sets modes and colours through the VGA's ports."""

    def __init__(self, memory: BiosMemory, ports: Ports) -> None:
        self.memory, self.ports = memory, ports

    def set(self, number: int, clear: bool) -> None:
        """A text mode, its colours, and an empty screen."""
        mode, memory = MODES[number], self.memory
        self._write(MISCELLANEOUS, 0x67)
        self._indexed(SEQUENCER, mode.sequencer)
        self._indexed(CRTC, bytes((mode.crtc[0x11] & 0x7F,)), 0x11)
        self._indexed(CRTC, mode.crtc)
        self._indexed(GRAPHICS, TEXT_MODE_GRAPHICS)
        for register, value in enumerate(TEXT_MODE_ATTRIBUTE):
            self._set_attribute(register, value)
        self._write(DAC_WRITE, 0)
        for value in standard_palette():
            self._write(DAC, value)
        memory.set_byte(Bda.VIDEO_MODE, number)
        memory.set_word(Bda.COLUMNS, mode.columns)
        memory.set_word(Bda.PAGE_BYTES, mode.page_bytes)
        memory.set_word(Bda.PAGE_START, 0)
        memory.write(Bda.CURSORS, bytes(2 * PAGES))
        memory.set_byte(Bda.PAGE, 0)
        memory.set_word(Bda.CRTC_PORT, CRTC)
        memory.set_byte(Bda.ROWS_MINUS_ONE, ROWS - 1)
        memory.set_word(Bda.CHARACTER_HEIGHT, HEIGHT)
        memory.set_byte(Bda.VIDEO_CONTROL, 0x60)
        memory.set_byte(Bda.VIDEO_SWITCHES, 0xF9)
        memory.set_byte(Bda.VIDEO_FLAGS, 0x51)
        memory.set_byte(Bda.DISPLAY_COMBINATION, 0x0B)
        if clear:
            memory.write(0xB8000, b"\x20\x07" * 0x4000)

    def _write(self, port: int, value: int) -> None:
        self.ports.write(port, 1, value)

    def _indexed(self, port: int, values: bytes, first: int = 0) -> None:
        for register, value in enumerate(values, first):
            self._write(port, register)
            self._write(port + 1, value)

    def _set_attribute(self, register: int, value: int) -> None:
        self.ports.read(STATUS, 1)  # the next write is an index
        self._write(ATTRIBUTE, register)
        self._write(ATTRIBUTE, value)
        self._write(ATTRIBUTE, SCREEN_ON)

    def _attribute(self, register: int) -> int:
        self.ports.read(STATUS, 1)
        self._write(ATTRIBUTE, register)
        value = self.ports.read(ATTRIBUTE + 1, 1)
        self.ports.read(STATUS, 1)
        self._write(ATTRIBUTE, SCREEN_ON)
        return value

    def palette(self, call: Call) -> None:
        """AH=10h."""
        match call.al:
            case 0x00:
                self._set_attribute(call.bl & 0x1F, call.bh)
            case 0x01:
                self._set_attribute(OVERSCAN, call.bh)
            case 0x02:
                values = self.memory.read(linear(call.es, call.dx), 17)
                for register, value in enumerate(values[:16]):
                    self._set_attribute(register, value)
                self._set_attribute(OVERSCAN, values[16])
            case 0x03:
                control = self._attribute(MODE_CONTROL) & ~BLINK
                self._set_attribute(MODE_CONTROL, control | (BLINK if call.bl & 1 else 0))
            case 0x07:
                call.bh = self._attribute(call.bl & 0x1F)
            case 0x08:
                call.bh = self._attribute(OVERSCAN)
            case 0x09:
                values = bytes(self._attribute(register) for register in (*range(16), OVERSCAN))
                self.memory.write(linear(call.es, call.dx), values)
            case _:
                self._colours(call)

    def _colours(self, call: Call) -> None:
        """The DAC's registers, one or a block."""
        match call.al:
            case 0x10:
                self._set_colours(call.bl, bytes((call.dh, call.ch, call.cl)))
            case 0x12:
                self._set_colours(call.bl, self.memory.read(linear(call.es, call.dx), 3 * min(call.cx, 256)))
            case 0x15:
                call.dh, call.ch, call.cl = self._get_colours(call.bl, 1)
            case 0x17:
                self.memory.write(linear(call.es, call.dx), self._get_colours(call.bl, min(call.cx, 256)))

    def _set_colours(self, first: int, values: bytes) -> None:
        self._write(DAC_WRITE, first)
        for value in values:
            self._write(DAC, value)

    def _get_colours(self, first: int, count: int) -> bytes:
        self._write(DAC_READ, first)
        return bytes(self.ports.read(DAC, 1) for _ in range(3 * count))

    def fonts(self, call: Call) -> None:
        """AH=11h: the one font that there is cannot be changed; 30h tells its height and the rows."""
        if call.al != 0x30:
            return
        vector = FONT_VECTORS.get(call.bh)
        call.bp, call.es = (self.memory.word(vector), self.memory.word(vector + 2)) if vector is not None else (0, 0)
        call.cx, call.dl = self.memory.word(Bda.CHARACTER_HEIGHT), self.memory.byte(Bda.ROWS_MINUS_ONE)

    def alternate(self, call: Call) -> None:
        """AH=12h: what adapter this is (BL=10h), and switches that are accepted."""
        if call.bl == 0x10:
            call.bh, call.bl = 0, 3  # colour, 256 KiB
            call.ch, call.cl = 0, self.memory.byte(Bda.VIDEO_SWITCHES) & 15
        elif 0x30 <= call.bl <= 0x36:
            call.al = 0x12
