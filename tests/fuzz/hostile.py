"""A program that attacks its hypervisor: random pieces of code under a skeleton that survives its own faults.

Every exception, and the end of every piece, leads to another random piece; the pieces write to the page tables that they run on, to control
registers, MSRs and ports, to each other, and to addresses where nothing is. Two skeletons: 32-bit (without paging, with 32-bit and with PAE
paging) and 64-bit.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache
from random import Random

from vmxon.machine.assembler import assemble

BASE, CODE, TABLES, PIECES, STOLEN = 0x10_0000, 0x10_0020, 0x4_0000, 0x11_0000, 0x6_0000
"""Where the image, its skeleton, the page tables, the pieces and the place for what copies find lie."""
COUNT, SIZE = 64, 64
COUNTER = 0x7_0000
"""A counter of pieces that were started."""
MEMORY = 2 << 20
BEYOND = (MEMORY, MEMORY + 0x1000, 0x7FF_F000, 0xFEE0_0000, 0xFEC0_0000, 0xFFFF_F000, 0xB_8000, 0xF_0000)
VALUES = (
    *(0, 1, 2, 0x10, 0x20, 0x64, 0x80, 0xE9, 0x1B, 0x3A, 0x1F0, 0x3F8, 0x600, 0x1F7, 0xCF8, 0xFFFF, 0x10_0000, 0x7FFF_FFFF, 0xFFFF_FFFF),
    *(0x174, 0x277, 0x2FF, 0x480, 0x48B, 0x491, 0x800, 0x80B, 0x830, 0x8FF, 0xC000_0080, 0xC000_0081, 0xC000_0082, 0xC000_0100),
    *(0x8000_0011, 0x8001_0031, 0xE000_0011, 0x6000_0010, 0x20, 0xA0, 0x30, 0x6B0, 0x2020, 0x10_0000, 0x20_0000, 0x22_0000, 0xD01, 0x901),
    *(TABLES, TABLES + 8, TABLES + 0x1000, TABLES + 0x1008, TABLES + 0x2000, TABLES + 0x2040, PIECES, PIECES + 0x400, STOLEN, CODE),
    *(TABLES | 0x83, 0x83, 0x87, 0x1E7, 0x8000_0083, 0x4000_0083, 0x20_0083, 0xFEC0_0083, 0xFFFF_F067, 0x0FFF_F067, 0x20_0067, *BEYOND),
)
MUCH_USED = "ud2 \n int3 \n cpuid \n vmcall \n cli \n sti \n sti \n cpuid \n rdtsc \n pushfd \n popfd \n rdmsr \n wrmsr \n rdmsr \n wrmsr"
SYSTEM = """
    mov cr0, eax | mov cr3, eax | mov cr4, eax | mov eax, cr0 | mov eax, cr3 | mov eax, cr4 | clts | lmsw ax | smsw eax
    mov dr0, eax | mov dr7, eax | mov eax, dr6 | lgdt [eax] | lidt [eax] | lldt ax | ltr ax | sgdt [ebx] | mov ds, ax | mov ss, ax
    in al, dx | in ax, dx | in eax, dx | out dx, al | out dx, ax | out dx, eax | insb | outsb | rep insd | rep outsd | rep insb | rep outsw
    vmxoff | vmlaunch | vmresume | vmread eax, ecx | vmwrite ecx, eax | vmxon [ebx] | vmclear [ebx] | vmptrld [ebx] | vmptrst [ebx]
    invept eax, [ebx] | invvpid eax, [ebx] | vmfunc | getsec | rsm | xsetbv | xgetbv | rdpmc | wbinvd | invd | monitor | mwait
    rdtscp | rdrand eax | mov fs, ax | invlpg [eax] | invlpg [ebx] | int 0x80 | int 8 | int 14 | iretd | retf | invpcid eax, [ebx]
    sti \n hlt | hlt | pause | sysenter | sysexit | syscall | sysret | swapgs | stac | clac | ldmxcsr [ebx] | fxrstor [ebx]
    fninit | fld dword ptr [ebx] | fstp dword ptr [ebx] | movups xmm0, [ebx] | movups [ebx], xmm0 | fxsave [ebx]
"""
MEMORY_PIECES = """
    mov [ebx], eax | mov [ecx], eax | xor dword ptr [ebx], 1 | or byte ptr [ebx], 2 | mov eax, [ebx] | add [ebx], ecx | xchg [ebx], eax
    mov edi, STOLEN \n mov ecx, 512 \n rep movsd | mov edi, STOLEN \n mov ecx, 512 \n mov esi, ebx \n rep movsd | mov ecx, 64 \n rep stosd
    lock inc dword ptr [ebx] | mov byte ptr [PIECES + ecx], al | mov [PIECES + 64], eax | jmp ebx | call ebx | mov esp, ebx | push [ebx]
    mov eax, [ebx] \n mov [STOLEN + 0x800], eax | bts [ebx], eax | cmpxchg8b [ebx] | mov edi, TABLES \n mov ecx, 16 \n rep stosd
