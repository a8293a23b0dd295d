"""The VGA text screen in the host's terminal: drawn live with ANSI sequences, left behind as text at the end."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from vmxon.cli.terminal import GuestOutput, interrupt_main_thread

COLUMNS, ROWS = 80, 25
FRAMES_PER_SECOND = 25

# Code page 437: the low 32 are pictures on a screen, where the codec has control characters.
GLYPHS = " ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼" + bytes(range(32, 127)).decode("ascii") + "⌂"
GLYPHS += bytes(range(128, 255)).decode("cp437") + " "

ANSI_COLOUR = (0, 4, 2, 6, 1, 5, 3, 7)
"""The adapter counts blue, green, red; ANSI counts red, green, blue."""


@dataclass(frozen=True, slots=True)
class TextScreen:
    """What the adapter shows: 80 × 25 cells of character and attribute, row by row, and the cursor's cell."""

    cells: bytes
    cursor: int | None = None
    """Index of a cell; None is hidden."""

    def __post_init__(self) -> None:
        if len(self.cells) != 2 * COLUMNS * ROWS:
            raise ValueError(f"cells must be {2 * COLUMNS * ROWS} bytes, not {len(self.cells)}")

    def row(self, number: int) -> bytes:
        """Characters and attributes of one row, interleaved."""
        return self.cells[2 * COLUMNS * number : 2 * COLUMNS * (number + 1)]

    def text(self) -> str:
        """The screen as plain lines, without trailing blanks."""
        lines = ("".join(GLYPHS[c] for c in self.row(n)[::2]).rstrip() for n in range(ROWS))
        return "\n".join(lines).rstrip("\n")


def colours(attribute: int) -> str:
    """The ANSI sequence for an attribute byte: bits 3:0 foreground, 6:4 background, 7 blink."""
    foreground = (90 if attribute & 8 else 30) + ANSI_COLOUR[attribute & 7]
    background = 40 + ANSI_COLOUR[attribute >> 4 & 7]
    return f"\x1b[0;{foreground};{background}{';5' if attribute & 0x80 else ''}m"


def draw_row(row: bytes, columns: int = COLUMNS) -> str:
    """One row, at most `columns` wide, with a colour sequence wherever the attribute changes."""
    drawn, current = [], -1
    for character, attribute in zip(row[: 2 * columns : 2], row[1 : 2 * columns : 2], strict=True):
        if attribute != current:
            drawn.append(colours(attribute))
            current = attribute
        drawn.append(GLYPHS[character])
    return "".join(drawn) + "\x1b[0m"


class LiveScreen:
    """The screen that `provider` returns, redrawn while the guest runs; only changed rows are written.

    `provider` is called on a thread of its own, 25 times a second. Where the output is no terminal, nothing is drawn
    until the end. Leaving prints the last screen as text, so that it stays readable.
    """

    def __init__(self, provider: Callable[[], TextScreen], output: GuestOutput) -> None:
        self._provider = provider
        self._output = output
        self._shown: TextScreen | None = None
        self._size = (0, 0)
        self._stop = threading.Event()
        self._failure: Exception | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._provider()  # an error belongs to the caller while nothing needs to be put back
        if self._output.is_terminal:
            self._output.write(b"\x1b[?1049h")
            self._thread = threading.Thread(target=self._redraw, name="screen", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            self._output.write(b"\x1b[0m\x1b[?25h\x1b[?1049l")
        if self._failure is not None:
            raise self._failure
        text = self._provider().text()
        if text:
            self._output.write(f"{text}\n".encode())

    def draw(self) -> None:
        """Write what differs from the screen shown, clipped to the terminal's size."""
        size = shutil.get_terminal_size((COLUMNS, ROWS))
        columns, rows = min(size.columns, COLUMNS), min(size.lines, ROWS)
        screen = self._provider()
        if (columns, rows) != self._size:
            self._size = (columns, rows)
            self._shown = None
            self._output.write(b"\x1b[0m\x1b[2J")
        if screen == self._shown:
            return
        parts = ["\x1b[?25l"]
        parts += [
            f"\x1b[{number + 1};1H{draw_row(screen.row(number), columns)}"
            for number in range(rows)
            if self._shown is None or self._shown.row(number) != screen.row(number)
        ]
        if screen.cursor is not None and 0 <= screen.cursor < COLUMNS * ROWS:
            row, column = divmod(screen.cursor, COLUMNS)
            if row < rows and column < columns:
                parts.append(f"\x1b[{row + 1};{column + 1}H\x1b[?25h")
        self._output.write("".join(parts).encode())
        self._shown = screen

    def _redraw(self) -> None:
        try:
            while not self._stop.wait(1 / FRAMES_PER_SECOND):
                self.draw()
        except Exception as error:  # noqa: BLE001 - raised again where the run ends, in the main thread
            self._failure = error
            interrupt_main_thread()
