# Interrupt table, interrupt controllers, timer, and the handlers.

set_up_interrupts:
    # Exceptions 0-31 and interrupts up to 0x80: a stub of 16 bytes each.
    xor ecx, ecx
    lea rdi, [idt]
    lea rax, [rip + stubs]
gate_next:
    mov word ptr [rdi], ax
    mov word ptr [rdi + 2], KERNEL_CODE
    mov word ptr [rdi + 4], 0x8E00
    mov rdx, rax
    shr rdx, 16
    mov word ptr [rdi + 6], dx
    mov qword ptr [rdi + 8], 0
    add rdi, 16
    add rax, 16
    inc ecx
    cmp ecx, 0x30
    jne gate_next
    lea rdi, [idt + 0x80 * 16]
    lea rax, [rip + system_interrupt]
    mov word ptr [rdi], ax
    mov word ptr [rdi + 2], KERNEL_CODE
    mov word ptr [rdi + 4], 0xEE00      # DPL 3
    shr rax, 16
    mov word ptr [rdi + 6], ax
    lidt [rip + idt_pointer]

    # The task state gives the stack for interrupts from user mode.
    mov qword ptr [task_state + 4], offset interrupt_stack_top
    mov eax, offset task_state
    mov word ptr [task_descriptor + 2], ax
    shr eax, 16
    mov byte ptr [task_descriptor + 4], al
    mov byte ptr [task_descriptor + 7], ah
    mov ax, TASK_STATE
    ltr ax

    # Both 8259A to vectors 0x20 and 0x28; only the timer unmasked.
    mov al, 0x11
    out 0x20, al
    out 0xA0, al
    mov al, 0x20
    out 0x21, al
    mov al, 0x28
    out 0xA1, al
    mov al, 4
    out 0x21, al
    mov al, 2
    out 0xA1, al
    mov al, 1
    out 0x21, al
    out 0xA1, al
    mov al, 0xFE
    out 0x21, al
    mov al, 0xFF
    out 0xA1, al

    # Timer: channel 0, rate generator, 1,193,182 / 11,932 = 100 Hz.
    mov al, 0x34
    out 0x43, al
    mov al, 11932 & 0xFF
    out 0x40, al
    mov al, 11932 >> 8
    out 0x40, al
    ret

.balign 16
stubs:
.set vector, 0
.rept 0x30
    .balign 16
    .if (vector == 8) | ((vector >= 10) & (vector <= 14)) | (vector == 17)
    .else
    push 0
    .endif
    push vector
    jmp interrupt
.set vector, vector + 1
.endr
.balign 16

# Stack: vector, error code, RIP, CS, RFLAGS, RSP, SS.
interrupt:
    push rax
    push rdi
    push rcx
    mov eax, dword ptr [rsp + 24]
    cmp eax, 0x20
    je timer_tick
    cmp eax, 14
    je page_fault
    cmp eax, 13
    je protection_fault
    jmp unexpected
end_of_interrupt:
    pop rcx
    pop rdi
    pop rax
    add rsp, 16
    iretq

timer_tick:
    inc dword ptr [ticks]
    mov al, 0x20
    out 0x20, al
    jmp end_of_interrupt

# The user's heap is made on demand, one 4-KiB page at a time.
page_fault:
    mov rdi, cr2
    mov rax, rdi
    shr rax, 12
    cmp rax, USER_HEAP >> 12
    jb unexpected
    cmp rax, (USER_HEAP >> 12) + 8
    jae unexpected
    sub rax, USER_BASE >> 12
    mov ecx, dword ptr [heap_pages]
    shl ecx, 12
    add ecx, offset heap
    or ecx, 7
    mov dword ptr [user_table + rax * 8], ecx
    mov dword ptr [user_table + rax * 8 + 4], 0x80000000    # execute-disable
    inc dword ptr [heap_pages]
    jmp end_of_interrupt

# A fault that somebody waits for.
protection_fault:
    mov rax, qword ptr [expected_fault]
    test rax, rax
    jz unexpected
    mov qword ptr [expected_fault], 0
    mov qword ptr [rsp + 40], rax
    jmp end_of_interrupt

unexpected:
    lea rsi, [rip + text_unexpected]
    call print
    mov edi, dword ptr [rsp + 24]
    call print_number
    call print_line_end
    jmp failed

text_unexpected: .asciz "guest: unexpected exception "
.balign 8
idt_pointer:
    .word 0x81 * 16 - 1
    .quad idt
