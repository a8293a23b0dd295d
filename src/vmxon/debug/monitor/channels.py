"""Where a monitor's lines come from and its answers go: a pair of named pipes, a socket, or any two streams of bytes.

A channel reads on a thread of its own; each line runs in the machine's thread, through `post`.
"""

from __future__ import annotations

import os
import select
import socket
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from vmxon import __version__
from vmxon.debug.monitor.commands import Monitor
from vmxon.errors import ConfigurationError

Post = Callable[[Callable[[], None]], None]
LONGEST_LINE = 4096
CHUNK = 4096
LOOPBACK = frozenset({"", "127.0.0.1", "localhost", "::1"})


class Conversation:
    """Bytes in, lines to the monitor, its answers and the prompt to `write`."""

    def __init__(self, monitor: Monitor, post: Post, write: Callable[[bytes], None], prompt: str) -> None:
        self.monitor, self.post, self.write, self.prompt = monitor, post, write, prompt
        self.pending = bytearray()

    def greet(self) -> None:
        """The first words."""
        self.write(f"vmxon {__version__} monitor - type 'help' for more information\r\n{self.prompt}".encode())

    def receive(self, data: bytes) -> None:
        """Whatever came; lines run one after the other."""
        self.pending += data
        while (end := min((at for at in (self.pending.find(b"\n"), self.pending.find(b"\r")) if at >= 0), default=-1)) >= 0:
            line = self.pending[:end].decode("utf-8", "replace")
            del self.pending[: end + 1]
            self.post(lambda line=line: self._run(line))  # type: ignore[misc]  # the default binds the line
        if len(self.pending) > LONGEST_LINE:
            self.pending.clear()

    def _run(self, line: str) -> None:
        answer = self.monitor.execute(line).replace("\n", "\r\n")
        self.write((answer + self.prompt).encode())


class Channel:
    """A conversation that is open while the channel is entered; subclasses read and write."""

    def __init__(self, monitor: Monitor, post: Post, prompt: str) -> None:
        self.conversation = Conversation(monitor, post, self.write, prompt)
        self.wake_reader, self.wake_writer = os.pipe()
        self.thread = threading.Thread(target=self.serve, name="monitor", daemon=True)

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

    def __init__(self, monitor: Monitor, post: Post, prompt: str, name: str) -> None:
        there = Path(f"{name}.in"), Path(f"{name}.out")
        both = Path(name)
        paths = there if all(map(_is_pipe, there)) else (both, both)
        if not _is_pipe(paths[0]):
            raise ConfigurationError(f"pipe:{name} needs the named pipes {name}.in and {name}.out", advice=f"mkfifo {name}.in {name}.out")
        # Opened both ways: a pipe without anybody at its other end neither blocks nor ends.
        self.input, self.output = (os.open(path, os.O_RDWR | os.O_NONBLOCK) for path in paths)
        super().__init__(monitor, post, prompt)

    def write(self, data: bytes) -> None:
        with suppress(BlockingIOError):  # nobody reads: the pipe is full, and answers are lost
            os.write(self.output, data)

    def serve(self) -> None:
        self.conversation.greet()
        while self.readable(self.input):
            with suppress(BlockingIOError):
                self.conversation.receive(os.read(self.input, CHUNK))

    def close(self) -> None:
        os.close(self.input)
        os.close(self.output)


def _is_pipe(path: Path) -> bool:
    try:
        return stat.S_ISFIFO(path.stat().st_mode)
    except (OSError, ValueError):
        return False


class SocketChannel(Channel):
    """A listening socket; one conversation at a time."""

    def __init__(self, monitor: Monitor, post: Post, prompt: str, listener: socket.socket) -> None:
        self.listener = listener
        self.peer: socket.socket | None = None
        super().__init__(monitor, post, prompt)

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
                self.conversation.pending.clear()
                self.conversation.greet()
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
            self.conversation.receive(data)
        return False

    def close(self) -> None:
        self.listener.close()


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
