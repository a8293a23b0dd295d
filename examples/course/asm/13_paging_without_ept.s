# Step 13. Paging without EPT: the guest's CR3 loads and page faults exit (Vol. 3C §26.1.3 “Instructions That Cause VM Exits
# Conditionally”, §26.2 “Other Causes of VM Exits”).
.set guest_cr3, free_memory + 0x5000
.set missing, 0x7FFF000000
step:
    call enter_vmx_operation
    jbe failed
    call prepare_guest
    controls 0x4002, 0x48E, 0x8080      # primary: HLT exiting, CR3-load exiting
    field 0x4004, 1 << 14               # exception bitmap: page faults
    vmlaunch
    jmp failed
guest_start:
    mov eax, 0x123000
    mov cr3, rax                        # which tables it wants
    mov rbx, missing
    mov eax, [rbx]                      # where it has nothing
    hlt
vm_exit:
    mov [guest_cr3], rax
    call exit_reason
    cmp eax, 28
    je cr3_load
    test eax, eax
    jz page_fault
    say "HLT\n"
    ret
cr3_load:
    say "CR3 load: the guest wants "
    mov rax, [guest_cr3]
    call print_hex
    say "it stays on the hypervisor's tables\n"
    jmp go_on
page_fault:
    say "page fault, error code "
    mov eax, 0x4406
    vmread rax, rax
    call print_hex
    say "bits 63:24 of the address "
    mov eax, 0x6400
    vmread rax, rax
    shr rax, 24
    call print_hex
go_on:
    call skip_instruction
    vmresume
    jmp failed
