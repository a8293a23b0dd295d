"""A static 64-bit Linux program from assembly text: one segment that may be read, written and executed."""

from __future__ import annotations

import struct

from vmxon.machine.assembler import assemble

ORIGIN = 0x40_0000
HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
SEGMENT = struct.Struct("<IIQQQQQQ")
EXECUTABLE, X86_64, LOAD, READ_WRITE_EXECUTE = 2, 62, 1, 7

SYSTEM_CALLS = """
.set SYS_READ, 0
.set SYS_WRITE, 1
.set SYS_OPEN, 2
.set SYS_MMAP, 9
.set SYS_IOCTL, 16
.set SYS_EXIT, 60
.set SYS_IOPL, 172
"""


def static_program(text: str, zeros: int = 0) -> bytes:
    """An ELF file that starts at the first instruction of `text`; `zeros` bytes of zeros follow the text, page-aligned, at `bss`."""
    start = ORIGIN + HEADER.size + SEGMENT.size
    code = assemble(f"{SYSTEM_CALLS}{text}\n.balign 8\nbss:\n", 64, start)
    size = HEADER.size + SEGMENT.size + len(code)
    header = HEADER.pack(b"\x7fELF\2\1\1", EXECUTABLE, X86_64, 1, start, HEADER.size, 0, 0, HEADER.size, SEGMENT.size, 1, 0, 0, 0)
    segment = SEGMENT.pack(LOAD, READ_WRITE_EXECUTE, 0, ORIGIN, ORIGIN, size, size + zeros, 0x1000)
    return header + segment + code


LEAVE = static_program("""
    mov edi, 3
    mov eax, SYS_IOPL
    syscall
    mov al, 16
    out 0xF4, al
    ud2
""")
LEFT = 16 << 1 | 1
"""LEAVE ends the machine through the test device isa-debug-exit, and this is the status of its process."""
