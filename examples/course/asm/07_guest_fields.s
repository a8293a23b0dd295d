# Step 7. Guest fields: what VM entry loads and a VM exit saves (Vol. 3C §25.4 “Guest-State Area”). A mistake in them fails late: like a
# VM exit, with reason 33 and bit 31 set (§27.8 “VM-Entry Failures During or After Loading Guest State”).
step:
    call enter_vmx_operation
    jbe failed
    call prepare_guest
    field 0x6820, 0                     # RFLAGS without its fixed bit
    field 0x6C16, "offset entry_failed"
    vmlaunch
    jmp failed
entry_failed:
    say "RFLAGS = 0: exit reason "
    call exit_reason
    call print_hex
    field 0x6820, 2
    field 0x6C16, "offset vm_exit"
    vmlaunch
    jmp failed
guest_start:
    std                                 # RFLAGS bit 10
    sub rsp, 0x100
    hlt
vm_exit:
    say "the exit saved RFLAGS "
    mov eax, 0x6820
    vmread rax, rax
    call print_hex
    say "and RSP, lower by "
    mov eax, 0x681C
    vmread rcx, rax
    mov eax, offset guest_stack
    sub eax, ecx
    jmp print_hex
