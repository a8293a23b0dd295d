# Step 12. CPUID, IN, OUT, RDMSR and HLT exit; the hypervisor answers (Vol. 3C §26.1.2 “Instructions That Cause VM Exits
# Unconditionally”, §28.2.1 “Basic VM-Exit Information”).
.set guest_rax, free_memory + 0x5000
step:
    call enter_vmx_operation
    jbe failed
    call prepare_guest
    controls 0x4002, 0x48E, 0x1000080   # primary: HLT exiting, unconditional I/O exiting; no MSR bitmap: every MSR exits
    vmlaunch
    jmp failed
guest_start:
    mov eax, 1
    cpuid
    in al, 0x60
    out 0x70, al
    mov ecx, 0x1B
    rdmsr
    hlt
vm_exit:
    mov [guest_rax], rax
    say "exit reason "
    call exit_reason
    mov ebp, eax
    call print_hex
    cmp ebp, 12
    je halted
    cmp ebp, 30
    jne answer
    say "  port and kind "
    mov eax, 0x6400                     # exit qualification: size, direction, port
    vmread rax, rax
    call print_hex
answer:
    call skip_instruction
    mov eax, 0x55                       # what the guest reads
    vmresume
    jmp failed
halted:
    say "the guest read "
    mov rax, [guest_rax]
    jmp print_hex
