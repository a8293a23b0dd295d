# Step 6. Host fields: what a VM exit loads (Vol. 3C §25.5 “Host-State Area”), and the check that fails first (§27.2.2 “Checks on Host
# Control Registers, MSRs, and SSP”).
step:
    call enter_vmx_operation
    jbe failed
    call prepare_guest
    say "HOST_CR3 with bits beyond the processor's width: "
    field 0x6C02, -1
    vmlaunch
    call failed
    say "a selector with RPL 1: "
    mov rdx, cr3
    field 0x6C02, rdx
    field 0x0C02, 0x09
    vmlaunch
    call failed
    field 0x0C02, 0x08
    say "HOST_RSP becomes "
    mov eax, offset stack_top - 8
    call print_hex
    vmlaunch
    jmp failed
guest_start:
    mov esp, 0x1234
    mov eax, 0
    mov ss, eax                         # the guest's own
    hlt
vm_exit:
    mov ebp, esp
    say "after the exit RSP is "
    mov eax, ebp
    call print_hex
    say "and SS "
    mov eax, ss
    jmp print_hex
