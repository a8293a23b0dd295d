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
class MemoryCopy:
    """Bytes that are in memory already, of which the boot information holds a copy."""

    source: int
    address: int
    size: int


@dataclass(frozen=True, slots=True)
class Module:
    """A file that the kernel is given in memory, and the string that comes with it."""

    name: str
    data: bytes
    command_line: str = ""


@dataclass(frozen=True, slots=True)
class SectionTable:
    """An ELF kernel's section headers as it gets them, addresses filled in."""

    rows: int
    row_size: int
    names: int
    headers: bytes


@dataclass(frozen=True, slots=True)
class LongStart:
    """64-bit mode, paged through the PML4 table at `tables`, flat segments, interrupts off."""

    tables: int


@dataclass(frozen=True, slots=True)
class RealStart:
    """Real mode after the firmware's power-on self test, as INT 19h would start a boot sector."""

    segment: int
    offset: int
    data_segment: int = 0
    """DS and ES."""
    drive: int = 0x80
    """DL."""
    interrupts: bool = True


@dataclass(frozen=True, slots=True)
class BootImage:
    """A loaded program, and how it starts."""

    writes: tuple[MemoryWrite, ...]
    entry: int
    """Physical address of the first instruction."""
    eax: int = 0
    ebx: int = 0
    esp: int = 0
    esi: int = 0
    start: LongStart | RealStart | None = None
    """None: flat 32-bit protected mode, no paging, interrupts off."""
    copies: tuple[MemoryCopy, ...] = ()

    def place(self, write: Callable[[int, bytes], None], read: Callable[[int, int], bytes] | None = None) -> None:
        """Hand every byte to `write(address, data)`, zeros included; `read(address, size)` gives what is to be copied."""
        for piece in self.writes:
            write(piece.address, piece.data)
            zeros, at = piece.size - len(piece.data), piece.address + len(piece.data)
            while zeros > 0:
                part = min(zeros, 1 << 20)
                write(at, bytes(part))
                at, zeros = at + part, zeros - part
        if read is not None:
            for copy in self.copies:
                write(copy.address, read(copy.source, copy.size))
