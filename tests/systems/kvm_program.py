"""A program that runs a virtual machine of its own through /dev/kvm (Documentation/virt/kvm/api.rst): a real-mode guest.

The guest reads numbers from a port, adds them, and prints the sum on another port. Then a second guest executes CPUID, whose exits the
kernel handles by itself, and prints c.
"""

from __future__ import annotations

from tests.systems.static_program import static_program

SUM_PORT, TEXT_PORT = 0x11, 0x10
BSS = 0x400
REPLY = "kvm program: "


def guest(text: str) -> str:
    """Bytes of a guest that starts in real mode at 0x1000."""
    return ".code16\n" + text + "\n.code64\n"


def kvm_program(port_exits: int, cpuid_exits: int) -> bytes:
    """The program; its guest makes about `port_exits` exits to user space and `cpuid_exits` to the kernel."""
    return static_program(
        f"""
.set GUEST_MEMORY, 0x10000
.set KVM_CREATE_VM, 0xAE01
.set KVM_GET_VCPU_MMAP_SIZE, 0xAE04
.set KVM_CREATE_VCPU, 0xAE41
.set KVM_SET_USER_MEMORY_REGION, 0x4020AE46
.set KVM_SET_TSS_ADDR, 0xAE47
.set KVM_RUN, 0xAE80
.set KVM_SET_REGS, 0x4090AE82
.set KVM_GET_SREGS, 0x8138AE83
.set KVM_SET_SREGS, 0x4138AE84
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
    mov esi, offset adder
    call run_guest
    mov esi, offset cpuids
    call run_guest
    xor edi, edi
    mov eax, SYS_EXIT
    syscall

run_guest:                              # the code at RSI, until it halts
    mov ecx, 0x80
    lea rdi, [rbp + 0x1000]
    rep movsb
    mov rdi, r14
    mov esi, KVM_GET_SREGS
    mov edx, offset bss
    call ioctl
    mov qword ptr [bss], 0              # CS: base, selector
    mov word ptr [bss + 12], 0
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
    cmp eax, 5                          # KVM_EXIT_HLT
    je halted
    cmp eax, 2                          # KVM_EXIT_IO
    jne unexpected
    mov rsi, [r15 + 40]                 # data_offset
    add rsi, r15
    cmp byte ptr [r15 + 32], 0          # direction: in
    jne port_write
    inc dword ptr [number]
    mov eax, [number]
    mov [rsi], ax
    jmp go_on
port_write:
    mov edi, 1
    mov edx, 1
    mov eax, SYS_WRITE
    syscall
    jmp go_on
halted:
    ret
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
    hlt
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
    hlt
    .fill 0x80, 1, 0
.code64
""",
        BSS,
    )
