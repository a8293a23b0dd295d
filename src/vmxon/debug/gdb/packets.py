"""Packets of gdb's remote serial protocol: $data#checksum, with escapes (gdb manual, “Remote Serial Protocol: Overview”)."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

LARGEST = 0x4000
"""Bytes of a packet that we accept and announce."""
ESCAPE, START, END, REPEAT = b"}$#*"
ESCAPED = frozenset((ESCAPE, START, END, REPEAT))


class Signal(Enum):
    """What comes outside packets."""

    ACKNOWLEDGED = b"+"
    RESEND = b"-"
    INTERRUPT = b"\x03"
    """Ctrl-C of the person at gdb."""
    DAMAGED = b""
    """A packet whose checksum is wrong, or that is too long."""


def checksum(data: bytes) -> int:
    """The sum of all bytes modulo 256."""
    return sum(data) & 0xFF


def packet(data: bytes) -> bytes:
    """Bytes to send for a packet with this content, which is escaped already where it is binary."""
    return b"$%b#%02x" % (data, checksum(data))


def escaped(data: bytes) -> bytes:
    """Binary data for a packet's content."""
    return b"".join(bytes((ESCAPE, byte ^ 0x20)) if byte in ESCAPED else bytes((byte,)) for byte in data)


def unescaped(data: bytes) -> bytes:
    """The other way; a lone escape at the end is dropped."""
    out, escape = bytearray(), False
    for byte in data:
        if escape:
            out.append(byte ^ 0x20)
            escape = False
        elif byte == ESCAPE:
            escape = True
        else:
            out.append(byte)
    return bytes(out)


class PacketReader:
    """Cuts a stream into packets and signals; keeps what is not complete."""

    def __init__(self) -> None:
        self.pending = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes | Signal]:
        """The content of each complete packet, still escaped, and each signal, in order."""
        self.pending += data
        while self.pending:
            first = self.pending[0]
            if first != START:
                del self.pending[0]
                if bytes((first,)) in (b"+", b"-", b"\x03"):
                    yield Signal(bytes((first,)))
                continue
            end = self.pending.find(END)
            if end < 0 or len(self.pending) < end + 3:
                if len(self.pending) > LARGEST + 4:
                    self.pending.clear()
                    yield Signal.DAMAGED
                return
            content, sent = bytes(self.pending[1:end]), bytes(self.pending[end + 1 : end + 3])
            del self.pending[: end + 3]
            yield content if sent.lower() == b"%02x" % checksum(content) else Signal.DAMAGED
