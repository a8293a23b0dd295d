# A boot sector that loads one multiboot kernel and enters it, for machines whose firmware knows only disks.
#
# disk.py writes the table at the end of the sector: where each segment lies on the disk and in memory. Segments are read through a
# bounce buffer below 1 MiB and copied up in unreal mode. The kernel is entered as Multiboot Specification §3.2 “Machine state” demands:
# EAX = 0x2BADB002, EBX = information, flat 32-bit segments, A20 open, interrupts off. The information holds the memory sizes (flag 0)
# and the E820 map (flag 6). Table row: address +0, first sector +4, sectors +8, bytes to clear behind them +12.
.set LOADER_MAGIC, 0x2BADB002
.set BOUNCE, 0x10000
.set CHUNK_SECTORS, 64                  # 32 KiB: BIOSes refuse more than 127 sectors at once
.set INFORMATION, 0x8000                # §3.3 “Boot information format”
.set MEMORY_MAP, INFORMATION + 120
.set SMAP, 0x534D4150

start:
    ljmp 0, offset flat
flat:
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7C00
    mov [drive], dl
    cld
    in al, 0x92                         # bit 1 opens A20, bit 0 would reset
    or al, 2
    and al, 0xFE
    out 0x92, al

    mov bx, offset segments
segment:
    mov eax, [bx + 4]
    mov [packet_sector], eax
chunk:
    mov eax, [bx + 8]
    test eax, eax
    jz clear
    cmp eax, CHUNK_SECTORS
    jbe read
    mov eax, CHUNK_SECTORS
read:
    mov [packet_count], ax
    sub [bx + 8], eax
    push eax
    mov ah, 0x42                        # INT 13h AH=42h: extended read
    mov dl, [drive]
    mov si, offset packet
    int 0x13
    jc disk_error
    pop eax
    add [packet_sector], eax
    call unreal
    mov esi, BOUNCE
    mov edi, [bx]
    mov ecx, eax
    shl ecx, 7                          # doublewords of 128 to the sector
    rep movsd dword ptr es:[edi], dword ptr [esi]
    mov [bx], edi
    jmp chunk
clear:
    call unreal
    mov edi, [bx]
    mov ecx, [bx + 12]
    xor eax, eax
    rep stosb byte ptr es:[edi], al
    add bx, 16
    dec byte ptr [segment_count]
    jnz segment

    xor ax, ax
    mov es, ax
    mov di, INFORMATION
    mov cx, 60
    rep stosw word ptr es:[di], ax
    int 0x12
    mov [INFORMATION + 4], ax           # mem_lower, KiB
    mov ah, 0x88
    int 0x15
    mov [INFORMATION + 8], ax           # mem_upper, KiB
    mov byte ptr [INFORMATION], 0x41
    mov dword ptr [INFORMATION + 48], MEMORY_MAP
    mov di, MEMORY_MAP + 4
    xor ebx, ebx
entry_of_map:
    mov eax, 0xE820
    mov edx, SMAP
    mov ecx, 20
    int 0x15
    jc mapped
    mov dword ptr [di - 4], 20          # an entry's size does not count itself
    add di, 24
    test ebx, ebx
    jnz entry_of_map
mapped:
    sub di, MEMORY_MAP + 4
    mov [INFORMATION + 44], di

    cli
    lgdt [gdt_register]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    ljmp 8, offset protected
.code32
protected:
    mov eax, 16
    mov ds, eax
    mov es, eax
    mov fs, eax
    mov gs, eax
    mov ss, eax
    mov esp, 0x7C00
    mov eax, LOADER_MAGIC
    mov ebx, INFORMATION
    jmp dword ptr [entry]

.code16
# Gives DS and ES a 4 GiB limit with base 0; the BIOS may have taken it away. Keeps EAX and BX.
unreal:
    push eax
    cli
    lgdt [gdt_register]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    mov cx, 16
    mov ds, cx
    mov es, cx
    and al, 0xFE
    mov cr0, eax
    xor cx, cx
    mov ds, cx
    mov es, cx
    sti
    pop eax
    ret

disk_error:
    mov al, '!'
    out 0xE9, al
    cli
    hlt
    jmp disk_error

.balign 8
gdt:
    .quad 0
    .quad 0x00CF9A000000FFFF            # 8: 32-bit code, base 0, limit 4 GiB
    .quad 0x00CF92000000FFFF            # 16: data
gdt_register:
    .word 23
    .long gdt
.balign 4
packet:                                 # INT 13h disk address packet
    .word 16
packet_count:
    .word 0, 0, BOUNCE >> 4
packet_sector:
    .quad 0
drive:
    .byte 0
.org 422                                # 510 - 8 - 5 × 16: disk.py writes from here on
entry:
    .long 0
segment_count:
    .long 0
segments:
