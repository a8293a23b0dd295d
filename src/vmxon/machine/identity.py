"""The world of a root-mode program: 64-bit mode, linear = physical, descriptor tables, a stack, and handlers.

The handler of each vector pushes the vector and jumps to where Python takes over.
"""

from __future__ import annotations

import struct

from vmxon.errors import ConfigurationError
from vmxon.machine.modes import enter_long, set_segment
from vmxon.machine.processor import Processor
from vmxon.processor.state import Segment

IDT, GDT, TSS, SCRATCH, HANDLERS, STACK, PML4, PDPT, DIRECTORIES = (0x1000 * n for n in range(9))
"""Physical addresses: one page each, then one page directory for each GiB of memory."""
STACK_TOP = STACK + 0x1000
"""RSP of the root program, and what HOST_RSP should be."""
PAGE, LARGE, GIB = 4096, 2 << 20, 1 << 30
PRESENT_WRITABLE, LARGE_PAGE = 3, 0x83
CODE, DATA, TASK = 0x08, 0x10, 0x18
"""Selectors."""
DESCRIPTORS = (0, 0x00AF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF)
BUSY_TSS = 0x8B
INTERRUPT_GATE = 0x8E00
VECTORS, HANDLER = 32, 16
TSS_LIMIT = 0x67


def build_identity(processor: Processor, python_rip: int) -> int:
    """Fill low memory and enter 64-bit mode with RIP at `python_rip`; gives the first address that is free.

    Raises:
        ConfigurationError: memory is too small for it, or too large for one table of page directories.
    """
    size = processor.engine.memory_size
    directories = -(-size // GIB)
    free = DIRECTORIES + PAGE * directories
    if size < free + PAGE or directories > 512:
        raise ConfigurationError(f"{size:#x} bytes of memory", expected=f"{free + PAGE:#x} to {512 * GIB:#x}")
    write = processor.engine.write_physical
    write(IDT, b"".join(_gate(HANDLERS + HANDLER * vector) for vector in range(VECTORS)).ljust(PAGE, b"\0"))
    write(HANDLERS, b"".join(_handler(vector, python_rip) for vector in range(VECTORS)))
    write(GDT, struct.pack("<3Q", *DESCRIPTORS) + _task_descriptor(TSS))
    write(PML4, struct.pack("<Q", PDPT | PRESENT_WRITABLE).ljust(PAGE, b"\0"))
    tables = [DIRECTORIES + PAGE * n | PRESENT_WRITABLE for n in range(directories)]
    write(PDPT, struct.pack(f"<{directories}Q", *tables).ljust(PAGE, b"\0"))
    for n in range(directories):
        write(DIRECTORIES + PAGE * n, struct.pack("<512Q", *(n * GIB + LARGE * m | LARGE_PAGE for m in range(512))))
    state = processor.state
    enter_long(state, python_rip, PML4)
    state.gpr[4] = STACK_TOP
    state.python_rip = python_rip
    set_segment(state, Segment.TR, TASK, TSS, TSS_LIMIT, BUSY_TSS)
    state.gdt_base, state.gdt_limit = GDT, 8 * len(DESCRIPTORS) + 15
    state.idt_base, state.idt_limit = IDT, PAGE - 1
    state.activity = 0
    processor.refresh()
    return free


def _gate(target: int) -> bytes:
    """A 64-bit interrupt gate (Vol. 3A Figure 6-8 “64-Bit IDT Gate Descriptors”); `target` is below 4 GiB."""
    return struct.pack("<HHHHII", target & 0xFFFF, CODE, INTERRUPT_GATE, target >> 16, 0, 0)


def _handler(vector: int, python_rip: int) -> bytes:
    """push vector; push the address, in two halves; ret."""
    low = struct.pack("<i", (python_rip & 0xFFFF_FFFF) - (1 << 32 if python_rip & 1 << 31 else 0))
    high = struct.pack("<I", python_rip >> 32)
    return (b"\x6a" + bytes((vector,)) + b"\x68" + low + b"\xc7\x44\x24\x04" + high + b"\xc3").ljust(HANDLER, b"\x90")


def _task_descriptor(base: int) -> bytes:
    """A 16-byte descriptor of a busy 64-bit TSS."""
    low = TSS_LIMIT | (base & 0xFF_FFFF) << 16 | BUSY_TSS << 40 | (base >> 24 & 0xFF) << 56
    return struct.pack("<QQ", low, base >> 32)
