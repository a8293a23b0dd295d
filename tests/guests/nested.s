# A hypervisor for a hypervisor: every VMX instruction of the guest exits and is emulated. The nested guest's VMCS is other_region:
# what the inner hypervisor writes goes there, but for HOST_RIP and HOST_RSP, which stay in variables.
prepare_nested:                         # other_region := the fields of the current VMCS
    mov qword ptr [pointer], offset other_region
    vmclear [pointer]
    mov esi, offset nested_fields
copy_field:
    lodsd
    test eax, eax
    jz fields_copied
    call on_outer
    vmread rdx, rax
    call on_inner
    vmwrite rax, rdx
    jmp copy_field
fields_copied:
    mov esi, offset vmcs_defaults
copy_default:
    mov rax, [rsi]
    add rsi, 16
    cmp rax, -1
    je on_outer
    call on_outer
    vmread rdx, rax
    call on_inner
    vmwrite rax, rdx
    jmp copy_default
on_outer:
    mov qword ptr [pointer], offset vmcs_region
    vmptrld [pointer]
    ret
on_inner:
    mov qword ptr [pointer], offset other_region
    vmptrld [pointer]
    ret
nested_fields:
    .long 0x4000, 0x4002, 0x401E, 0x400C, 0x4012, 0x6800, 0x6802, 0x6804, 0x6C00, 0x6C02, 0x6C04, 0x6C14, 0

nested_exit:                            # HOST_RIP of both VMCSs
    mov [nested_gpr], rax
    mov [nested_gpr + 8], rcx
    mov [nested_gpr + 16], rdx
    mov [nested_gpr + 24], rbx
    mov [nested_gpr + 40], rbp
    mov [nested_gpr + 48], rsi
    mov [nested_gpr + 56], rdi
    mov eax, 0x681C
    vmread rax, rax
    mov [nested_gpr + 32], rax
    mov eax, 0x4402
    vmread rbx, rax
    mov eax, 0x440E
    vmread rbp, rax
    mov eax, 0x6400
    vmread rdi, rax
    cmp byte ptr [nested_inside], 0
    jne reflect
    mov esi, offset outer_text
    call print
    mov rax, rbx
    call print_hex
    cmp ebx, 18
    je nested_end
    lea eax, [rbx - 19]
    cmp eax, 8
    ja nested_end
    cmp ebx, 20                         # VMLAUNCH, VMRESUME and VMXOFF have no operands to tell of
    je no_operands
    cmp ebx, 24
    je no_operands
    cmp ebx, 26
    je no_operands
    mov rax, rbp
    call print_hex
    mov rax, rdi
    call print_hex
no_operands:
    call new_line
    mov eax, 0x440C                     # step over
    vmread rcx, rax
    mov eax, 0x681E
    vmread rdx, rax
    add rdx, rcx
    vmwrite rax, rdx
    mov eax, 0x6820                     # VMsucceed
    vmread rdx, rax
    and rdx, ~0x8D5
    vmwrite rax, rdx
    cmp ebx, 20                         # VMLAUNCH, VMRESUME
    je run_inner
    cmp ebx, 24
    je run_inner
    mov ecx, ebp                        # second register: the field's encoding
    shr ecx, 28
    mov rdx, [nested_gpr + rcx * 8]
    mov ecx, ebp
    shr ecx, 3
    and ecx, 15                         # first register: the value
    cmp ebx, 23
    je emulate_read
    cmp ebx, 25
    jne nested_resume                   # VMXON, VMCLEAR, VMPTRLD, VMXOFF succeed
    mov rax, [nested_gpr + rcx * 8]
    cmp edx, 0x6C16
    jne not_host_rip
    mov [inner_host_rip], rax
    jmp nested_resume
not_host_rip:
    cmp edx, 0x6C14
    jne not_host_rsp
    mov [inner_host_rsp], rax
    jmp nested_resume
not_host_rsp:
    mov rcx, rax
    call on_inner
    vmwrite rdx, rcx
    call on_outer
    jmp nested_resume
emulate_read:
    call on_inner
    vmread rdx, rdx
    mov [nested_gpr + rcx * 8], rdx
    call on_outer
    jmp nested_resume
run_inner:
    call on_inner
    mov byte ptr [nested_inside], 1
    cmp ebx, 24
    je nested_resume
    call nested_registers
    vmlaunch
    jmp nested_end
reflect:                                # an exit of the nested guest is an exit to the inner hypervisor
    mov esi, offset inner_text
    call print
    mov rax, rbx
    call print_hex
    call new_line
    mov byte ptr [nested_inside], 0
    call on_outer
    mov eax, 0x681E
    vmwrite rax, [inner_host_rip]
    mov eax, 0x681C
    vmwrite rax, [inner_host_rsp]
    mov eax, 0x6820
    mov edx, 2
    vmwrite rax, rdx
nested_resume:
    call nested_registers
    vmresume
nested_end:
    call new_line
    mov rsp, [enter_rsp]
    ret
nested_registers:
    mov rax, [nested_gpr]
    mov rcx, [nested_gpr + 8]
    mov rdx, [nested_gpr + 16]
    mov rbx, [nested_gpr + 24]
    mov rbp, [nested_gpr + 40]
    mov rsi, [nested_gpr + 48]
    mov rdi, [nested_gpr + 56]
    ret
outer_text: .asciz "  exit of the inner hypervisor"
inner_text: .asciz "  exit of the nested guest"
.balign 8
nested_gpr: .fill 8, 8, 0
inner_host_rip: .quad 0
inner_host_rsp: .quad 0
nested_inside: .quad 0
