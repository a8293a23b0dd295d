# Step 16. The bits of an EPT entry: what it forbids, what is illegal, accessed and dirty (Vol. 3C §29.3.3 “EPT-Induced VM Exits”,
# §29.3.5 “Accessed and Dirty Flags for EPT”).
.set ept_pml4, free_memory + 0x5000
.set ept_pdpt, free_memory + 0x6000
.set ept_directory, free_memory + 0x7000
.set guest_page, 0x2000000
.set entry, ept_directory + 8 * (guest_page >> 21)
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
    mov dword ptr [entry], guest_page + 0xB1 # read only
    controls 0x4002, 0x48E, 0x80000080  # primary: HLT exiting, secondary controls
    controls 0x401E, 0x48B, 2           # secondary: EPT
    field 0x201A, "offset ept_pml4 + 0x5E" # EPTP: four levels, write-back, accessed and dirty flags
    mov ebp, guest_page + 0xB2          # the entry after the first exit: write without read, which is illegal
    vmlaunch
    jmp failed
guest_start:
    mov eax, [guest_page]
    mov [guest_page], eax
    hlt
vm_exit:
    say "exit reason "
    call exit_reason
    push rax
    call print_hex
    say "  the entry is "
    mov eax, [entry]
    call print_hex
    pop rax
    cmp eax, 12
    je halted
    mov [entry], ebp
    mov ebp, guest_page + 0xB3          # after the second: read and write
    mov qword ptr [pointer], offset ept_pml4 + 0x5E
    mov eax, 1
    invept rax, [pointer]
    vmresume
    jmp failed
halted:
    ret
