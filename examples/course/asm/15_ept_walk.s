# Step 15. EPT: the same guest, whose page at 32 MiB is not mapped before it is touched (Vol. 3C §29.3.2 “EPT Translation Mechanism”,
# §29.3.3.2 “EPT Violations”).
.set ept_pml4, free_memory + 0x5000
.set ept_pdpt, free_memory + 0x6000
.set ept_directory, free_memory + 0x7000
.set guest_page, 0x2000000
.set frame, 0x1000000                   # 16 MiB, where that page will be
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
    controls 0x4002, 0x48E, 0x80000080  # primary: HLT exiting, secondary controls
    controls 0x401E, 0x48B, 2           # secondary: EPT
    field 0x201A, "offset ept_pml4 + 0x1E" # EPTP: four levels, write-back
    vmlaunch
    jmp failed
guest_start:
    mov dword ptr [guest_page + 0x123], 0xCAFE
    hlt
vm_exit:
    call exit_reason
    cmp eax, 12
    je halted
    push rax
    say "exit reason "
    pop rax
    call print_hex
    say "guest-physical "
    mov eax, 0x2400
    vmread rax, rax
    call print_hex
    mov dword ptr [ept_directory + 8 * (guest_page >> 21)], frame + 0xB7
    vmresume
    jmp failed
halted:
    say "HLT; at the frame is "
    mov eax, [frame + 0x123]
    jmp print_hex
