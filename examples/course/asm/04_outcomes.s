# Step 4. The three ways in which a VMX instruction ends: VMsucceed, VMfailInvalid, VMfailValid (Vol. 3C §31.2 “Conventions”).
step:
    call enter_vmx_operation
    jbe failed
    mov eax, 0x6820
    vmread rcx, rax                     # no VMCS is current: CF
    call told
    mov qword ptr [pointer], offset vmcs
    vmclear qword ptr [pointer]
    call told
    vmptrld qword ptr [pointer]
    call told
    mov eax, 0x6FFE
    vmread rcx, rax                     # no such field: ZF, number 12
    call told
    vmresume                            # not launched: ZF, number 5
    call told
    mov qword ptr [pointer], offset vmcs + 8
    vmptrld qword ptr [pointer]         # not aligned: ZF, number 9
    call told
    ret
told:                                   # what CF and ZF say
    jc failed
    jz failed
    say "VMsucceed\n"
    ret
guest_start:
vm_exit:
    ret
