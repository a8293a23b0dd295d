"""An option ROM by which SeaBIOS starts a kernel: it fetches the parts from the firmware configuration device and enters them.

Sources: BIOS Boot Specification 1.01, §3 “BEV Devices”; Plug and Play BIOS Specification 1.0A, §3.2 “Expansion Header for Plug and
Play”; “The Linux/x86 Boot Protocol” (boot.rst), “Loading The Rest of The Kernel”.
"""

from __future__ import annotations

from functools import cache

from vmxon.devices.firmware_configuration import DmaControl, Entry
from vmxon.machine.assembler import assemble

FILE = "genroms/linux.bin"
SIZE = 512
ACCESS, ANSWER = 0x600, 0x620
"""Where a DMA access and a number that it fetches are, below what any kernel uses."""
DMA_PORT = 0x518
PARTS = (
    (Entry.SETUP_ADDRESS, Entry.SETUP_SIZE, Entry.SETUP_DATA),
    (Entry.COMMAND_LINE_ADDRESS, Entry.COMMAND_LINE_SIZE, Entry.COMMAND_LINE_DATA),
    (Entry.KERNEL_ADDRESS, Entry.KERNEL_SIZE, Entry.KERNEL_DATA),
    (Entry.INITRD_ADDRESS, Entry.INITRD_SIZE, Entry.INITRD_DATA),
)
STACK = 0xFFF0
"""SP in the segment of the setup code, above its heap."""
PRODUCT = "Linux kernel"
READ = DmaControl.make(read=1, select=1)


def _source() -> str:
    # LLVM makes near calls and returns of 16-bit code 32 bits wide, which fit each other; a far return must be 16 bits wide.
    parts = "\n".join(
        f"mov al, {address:#x}; call fetch; mov ebx, eax; mov al, {size:#x}; call fetch; mov ecx, eax; mov al, {data:#x}; call move"
        for address, size, data in PARTS
    )
    return f"""
    .byte 0x55, 0xAA, {SIZE // 512}
    xor ax, ax
    .byte 0xCB
    .org 0x1A
    .word plug_and_play
plug_and_play:
    .ascii "$PnP"
    .byte 1, 2
    .word 0
    .byte 0, 0
    .long 0
    .word 0, product
    .byte 0, 0, 0, 0
    .word 0, 0, start, 0, 0
product:
    .asciz "{PRODUCT}"
start:
    cli
    cld
    xor ax, ax
    mov ds, ax
    mov ss, ax
    mov sp, 0x7C00
    {parts}
    mov al, {Entry.SETUP_ADDRESS:#x}
    call fetch
    shr eax, 4
    mov ds, ax
    mov es, ax
    mov fs, ax
    mov gs, ax
    mov ss, ax
    mov sp, {STACK:#x}
    add ax, 0x20
    push ax
    xor eax, eax
    push ax
    .byte 0xCB
fetch:
    push ebx
    mov ebx, {ANSWER:#x}
    mov ecx, 4
    call move
    mov eax, dword ptr [{ANSWER:#x}]
    pop ebx
    ret
move:
    movzx eax, al
    shl eax, 16
    or eax, {int(READ):#x}
    bswap eax
    mov dword ptr [{ACCESS:#x}], eax
    bswap ecx
    mov dword ptr [{ACCESS + 4:#x}], ecx
    mov dword ptr [{ACCESS + 8:#x}], 0
    bswap ebx
    mov dword ptr [{ACCESS + 12:#x}], ebx
    mov eax, {ACCESS:#x}
    bswap eax
    mov dx, {DMA_PORT:#x}
    out dx, eax
    ret
"""


@cache
def linux_rom() -> bytes:
    """The ROM, which adds up to 0."""
    code = bytearray(assemble(_source(), 16).ljust(SIZE, b"\0"))
    code[-1] = -sum(code) & 0xFF
    return bytes(code)
