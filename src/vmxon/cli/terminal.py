"""The host's terminal: keys reach the guest as they are typed, and its bytes reach the terminal as they come.

    output = GuestOutput(sys.stdout)
    with Terminal(keyboard.queue):
        machine.run(output.write)
    output.finish_line()

The terminal is put back on every way out: the end, an exception, Ctrl-C, and SIGTERM and SIGHUP, which `termination`
turns into one.
"""

from __future__ import annotations

import _thread
import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from types import TracebackType
from typing import Self, TextIO

if sys.platform != "win32":
    import termios

ESCAPE_KEY = b"\x1d"
"""Ctrl-], which ends the run where Ctrl-C belongs to the guest."""
CHUNK = 1024


class CtrlC(Enum):
    """What Ctrl-C does: end the run with KeyboardInterrupt, or go to the guest, where Ctrl-] ends the run."""

    STOP = "stop"
    GUEST = "guest"


def interrupt_main_thread() -> None:
    """Raise KeyboardInterrupt in the main thread, as Ctrl-C would, even while it waits for a lock."""
    if sys.platform == "win32":
        _thread.interrupt_main()
    else:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


class GuestOutput:
    """Bytes of the guest to a stream, unbuffered and unchanged; usable from any thread."""

    def __init__(self, stream: TextIO) -> None:
        stream.flush()
        self._descriptor = stream.fileno()
        self._lock = threading.Lock()
        self._column_zero = True
        self.is_terminal = stream.isatty()

    def write(self, data: bytes) -> None:
        """Write all of `data`; raises BrokenPipeError where the reader is gone."""
        if not data:
            return
        with self._lock:
            rest = memoryview(data)
            while rest:
                try:
                    rest = rest[os.write(self._descriptor, rest) :]
                except BlockingIOError:
                    select.select([], [self._descriptor], [])
            self._column_zero = data.endswith((b"\n", b"\r"))

    def finish_line(self) -> None:
        """End what the guest left unfinished, so that a report starts on a line and in a colour of its own."""
        self.write((b"\x1b[0m" if self.is_terminal else b"") + (b"" if self._column_zero else b"\n"))
        self._column_zero = True


class Terminal:
    """Standard input in raw mode while the guest runs; `keys` receives what is typed, on a thread of its own.

    `keys` must only queue the bytes. Input that is no terminal (a pipe, a file) is passed on as it is; its end is
    not the end of the guest. A process in the background leaves the terminal alone.
    """

    def __init__(
        self,
        keys: Callable[[bytes], None],
        *,
        descriptor: int = 0,
        ctrl_c: CtrlC = CtrlC.STOP,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        self._keys = keys
        self._ended = ended
        """Called when no input can come any more."""
        self._leaving = False
        self._descriptor = descriptor
        self._ctrl_c = ctrl_c
        self._reader: threading.Thread | None = None
        self._failure: Exception | None = None
        self._wake_reader, self._wake_writer = -1, -1
        self._saved_mode: list[int | list[bytes | int]] | None = None

    def __enter__(self) -> Self:
        if not self._readable():
            return self
        self._wake_reader, self._wake_writer = os.pipe()
        try:
            if os.isatty(self._descriptor):
                self._make_raw()
            self._reader = threading.Thread(target=self._read, name="keyboard", daemon=True)
            self._reader.start()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave()
        if self._failure is not None:
            raise self._failure

    def _leave(self) -> None:
        self._leaving = True
        self._restore()
        if self._reader is not None:
            os.write(self._wake_writer, b"x")
            if sys.platform != "win32":  # there a read cannot be woken; the thread is a daemon
                self._reader.join()
            self._reader = None
        for descriptor in (self._wake_reader, self._wake_writer):
            if descriptor >= 0:
                os.close(descriptor)
        self._wake_reader, self._wake_writer = -1, -1

    def _readable(self) -> bool:
        """Whether somebody may type here: the descriptor is open and we are not in the background."""
        try:
            os.fstat(self._descriptor)
        except OSError:
            return False
        if sys.platform == "win32" or not os.isatty(self._descriptor):
            return True
        try:
            return os.tcgetpgrp(self._descriptor) == os.getpgrp()
        except OSError:  # not our controlling terminal, so nobody stops us for reading it
            return True

    def _make_raw(self) -> None:
        """No echo, no lines, no Ctrl-S, Ctrl-Z, Ctrl-\\; output processing stays, so that our own lines end well."""
        if sys.platform == "win32":  # the console keeps its own line editing there
            return
        self._saved_mode = termios.tcgetattr(self._descriptor)
        mode = termios.tcgetattr(self._descriptor)
        mode[0] &= ~(termios.IXON | termios.ICRNL | termios.INLCR | termios.IGNCR | termios.ISTRIP | termios.BRKINT)
        mode[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.IEXTEN)
        control = mode[6]
        if self._ctrl_c is CtrlC.GUEST:
            mode[3] &= ~termios.ISIG
        disabled = os.fpathconf(self._descriptor, "PC_VDISABLE").to_bytes(1, "little")
        for key in (termios.VSUSP, termios.VQUIT):
            control[key] = disabled
        control[termios.VMIN], control[termios.VTIME] = 1, 0
        termios.tcsetattr(self._descriptor, termios.TCSADRAIN, mode)

    def _restore(self) -> None:
        if sys.platform != "win32" and self._saved_mode is not None:
            with suppress(termios.error):  # it was closed under us
                termios.tcflush(self._descriptor, termios.TCIFLUSH)  # keys that were meant for the guest
                termios.tcsetattr(self._descriptor, termios.TCSANOW, self._saved_mode)
            self._saved_mode = None

    def _typed(self) -> bytes:
        """Wait for keys; empty at the end of input or of the run, and where the terminal was closed."""
        try:
            if sys.platform != "win32":  # select is for sockets there
                ready, _, _ = select.select([self._descriptor, self._wake_reader], [], [])
                if self._wake_reader in ready:
                    return b""
            return os.read(self._descriptor, CHUNK)
        except OSError:
            return b""

    def _read(self) -> None:
        """Pass on what is typed until nothing more can come."""
        try:
            while data := self._typed():
                if self._saved_mode is not None and self._ctrl_c is CtrlC.GUEST and ESCAPE_KEY in data:
                    interrupt_main_thread()
                    return
                self._keys(data)
            if not self._leaving:
                self._ended()
        except Exception as error:  # noqa: BLE001 - raised again where the run ends, in the main thread
            self._failure = error
            interrupt_main_thread()
