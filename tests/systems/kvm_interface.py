"""What programs that use /dev/kvm have in common (Documentation/virt/kvm/api.rst), as assembly.

After `opening`, R12 is /dev/kvm, R13 the virtual machine, R14 its processor, R15 its struct kvm_run, RBP the guest's memory.
"""

from __future__ import annotations

REPLY = "kvm program: "

NUMBERS = """
.set KVM_CREATE_VM, 0xAE01
.set KVM_GET_VCPU_MMAP_SIZE, 0xAE04
.set KVM_GET_SUPPORTED_CPUID, 0xC008AE05
.set KVM_CREATE_VCPU, 0xAE41
.set KVM_SET_TSS_ADDR, 0xAE47
.set KVM_CREATE_IRQCHIP, 0xAE60
.set KVM_SET_USER_MEMORY_REGION, 0x4020AE46
.set KVM_RUN, 0xAE80
.set KVM_SET_REGS, 0x4090AE82
.set KVM_GET_SREGS, 0x8138AE83
.set KVM_SET_SREGS, 0x4138AE84
.set KVM_SET_CPUID2, 0x4008AE90
"""
CREATE_CONTROLLERS = """
    mov rdi, r13
    mov esi, KVM_CREATE_IRQCHIP
    xor edx, edx
    call ioctl
"""
RUN = """\
    mov rdi, r14
    mov esi, KVM_SET_SREGS
    mov edx, offset bss
    call ioctl
    mov rdi, r14
    mov esi, KVM_SET_REGS
    mov edx, offset registers
    call ioctl
go_on:
    mov rdi, r14
    mov esi, KVM_RUN
    xor edx, edx
    call ioctl
    mov eax, [r15 + 8]                  # exit_reason
    cmp eax, 2                          # KVM_EXIT_IO
    jne unexpected
    mov rsi, [r15 + 40]                 # data_offset
    add rsi, r15
    cmp byte ptr [r15 + 32], 0          # direction: in"""
"""Set the registers at `bss` and `registers`, then run; at an exit by a port, compare its direction with “in”."""


def opening(memory: int, *, controllers: bool) -> str:
    """Make a virtual machine with one processor and `memory` bytes, with the kernel's interrupt controllers or without."""
    return f"""{NUMBERS}
.set GUEST_MEMORY, {memory:#x}
    mov edi, offset device
    mov esi, 2                          # O_RDWR
    mov eax, SYS_OPEN
    syscall
    mov ebx, 'o'
    call check
    mov r12, rax                        # /dev/kvm
    mov rdi, r12
    mov esi, KVM_CREATE_VM
    xor edx, edx
    call ioctl
    mov r13, rax                        # the virtual machine
    mov rdi, r13
    mov esi, KVM_SET_TSS_ADDR
    mov edx, 0xFFFBD000
    call ioctl
{CREATE_CONTROLLERS if controllers else ""}
    mov esi, GUEST_MEMORY
    mov r8, -1
    mov r10d, 0x22                      # private, anonymous
    call mmap
    mov rbp, rax                        # the guest's memory
    mov [region + 24], rax
    mov rdi, r13
    mov esi, KVM_SET_USER_MEMORY_REGION
    mov edx, offset region
    call ioctl
    mov rdi, r13
    mov esi, KVM_CREATE_VCPU
    xor edx, edx
    call ioctl
    mov r14, rax                        # the processor
    mov rdi, r12
    mov esi, KVM_GET_VCPU_MMAP_SIZE
    xor edx, edx
    call ioctl
    mov rsi, rax
    mov r8, r14
    mov r10d, 1                         # shared
    call mmap
    mov r15, rax                        # struct kvm_run
"""


ROUTINES = f"""
unexpected:                             # the exit reason as a digit
    lea ebx, [rax + '0']
    jmp fail

ioctl:
    mov eax, SYS_IOCTL
    syscall
    mov ebx, 'i'
check:
    test rax, rax
    js fail
    ret
mmap:
    xor edi, edi
    mov edx, 3                          # to read and write
    xor r9d, r9d
    mov eax, SYS_MMAP
    syscall
    mov ebx, 'm'
    jmp check
fail:                                   # prints "failed: " and BL
    mov [failed_letter], bl
    mov edi, 1
    mov esi, offset failed
    mov edx, 23
    mov eax, SYS_WRITE
    syscall
    mov edi, 1
    mov eax, SYS_EXIT
    syscall
failed: .ascii "{REPLY}failed: "
failed_letter: .ascii "?\\n"
device: .asciz "/dev/kvm"
.balign 8
region: .long 0, 0                      # slot, flags
    .quad 0, GUEST_MEMORY, 0            # guest-physical address, size, address here
"""
"""Subroutines and data that `opening` needs; a failure is printed as a letter, an exit that was not expected as a digit."""
