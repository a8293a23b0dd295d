"""Where a loader puts what has no address of its own: modules, symbols, information."""

from __future__ import annotations

from collections.abc import Sequence

from vmxon.errors import ImageError
from vmxon.machine.loader.image import MemoryWrite, Module
from vmxon.machine.loader.information import LOWEST

PAGE = 0x1000


def free(size: int, lowest: int, taken: Sequence[MemoryWrite], memory_size: int) -> int:
    """The lowest page boundary from `lowest` on with `size` free bytes; below 1 MiB, it ends under 512 KiB."""
    address = (lowest + PAGE - 1) & ~(PAGE - 1)
    while address < memory_size:
        if address < LOWEST and address + size > LOWEST // 2:
            address = LOWEST
        conflict = next((write for write in taken if write.overlaps(address, address + size)), None)
        if conflict is None:
            break
        address = (conflict.end + PAGE - 1) & ~(PAGE - 1)
    return address


def place_modules(modules: Sequence[Module], taken: list[MemoryWrite], memory_size: int) -> list[tuple[Module, MemoryWrite]]:
    """Each module on the first free pages above the kernel; what is placed is added to `taken`.

    Raises:
        ImageError: memory is too small.
    """
    placed = []
    for module in modules:
        address = free(len(module.data), max(LOWEST, *(write.end for write in taken)), taken, memory_size)
        if address + len(module.data) > memory_size:
            raise too_small(module.name, "module", len(module.data), memory_size)
        write = MemoryWrite(address, module.data, len(module.data))
        taken.append(write)
        placed.append((module, write))
    return placed


def too_small(name: str, what: str, size: int, memory_size: int) -> ImageError:
    """There is no room."""
    return ImageError(
        f"no room for the {what} of {size:#x} bytes in a memory of {memory_size:#x}",
        where=name,
        advice="give a larger --memory",
    )
