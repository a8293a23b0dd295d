"""Windows: stretches of the machine's physical bus, above its memory, where functions of a program answer."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

Reader = Callable[[int, int], int]
Writer = Callable[[int, int, int], None]
LARGE = 2 << 20
ONES = (1 << 64) - 1


class Windows:
    """The bus of a `RootProcessor`; addresses are handed out upwards from `first`."""

    def __init__(self, first: int) -> None:
        self._next = first
        self._starts: list[int] = []
        self._windows: list[tuple[int, Reader, Writer]] = []
        self._closed: dict[int, list[int]] = {}

    def open(self, size: int, read: Reader, write: Writer) -> int:
        """Where a new window starts, on 2 MiB: loads call `read(offset, size)`, stores `write(offset, size, value)`."""
        room = -(-size // LARGE) * LARGE
        again = self._closed.get(room)
        if again:
            start = again.pop()
        else:
            start, self._next = self._next, self._next + room
        place = bisect_right(self._starts, start)
        self._starts.insert(place, start)
        self._windows.insert(place, (size, read, write))
        return start

    def close(self, start: int) -> None:
        """Nobody answers there any more; the addresses may be handed out again."""
        place = self._starts.index(start)
        del self._starts[place]
        size, _, _ = self._windows.pop(place)
        self._closed.setdefault(-(-size // LARGE) * LARGE, []).append(start)

    def read(self, address: int, size: int) -> int:
        """A load; ones where no window is."""
        found = self._find(address)
        return ONES if found is None else found[1](address - found[0], size)

    def write(self, address: int, size: int, value: int) -> None:
        """A store; lost where no window is."""
        found = self._find(address)
        if found is not None:
            found[2](address - found[0], size, value)

    def _find(self, address: int) -> tuple[int, Reader, Writer] | None:
        place = bisect_right(self._starts, address) - 1
        if place < 0:
            return None
        start, (size, read, write) = self._starts[place], self._windows[place]
        return (start, read, write) if address - start < size else None
