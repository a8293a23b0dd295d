"""INT 10h in text modes: cursor, characters, scrolling, pages.

Source: IBM PS/2 and PC BIOS Interface Technical Reference, “Interrupt 10H, Video”. There are no graphics modes and no VBE:
a request for one leaves the mode as it is, and AX=4Fxxh answers 0100h.
"""

from __future__ import annotations

from collections.abc import Callable

from vmxon.machine.firmware.areas import Bda
from vmxon.machine.firmware.call import Call
from vmxon.machine.firmware.memory import BiosMemory, Ports, linear
from vmxon.machine.firmware.services.video_modes import CURSOR_SHAPE, MODES, PAGES, VideoModes

TEXT, TEXT_BYTES = 0xB8000, 0x8000
CURSOR_START, START_HIGH, CURSOR_HIGH = 0x0A, 0x0C, 0x0E
BLANK = 0x20
NO_VBE = 0x0100
VGA_COLOUR = 0x0008
"""Display combination: a VGA with a colour monitor."""


class VideoServices:
    """The text screen; its state is in the data area, its cells from 0xB8000 on."""

    def __init__(self, memory: BiosMemory, ports: Ports) -> None:
        self.memory, self.ports = memory, ports
        self.modes = VideoModes(memory, ports)
        self.functions: dict[int, Callable[[Call], None]] = {
            0x00: self._set_mode,
            0x01: self._set_shape,
            0x02: lambda call: self._move(call.bh, call.dh, call.dl),
            0x03: self._get_cursor,
            0x05: lambda call: self._show_page(call.al),
            0x06: lambda call: self._scroll_window(call, up=True),
            0x07: lambda call: self._scroll_window(call, up=False),
            0x08: self._read_cell,
            0x09: lambda call: self._repeat(call, call.bl),
            0x0A: lambda call: self._repeat(call, None),
            0x0E: lambda call: self._type(self.page, bytes((call.al,))),
            0x0F: self._get_mode,
            0x10: self.modes.palette,
            0x11: self.modes.fonts,
            0x12: self.modes.alternate,
            0x13: self._write_string,
            0x1A: self._combination,
            0x4F: self._no_vbe,
        }

    def serve(self, call: Call) -> None:
        """INT 10h; functions that a text screen does not have do nothing."""
        function = self.functions.get(call.ah)
        if function is not None:
            function(call)

    def put(self, text: str) -> None:
        """Show a line of our own."""
        self._type(self.page, text.encode("ascii"))

    # State.
    @property
    def page(self) -> int:
        """The page that is shown."""
        return self.memory.byte(Bda.PAGE) % PAGES

    @property
    def columns(self) -> int:
        """Cells in a row; a data area that says nonsense counts as 80."""
        columns = self.memory.word(Bda.COLUMNS)
        return columns if columns in (40, 80) else 80

    @property
    def rows(self) -> int:
        """Rows on the screen."""
        return min(self.memory.byte(Bda.ROWS_MINUS_ONE) + 1, 50)

    def _cell(self, page: int, row: int, column: int) -> int:
        """Address of a cell."""
        return TEXT + (page % PAGES * self.memory.word(Bda.PAGE_BYTES) + (row * self.columns + column) * 2) % TEXT_BYTES

    def _cursor(self, page: int) -> tuple[int, int]:
        word = self.memory.word(Bda.CURSORS + 2 * (page % PAGES))
        return word >> 8, word & 0xFF

    def _crtc(self, register: int, value: int) -> None:
        """Two registers, the high byte in the first."""
        port = self.memory.word(Bda.CRTC_PORT)
        for number, byte in ((register, value >> 8 & 0xFF), (register + 1, value & 0xFF)):
            self.ports.write(port, 1, number)
            self.ports.write(port + 1 & 0xFFFF, 1, byte)

    # Mode, cursor, page.
    def _set_mode(self, call: Call) -> None:
        mode = call.al & 0x7F
        if mode in MODES:
            self.modes.set(mode, clear=not call.al & 0x80)
        call.al = 0x30 if mode <= 7 else 0x20

    def _get_mode(self, call: Call) -> None:
        call.al, call.ah, call.bh = self.memory.byte(Bda.VIDEO_MODE), self.columns, self.page

    def _set_shape(self, call: Call) -> None:
        self.memory.set_word(Bda.CURSOR_SHAPE, call.cx)
        # Programs give the lines of an 8-line cell; a VGA scales them to its 16 (cursor emulation).
        first, last = call.ch & 0x1F, call.cl & 0x1F
        if last < 8 and not call.ch & 0x20:
            first, last = (14, 15) if first >= 6 else (first * 2, last * 2 + 1)
        self._crtc(CURSOR_START, (call.ch & 0x20 | first) << 8 | last)

    def _move(self, page: int, row: int, column: int) -> None:
        if page >= PAGES:
            return
        self.memory.set_word(Bda.CURSORS + 2 * page, row << 8 | column)
        if page == self.page:
            self._crtc(CURSOR_HIGH, self.memory.word(Bda.PAGE_START) // 2 + row * self.columns + column)

    def _get_cursor(self, call: Call) -> None:
        call.cx = self.memory.word(Bda.CURSOR_SHAPE)
        call.dh, call.dl = self._cursor(call.bh)
        call.ax = 0

    def _show_page(self, page: int) -> None:
        if page >= PAGES:
            return
        start = page * self.memory.word(Bda.PAGE_BYTES)
        self.memory.set_byte(Bda.PAGE, page)
        self.memory.set_word(Bda.PAGE_START, start)
        self._crtc(START_HIGH, start // 2)
        self._move(page, *self._cursor(page))

    # Characters.
    def _read_cell(self, call: Call) -> None:
        call.ax = self.memory.word(self._cell(call.bh, *self._cursor(call.bh)))

    def _repeat(self, call: Call, attribute: int | None) -> None:
        """CX times the character in AL from the cursor on; the cursor stays."""
        row, column = self._cursor(call.bh)
        room = max(0, (self.rows - row) * self.columns - column)
        start = self._cell(call.bh, row, column)
        for place in range(min(call.cx, room)):
            self._put_cell(start + 2 * place, call.al, attribute)

    def _put_cell(self, address: int, character: int, attribute: int | None) -> None:
        self._store(address, bytes((character,)) if attribute is None else bytes((character, attribute)))

    def _store(self, address: int, data: bytes) -> None:
        """Write cells, none beyond the end of text memory, whatever the data area says."""
        room = TEXT + TEXT_BYTES - address
        if room > 0:
            self.memory.write(address, data[:room])

    def _type(self, page: int, text: bytes, attributes: bytes = b"") -> None:
        """Characters as a teletype would; each keeps the attribute of its cell where it brings none."""
        row, column = self._cursor(page)
        columns, last = self.columns, self.rows - 1
        for place, character in enumerate(text):
            attribute = attributes[place] if attributes else None
            match character:
                case 7:  # the bell, which nobody hears
                    continue
                case 8:
                    column = max(0, column - 1)
                case 10:
                    row += 1
                case 13:
                    column = 0
                case _:
                    self._put_cell(self._cell(page, row, column), character, attribute)
                    column += 1
                    if column >= columns:
                        row, column = row + 1, 0
            if row > last:
                row = last
                below = self.memory.byte(self._cell(page, last, min(column, columns - 1)) + 1)
                self._scroll(page, (0, 0, last, columns - 1), 1, below if attribute is None else attribute)
        self._move(page % PAGES, row, column)

    def _write_string(self, call: Call) -> None:
        """AL bit 0: the cursor follows; bit 1: each character brings its attribute."""
        page, before = call.bh % PAGES, self._cursor(call.bh)
        self._move(page, call.dh, call.dl)
        paired = bool(call.al & 2)
        data = self.memory.read(linear(call.es, call.bp), call.cx * (2 if paired else 1))
        if paired:
            self._type(page, data[::2], data[1::2])
        else:
            self._type(page, data, bytes((call.bl,)) * len(data))
        if not call.al & 1:
            self._move(page, *before)

    # Scrolling.
    def _scroll_window(self, call: Call, up: bool) -> None:
        window = (call.ch, call.cl, min(call.dh, self.rows - 1), min(call.dl, self.columns - 1))
        self._scroll(self.page, window, call.al if up else -call.al, call.bh)

    def _scroll(self, page: int, window: tuple[int, int, int, int], lines: int, attribute: int) -> None:
        """Move a window's rows up by `lines`, or down if negative; 0 blanks it."""
        top, left, bottom, right = window
        if top > bottom or left > right:
            return
        width, height = 2 * (right - left + 1), bottom - top + 1
        rows = [self.memory.read(self._cell(page, row, left), width) for row in range(top, bottom + 1)]
        blank = bytes((BLANK, attribute)) * (width // 2)
        if lines == 0 or abs(lines) >= height:
            moved = [blank] * height
        elif lines > 0:
            moved = rows[lines:] + [blank] * lines
        else:
            moved = [blank] * -lines + rows[:lines]
        for row, data in enumerate(moved, top):
            self._store(self._cell(page, row, left), data)

    # What is there.
    def _combination(self, call: Call) -> None:
        if call.al == 0:
            call.bx = VGA_COLOUR
        call.al = 0x1A

    def _no_vbe(self, call: Call) -> None:
        call.ax = NO_VBE

    def power_on(self) -> None:
        """80 × 25 in colour."""
        self.modes.set(3, clear=True)
        self.memory.set_word(Bda.CURSOR_SHAPE, CURSOR_SHAPE)
