# Step 8. Control fields, and the capability MSRs that say which values they may have (Vol. 3D App. A.3 “VM-Execution Controls”).
step:
    call enter_vmx_operation
    jbe failed
    call prepare_guest
    mov ecx, 0x482                      # IA32_VMX_PROCBASED_CTLS
    rdmsr
    mov ebp, edx
    say "primary controls must have "
    call print_hex
    say "and may have "
    mov eax, ebp
    call print_hex
    say "all 0: VMLAUNCH "
    field 0x4002, 0
    vmlaunch
    call failed
    say "(wanted | must) & may, without HLT exiting: "
    controls 0x4002, 0x482, 0
    vmlaunch
    jmp failed
guest_start:
    mov eax, 1
    cpuid
    hlt
vm_exit:
    say "exit reason "
    call exit_reason
    jmp print_hex
