"""PageManager: who has which frame of the machine's physical memory."""

from __future__ import annotations

from vmxon.errors import ConfigurationError

PAGE = 4096


class PageManager:
    """A bitmap of physical frames; one bit for each 4 KiB, set where the frame is taken."""

    def __init__(self, memory_size: int, reserved: int) -> None:
        """Frames below `reserved` (bytes) are taken from the start."""
        self.frames = memory_size // PAGE
        self.taken = bytearray(self.frames)
        first = -(-reserved // PAGE)
        self.taken[:first] = b"\1" * first
        self._next = first

    @property
    def free(self) -> int:
        """How many frames are free."""
        return self.taken.count(0)

    def allocate(self, count: int = 1, align: int = 1) -> int:
        """The physical address of `count` free frames in a row, whose number is a multiple of `align`.

        Raises:
            ConfigurationError: there is no such run.
        """
        run = bytes(count)
        start = self._next if count == align == 1 else 0
        while (start := self.taken.find(run, start)) >= 0:
            if start % align == 0:
                self.taken[start : start + count] = b"\1" * count
                self._next = start + count if count == 1 else self._next
                return start * PAGE
            start += align - start % align
        if self._next:
            self._next = 0
            return self.allocate(count, align)
        raise ConfigurationError(
            f"the hypervisor needs {count} frames in a row and {self.free} are free", advice="give the machine more memory"
        )

    def release(self, address: int, count: int = 1) -> None:
        """Give frames back; ValueError where one of them is not taken."""
        first = address // PAGE
        if address % PAGE or self.taken[first : first + count] != b"\1" * count:
            raise ValueError(f"{count} frames at {address:#x} are not all taken")
        self.taken[first : first + count] = bytes(count)
        self._next = min(self._next, first)

    def is_taken(self, address: int) -> bool:
        """The frame of an address is in use."""
        return bool(self.taken[address // PAGE])
