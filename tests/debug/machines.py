"""Small kernels for the debugger's tests."""

from __future__ import annotations

from tests.harness import assemble
from vmxon.machine.configuration import PcConfiguration
from vmxon.machine.loader.image import BootImage, MemoryWrite
from vmxon.machine.pc import Pc

ENTRY = 0x10000
HIGH_LOOP = 0xFFFF_8000_0001_0100
LEAVE = "mov dx, 0xf4\nmov al, 21\nout dx, al\nhlt\n"

REAL, PROTECTED, LONG, TABLES = 0x10040, 0x10080, 0x100C0, 0x2000
"""Where the kernel of three modes is in each of them, and its page tables."""

MODES = f"""
.code32
.org 0
    lgdt [{ENTRY + 0x200}]
    .byte 0xea; .long 0x20; .word 0x18
.org 0x20
.code16
    mov eax, cr0
    and al, 0xfe
    mov cr0, eax
    .byte 0xea; .word {REAL & 0xFFFF}, 0x1000
.org 0x40
    mov ax, 0x1000
    mov ds, ax
    mov bx, 0x1616
    inc word ptr [0x1f0]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    .byte 0x66, 0xea; .long {PROTECTED}; .word 8
.org 0x80
.code32
    mov ax, 0x10
    mov ds, ax
    mov ebx, 0x32323232
    mov eax, {TABLES}
    mov cr3, eax
    mov eax, cr4
    or al, 0x20
    mov cr4, eax
    mov ecx, 0xc0000080
    rdmsr
    or ah, 1
    wrmsr
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
    .byte 0xea; .long {LONG}; .word 0x20
.org 0xc0
.code64
    movabs rbx, 0x6464646464646464
    movabs rcx, 0xffff800000010100
    jmp rcx
.org 0x100
again:
    inc qword ptr [{ENTRY + 0x1F0}]
    inc r8
    cmp r8, 1000
    jne again
    mov dx, 0xf4
    mov al, 21
    out dx, al
    hlt
.org 0x1f0
    .quad 0
.org 0x200
    .word 39; .long {ENTRY + 0x208}
.org 0x208
    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00009b010000ffff, 0x00af9b000000ffff
"""
"""From flat 32-bit mode through real mode and protected mode to a loop in the upper half of 64-bit mode."""


def three_modes(**configuration: object) -> Pc:
    """A PC with that kernel and its page tables: the first GiB at 0 and at 0xFFFF_8000_0000_0000."""
    tables = bytearray(0x3000)
    for place, entry in ((0, TABLES + 0x1003), (0x800, TABLES + 0x1003), (0x1000, TABLES + 0x2003), (0x2000, 0x83), (0x2008, 0x20_0083)):
        tables[place : place + 8] = entry.to_bytes(8, "little")
    code = assemble(MODES, 32)
    writes = (MemoryWrite(ENTRY, code, len(code)), MemoryWrite(TABLES, bytes(tables), len(tables)))
    return Pc(PcConfiguration(memory_size=4 << 20, kernel=BootImage(writes, ENTRY, eax=0, ebx=0, esp=0x9000), **configuration))


def kernel(code: str, bits: int = 32) -> BootImage:
    """Assembly text as an image that starts at ENTRY in flat 32-bit mode."""
    data = assemble(code, bits)
    return BootImage((MemoryWrite(ENTRY, data, len(data)),), ENTRY, eax=0, ebx=0, esp=0x9000)


def machine(code: str, bits: int = 32, **configuration: object) -> Pc:
    """A PC of 4 MiB with such a kernel."""
    return Pc(PcConfiguration(memory_size=4 << 20, kernel=kernel(code, bits), **configuration))