"""
COMMON = """
again:
    mov ax, 0x10
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, 0x80000
    mov eax, [seed]
    imul eax, eax, 1103515245
    add eax, 12345
    mov [seed], eax
    test eax, 0x700000
    jnz keep
    mov ecx, eax
    RESTORE
    lidt [gates_pointer]
    mov al, 0x20
    out 0x20, al
    mov al, 0xFC
    out 0x21, al
    mov eax, ecx
keep:
    inc dword ptr [COUNTER]
    test eax, 0x18000000
    jz off
    sti
off:
    shr eax, 8
    and eax, COUNT - 1
    shl eax, 6
    add eax, PIECES
    mov ebp, eax
    mov eax, [seed]
    JUMP
seed: .long SEED
.balign 8
table_pointer: .word 31
    DESCRIBE table
gates_pointer: .word 0xFFF
    DESCRIBE gates
.balign 8
table: .quad 0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF, 0x00AF9B000000FFFF
"""
START_32 = """
    mov esp, 0x80000
    mov dword ptr [TABLES], 0x83
    mov dword ptr [TABLES + 4], 0x400083
    mov dword ptr [TABLES + 0x1000], TABLES + 0x2001
    mov dword ptr [TABLES + 0x2000], 0x83
    mov dword ptr [TABLES + 0x2008], 0x200083
    mov dword ptr [TABLES + 0x2010], TABLES + 0x3007
    mov dword ptr [TABLES + 0x3000], 0x60067
    mov edi, offset gates
    mov ecx, 256
gate:
    mov eax, offset again - 0x100000
    mov [edi], ax
    mov word ptr [edi + 2], 8
    mov word ptr [edi + 4], 0x8E00
    mov word ptr [edi + 6], 0x10
    add edi, 8
    loop gate
    lgdt [table_pointer]
    lidt [gates_pointer]
    mov al, 0x34
    out 0x43, al
    mov al, 0
    out 0x40, al
    mov al, 2
    out 0x40, al
    mov al, 0xFC
    out 0x21, al
    RESTORE
"""
START_64 = """
    mov esp, 0x80000
    mov dword ptr [TABLES], TABLES + 0x1007
    mov dword ptr [TABLES + 0x1000], TABLES + 0x2007
    mov dword ptr [TABLES + 0x1008], 0x87
    mov dword ptr [TABLES + 0x2000], 0x87
    mov dword ptr [TABLES + 0x2008], 0x200087
    mov dword ptr [TABLES + 0x2010], TABLES + 0x3007
    mov dword ptr [TABLES + 0x3000], 0x60067
    mov edi, offset gates
    mov ecx, 256
gate:
    mov eax, offset again - 0x100000
    mov [edi], ax
    mov word ptr [edi + 2], 0x18
    mov word ptr [edi + 4], 0x8E00
    mov word ptr [edi + 6], 0x10
    mov dword ptr [edi + 8], 0
    add edi, 16
    loop gate
    lgdt [table_pointer]
    lidt [gates_pointer]
    mov al, 0xFC
    out 0x21, al
    mov eax, 0x20
    mov cr4, eax
    mov eax, TABLES
    mov cr3, eax
    mov ecx, 0xC0000080
    mov eax, 0x901
    xor edx, edx
    wrmsr
    mov eax, 0x80000011
    mov cr0, eax
    push 0x18
    mov eax, offset again
    push eax
    retf
"""
RESTORES = {
    "plain": "mov eax, 0x11 \n mov cr0, eax",
    "legacy": "mov eax, 0x10 \n mov cr4, eax \n mov eax, TABLES \n mov cr3, eax \n mov eax, 0x80000011 \n mov cr0, eax",
    "pae": "mov eax, 0x20 \n mov cr4, eax \n mov eax, TABLES + 0x1000 \n mov cr3, eax \n mov eax, 0x80000011 \n mov cr0, eax",
    "long": "mov eax, 0x20 \n mov cr4, rax \n mov eax, TABLES \n mov cr3, rax \n mov eax, 0x80000011 \n mov cr0, rax",
}
NAMES = {"TABLES": TABLES, "STOLEN": STOLEN, "PIECES": PIECES, "COUNTER": COUNTER, "COUNT": COUNT}


def named(text: str) -> str:
    """The text with its names replaced."""
    for name, value in sorted(NAMES.items(), key=lambda item: -len(item[0])):
        text = text.replace(name, f"{value:#x}")
    return text


def wide(text: str) -> str:
    """A piece of 32-bit code in 64-bit mode's words."""
    for old, new in (("pushfd", "pushfq"), ("popfd", "popfq"), ("iretd", "iretq"), ("jmp ebx", "jmp rbx"), ("call ebx", "call rbx")):
        text = text.replace(old, new)
    words = text.split()
    system = any(word.startswith(("cr", "dr")) and word[2:3].isdigit() for word in words) or words[0] in ("vmread", "vmwrite", "push")
    if words[0] in ("invept", "invvpid", "invpcid"):
        return text.replace("eax", "rax").replace("[e", "[r")
    return text.replace("eax", "rax").replace("ecx", "rcx").replace("ebx", "rbx") if system else text


