"""Which memory holds decoded code: for each 4-KiB page of the store its blocks and a bit for each 64-byte line that they cover."""

from __future__ import annotations

from vmxon.microcode import inline, load, microcode, store, u64
from vmxon.microcode.layout import State, scalar
from vmxon.processor.state import ProcessorState as Cpu


class Block(State):
    """The header in front of a block's first record."""

    next_in_page = scalar(u64)
    next_in_table = scalar(u64)
    place = scalar(u64)
    """Place of the first byte; all ones once the block is dropped."""
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
def page_entry(cpu: Cpu, at: int) -> int:
    """Host address of a page's entry."""
    return cpu.memory_pages + (at >> 12) * PAGE_ENTRY


@inline
def lines_of(cpu: Cpu, at: int) -> int:
    """The code lines of a page."""
    return load(u64, page_entry(cpu, at) + 8)


@inline
def line_mask(at: int, size: int) -> int:
    """The lines that `size` bytes (within the page) touch."""
    first = at >> 6 & 63
    last = (at + size - 1) >> 6 & 63
    return (~u64(0) << first) & (~u64(0) >> (u64(63) - last))


@inline
def touches_code(cpu: Cpu, at: int, size: int) -> bool:
    """Whether bytes inside one page hold decoded code."""
    return lines_of(cpu, at) & line_mask(at, size) != 0


@microcode
def invalidate_code(cpu: Cpu, at: u64, size: u64) -> None:
    """A store is about to change memory inside one page: drop the page's blocks if it touches their lines."""
    if touches_code(cpu, at, size):
        drop_page(cpu, at)


@microcode
def drop_page(cpu: Cpu, at: u64) -> None:
    """Drop every block of a page; links into it end in the stale handler, which looks the block up again."""
    entry = page_entry(cpu, at)
    pointer = load(u64, entry)
    while pointer != 0:
        block = Block(pointer)
        block.place = ~u64(0)
        store(u64, pointer + BLOCK_SIZE, cpu.stale_handler)
        pointer = block.next_in_page
    store(u64, entry, u64(0))
    store(u64, entry + 8, u64(0))
