# Step 17. The stale access that happens without INVEPT (Vol. 3C §29.4.2 “Creating and Using Cached Translation Information”,
# §29.4.3.4 “Guidelines for Use of the INVEPT Instruction”).
.set ept_pml4, free_memory + 0x5000
.set ept_pdpt, free_memory + 0x6000
.set ept_directory, free_memory + 0x7000
.set guest_page, 0x2000000
.set entry, ept_directory + 8 * (guest_page >> 21)
.set first_frame, 0x1000000             # 16 MiB and 18 MiB
.set second_frame, 0x1200000
step:
    call enter_vmx_operation
    jbe failed
    call prepare_guest
    mov dword ptr [ept_pml4], offset ept_pdpt + 7
    mov dword ptr [ept_pdpt], offset ept_directory + 7
    mov edi, offset ept_directory
    mov eax, 0xB7                       # read, write, execute, write-back, 2 MiB
map_ept:
    mov [rdi], eax
    add eax, 0x200000
    add edi, 8
    cmp eax, guest_page
    jb map_ept
    mov dword ptr [entry], first_frame + 0xB7
    mov dword ptr [first_frame], 0x1111
    mov dword ptr [second_frame], 0x2222
    controls 0x4002, 0x48E, 0x80000080  # primary: HLT exiting, secondary controls
    controls 0x401E, 0x48B, 0x22        # secondary: EPT, VPID
    field 0, 1                          # the VPID
    field 0x201A, "offset ept_pml4 + 0x1E"
    vmlaunch
    jmp failed
guest_start:
    mov ebx, [guest_page]
    cpuid                               # 1: the entry changes
    mov ebx, [guest_page]
    vmcall                              # 2: INVEPT
    mov ebx, [guest_page]
    hlt
vm_exit:
    say "the guest read "
    mov eax, ebx
    call print_hex
    call exit_reason
    cmp eax, 12
    je halted
    cmp eax, 18
    je invalidate
    say "the entry leads to the second frame now\n"
    mov dword ptr [entry], second_frame + 0xB7
    jmp go_on
invalidate:
    say "INVEPT\n"
    mov qword ptr [pointer], offset ept_pml4 + 0x1E
    mov eax, 1
    invept rax, [pointer]
go_on:
    call skip_instruction
    vmresume
    jmp failed
halted:
    ret
