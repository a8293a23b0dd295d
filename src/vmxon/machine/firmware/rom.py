"""The firmware's machine code in the F segment: entry points, and nothing that Python could do instead.

A stub pushes its vector; `call` pushes the caller's registers, tells Python through one port where they lie, and takes back
what Python made of them. A service that waits for a key or for time leaves a mark beside the vector: `call` halts and asks
again, so that interrupts are served by the guest's own handlers meanwhile.

Addresses that programs rely on are the PC/AT's: FFFF:0 is the reset vector, F000:FFF5 the date, F000:FFFE the model.
"""

from __future__ import annotations

import struct
from functools import cache

SEGMENT = 0xF000
BASE = SEGMENT << 4
CODE, RESET_VECTOR = 0xE000, 0xFFF0
"""Offsets of the code and of its first instruction; what lies below is for tables."""
PORT = 0xB1
"""The private port: a write of a frame's linear address calls the firmware."""
POWER_ON = 0x7F
"""What the reset stub calls; no interrupt vector leads there."""
FIRST_SLAVE = 0x70

SERVICES = (0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1A)
INTERNAL = (0x08, 0x09, FIRST_SLAVE, POWER_ON)
"""Reached from the code of an interrupt line or of the reset."""

ENTRIES = CODE + 0x6A0
"""Where the code lists its own entry points, for the vector table."""
CONFIGURATION = CODE + 0x6F5
"""Where INT 15h AH=C0h points."""
MODEL, SUBMODEL, REVISION = 0xFC, 0x01, 0x00
FEATURES = bytes((0x74, 0x40, 0x00, 0x00, 0x00))
"""Second 8259, RTC, keyboard intercept, extended BIOS data area; INT 16h AH=09h."""
DATE = b"01/01/26"


def _interrupt(label: str) -> str:
    """What INT does, to a label; LLVM's CALL of 16-bit code pushes 32 bits, so it is spelt out."""
    return f"pushf; push cs; .byte 0xE8; .word {label} - . - 2"


def _source() -> str:
    stubs = "\n".join(f"service_{vector:02x}: push {vector}; jmp call" for vector in (*SERVICES, *INTERNAL))
    return f"""
power_on:
    cli
    cld
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7C00
    {_interrupt('service_7f')}
    sti
    int 0x19
{stubs}
call:
    pushad
    push ds
    push es
    xor eax, eax
    mov ax, ss
    shl eax, 4
    movzx ebx, sp
    add eax, ebx
    out {PORT:#x}, eax
    pop es
    pop ds
    popad
    push bp
    mov bp, sp
    test byte ptr [bp + 3], 1
    pop bp
    jnz wait
    add sp, 2
    iret
wait:
    sti
    hlt
    cli
    jmp call
line_0:
    {_interrupt('service_08')}
    int 0x1C
    jmp end_master
line_1:
    push ax
    in al, 0x60
    mov ah, 0x4F
    stc
    int 0x15
    jnc key_taken
    {_interrupt('service_09')}
key_taken:
    pop ax
    jmp end_master
line_8:
    {_interrupt('service_70')}
end_slave:
    push ax
    mov al, 0x20
    out 0xA0, al
    pop ax
end_master:
    push ax
    mov al, 0x20
    out 0x20, al
    pop ax
nothing:
    iret
    .org {ENTRIES - CODE:#x}
    .word line_0, line_1, line_8, end_master, end_slave, nothing
    .word {", ".join(f"service_{vector:02x}" for vector in SERVICES)}
    .org {CONFIGURATION - CODE:#x}
    .word 8
    .byte {MODEL}, {SUBMODEL}, {REVISION}, {", ".join(map(str, FEATURES))}
    .org {RESET_VECTOR - CODE:#x}
    .byte 0xEA
    .word power_on, {SEGMENT:#x}
    .ascii "{DATE.decode()}"
    .byte 0, {MODEL}, 0
"""


@cache
def _assembled() -> tuple[bytes, dict[int, int]]:
    from vmxon.machine.assembler import assemble  # noqa: PLC0415 - a tenth of a start, and a kernel needs no firmware

    code = assemble(_source(), 16, CODE)
    line_0, line_1, line_8, master, slave, nothing, *services = struct.unpack_from(f"<{6 + len(SERVICES)}H", code, ENTRIES - CODE)
    entries = dict.fromkeys(range(0x100), nothing)
    entries |= dict.fromkeys(range(0x08, 0x10), master) | dict.fromkeys(range(0x70, 0x78), slave)
    entries |= {0x08: line_0, 0x09: line_1, FIRST_SLAVE: line_8}
    entries |= dict(zip(SERVICES, services, strict=True))
    return code, entries


def code() -> bytes:
    """The bytes from F000:E000 to the end of the segment."""
    return _assembled()[0]


def vector_table() -> bytes:
    """The 256 interrupt vectors, as they stand at address 0."""
    return b"".join(struct.pack("<HH", offset, SEGMENT) for _, offset in sorted(_assembled()[1].items()))
