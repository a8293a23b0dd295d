"""A kernel by addresses instead of an ELF header: what the header's fields of both multiboot protocols say together."""

from __future__ import annotations

from vmxon.errors import ImageError
from vmxon.machine.loader.image import MemoryWrite


def place_by_addresses(
    image: bytes, name: str, memory_size: int, protocol: str, offset: int, fields: tuple[int, int, int, int]
) -> MemoryWrite:
    """The part of the file that goes to memory; `fields` are header_addr, load_addr, load_end_addr and bss_end_addr.

    Raises:
        ImageError: they contradict each other or the header's `offset` in the file, or leave the file or memory.
    """
    own, load, load_end, bss_end = fields
    start = offset - (own - load)
    if not 0 <= load <= own or start < 0:
        raise ImageError(
            f"its {protocol} header is at {offset:#x} in the file, but says load_addr {load:#x} and header_addr {own:#x}",
            where=name,
        )
    stored = load_end - load if load_end else len(image) - start
    if stored < 0 or start + stored > len(image):
        raise ImageError(
            f"its {protocol} header wants {start:#x}–{start + stored:#x} of the file's {len(image):#x} bytes",
            where=name,
            advice="the file is truncated",
        )
    end = max(load + stored, bss_end)
    if end > memory_size:
        raise ImageError(
            f"it loads at {load:#x}–{end:#x}, outside the guest's memory of {memory_size:#x} bytes",
            where=name,
            advice="give a larger --memory",
        )
    return MemoryWrite(load, image[start : start + stored], end - load)
