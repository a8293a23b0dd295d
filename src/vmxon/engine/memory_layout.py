"""Where a machine has memory, as four numbers; what is between is an empty bus or belongs to devices."""

from __future__ import annotations

from dataclasses import dataclass

PAGE = 4096
HOLE = 3 << 30
"""Where a PC's RAM ends at the latest, below 4 GiB."""
HIGH = 1 << 32
"""Where the rest of it goes on, and where the firmware's ROM ends."""
CONVENTIONAL, EXTENDED = 0xA0000, 1 << 20
"""End of the memory that every PC program may use, and where it goes on."""


@dataclass(frozen=True, slots=True)
class MemoryLayout:
    """RAM from 0 on, RAM from 4 GiB on, a ROM that ends at 4 GiB; all in bytes.

    Raises:
        ValueError: a part is no multiple of 4096, or two overlap.
    """

    low: int
    high: int = 0
    rom: int = 0

    @classmethod
    def of_pc(cls, memory: int, rom: int = 0) -> MemoryLayout:
        """What does not fit below the hole lies above it."""
        return cls(min(memory, HOLE), max(0, memory - HOLE), rom)

    def __post_init__(self) -> None:
        for name, size in (("memory size", self.low), ("high memory", self.high), ("ROM", self.rom)):
            if size % PAGE:
                raise ValueError(f"{name} {size:#x} is no multiple of 4096")
        if (self.high or self.rom) and self.low > HIGH - self.rom:
            raise ValueError(f"low memory {self.low:#x} must end below {HIGH - self.rom:#x}")

    @property
    def memory(self) -> int:
        """Bytes of RAM."""
        return self.low + self.high

    @property
    def store(self) -> int:
        """Bytes of RAM and ROM."""
        return self.memory + self.rom

    def usable(self) -> tuple[tuple[int, int], ...]:
        """First address and end of each stretch of RAM that is free for an operating system."""
        ranges = ((0, min(self.low, CONVENTIONAL)), (EXTENDED, self.low), (HIGH, HIGH + self.high))
        return tuple((first, end) for first, end in ranges if first < end)
