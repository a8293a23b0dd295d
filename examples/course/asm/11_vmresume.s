# Step 11. VMRESUME in a loop: the guest asks three times, each answer is one less (Vol. 3C §27.1 “Architecture”, §28.2.5 “Information for
# VM Exits Due to Instruction Execution”).
step:
    call enter_vmx_operation
    jbe failed
    call prepare_guest
    vmlaunch
    jmp failed
guest_start:
    mov eax, 3
again:
    cpuid
    test eax, eax
    jnz again
    hlt
vm_exit:
    push rax                            # the guest's RAX, as no one has saved it
    call exit_reason
    cmp eax, 12
    je halted
    say "CPUID, leaf "
    mov rax, [rsp]
    call print_hex
    call skip_instruction
    pop rax
    dec eax
    vmresume
    jmp failed
halted:
    pop rax
    say "HLT\n"
    ret
