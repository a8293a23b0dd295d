"""What a boot protocol makes of its files: writes to physical memory, and where and with what registers to start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MemoryWrite:
    """Bytes for physical memory; `size` beyond the data is zeros."""

    address: int
    data: bytes
    size: int

    @property
    def end(self) -> int:
        """First address after it."""
        return self.address + self.size

    def overlaps(self, start: int, end: int) -> bool:
        """It shares a byte with `start`–`end`."""
        return self.address < end and start < self.end


@dataclass(frozen=True, slots=True)
class Module:
    """A file that the kernel is given in memory, and the string that comes with it."""

    name: str
    data: bytes
    command_line: str = ""


@dataclass(frozen=True, slots=True)
class BootImage:
    """A loaded program: flat 32-bit protected mode, no paging, interrupts off, is how it starts."""

    writes: tuple[MemoryWrite, ...]
    entry: int
    """Physical address of the first instruction."""
    eax: int
    ebx: int
    esp: int
    esi: int = 0

    def place(self, write: Callable[[int, bytes], None]) -> None:
        """Hand every byte to `write(address, data)`, zeros included."""
        for piece in self.writes:
            write(piece.address, piece.data)
            zeros, at = piece.size - len(piece.data), piece.address + len(piece.data)
            while zeros > 0:
                part = min(zeros, 1 << 20)
                write(at, bytes(part))
                at, zeros = at + part, zeros - part
