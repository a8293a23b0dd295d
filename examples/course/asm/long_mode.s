# What every step in assembly begins with: 64-bit mode with linear = physical for the first GiB, printing on port 0xE9, and an IDT whose
# handlers go on at [resume], so that a step can show an exception. `zeros` is the page-aligned, zeroed memory behind the program.
.set pml4, zeros
.set pdpt, zeros + 0x1000
.set directory, zeros + 0x2000
.set idt, zeros + 0x3000
.set tss, zeros + 0x4000
.set stack_top, zeros + 0x8000
.set free_memory, zeros + 0x8000        # for the steps
    mov esp, offset stack_top
    mov dword ptr [pml4], offset pdpt + 3
    mov dword ptr [pdpt], offset directory + 3
    mov edi, offset directory
    mov eax, 0x83                       # present, writable, 2 MiB
map_next:
    mov [edi], eax
    add eax, 0x200000
    add edi, 8
    cmp edi, offset directory + 0x1000
    jne map_next
    mov eax, cr4
    or eax, 0x20                        # PAE
    mov cr4, eax
    mov eax, offset pml4
    mov cr3, eax
    mov ecx, 0xC0000080                 # IA32_EFER
    rdmsr
    or eax, 0x100                       # LME
    wrmsr
    mov eax, cr0
    or eax, 0x80000020                  # PG, NE
    mov cr0, eax
    lgdt [gdt_pointer]
    .byte 0xEA                          # jmp 0x08:in_long_mode
    .long in_long_mode
    .word 0x08
.balign 8
gdt:
    .quad 0, 0x00AF9B000000FFFF, 0x00CF93000000FFFF
gdt_tss:
    .quad 0x0000890000000067, 0
gdt_pointer:
    .word gdt_pointer - gdt - 1
    .long gdt, 0
idt_pointer:
    .word 0xFFF
    .long idt, 0
.balign 8
resume: .quad 0                         # where an exception goes on
.code64
in_long_mode:
    mov eax, 0x10
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov eax, offset tss
    mov [gdt_tss + 2], ax
    shr eax, 16
    mov [gdt_tss + 4], al
    mov eax, 0x18
    ltr ax
    mov edi, offset idt
    mov edx, 32
gate:
    mov eax, offset exception
    mov [rdi], ax
    mov dword ptr [rdi + 2], 0x8E000008 # selector, and a 64-bit interrupt gate
    shr eax, 16
    mov [rdi + 6], ax
    add edi, 16
    dec edx
    jnz gate
    lidt [idt_pointer]
    call step
    mov al, 0
    out 0xF4, al                        # the end
exception:
    mov esp, offset stack_top - 8       # under it is the return address of `step`
    jmp qword ptr [resume]

.macro say text
    mov esi, offset text_\@
    call print
    jmp behind_\@
text_\@: .asciz "\text"
behind_\@:
.endm
print:                                  # the string at RSI
    lodsb al, byte ptr [rsi]
    test al, al
    jz printed
    out 0xE9, al
    jmp print
printed:
    ret
print_hex:                              # EAX, eight digits, and a new line
    mov edx, eax
    mov ecx, 8
digit:
    rol edx, 4
    mov eax, edx
    and eax, 15
    cmp al, 10
    sbb ebx, ebx
    lea eax, [rax + rbx * 8 + 'a' - 10]
    and ebx, 'a' - 10 - '0' - 8
    sub eax, ebx
    out 0xE9, al
    dec ecx
    jnz digit
    mov al, 10
    out 0xE9, al
    ret
