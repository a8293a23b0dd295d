"""The data port of an ATA channel: one block of PIO data, in words or in strings of words.

Source: ATA/ATAPI-6 (T13 1410D), §7.6 “Data register”. Python serves each access, so these methods stay short.
"""

from __future__ import annotations

from collections.abc import Callable

from vmxon.devices.bus import Device, reads, reads_ahead, reads_string, writes, writes_string


class DataPort(Device, span=1, saves=("buffer", "position", "writing")):
    """A block that the guest reads (then `on_read`) or writes (then `on_written` gets it); without one, all ones."""

    def __init__(self, on_read: Callable[[], None], on_written: Callable[[bytes], None]) -> None:
        self.on_read, self.on_written = on_read, on_written
        self.buffer = bytearray()
        self.position = 0
        self.writing = False

    def offer(self, data: bytes) -> None:
        """Let the guest read `data`."""
        self.buffer, self.position, self.writing = bytearray(data), 0, False

    def expect(self, length: int) -> None:
        """Let the guest write `length` bytes."""
        self.buffer, self.position, self.writing = bytearray(length), 0, True

    def clear(self) -> None:
        """No block."""
        self.offer(b"")

    @reads(0, 2)
    def read_word(self) -> int:
        position, buffer = self.position, self.buffer
        if self.writing or position + 2 > len(buffer):
            return 0xFFFF
        self.position = position + 2
        value = buffer[position] | buffer[position + 1] << 8
        if position + 2 == len(buffer):
            self.on_read()
        return value

    @reads(0, 4)
    def read_double(self) -> int:
        return self.read_word() | self.read_word() << 16

    @reads(0)
    def read_byte(self) -> int:
        return self.read_word() & 0xFF

    @writes(0, 2)
    def write_word(self, value: int) -> None:
        position, buffer = self.position, self.buffer
        if not self.writing or position + 2 > len(buffer):
            return
        buffer[position] = value & 0xFF
        buffer[position + 1] = value >> 8
        self.position = position + 2
        if position + 2 == len(buffer):
            self.on_written(bytes(buffer))

    @writes(0, 4)
    def write_double(self, value: int) -> None:
        self.write_word(value & 0xFFFF)
        self.write_word(value >> 16)

    @writes(0)
    def write_byte(self, value: int) -> None:
        self.write_word(value)

    @reads_string(0)
    def read_string(self, size: int, count: int) -> bytes:
        """`count` reads of `size` bytes; several blocks if they follow each other."""
        if size == 1:
            return bytes(self.read_byte() for _ in range(count))
        wanted = size * count
        parts: list[bytes] = []
        while wanted:
            chunk = b"" if self.writing else bytes(self.buffer[self.position : self.position + wanted])
            if not chunk:
                parts.append(b"\xff" * wanted)
                break
            parts.append(chunk)
            wanted -= len(chunk)
            self.position += len(chunk)
            if self.position == len(self.buffer):
                self.on_read()
        return b"".join(parts)

    @reads_ahead(0)
    def read_ahead(self, size: int) -> bytes:
        """All of the block but what the last read takes, after which something happens."""
        if self.writing:
            return b""
        left = max(0, len(self.buffer) - self.position - size)
        return bytes(self.buffer[self.position : self.position + left - left % size])

    @writes_string(0)
    def write_string(self, size: int, data: bytes) -> None:
        """Writes of `size` bytes each; what no block expects is dropped."""
        if size == 1:
            for value in data:
                self.write_byte(value)
            return
        done = 0
        while done < len(data) and self.writing and self.position < len(self.buffer):
            chunk = data[done : done + len(self.buffer) - self.position]
            self.buffer[self.position : self.position + len(chunk)] = chunk
            self.position += len(chunk)
            done += len(chunk)
            if self.position == len(self.buffer):
                self.on_written(bytes(self.buffer))
