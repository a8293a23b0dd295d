"""The test device of QEMU's PC (pc-testdev), by which kernels test a hypervisor: interrupt lines, a port, a page, memory.

Source: QEMU, hw/misc/pc-testdev.c, for addresses and widths.

    port 0xE0, 0xE8     one 32-bit register, in any width
    port 0xE4           takes the address of a page to be mapped anew
    ports 0x2000–0x2017 the level of each global system interrupt
    0xFF000000          64 KiB that keep what is written, in any width

Not there: nothing that a guest can see.
"""

from __future__ import annotations

from collections.abc import Sequence

from vmxon.devices.bus import Bus
from vmxon.devices.interrupt import Signal
from vmxon.devices.state import Saved

DATA, FLUSH, DATA_BYTES, LINES = 0xE0, 0xE4, 0xE8, 0x2000
MEMORY, MEMORY_SIZE = 0xFF00_0000, 0x1_0000
REGISTER_SIZE = 4


class PcTestDevice:
    """All parts of the device; `lines` are the global system interrupts."""

    def __init__(self, lines: Sequence[Signal]) -> None:
        self.lines = InterruptLevels(lines)
        self.data = DataRegister()
        self.flush = PageFlush()
        self.memory = KeptMemory()

    def connect(self, ports: Bus, memory: Bus) -> None:
        """Open every part's window."""
        ports.open(DATA, REGISTER_SIZE, self.data)
        ports.open(FLUSH, REGISTER_SIZE, self.flush)
        ports.open(DATA_BYTES, REGISTER_SIZE, self.data)
        ports.open(LINES, len(self.lines.lines), self.lines)
        memory.open(MEMORY, MEMORY_SIZE, self.memory)


class InterruptLevels(Saved):
    """A byte for each line: 0 lets it fall, anything else raises it; wider accesses do nothing, and reads give 0."""

    def __init__(self, lines: Sequence[Signal]) -> None:
        self.lines = lines

    def read(self, offset: int, size: int) -> int:
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        if size == 1:
            self.lines[offset].set(value != 0)


class DataRegister(Saved, saves=("value",)):
    """A register of four bytes."""

    def __init__(self) -> None:
        self.value = 0

    def read(self, offset: int, size: int) -> int:
        return self.value >> 8 * offset

    def write(self, offset: int, size: int, value: int) -> None:
        mask = (1 << 8 * size) - 1 << 8 * offset
        self.value = self.value & ~mask | value << 8 * offset


class PageFlush(Saved):
    """Takes the address of a page. QEMU takes it away from its host's address space and gives it back; nothing of that shows here."""

    def read(self, offset: int, size: int) -> int:
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        """The page's content does not change."""


class KeptMemory(Saved, saves=("bytes",)):
    """Bytes behind the memory bus."""

    def __init__(self) -> None:
        self.bytes = bytearray(MEMORY_SIZE)

    def read(self, offset: int, size: int) -> int:
        return int.from_bytes(self.bytes[offset : offset + size], "little")

    def write(self, offset: int, size: int, value: int) -> None:
        self.bytes[offset : offset + size] = value.to_bytes(size, "little")
