"""Assembly text as a multiboot kernel: a header, the code, zeroed memory behind it, in an ELF file of one segment."""

from __future__ import annotations

import struct

from vmxon.machine.assembler import assemble_apart

ORIGIN = 0x40_0000
"""Where the kernel is loaded: 4 MiB, above what firmware and boot loaders use."""
ZEROS = 1 << 20
"""Bytes of zeroed memory from the symbol `zeros` on, unless told otherwise."""
MULTIBOOT = ".code32; .long 0x1BADB002, 0, -0x1BADB002; "
"""The header, on the first line of the text, so that its lines keep their numbers."""
START = ORIGIN + 12
BEHIND = """
.balign 4096
zeros:
"""
HEADER = struct.Struct("<16sHHIIIIIHHHHHH")
SEGMENT = struct.Struct("<8I")
LOAD, READ_WRITE_EXECUTE = 1, 7


def multiboot_program(text: str, zeros: int = ZEROS) -> bytes:
    """An ELF file that starts with the first instruction of `text`, in 32-bit protected mode without paging.

    Raises:
        AssemblyError: LLVM refuses the text.
    """
    code = assemble_apart(MULTIBOOT + text + BEHIND, 64, ORIGIN)
    offset = HEADER.size + SEGMENT.size
    header = HEADER.pack(b"\x7fELF\1\1\1", 2, 3, 1, START, HEADER.size, 0, 0, HEADER.size, SEGMENT.size, 1, 0, 0, 0)
    segment = SEGMENT.pack(LOAD, offset, ORIGIN, ORIGIN, len(code), len(code) + zeros, READ_WRITE_EXECUTE, 1)
    return header + segment + code
