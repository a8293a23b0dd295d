# Step 1. CPUID.1:ECX[5] and CR4.VMXE (Vol. 3C §24.6 “Discovering Support for VMX”, §24.7 “Enabling and Entering VMX Operation”).
step:
    mov eax, 1
    cpuid
    and ecx, 1 << 5
    mov eax, ecx
    push rax
    say "CPUID.1:ECX[5], as a mask: "
    pop rax
    call print_hex
    mov qword ptr [resume], offset undefined
    vmxon qword ptr [free_memory]
    say "VMXON without CR4.VMXE worked?\n"
    ret
undefined:
    say "VMXON without CR4.VMXE: exception\n"
    mov rax, cr4
    or eax, 1 << 13
    mov cr4, rax
    say "CR4 is now "
    mov rax, cr4
    call print_hex
    ret
guest_start:
vm_exit:
    ret
