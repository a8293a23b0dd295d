# Step 9. VMLAUNCH and the first VM exit (Vol. 3C §27.2 “Checks on VMX Controls and Host-State Area”, §28.2 “Recording VM-Exit
# Information and Updating VM-Entry Control Fields”).
step:
    call enter_vmx_operation
    jbe failed
    call prepare_guest
    say "VMLAUNCH\n"
    vmlaunch
    jmp failed
guest_start:
    mov eax, 6
    imul eax, eax, 7
    hlt
vm_exit:
    push rax
    say "the guest left RAX = "
    pop rax
    call print_hex
    say "exit reason "
    call exit_reason
    jmp print_hex
