"""The guest's console on the terminal: its output, the keys typed, the live text screen, and the progress of the engine's build."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TextIO

from vmxon.cli.keys import chords_of
from vmxon.cli.options import Console, MachineOptions
from vmxon.cli.screen import COLUMNS, LiveScreen, TextScreen
from vmxon.cli.terminal import GuestOutput, Terminal
from vmxon.machine.board import Board


def press(board: Board, data: bytes) -> None:
    """Type what a terminal sent on the guest's keyboard."""
    for chord in chords_of(data):
        board.keyboard.send_key(chord)


class GuestConsole:
    """Wires a board to the terminal; the sinks are known before the board is, the rest after."""

    def __init__(self, options: MachineOptions) -> None:
        self.options = options
        self.stream: TextIO = sys.stderr if options.json else sys.stdout
        self.output = GuestOutput(self.stream)
        self.serial = self._sink(Console.SERIAL)
        self.debug_console = self._sink(Console.E9)

    def _sink(self, console: Console) -> Callable[[int], None]:
        if console not in self.options.consoles:
            return lambda value: None
        return lambda value: self.output.write(bytes([value & 0xFF]))

    @contextmanager
    def attached(self, board: Board, post: Callable[[Callable[[], None]], None]) -> Iterator[None]:
        """While the guest runs: keys go to the board through `post`, and the VGA screen is drawn where asked for."""
        consoles = self.options.consoles

        def keys(data: bytes) -> None:
            if Console.SERIAL in consoles:
                post(lambda: board.uart.receive(data))
            if consoles != {Console.SERIAL}:
                post(lambda: press(board, data))

        with ExitStack() as stack:
            if Console.VGA in consoles:
                stack.enter_context(LiveScreen(lambda: text_screen(board), self.output))
            stack.enter_context(Terminal(keys))
            try:
                yield
            finally:
                self.output.finish_line()


def text_screen(board: Board) -> TextScreen:
    """What the VGA card shows now."""
    cells = b"".join(bytes(cell) for row in board.vga.screen(board.text_memory) for cell in row)
    cursor = board.vga.cursor
    return TextScreen(cells, None if cursor is None else cursor[0] * COLUMNS + cursor[1])


def show_build_progress(stream: TextIO) -> None:
    """Have the first start ever, which compiles the engine, draw a progress bar on a terminal, or say so in one line."""
    from vmxon.machine.processor import on_build

    started = False

    def progress(done: int, total: int) -> None:
        nonlocal started
        if stream.isatty():
            width = 30 * done // max(total, 1)
            end = "\r\x1b[K" if done >= total else ""
            stream.write(f"\r[{'#' * width}{'.' * (30 - width)}] compiling the engine, once for this version{end}")
            stream.flush()
        elif not started:
            stream.write("compiling the engine, once for this version (some seconds)\n")
            stream.flush()
        started = True

    on_build(progress)
