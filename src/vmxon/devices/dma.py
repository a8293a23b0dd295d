"""Memory as a bus master sees it."""

from __future__ import annotations

from typing import Protocol


class DmaMemory(Protocol):
    """Physical memory, through the one door that also forgets what was decoded from it."""

    def read(self, address: int, size: int, /) -> bytes:
        """Bytes; ones where no memory is."""
        ...

    def write(self, address: int, data: bytes, /) -> None:
        """Store bytes; lost where no memory is."""
        ...
