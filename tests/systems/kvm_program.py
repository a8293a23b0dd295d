"""A program that runs a virtual machine of its own through /dev/kvm (Documentation/virt/kvm/api.rst): a real-mode guest.

The guest reads numbers from a port, adds them, and prints the sum on another port. Then a second guest executes CPUID, whose exits the
kernel handles by itself, and prints c. With the kernel's own interrupt controllers there is a third, which takes five interrupts of its
local APIC's timer in protected mode, sends itself one more, and prints t.
"""

from __future__ import annotations

from tests.systems.kvm_interface import ROUTINES, RUN, opening
from tests.systems.static_program import static_program

SUM_PORT, TEXT_PORT, END_PORT = 0x11, 0x10, 0x12
BSS = 0x400
GUEST_MEMORY = 0x10000
RUN_TICKS = """
    mov esi, offset ticks
    call run_guest
"""


def kvm_program(port_exits: int, cpuid_exits: int, *, controllers: bool = False) -> bytes:
    """The program; its guest makes about `port_exits` exits to user space and `cpuid_exits` to the kernel."""
    return static_program(
        f"""
{opening(GUEST_MEMORY, controllers=controllers)}
    mov esi, offset adder
    call run_guest
    mov esi, offset cpuids
    call run_guest
{RUN_TICKS if controllers else ""}
    xor edi, edi
    mov eax, SYS_EXIT
    syscall

run_guest:                              # the code at RSI, until it writes to its last port
    mov ecx, 0x300
    lea rdi, [rbp + 0x1000]
    rep movsb
    mov rdi, r14
    mov esi, KVM_GET_SREGS
    mov edx, offset bss
    call ioctl
    mov qword ptr [bss], 0              # CS: base, selector
    mov word ptr [bss + 12], 0
{RUN}
    jne port_write
    inc dword ptr [number]
    mov eax, [number]
    mov [rsi], ax
    jmp go_on
port_write:
    cmp word ptr [r15 + 34], {END_PORT}
    je ended
    mov edi, 1
    mov edx, 1
    mov eax, SYS_WRITE
    syscall
    jmp go_on
ended:
    ret
{ROUTINES}
registers: .fill 16, 8, 0
    .quad 0x1000, 2                     # RIP, RFLAGS
number: .long 0
.code16
adder:
    mov cx, {port_exits}
    xor bx, bx
add_next:
    in ax, {SUM_PORT}
    add bx, ax
    loop add_next
    mov ax, bx
    mov bx, 10
    mov sp, 0x8000
    push 10                             # behind the last digit: a new line
    mov cx, 1
next_digit:
    xor dx, dx
    div bx
    add dx, '0'
    push dx
    inc cx
    test ax, ax
    jnz next_digit
print_digit:
    pop ax
    out {TEXT_PORT}, al
    loop print_digit
    out {END_PORT}, al
cpuids:
    mov edi, {cpuid_exits}
next_cpuid:
    xor eax, eax
    cpuid
    dec edi
    jnz next_cpuid
    mov al, 'c'
    out {TEXT_PORT}, al
    mov al, 10
    out {TEXT_PORT}, al
    out {END_PORT}, al
.balign 0x100
ticks:                                  # copied to 0x1000
    cli
    mov dword ptr [0x2008], 0x0000FFFF  # GDT: 08 code
    mov dword ptr [0x200C], 0x00CF9B00
    mov dword ptr [0x2010], 0x0000FFFF  # 10 data
    mov dword ptr [0x2014], 0x00CF9300
    mov word ptr [0x2020], 0x17
    mov dword ptr [0x2022], 0x2000
    mov word ptr [0x2030], 0x7FF
    mov dword ptr [0x2032], 0x3000
    mov dword ptr [0x3200], 0x00081200  # IDT: 40 to 08:1200
    mov dword ptr [0x3204], 0x00008E00
    lgdt [0x2020]
    lidt [0x2030]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    .byte 0xEA, 0x00, 0x11, 0x08, 0x00  # JMP 08:1100
.balign 0x100
.code32
    mov ax, 0x10
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, 0x8000
    xor ebx, ebx
    mov edi, 0xFEE00000
    mov dword ptr [edi + 0xF0], 0x1FF   # enabled
    mov dword ptr [edi + 0x3E0], 0xB    # divided by 1
    mov dword ptr [edi + 0x320], 0x40   # one shot
    mov dword ptr [edi + 0x380], 300000
wait_for_tick:
    sti
    hlt
    cmp ebx, 5
    jb wait_for_tick
    cli
    mov dword ptr [edi + 0x320], 0x10000 # masked
    mov dword ptr [edi + 0x80], 0x50    # priority above vector 40
    mov dword ptr [edi + 0x300], 0x40040 # to itself
    mov ebx, [edi + 0x220]              # requested, and held back
    and ebx, 1
    sti
    nop
    cmp ebx, 1
    jne ticks_failed
    mov dword ptr [edi + 0x80], 0       # comes now
    nop
    cmp ebx, 2
    jne ticks_failed
    mov al, 't'
    out {TEXT_PORT}, al
    mov al, 10
    out {TEXT_PORT}, al
ticks_failed:
    out {END_PORT}, al
.balign 0x100
    inc ebx
    mov dword ptr [0xFEE000B0], 0
    cmp ebx, 5
    jae enough_ticks
    mov dword ptr [0xFEE00380], 300000  # once more
enough_ticks:
    iretd
    .fill 0x100, 1, 0
.code64
""",
        BSS,
    )
