# A task in user mode: system calls by SYSCALL and by INT 80h, new memory by page faults.

.equ CALL_WRITE, 1
.equ CALL_EXIT, 2
.equ USER_STACK, USER_BASE + 0x4000

run_task:
    # Its code and stack: pages of the kernel's image, mapped for the user.
    mov eax, offset task_code + 5
    mov dword ptr [user_table], eax
    mov eax, offset task_stack + 7
    mov dword ptr [user_table + 8 * 3], eax
    mov dword ptr [user_table + 8 * 3 + 4], 0x80000000
    # SYSCALL: kernel selectors from 8, user selectors from 0x10 (+8 data, +16 code); interrupts off on entry.
    mov ecx, 0xC0000081                 # IA32_STAR
    xor eax, eax
    mov edx, 0x00130008
    wrmsr
    mov ecx, 0xC0000082                 # IA32_LSTAR
    mov eax, offset system_call
    xor edx, edx
    wrmsr
    mov ecx, 0xC0000084                 # IA32_FMASK
    mov eax, 0x200
    wrmsr
    mov qword ptr [kernel_stack], rsp
    push USER_DATA
    mov eax, USER_STACK
    push rax
    push 0x202
    push USER_CODE
    mov eax, USER_BASE
    push rax
    iretq
task_ended:
    mov rsp, qword ptr [kernel_stack]
    lea rsi, [rip + text_task]
    call print
    mov edi, dword ptr [calls]
    call print_number
    lea rsi, [rip + text_pages]
    call print
    mov edi, dword ptr [heap_pages]
    call print_number
    lea rsi, [rip + text_result]
    call print
    mov rdi, qword ptr [task_result]
    call print_number
    jmp print_line_end

# RAX: call; RDI: text or result. RCX and R11 are SYSCALL's.
system_call:
    mov qword ptr [user_stack], rsp
    mov rsp, offset interrupt_stack_top
    push rcx
    push r11
    call serve_call
    pop r11
    pop rcx
    mov rsp, qword ptr [user_stack]
    sysretq

system_interrupt:
    push rcx
    push r11
    call serve_call
    pop r11
    pop rcx
    iretq

serve_call:
    inc dword ptr [calls]
    cmp eax, CALL_WRITE
    je write_call
    cmp eax, CALL_EXIT
    jne failed
    mov qword ptr [task_result], rdi
    jmp task_ended
write_call:                             # the task's words go to port 0xE9
    mov al, byte ptr [rdi]
    inc rdi
    test al, al
    jz write_done
    out 0xE9, al
    jmp write_call
write_done:
    ret

text_task:   .asciz "guest: the task made system calls: "
text_pages:  .asciz ", got new pages: "
text_result: .asciz ", answered: "

# What runs in user mode, at USER_BASE.
.balign 4096
task_code:
    lea rdi, [rip + text_hello]
    mov eax, CALL_WRITE
    syscall
    # The first 64 Fibonacci numbers, 512 bytes apart, so that they fill eight new pages.
    mov rbx, USER_HEAP
    xor ecx, ecx
    xor eax, eax
    mov edx, 1
number_next:
    mov qword ptr [rbx], rax
    xadd rdx, rax
    add rbx, 512
    inc ecx
    cmp ecx, 64
    jne number_next
    lea rdi, [rip + text_work]
    mov eax, CALL_WRITE
    int 0x80
    mov rdi, qword ptr [rbx - 512]
    mov eax, CALL_EXIT
    int 0x80
text_hello: .asciz "task: hello from user mode, by SYSCALL\n"
text_work:  .asciz "task: hello again, by INT 80h\n"
.balign 4096
