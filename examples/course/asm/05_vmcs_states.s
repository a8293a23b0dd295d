# Step 5. The states of a VMCS: clear or launched, current or not, and what VMCLEAR resets (Vol. 3C §25.1 “Overview”, Figure 25-1).
step:
    call enter_vmx_operation
    jbe failed
    call prepare_guest
    say "clear: VMRESUME "
    vmresume
    call failed
    say "VMLAUNCH: "
    field 0x6C16, "offset launched"
    vmlaunch
    jmp failed
launched:
    say "a VM exit\n"
    say "launched: VMLAUNCH "
    vmlaunch
    call failed
    say "VMRESUME: "
    field 0x6C16, "offset resumed"
    vmresume
    jmp failed
resumed:
    say "a VM exit\n"
    say "after VMCLEAR: "
    mov qword ptr [pointer], offset vmcs
    vmclear qword ptr [pointer]
    vmresume                            # no VMCS is current
    call failed
    vmptrld qword ptr [pointer]
    say "current again, and clear: VMRESUME "
    vmresume
    jmp failed
guest_start:
    hlt
vm_exit:
    ret
