# Step 10. The context switch of the general registers: VMX switches RSP, RIP and RFLAGS, and nothing else of them
# (Vol. 3C §27.3.2.3 “Loading Guest RIP, RSP, RFLAGS, and SSP”).
.set guest_rbx, free_memory + 0x5000
step:
    call enter_vmx_operation
    jbe failed
    call prepare_guest
    mov ebx, 0x1111
    vmlaunch                            # RBX is the guest's from the first instruction on
    jmp failed
guest_start:
    add ebx, 0x2222
    cpuid
    add ebx, 0x4444
    hlt
vm_exit:
    mov [guest_rbx], rbx                # save what the guest has
    call exit_reason
    cmp eax, 12
    je halted
    say "at CPUID the guest's RBX is "
    mov rax, [guest_rbx]
    call print_hex                      # which uses RBX itself
    call skip_instruction
    mov rbx, [guest_rbx]                # restore it
    vmresume
    jmp failed
halted:
    say "at HLT it is "
    mov rax, [guest_rbx]
    jmp print_hex
