"""Which memory holds decoded code: for each 4-KiB page its blocks and a bit for each 64-byte line that they cover."""

from __future__ import annotations

from vmxon.microcode import inline, load, microcode, store, u64
from vmxon.microcode.layout import State, scalar
from vmxon.processor.state import ProcessorState as Cpu


class Block(State):
    """The header in front of a block's first record."""

    next_in_page = scalar(u64)
    next_in_table = scalar(u64)
    physical = scalar(u64)
    """Host-physical address of the first byte; all ones once the block is dropped."""
    rip = scalar(u64)
    mode = scalar(u64)
    """CodeSize."""
    lines = scalar(u64)
    bytes = scalar(u64)
    hits = scalar(u64)


BLOCK_SIZE = Block.size
PAGE_ENTRY = 16
"""Bytes of a page's entry: head of its chain of blocks, and its lines."""


@inline
def page_entry(cpu: Cpu, physical: int) -> int:
    """Host address of a page's entry."""
    return cpu.memory_pages + (physical >> 12) * PAGE_ENTRY


@inline
def lines_of(cpu: Cpu, physical: int) -> int:
    """The code lines of the page of an address in RAM."""
    return load(u64, page_entry(cpu, physical) + 8)


@inline
def line_mask(physical: int, size: int) -> int:
    """The lines that `size` bytes (within the page) touch."""
    first = physical >> 6 & 63
    last = (physical + size - 1) >> 6 & 63
    return (~u64(0) << first) & (~u64(0) >> (u64(63) - last))


@inline
def touches_code(cpu: Cpu, physical: int, size: int) -> bool:
    """Whether bytes inside one page of RAM hold decoded code."""
    return lines_of(cpu, physical) & line_mask(physical, size) != 0


@microcode
def invalidate_code(cpu: Cpu, physical: u64, size: u64) -> None:
    """A store is about to change RAM inside one page: drop the page's blocks if it touches their lines."""
    if touches_code(cpu, physical, size):
        drop_page(cpu, physical)


@microcode
def drop_page(cpu: Cpu, physical: u64) -> None:
    """Drop every block of a page; links into it end in the stale handler, which looks the block up again."""
    entry = page_entry(cpu, physical)
    pointer = load(u64, entry)
    while pointer != 0:
        block = Block(pointer)
        block.physical = ~u64(0)
        store(u64, pointer + BLOCK_SIZE, cpu.stale_handler)
        pointer = block.next_in_page
    store(u64, entry, u64(0))
    store(u64, entry + 8, u64(0))
