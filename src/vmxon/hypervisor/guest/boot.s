# Multiboot header, and from 32-bit protected mode to 64-bit mode. Loaded at 1 MiB; memory from bss on is zero.

.equ ORIGIN, 0x100000
.equ SERIAL, 0x3F8
.equ KERNEL_CODE, 0x08
.equ KERNEL_DATA, 0x10
.equ USER_DATA, 0x1B
.equ USER_CODE, 0x23
.equ TASK_STATE, 0x28
.equ USER_BASE, 0x40000000
.equ USER_HEAP, 0x40010000
.equ LARGE_PAGE, 0x200000

.code32
image_start:
header:
    .long 0x1BADB002                    # magic
    .long 0x00010002                    # memory map, address fields
    .long -(0x1BADB002 + 0x00010002)    # checksum
    .long header, image_start, image_end, bss_end, start

start:
    mov esp, offset stack_top
    mov dword ptr [information], ebx

    # PML4[0] -> one PDPT; its first GiB is identity-mapped in 2-MiB pages, its second is the user's, in 4-KiB pages.
    mov dword ptr [pml4], offset pdpt + 7
    mov dword ptr [pdpt], offset directory + 3
    mov dword ptr [pdpt + 8], offset user_directory + 7
    mov dword ptr [user_directory], offset user_table + 7
    mov edi, offset directory
    mov eax, 0x83                       # present, writable, 2 MiB
map_next:
    mov dword ptr [edi], eax
    add eax, LARGE_PAGE
    add edi, 8
    cmp edi, offset directory + 4096
    jne map_next

    mov eax, cr4
    or eax, 0x220                       # PAE, OSFXSR
    mov cr4, eax
    mov eax, offset pml4
    mov cr3, eax
    mov ecx, 0xC0000080                 # IA32_EFER
    rdmsr
    or eax, 0x901                       # NXE, LME, SCE
    wrmsr
    mov eax, cr0
    or eax, 0x80010002                  # PG, WP, MP
    mov cr0, eax
    lgdt [gdt_pointer]
    .byte 0xEA                          # jmp KERNEL_CODE:long_mode
    .long long_mode
    .word KERNEL_CODE

.balign 8
gdt:
    .quad 0
    .quad 0x00AF9B000000FFFF            # kernel code, 64-bit
    .quad 0x00CF93000000FFFF            # kernel data
    .quad 0x00CFF3000000FFFF            # user data
    .quad 0x00AFFB000000FFFF            # user code, 64-bit
task_descriptor:
    .quad 0x0000890000000067, 0
gdt_end:
gdt_pointer:
    .word gdt_end - gdt - 1
    .long gdt
    .long 0

.code64
long_mode:
    mov ax, KERNEL_DATA
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov rsp, offset stack_top
    call main
forever:
    cli
    hlt
    jmp forever
