"""A program that runs a multiboot image in a virtual machine of /dev/kvm, and prints what the guest writes to port 0xE9.

The guest's processor has what KVM offers, VMX among it: a hypervisor in it is entered by KVM's nested virtualization.
"""

from __future__ import annotations

from tests.systems.kvm_interface import ROUTINES, RUN, opening
from tests.systems.static_program import static_program

MEMORY = 32 << 20
CONSOLE, END = 0xE9, 0xF4
IMAGE = "guest.bin"
CPUID_ENTRIES, BSS = 100, 0x2000


def kvm_monitor(origin: int, entry: int) -> bytes:
    """The program; the image is the file /guest.bin, loaded at `origin` and started at `entry` as multiboot says."""
    return static_program(
        f"""
{opening(MEMORY, controllers=True)}
    mov dword ptr [cpuid_table], {CPUID_ENTRIES}
    mov rdi, r12
    mov esi, KVM_GET_SUPPORTED_CPUID
    mov edx, offset cpuid_table
    call ioctl
    mov rdi, r14
    mov esi, KVM_SET_CPUID2
    mov edx, offset cpuid_table
    call ioctl
    mov edi, offset image
    xor esi, esi
    mov eax, SYS_OPEN
    syscall
    mov ebx, 'f'
    call check
    mov rdi, rax
    lea rsi, [rbp + {origin:#x}]
    mov edx, {MEMORY - origin:#x}
    mov eax, SYS_READ
    syscall
    mov ebx, 'r'
    call check
    mov rdi, r14
    mov esi, KVM_GET_SREGS
    mov edx, offset bss
    call ioctl
    mov ecx, 6                          # CS, DS, ES, FS, GS, SS: flat
    mov edi, offset bss
flat_segment:
    mov qword ptr [rdi], 0              # base
    mov dword ptr [rdi + 8], -1         # limit
    mov dword ptr [rdi + 12], 0x01030010 # selector, type, present
    mov dword ptr [rdi + 16], 0x00010100 # DPL, D/B, S, L
    mov dword ptr [rdi + 20], 0x00000001 # G, AVL, unusable
    add edi, 24
    dec ecx
    jnz flat_segment
    mov dword ptr [bss + 12], 0x010B0008
    mov qword ptr [bss + 224], 0x31     # CR0
{RUN}
    je port_read
    cmp word ptr [r15 + 34], {END:#x}
    je ended
    cmp word ptr [r15 + 34], {CONSOLE:#x}
    jne go_on
    mov edi, 1
    mov edx, [r15 + 36]                 # count
    mov eax, SYS_WRITE
    syscall
    jmp go_on
port_read:
    mov dword ptr [rsi], -1
    jmp go_on
ended:
    xor edi, edi
    mov eax, SYS_EXIT
    syscall
{ROUTINES}
image: .asciz "/{IMAGE}"
.balign 8
registers: .fill 16, 8, 0
    .quad {entry:#x}, 2                 # RIP, RFLAGS
.balign 8
.set cpuid_table, bss + 0x400
""",
        BSS,
    )