@cache
def pool(bits: int) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Machine code of the system instructions and of the memory accesses."""

    def code(text: str) -> tuple[bytes, ...]:
        pieces = [piece.strip() for line in text.strip().split("\n    ") for piece in line.split("|")]
        return tuple(assemble(named(piece if bits == 32 else wide(piece)), bits) for piece in pieces)

    much = tuple(assemble(line if bits == 32 else wide(line.strip()), bits) for line in MUCH_USED.split("\n"))
    return code(SYSTEM) + much, code(MEMORY_PIECES)


@cache
def skeleton(kind: str) -> bytes:
    """The code that survives; its seed is 0."""
    long = kind == "long"
    text = f".code32\n{START_64}\n.code64\n{COMMON}" if long else START_32 + COMMON
    text = text.replace("RESTORE", RESTORES[kind]).replace("SEED", "0x5EED5EED").replace("DESCRIBE", ".quad" if long else ".long")
    text = text.replace("JUMP", "jmp rbp" if long else "jmp ebp") + "\n.balign 16\ngates: .fill 4096, 1, 0"
    return assemble(named(text), 64 if long else 32, CODE)


@dataclass(frozen=True, slots=True)
class Temper:
    """What one program is made of: with few instructions it comes further than with all."""

    system: tuple[bytes, ...]
    memory: tuple[bytes, ...]
    values: tuple[int, ...]
    noise: bool

    @classmethod
    def choose(cls, choose: Random, bits: int) -> Temper:
        """Some of everything."""
        system, memory = pool(bits)
        return cls(
            tuple(choose.sample(system, choose.choice((4, 12, 30, len(system))))),
            tuple(choose.sample(memory, choose.choice((2, 6, len(memory))))),
            tuple(choose.sample(VALUES, choose.choice((8, 30, len(VALUES))))),
            choose.random() < 0.3,
        )


def piece(choose: Random, temper: Temper, kind: str, place: int) -> bytes:
    """One piece of code, which ends at the skeleton's `again` if nothing else happens."""
    code = b""
    while len(code) < SIZE - 26:
        match choose.randrange(8):
            case 0 | 1 | 2:
                code += bytes((0xB8 + choose.choice((0, 0, 1, 1, 2, 3, 3, 6, 7)),)) + choose.choice(temper.values).to_bytes(4, "little")
            case 3 | 4 | 5:
                code += choose.choice(temper.system)
            case 6:
                code += choose.choice(temper.memory)
            case _ if temper.noise:
                code += choose.randbytes(choose.randint(1, 3))
    again = BASE + offset_of_again(kind)
    return (code[: SIZE - 5] + b"\xe9" + struct.pack("<i", again - (place + min(len(code), SIZE - 5) + 5))).ljust(SIZE, b"\xcc")


@cache
def offset_of_again(kind: str) -> int:
    """Where in the image `again` is."""
    return CODE - BASE + skeleton(kind).index(assemble("mov ax, 0x10"))


def bits_of(kind: str) -> int:
    """The mode that a kind's pieces are for."""
    return 64 if kind == "long" else 32


def image(seed: int, kind: str) -> bytes:
    """A multiboot image; `kind` is a key of `RESTORES`."""
    choose = Random(seed)
    temper = Temper.choose(choose, bits_of(kind))
    code = skeleton(kind).replace((0x5EED5EED).to_bytes(4, "little"), (seed & 0xFFFF_FFFF).to_bytes(4, "little"))
    body = code.ljust(PIECES - CODE, b"\xcc")
    body += b"".join(piece(choose, temper, kind, PIECES + SIZE * number) for number in range(COUNT))
    end = CODE + len(body)
    return struct.pack("<8I", 0x1BADB002, 0x10000, -(0x1BADB002 + 0x10000) & 0xFFFF_FFFF, BASE, BASE, end, end, CODE) + body
