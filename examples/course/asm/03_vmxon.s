# Step 3. The VMXON region and VMXON (Vol. 3C §25.11.5 “VMXON Region”).
step:
    call enter_vmx_operation
    jbe failed
    say "VMXON: VMsucceed, revision "
    mov eax, [vmxon_region]
    call print_hex
    vmxon qword ptr [pointer]
    jnc unexpected
    say "VMXON again: VMfailInvalid, for no VMCS is current\n"
    vmxoff
    say "VMXOFF: VMsucceed\n"
unexpected:
    ret
guest_start:
vm_exit:
    ret
