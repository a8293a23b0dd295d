# Step 14. A shadow page table: the guest's own table says where a page is, the hypervisor's says where that really is; page faults fill
# it and INVLPG empties it (Vol. 3C §26.1.3 “Instructions That Cause VM Exits Conditionally”).
.set shadow, free_memory + 0x5000       # the entries for 512 GiB and above, the processor's
.set shadow_directory, free_memory + 0x6000
.set guest_entry, free_memory + 0x7000  # the guest's own entry: guest-physical 4 MiB, present and writable
.set guest_memory, 0x1000000            # where the hypervisor keeps guest-physical 0
.set guest_rbx, free_memory + 0x7008
.set page, 0x8000000000
step:
    call enter_vmx_operation
    jbe failed
    call prepare_guest
    controls 0x4002, 0x48E, 0x280       # primary: HLT exiting, INVLPG exiting
    field 0x4004, 1 << 14               # exception bitmap: page faults
    mov dword ptr [pml4 + 8], offset shadow + 3
    mov dword ptr [shadow], offset shadow_directory + 3
    mov dword ptr [guest_entry], 0x400083
    vmlaunch
    jmp failed
guest_start:
    mov rbx, page
    mov dword ptr [rbx + 8], 0xCAFE     # the shadow entry is not there yet
    mov dword ptr [guest_entry], 0x600083
    invlpg [rbx]                        # its own table has changed
    mov dword ptr [rbx + 8], 0xBEEF
    hlt
vm_exit:
    mov [guest_rbx], rbx
    call exit_reason
    cmp eax, 14
    je invalidate
    test eax, eax
    jnz halted
    say "page fault; the guest's entry is "
    mov eax, [guest_entry]
    call print_hex
    mov eax, [guest_entry]
    add eax, guest_memory               # guest-physical to host-physical
    mov [shadow_directory], eax
    say "so the shadow's becomes "
    mov eax, [shadow_directory]
    call print_hex
    jmp go_on
invalidate:
    say "INVLPG: the shadow's becomes 0\n"
    mov dword ptr [shadow_directory], 0
    call skip_instruction
go_on:
    mov rbx, [guest_rbx]
    vmresume
    jmp failed
halted:
    say "at guest-physical 4 MiB + 8 is "
    mov eax, [guest_memory + 0x400008]
    call print_hex
    say "at 6 MiB + 8 is "
    mov eax, [guest_memory + 0x600008]
    jmp print_hex
