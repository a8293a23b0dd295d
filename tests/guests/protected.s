# The 32-bit kernel: flat segments, no paging at first, IDT, two TSSs, printing, and attempts that survive a fault. See long.s.
.code32
.long 0x1BADB002, 0, -0x1BADB002
_start:
    cli
    mov esp, offset stack_top
    lgdt [gdt_register]
    ljmp 0x08, offset start32
start32:
    mov eax, 0x10
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov fs, eax
    mov gs, eax
    mov al, 0xFF                        # mask the interrupt controllers
    out 0x21, al
    out 0xA1, al
    mov eax, cr0
    and eax, 0x9FFFFFFF                 # not CD, NW
    or eax, 0x20                        # NE
    mov cr0, eax
    mov eax, offset tss
    mov [gdt + 0x2A], ax
    shr eax, 16
    mov [gdt + 0x2C], al
    mov [gdt + 0x2F], ah
    mov eax, offset other_tss
    mov [gdt + 0x32], ax
    shr eax, 16
    mov [gdt + 0x34], al
    mov [gdt + 0x37], ah
    mov dword ptr [tss + 4], offset inner_stack_top
    mov dword ptr [tss + 8], 0x10
    mov word ptr [tss + 102], 0x68      # no I/O bitmap
    mov word ptr [other_tss + 102], 0x68
    mov eax, 0x28
    ltr ax
    mov edi, offset idt
    mov eax, offset vectors
    mov ecx, 256
idt_entry:
    mov [edi], ax
    mov word ptr [edi + 2], 0x08
    mov word ptr [edi + 4], 0x8E00
    mov edx, eax
    shr edx, 16
    mov [edi + 6], dx
    add edi, 8
    add eax, 16
    dec ecx
    jnz idt_entry
    mov byte ptr [idt + 0x80 * 8 + 5], 0xEE # INT 0x80 is for everybody
    lidt [idt_register]
    call program
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
    push eax
    mov eax, 0x10
    mov ds, eax
    mov es, eax
    mov fs, eax
    mov gs, eax
    pop eax
    cmp dword ptr [resume_rip], 0
    je unexpected
    pop dword ptr [fault_vector]
    pop dword ptr [fault_code]
    pop dword ptr [fault_rip]
    pop dword ptr [fault_cs]
    pop dword ptr [fault_flags]
    mov [fault_rsp], esp
    push eax
    mov eax, cr2
    mov [fault_address], eax
    mov eax, 0x10
    mov ss, eax
    mov eax, [esp]
    mov esp, [resume_rsp]
    push dword ptr [resume_rip]
    mov dword ptr [resume_rip], 0
    ret
unexpected:
    mov esi, offset unexpected_text
    call print
    pop eax
    call print_hex
    pop eax
    call print_hex
    pop eax
    sub eax, offset program
    call print_hex
    call new_line
    jmp stop
unexpected_text:
    .asciz "unexpected exception: vector, error code, address "

# Printing changes no register and no flag.
print:                                  # the string at ESI
    pushfd
    push eax
    push esi
    cld
print_byte:
    lodsb al, byte ptr [esi]
    test al, al
    jz printed
    out 0xE9, al
    jmp print_byte
printed:
    pop esi
    pop eax
    popfd
    ret
new_line:
    push eax
    mov al, 10
    out 0xE9, al
    pop eax
    ret
print_hex:                              # " " and EAX without leading zeros
    pushfd
    push eax
    push ecx
    push edx
    mov edx, eax
    mov al, ' '
    out 0xE9, al
    mov ecx, 28
skip_zeros:
    mov eax, edx
    shr eax, cl
    jnz print_digits
    sub ecx, 4
    jg skip_zeros
    xor ecx, ecx
print_digits:
    mov eax, edx
    shr eax, cl
    and eax, 15
    add al, '0'
    cmp al, '9'
    jbe print_digit
    add al, 'a' - '0' - 10
print_digit:
    out 0xE9, al
    sub ecx, 4
    jge print_digits
    pop edx
    pop ecx
    pop eax
    popfd
    ret
report:                                 # after an attempt: " fine", or " #" with vector and error code; then for #PF the address
    pushfd
    push eax
    push esi
    mov dword ptr [resume_rip], 0
    mov esi, offset fine_text
    cmp dword ptr [fault_vector], -1
    je report_text
    mov esi, offset fault_text
    call print
    mov eax, [fault_vector]
    call print_hex
    mov eax, [fault_code]
    call print_hex
    mov esi, offset no_text
    cmp dword ptr [fault_vector], 14
    jne report_text
    mov eax, [fault_address]
    call print_hex
report_text:
    call print
    pop esi
    pop eax
    popfd
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
    .quad 0x00CF9B000000FFFF            # 0x08: code
    .quad 0x00CF93000000FFFF            # 0x10: data
    .quad 0x00CFFB000000FFFF            # 0x18: code, DPL 3
    .quad 0x00CFF3000000FFFF            # 0x20: data, DPL 3
    .quad 0x0000890000000067            # 0x28: TSS
    .quad 0x0000890000000067            # 0x30: another TSS
    .fill 25, 8, 0                      # 0x38: for programs
gdt_register:
    .word 32 * 8 - 1
    .long gdt
idt_register:
    .word 0x7FF
    .long idt
.balign 8
resume_rip: .long 0
resume_rsp: .long 0
fault_vector: .long -1
fault_code: .long 0
fault_address: .long 0
fault_rip: .long 0
fault_cs: .long 0
fault_flags: .long 0
fault_rsp: .long 0
.set other_tss, tss + 0x100
