"""The server that gdb's `target remote` reaches: one connection at a time, on the loopback address only.

    with GdbServer(debugger, monitor, port=1234):
        pc.run()
"""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

from vmxon.debug.debugger import Debugger
from vmxon.debug.gdb.packets import PacketReader, Signal, packet
from vmxon.debug.gdb.session import Monitor, Session
from vmxon.errors import ConfigurationError

LOOPBACK = "127.0.0.1"
LAST_PORT = 0xFFFF
CHUNK = 4096


class GdbServer:
    """Listens while entered. Its thread reads and posts; requests are answered in the machine's thread."""

    def __init__(self, debugger: Debugger, monitor: Monitor, port: int = 1234) -> None:
        self.debugger, self.monitor = debugger, monitor
        if not 0 <= port <= LAST_PORT:
            raise ConfigurationError(f"gdb cannot be served at port {port}", expected=f"a number up to {LAST_PORT}")
        try:
            self.listener = socket.create_server((LOOPBACK, port))
        except OSError as error:
            reason = os.strerror(error.errno or 0).lower()
            raise ConfigurationError(f"gdb cannot be served at {LOOPBACK}:{port}: {reason}", advice="choose another port") from None
        self.port: int = self.listener.getsockname()[1]
        self.connection: Connection | None = None
        self.closed = False
        self.thread = threading.Thread(target=self._serve, name="gdb", daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Tell gdb how the machine ended, and hang up."""
        self.closed = True
        connection = self.connection
        if connection is not None:
            connection.finish(b"W%02x" % ((self.debugger.pc.exit_value or 0) & 0xFF) if error is None else b"X06")
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()

    def _serve(self) -> None:
        while not self.closed:
            try:
                peer, _ = self.listener.accept()
            except OSError:  # closed above
                return
            with peer:
                self.connection = Connection(peer, self.debugger, self.monitor)
                if not self.closed:
                    self.connection.serve()
                self.connection = None


class Connection:
    """One gdb, from its first byte to its last."""

    def __init__(self, peer: socket.socket, debugger: Debugger, monitor: Monitor) -> None:
        self.peer = peer
        self.post = debugger.pc.post
        self.session = Session(debugger, self.send, monitor, self._acknowledge_off)
        self.acknowledging = True
        self.last_sent = b""

    def serve(self) -> None:
        """Read until gdb hangs up."""
        self.peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = PacketReader()
        self.post(self.session.connected)
        with suppress(OSError):
            while data := self.peer.recv(CHUNK):
                for item in reader.feed(data):
                    self._take(item)
        self.post(self.session.disconnected)

    def _take(self, item: bytes | Signal) -> None:
        if isinstance(item, bytes):
            if self.acknowledging:
                self.peer.sendall(b"+")
            self.post(lambda: self.session.receive(item))
        elif item is Signal.INTERRUPT:
            self.post(self.session.interrupt)
        elif item is Signal.DAMAGED:
            self.peer.sendall(b"-")
        elif item is Signal.RESEND:
            self.post(lambda: self._write(self.last_sent))

    def send(self, content: bytes) -> None:
        """One packet, from the machine's thread."""
        self._write(packet(content))

    def _write(self, data: bytes) -> None:
        self.last_sent = data
        with suppress(OSError):  # gdb has gone; the reader notices
            self.peer.sendall(data)

    def _acknowledge_off(self) -> None:
        self.acknowledging = False

    def finish(self, farewell: bytes) -> None:
        """The machine has ended."""
        if self.session.waiting:
            self.send(farewell)
        with suppress(OSError):
            self.peer.shutdown(socket.SHUT_RDWR)
