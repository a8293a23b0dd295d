# From a multiboot loader to 64-bit code: identity-maps 1 GiB, prints S on port 0xE9, calls main64, prints RAX as 16
# hexadecimal digits and E, then leaves through isa-debug-exit or, where there is none, halts.
.code32
.long 0x1BADB002, 0, -0x1BADB002        # Multiboot Specification §3.1.1 “The layout of Multiboot header”
.globl _start
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
    or eax, 1 << 8                      # LME
    wrmsr
    mov eax, cr0
    or eax, 0x80000001                  # PG, PE
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
    mov al, 'S'
    out 0xE9, al
    call main64
    mov rdx, rax
    mov ecx, 16
digit:
    rol rdx, 4
    mov al, dl
    and al, 15
    add al, '0'
    cmp al, '9'
    jbe print
    add al, 'a' - '0' - 10
print:
    out 0xE9, al
    dec ecx
    jnz digit
    mov al, 'E'
    out 0xE9, al
    xor eax, eax
    out 0xF4, eax
stop:
    cli
    hlt
    jmp stop
.balign 16
gdt:
    .quad 0
    .quad 0x00AF9B000000FFFF            # 0x08: 64-bit code
    .quad 0x00CF93000000FFFF            # 0x10: data
gdt_tss:
    .quad 0, 0                          # 0x18: filled by vmexit.s
gdt_register:
    .word 5 * 8 - 1
    .long gdt, 0
