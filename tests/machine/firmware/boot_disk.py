"""A disk of our own that starts as GRUB's does: a boot sector, a second stage that asks the BIOS for everything, a menu, protected mode.

What it finds goes to port 0xE9, one line each; it ends through isa-debug-exit.
"""

from __future__ import annotations

import struct

from vmxon.machine.assembler import assemble

SECTORS = 40 * 16 * 63
STAGE, STAGE_SECTORS = 0x8000, 8
FAR_SECTOR = 30_000
FAR_DATA = b"the far end of the disk".ljust(512, b".")
STATUS = 42


BOOT_SECTOR = f"""
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7C00
    mov ah, 0x41
    mov bx, 0x55AA
    int 0x13
    jc by_geometry
    cmp bx, 0xAA55
    jne by_geometry
    mov si, offset packet
    mov ah, 0x42
    int 0x13
    jnc loaded
by_geometry:
    mov ax, 0x0200 + {STAGE_SECTORS}
    mov bx, {STAGE}
    mov cx, 2
    xor dh, dh
    int 0x13
    jc failed
loaded:
    .byte 0xEA
    .word {STAGE}, 0
failed:
    int 0x18
packet:
    .byte 16, 0
    .word {STAGE_SECTORS}, {STAGE}, 0
    .quad 1
    .org 510
    .word 0xAA55
"""

SECOND_STAGE = f"""
    mov [drive], dl
    mov si, offset hello
    call print
    mov si, offset hello
    call log

    int 0x12
    call hex
    int 0x11
    call hex
    call newline

    xor ebx, ebx                # the address map
map_row:
    mov eax, 0xE820
    mov edx, 0x534D4150
    mov ecx, 20
    mov di, offset row
    int 0x15
    jc map_end
    mov si, offset row
    mov cx, 10
map_words:
    lodsw
    call hex
    loop map_words
    call newline
    test ebx, ebx
    jnz map_row
map_end:
    mov ax, 0xE801
    int 0x15
    call hex
    mov ax, bx
    call hex
    mov ah, 0x88
    int 0x15
    call hex
    call newline

    mov ah, 8                   # the disk
    mov dl, [drive]
    int 0x13
    mov ax, cx
    call hex
    mov ax, dx
    call hex
    mov word ptr [parameters], 26
    mov si, offset parameters
    mov ah, 0x48
    mov dl, [drive]
    int 0x13
    mov ax, [parameters + 16]
    call hex
    call newline
    mov si, offset packet
    mov ah, 0x42
    mov dl, [drive]
    int 0x13
    jc failed
    mov si, 0x9000
    call log

    mov ah, 1                   # the menu
    mov cx, 0x2000
    int 0x10
    mov ah, 2
    mov bh, 0
    mov dx, 0x0A05
    int 0x10
    mov ax, 0x0900 + 0xC4
    mov bx, 0x0070
    mov cx, 20
    int 0x10
    mov ah, 2
    mov dx, 0x0C00
    int 0x10
    mov ah, 1
    int 0x16
    jnz failed
    mov ah, 0
    int 0x16
    call hex
    call newline

    mov ah, 0                   # the clock: two ticks pass
    int 0x1A
    mov bx, dx
tick:
    sti
    hlt
    mov ah, 0
    int 0x1A
    sub dx, bx
    cmp dx, 2
    jb tick
    mov ah, 2
    int 0x1A
    mov ax, cx
    call hex
    call newline

    mov ax, 0x2401              # protected mode and back, as for each of GRUB's BIOS calls
    int 0x15
    mov cx, 3
modes:
    push cx
    cli
    lgdt [gdtr]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    .byte 0x66, 0xEA
    .long protected
    .word 8
    .code32
protected:
    mov ax, 16
    mov ds, ax
    mov es, ax
    mov ss, ax
    add dword ptr [0x300000], 0x1111
    .byte 0xEA
    .long narrow
    .word 24
    .code16
narrow:
    mov ax, 32
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov eax, cr0
    and al, 0xFE
    mov cr0, eax
    .byte 0xEA
    .word real, 0
real:
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    sti
    mov si, offset hello
    call print
    pop cx
    loop modes

    mov eax, 0x300000           # what protected mode wrote, by a block move
    mov word ptr [source + 2], 0
    mov byte ptr [source + 4], 0x30
    mov si, offset table
    mov ah, 0x87
    mov cx, 2
    int 0x15
    mov ax, [0x9000]
    call hex
    call newline
    mov al, {STATUS}
    mov dx, 0xF4
    out dx, al
failed:
    int 0x18

print:                          # a string to the screen
    lodsb
    test al, al
    jz printed
    mov ah, 0x0E
    mov bx, 7
    int 0x10
    jmp print
printed:
    ret
log:                            # a string to port 0xE9
    lodsb
    test al, al
    jz logged
    out 0xE9, al
    jmp log
logged:
    ret
newline:
    push ax
    mov al, 10
    out 0xE9, al
    pop ax
    ret
hex:                            # AX to port 0xE9
    push ax
    push cx
    push dx
    mov dx, ax
    mov cx, 4
digit:
    rol dx, 4
    mov al, dl
    and al, 15
    cmp al, 10
    jb decimal
    add al, 39
decimal:
    add al, 48
    out 0xE9, al
    loop digit
    mov al, 32
    out 0xE9, al
    pop dx
    pop cx
    pop ax
    ret

hello: .asciz "Hello from the second stage\\r\\n"
drive: .byte 0
packet:
    .byte 16, 0
    .word 1, 0x9000, 0
    .quad {FAR_SECTOR}
    .balign 8
gdt:
    .quad 0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF, 0x00009B000000FFFF, 0x000093000000FFFF
gdtr:
    .word 39
    .long gdt
table:
    .quad 0, 0
source:
    .quad 0x000093000000FFFF
    .quad 0x000093009000FFFF
    .quad 0, 0
row: .space 24
parameters: .space 30
"""


def boot_disk() -> bytes:
    """The disk's bytes, as far as it is not empty."""
    first = assemble(BOOT_SECTOR, 16, 0x7C00)
    second = assemble(SECOND_STAGE, 16, STAGE)
    assert len(first) == 512
    assert len(second) <= STAGE_SECTORS * 512
    disk = (first + second).ljust(FAR_SECTOR * 512, b"\0")
    return disk + FAR_DATA[:-2] + b"\n\0"


def expected_output(memory: int, time: int) -> str:
    """What it writes to port 0xE9 on a machine of so much memory, with Enter pressed in its menu."""
    rows = [(0, 0x9FC00, 1), (0x9FC00, 0x400, 2), (0xE0000, 0x20000, 2), (0x100000, memory - 0x100000, 1)]
    kib = memory // 1024 - 1024
    lines = [
        "Hello from the second stage\r",
        _words(639, 0x0222),
        *(_words(*struct.unpack("<10H", struct.pack("<QQI", *row))) for row in rows),
        _words(min(kib, 0x3C00), max(0, kib - 0x3C00) // 64, kib),
        _words(39 << 8 | 63, 15 << 8 | 1, SECTORS),
        FAR_DATA[:-2].decode(),
        _words(0x1C0D),
        _words(time),
        _words(0x3333),
    ]
    return "\n".join(lines) + "\n"


def _words(*values: int) -> str:
    return "".join(f"{value:04x} " for value in values)
