# Step 2. What VMXON demands of CR0 and CR4, and IA32_FEATURE_CONTROL (Vol. 3C §24.8 “Restrictions on VMX Operation”, §24.7 “Enabling and
# Entering VMX Operation”).
.macro must_have register, fixed0
    mov ecx, \fixed0
    rdmsr
    mov rcx, \register
    not rcx
    and eax, ecx
    call print_hex
.endm
step:
    say "CR0 lacks "
    must_have cr0, 0x486                # IA32_VMX_CR0_FIXED0
    say "CR4 lacks "
    must_have cr4, 0x488                # IA32_VMX_CR4_FIXED0
    call enter_vmx_operation
    jbe failed
    say "IA32_FEATURE_CONTROL is "
    mov ecx, 0x3A
    rdmsr
    call print_hex
    mov qword ptr [resume], offset locked_fault
    mov ecx, 0x3A
    xor eax, eax
    xor edx, edx
    wrmsr                               # locked: #GP
locked_fault:
    say "it is locked: WRMSR faults\n"
    mov qword ptr [resume], offset fixed_fault
    mov rax, cr4
    and eax, ~0x2000
    mov cr4, rax                        # VMXE is fixed in VMX operation: #GP
fixed_fault:
    say "CR4.VMXE is fixed: MOV to CR4 faults\n"
    vmxoff
    mov al, 0
    out 0xF4, al
guest_start:
vm_exit:
    ret
