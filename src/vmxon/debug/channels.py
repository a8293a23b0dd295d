"""Bytes between the machine and the outside: a pair of named pipes, a socket, a file."""

from __future__ import annotations

import os
import select
import socket
import stat
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from vmxon.errors import ConfigurationError

if sys.platform != "win32":
    import tty

CHUNK = 4096
PLACES = "pipe:NAME, tcp:127.0.0.1:PORT,server,nowait, unix:PATH,server,nowait, pty or file:PATH"
LOOPBACK = frozenset({"", "127.0.0.1", "localhost", "::1"})


class Reader(Protocol):
    """What takes the bytes that come in."""

    def opened(self) -> None:
        """Somebody is at the other end."""

    def receive(self, data: bytes) -> None:
        """Bytes, on the channel's thread."""


class Silence:
    """Nobody cares what comes in."""

    def opened(self) -> None:
        """Nothing to say."""

    def receive(self, data: bytes) -> None:
        """Nothing to hear."""


class Channel:
    """Bytes both ways; what comes in while the channel is entered goes to its reader, on a thread of the channel's."""

    def __init__(self) -> None:
        self.reader: Reader = Silence()
        self.wake_reader, self.wake_writer = os.pipe()
        self.thread = threading.Thread(target=self.serve, name="channel", daemon=True)

    def connect(self, reader: Reader) -> None:
        """Say who takes what comes in, before the channel is entered."""
        self.reader = reader

    def write(self, data: bytes) -> None:
        """Send bytes to whoever listens."""
        raise NotImplementedError

    def serve(self) -> None:
        """Read until the channel is left."""
        raise NotImplementedError

    def close(self) -> None:
        """Give back what the channel holds."""

    def readable(self, descriptor: int) -> bool:
        """Wait for bytes; False where the channel is being left."""
        ready, _, _ = select.select([descriptor, self.wake_reader], [], [])
        return self.wake_reader not in ready

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.write(self.wake_writer, b"x")
        self.thread.join()
        self.close()
        os.close(self.wake_reader)
        os.close(self.wake_writer)


class PipeChannel(Channel):
    """The named pipes NAME.in and NAME.out, or NAME for both ways, that somebody has made by mkfifo."""

    def __init__(self, name: str) -> None:
        there = Path(f"{name}.in"), Path(f"{name}.out")
        both = Path(name)
        paths = there if all(map(_is_pipe, there)) else (both, both)
        if not _is_pipe(paths[0]):
            raise ConfigurationError(f"pipe:{name} needs the named pipes {name}.in and {name}.out", advice=f"mkfifo {name}.in {name}.out")
        # Opened both ways: a pipe without anybody at its other end neither blocks nor ends.
        self.input, self.output = (os.open(path, os.O_RDWR | os.O_NONBLOCK) for path in paths)
        super().__init__()

    def write(self, data: bytes) -> None:
        with suppress(BlockingIOError):  # nobody reads: the pipe is full, and answers are lost
            os.write(self.output, data)

    def serve(self) -> None:
        self.reader.opened()
        while self.readable(self.input):
            with suppress(BlockingIOError):
                self.reader.receive(os.read(self.input, CHUNK))

    def close(self) -> None:
        os.close(self.input)
        os.close(self.output)


class TerminalChannel(Channel):
    """A pseudo-terminal of its own; `name` is what to open at the other end."""

    def __init__(self) -> None:
        self.master, self.slave = os.openpty()  # our end of the slave keeps the terminal alive while nobody has it open
        tty.setraw(self.slave)
        os.set_blocking(self.master, False)
        self.name = os.ttyname(self.slave)
        super().__init__()

    def write(self, data: bytes) -> None:
        with suppress(BlockingIOError):  # nobody reads: the terminal is full, and what comes more is lost
            os.write(self.master, data)

    def serve(self) -> None:
        self.reader.opened()
        while self.readable(self.master):
            with suppress(BlockingIOError):
                self.reader.receive(os.read(self.master, CHUNK))

    def close(self) -> None:
        os.close(self.master)
        os.close(self.slave)


class FileChannel(Channel):
    """A file that takes what the machine sends; nothing comes in."""

    def __init__(self, path: str) -> None:
        try:
            self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
        super().__init__()

    def write(self, data: bytes) -> None:
        os.write(self.file, data)

    def serve(self) -> None:
        return

    def close(self) -> None:
        os.close(self.file)


def _is_pipe(path: Path) -> bool:
    try:
        return stat.S_ISFIFO(path.stat().st_mode)
    except (OSError, ValueError):
        return False


class SocketChannel(Channel):
    """A listening socket; one peer at a time."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.peer: socket.socket | None = None
        super().__init__()

    def write(self, data: bytes) -> None:
        peer = self.peer
        if peer is not None:
            with suppress(OSError):  # it has gone; the reader notices
                peer.sendall(data)

    def serve(self) -> None:
        while self.readable(self.listener.fileno()):
            peer, _ = self.listener.accept()
            with peer:
                self.peer = peer
                self.reader.opened()
                alive = self._talk(peer)
                self.peer = None
            if not alive:
                return

    def _talk(self, peer: socket.socket) -> bool:
        """True where the other end hung up."""
        while self.readable(peer.fileno()):
            try:
                data = peer.recv(CHUNK)
            except OSError:
                data = b""
            if not data:
                return True
            self.reader.receive(data)
        return False

    def close(self) -> None:
        self.listener.close()


def open_channel(words: str) -> Channel:
    """The channel of `file:PATH`, `pipe:NAME`, `tcp:HOST:PORT,server,nowait`, `unix:PATH,server,nowait` or `pty`.

    Raises:
        ConfigurationError: there is no such place, or it cannot be had.
    """
    kind, _, rest = words.partition(":")
    address, *settings = rest.split(",")
    if words == "pty":
        channel = TerminalChannel()
        sys.stderr.write(f"char device redirected to {channel.name}\n")
        return channel
    if kind == "file" and address:
        return FileChannel(rest)
    if kind == "pipe" and address:
        return PipeChannel(rest)
    if kind in {"tcp", "unix"}:
        return SocketChannel(listen(kind, address, set(settings)))
    raise ConfigurationError(f"{words!r} is no place", expected=PLACES)


def _unix_server(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(path)
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


def listen(kind: str, address: str, settings: set[str]) -> socket.socket:
    """The socket of `tcp:HOST:PORT,server,nowait` or `unix:PATH,server,nowait`.

    Raises:
        ConfigurationError: it cannot be had, or would be reachable from other hosts.
    """
    name = f"{kind}:{address}"
    if not settings & {"server", "server=on"}:
        raise ConfigurationError(f"{name} would call somebody", expected=f"{name},server,nowait")
    if not settings & {"nowait", "wait=off"}:
        raise ConfigurationError(f"{name} would wait for somebody", expected=f"{name},server,nowait")
    try:
        if kind == "unix":
            with suppress(FileNotFoundError):
                if stat.S_ISSOCK(Path(address).stat().st_mode):
                    Path(address).unlink()
            return _unix_server(address)
        host, _, port = address.rpartition(":")
        if host not in LOOPBACK:
            raise ConfigurationError(f"{name} would be reachable from other hosts", expected="127.0.0.1")
        if not port.isdecimal() or int(port) > 0xFFFF:
            raise ConfigurationError(f"{port!r} is no port in {name}", expected="a number up to 65535")
        return socket.create_server(("127.0.0.1", int(port)))
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise ConfigurationError(f"{name}: {reason.lower()}") from None
