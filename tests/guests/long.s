# The 64-bit kernel that every guest program stands on: page tables, IDT, TSS, printing, and attempts that survive a fault.
#
# `attempt` in program.py stores where to go on in resume_rip and resume_rsp; an exception goes there with its vector in fault_vector,
# its error code in fault_code and CR2 in fault_address. Without such a place it is printed and ends the program.
.code32
.long 0x1BADB002, 0, -0x1BADB002
_start:
    cli
    mov esp, offset stack_top
    mov eax, offset pdpt + 3
    mov [pml4], eax
    mov eax, offset page_directory + 3
    mov [pdpt], eax
    mov edi, offset page_directory
    mov eax, 0x83                       # present, writable, 2 MiB
    mov ecx, 512
identity:
    mov [edi], eax
    mov dword ptr [edi + 4], 0
    add eax, 0x200000
    add edi, 8
    dec ecx
    jnz identity
    mov eax, offset pml4
    mov cr3, eax
    mov eax, cr4
    or eax, 1 << 5                      # PAE
    mov cr4, eax
    mov ecx, 0xC0000080                 # IA32_EFER
    rdmsr
    or eax, 1 << 8 | 1 << 11            # LME, NXE
    wrmsr
    mov eax, cr0
    and eax, 0x9FFFFFFF                 # not CD, NW
    or eax, 0x80000021                  # PG, NE, PE
    mov cr0, eax
    lgdt [gdt_register]
    ljmp 0x08, offset start64
.code64
start64:
    mov eax, 0x10
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov fs, eax
    mov gs, eax
    mov esp, offset stack_top
    mov al, 0xFF                        # mask the interrupt controllers
    out 0x21, al
    out 0xA1, al
    mov eax, offset tss
    mov word ptr [gdt_tss + 2], ax
    shr eax, 16
    mov [gdt_tss + 4], al
    mov [gdt_tss + 7], ah
    mov eax, offset inner_stack_top
    mov [tss + 4], rax
    mov dword ptr [tss + 102], 0x68     # no I/O bitmap
    mov eax, 0x28
    ltr ax
    mov edi, offset idt
    mov eax, offset vectors
    mov ecx, 256
idt_entry:
    mov [rdi], ax
    mov word ptr [rdi + 2], 0x08
    mov word ptr [rdi + 4], 0x8E00
    mov edx, eax
    shr edx, 16
    mov [rdi + 6], dx
    mov qword ptr [rdi + 8], 0
    add edi, 16
    add eax, 16
    dec ecx
    jnz idt_entry
    lidt [idt_register]
    call program
end_of_program:
    mov esi, offset end_text
    call print
    mov al, 0
    out 0xF4, al
stop:
    cli
    hlt
    jmp stop
end_text:
    .asciz "end\n"

.balign 16
vectors:                                # 16 bytes each
.set vector, 0
.rept 256
    .balign 16
    .if (vector == 8) | (vector == 10) | (vector == 11) | (vector == 12) | (vector == 13) | (vector == 14) | (vector == 17) | (vector == 21)
    .else
    push 0
    .endif
    push vector
    jmp faulted
    .set vector, vector + 1
.endr
faulted:
    cmp qword ptr [resume_rip], 0
    je unexpected
    pop qword ptr [fault_vector]
    pop qword ptr [fault_code]
    push rax
    mov rax, cr2
    mov [fault_address], rax
    mov rax, [rsp + 8]
    mov [fault_rip], rax
    mov rax, [rsp + 16]
    mov [fault_cs], rax
    mov rax, [rsp + 24]
    mov [fault_flags], rax
    mov eax, 0x10
    mov ds, eax
    mov es, eax
    mov ss, eax
    pop rax
    mov rsp, [resume_rsp]
    push qword ptr [resume_rip]
    mov qword ptr [resume_rip], 0
    ret
unexpected:
    mov esi, offset unexpected_text
    call print
    pop rax
    call print_hex
    pop rax
    call print_hex
    mov eax, [rsp]
    sub rax, offset program
    call print_hex
    call new_line
    jmp stop
unexpected_text:
    .asciz "unexpected exception: vector, error code, address "

# Printing changes no register and no flag.
print:                                  # the string at RSI
    pushfq
    push rax
    push rsi
    cld
print_byte:
    lodsb al, byte ptr [rsi]
    test al, al
    jz printed
    out 0xE9, al
    jmp print_byte
printed:
    pop rsi
    pop rax
    popfq
    ret
new_line:
    push rax
    mov al, 10
    out 0xE9, al
    pop rax
    ret
print_hex:                              # " " and RAX without leading zeros
    pushfq
    push rax
    push rcx
    push rdx
    mov rdx, rax
    mov al, ' '
    out 0xE9, al
    mov ecx, 60
skip_zeros:
    mov rax, rdx
    shr rax, cl
    jnz print_digits
    sub ecx, 4
    jg skip_zeros
    xor ecx, ecx
print_digits:
    mov rax, rdx
    shr rax, cl
    and eax, 15
    add al, '0'
    cmp al, '9'
    jbe print_digit
    add al, 'a' - '0' - 10
print_digit:
    out 0xE9, al
    sub ecx, 4
    jge print_digits
    pop rdx
    pop rcx
    pop rax
    popfq
    ret
report:                                 # after an attempt: " fine", or " #" with vector and error code; then for #PF the address
    pushfq
    push rax
    push rsi
    mov qword ptr [resume_rip], 0
    mov esi, offset fine_text
    cmp qword ptr [fault_vector], -1
    je report_text
    mov esi, offset fault_text
    call print
    mov rax, [fault_vector]
    call print_hex
    mov rax, [fault_code]
    call print_hex
    mov esi, offset no_text
    cmp qword ptr [fault_vector], 14
    jne report_text
    mov rax, [fault_address]
    call print_hex
report_text:
    call print
    pop rsi
    pop rax
    popfq
    ret
fine_text:
    .asciz " fine"
fault_text:
    .asciz " #"
no_text:
    .byte 0

.balign 16
gdt:
    .quad 0
    .quad 0x00AF9B000000FFFF            # 0x08: 64-bit code
    .quad 0x00CF93000000FFFF            # 0x10: data
    .quad 0x00AFFB000000FFFF            # 0x18: 64-bit code, DPL 3
    .quad 0x00CFF3000000FFFF            # 0x20: data, DPL 3
gdt_tss:
    .quad 0x0000890000000067, 0         # 0x28
    .quad 0x00CF9B000000FFFF            # 0x38: 32-bit code
    .quad 0x00009B000000FFFF            # 0x40: 16-bit code
    .quad 0x000093000000FFFF            # 0x48: 16-bit data
gdt_register:
    .word 10 * 8 - 1
    .long gdt, 0
idt_register:
    .word 0xFFF
    .long idt, 0
.balign 8
resume_rip: .quad 0
resume_rsp: .quad 0
fault_vector: .quad -1
fault_code: .quad 0
fault_address: .quad 0
fault_rip: .quad 0
fault_cs: .quad 0
fault_flags: .quad 0
