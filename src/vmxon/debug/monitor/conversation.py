"""A monitor at the end of a channel: lines in, answers and a prompt out."""

from __future__ import annotations

from collections.abc import Callable

from vmxon import __version__
from vmxon.debug.monitor.commands import Monitor

Post = Callable[[Callable[[], None]], None]
LONGEST_LINE = 4096
BACKSPACES = b"\x08\x7f"
LINE_FEED, CARRIAGE_RETURN, SPACE = b"\n\r "
CLEAR_LINE = 0x15
"""Ctrl-U."""


class Conversation:
    """Bytes in, lines to the monitor in the machine's thread, its answers and the prompt to `write`.

    On a raw terminal `echo` shows what is typed; backspace and Ctrl-U edit everywhere.
    """

    def __init__(self, monitor: Monitor, post: Post, write: Callable[[bytes], None], prompt: str, *, echo: bool = False) -> None:
        self.monitor, self.post, self.write, self.prompt, self.echo = monitor, post, write, prompt, echo
        self.line = bytearray()
        self.after_return = False

    def opened(self) -> None:
        self.line.clear()
        self.write(f"vmxon {__version__} monitor - type 'help' for more information\r\n{self.prompt}".encode())

    def receive(self, data: bytes) -> None:
        for byte in data:
            if byte in b"\r\n":
                if not (byte == LINE_FEED and self.after_return):
                    self._finish()
            elif byte in BACKSPACES:
                self._erase(1)
            elif byte == CLEAR_LINE:
                self._erase(len(self.line))
            elif len(self.line) < LONGEST_LINE:
                self.line.append(byte)
                self._show(bytes((byte,)) if byte >= SPACE else b"")
            self.after_return = byte == CARRIAGE_RETURN

    def _erase(self, count: int) -> None:
        count = min(count, len(self.line))
        if count:
            del self.line[-count:]
            self._show(b"\b \b" * count)

    def _show(self, data: bytes) -> None:
        if self.echo and data:
            self.write(data)

    def _finish(self) -> None:
        line = self.line.decode("utf-8", "replace")
        self.line.clear()
        self._show(b"\r\n")
        self.post(lambda: self._run(line))

    def _run(self, line: str) -> None:
        answer = self.monitor.execute(line).replace("\n", "\r\n")
        self.write((answer + self.prompt).encode())
