"""Guest memory as the firmware sees it: by physical address, in bytes, words and double words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Ports(Protocol):
    """The machine's port space."""

    def read(self, address: int, size: int) -> int: ...

    def write(self, address: int, size: int, value: int) -> None: ...


class BiosMemory:
    """Numbers in memory, little-endian; what lies outside `size` bytes reads as ones, and writes to it are lost."""

    def __init__(self, size: int, read: Callable[[int, int], bytes], write: Callable[[int, bytes], None]) -> None:
        self.size, self.read, self.write = size, read, write

    def byte(self, address: int) -> int:
        return self.read(address, 1)[0]

    def word(self, address: int) -> int:
        return int.from_bytes(self.read(address, 2), "little")

    def double(self, address: int) -> int:
        return int.from_bytes(self.read(address, 4), "little")

    def set_byte(self, address: int, value: int) -> None:
        self.write(address, bytes((value & 0xFF,)))

    def set_word(self, address: int, value: int) -> None:
        self.write(address, (value & 0xFFFF).to_bytes(2, "little"))

    def set_double(self, address: int, value: int) -> None:
        self.write(address, (value & 0xFFFF_FFFF).to_bytes(4, "little"))


def linear(segment: int, offset: int) -> int:
    """The address of segment:offset in real mode."""
    return (segment << 4) + (offset & 0xFFFF)
