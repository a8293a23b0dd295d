# VMX for guest programs: bring-up, a VMCS that enters, and an exit handler that prints what the SDM defines for each exit reason.
.set SHOW_QUALIFICATION, 1
.set SHOW_LENGTH, 2
.set SHOW_INFORMATION, 4
.set SHOW_INTERRUPTION, 8
.set SHOW_PHYSICAL, 16
.set STEP_OVER, 64                      # go on behind the instruction

vmx_on:                                 # into VMX root operation
    mov rax, cr4
    or eax, 1 << 13
    mov cr4, rax
    mov ecx, 0x3A                       # IA32_FEATURE_CONTROL
    rdmsr
    test eax, 1
    jnz feature_control_locked
    mov eax, 5
    wrmsr
feature_control_locked:
    call write_revisions
    mov qword ptr [pointer], offset vmxon_region
    vmxon [pointer]
    jbe vmx_on_failed
    ret
vmx_on_failed:
    mov esi, offset vmx_on_failed_text
    call print
    jmp stop
vmx_on_failed_text:
    .asciz "VMXON failed\n"
write_revisions:
    mov ecx, 0x480                      # IA32_VMX_BASIC
    rdmsr
    and eax, 0x7FFFFFFF
    mov [vmxon_region], eax
    mov [vmcs_region], eax
    mov [other_region], eax
    mov [third_region], eax
    ret

report_vmx:                             # after an attempt at a VMX instruction
    pushfq
    push rax
    push rsi
    cmp qword ptr [fault_vector], -1
    jne report_vmx_fault
    mov qword ptr [resume_rip], 0
    mov rax, [rsp + 16]
    and eax, 0x8D5                      # OF SF ZF AF PF CF
    mov esi, offset succeed_text
    jz report_vmx_text
    mov esi, offset invalid_text
    cmp eax, 1
    je report_vmx_text
    mov esi, offset valid_text
    cmp eax, 0x40
    je report_vmx_number
    mov esi, offset odd_text
    call print
    call print_hex
    jmp report_vmx_end
report_vmx_number:
    call print
    mov eax, 0x4400                     # VM-instruction error
    vmread rax, rax
    call print_hex
    jmp report_vmx_end
report_vmx_text:
    call print
    jmp report_vmx_end
report_vmx_fault:
    call report
report_vmx_end:
    pop rsi
    pop rax
    popfq
    ret
succeed_text: .asciz " VMsucceed"
invalid_text: .asciz " VMfailInvalid"
valid_text: .asciz " VMfailValid"
odd_text: .asciz " undefined flags"

# A new VMCS for a guest that looks like the host; the caller then writes what is different.
fresh_vmcs:
    mov rax, rsp                        # IRET ends blocking by NMI, which a guest may have left behind
    push 0x10
    push rax
    pushfq
    push 0x08
    push offset nmi_unblocked
    iretq
nmi_unblocked:
    mov qword ptr [pointer], offset vmcs_region
    vmclear [pointer]
    vmptrld [pointer]
    mov esi, offset vmcs_defaults
default_field:
    mov rax, [rsi]
    cmp rax, -1
    je defaults_written
    mov rdx, [rsi + 8]
    vmwrite rax, rdx
    jbe default_refused
    add esi, 16
    jmp default_field
default_refused:
    call print_hex
    mov esi, offset refused_text
    call print
    jmp stop
refused_text:
    .asciz " refused by VMWRITE\n"
defaults_written:
    mov esi, offset control_defaults
default_control:
    mov ecx, [rsi]
    test ecx, ecx
    jz controls_written
    mov edi, [rsi + 4]
    mov ebx, [rsi + 8]
    call write_control
    add esi, 12
    jmp default_control
controls_written:
    mov rdx, cr0
    mov eax, 0x6800
    vmwrite rax, rdx
    mov eax, 0x6C00
    vmwrite rax, rdx
    mov rdx, cr3
    mov eax, 0x6802
    vmwrite rax, rdx
    mov eax, 0x6C02
    vmwrite rax, rdx
    mov rdx, cr4
    mov eax, 0x6804
    vmwrite rax, rdx
    mov eax, 0x6C04
    vmwrite rax, rdx
    mov qword ptr [exit_hook], 0
    mov dword ptr [exits_left], 24
    ret
write_control:                          # field EDI := EBX as far as capability MSR ECX allows
    rdmsr
    or eax, ebx
    and eax, edx
    vmwrite rdi, rax
    ret

.balign 8
vmcs_defaults:
    .quad 0x2800, -1                    # VMCS link pointer
    .quad 0x4004, 0, 0x4006, 0, 0x4008, 0, 0x400A, 0
    .quad 0x400E, 0, 0x4010, 0, 0x4014, 0, 0x4016, 0
    .quad 0x6000, 0, 0x6002, 0, 0x6004, 0, 0x6006, 0
    .quad 0x0800, 0x10, 0x0802, 0x08, 0x0804, 0x10, 0x0806, 0x10, 0x0808, 0x10, 0x080A, 0x10, 0x080C, 0, 0x080E, 0x28
    .quad 0x4800, 0xFFFFFFFF, 0x4802, 0xFFFFFFFF, 0x4804, 0xFFFFFFFF, 0x4806, 0xFFFFFFFF, 0x4808, 0xFFFFFFFF, 0x480A, 0xFFFFFFFF
    .quad 0x480C, 0, 0x480E, 0x67, 0x4810, 79, 0x4812, 0xFFF
    .quad 0x4814, 0xC093, 0x4816, 0xA09B, 0x4818, 0xC093, 0x481A, 0xC093, 0x481C, 0xC093, 0x481E, 0xC093, 0x4820, 0x10000, 0x4822, 0x8B
    .quad 0x4824, 0, 0x4826, 0, 0x482A, 0
    .quad 0x6806, 0, 0x6808, 0, 0x680A, 0, 0x680C, 0, 0x680E, 0, 0x6810, 0, 0x6812, 0
    .quad 0x6814, tss, 0x6816, gdt, 0x6818, idt
    .quad 0x681A, 0x400, 0x681C, guest_stack_top, 0x6820, 2, 0x6822, 0, 0x6824, 0, 0x6826, 0
    .quad 0x0C00, 0x10, 0x0C02, 0x08, 0x0C04, 0x10, 0x0C06, 0x10, 0x0C08, 0x10, 0x0C0A, 0x10, 0x0C0C, 0x28
    .quad 0x4C00, 0, 0x6C06, 0, 0x6C08, 0, 0x6C0A, tss, 0x6C0C, gdt, 0x6C0E, idt, 0x6C10, 0, 0x6C12, 0
    .quad 0x6C16, vm_exit
    .quad -1
control_defaults:                       # capability MSR, field, wanted
    .long 0x48D, 0x4000, 0
    .long 0x48E, 0x4002, 0x80000000     # activate secondary controls
    .long 0x48B, 0x401E, 0
    .long 0x48F, 0x400C, 0x200          # host address-space size
    .long 0x490, 0x4012, 0x200          # IA-32e mode guest
    .long 0

# VMLAUNCH, and VMRESUME after every exit that is to be stepped over or whose hook says so; returns at the last exit.
enter:
    mov [enter_rsp], rsp
    mov eax, 0x6C14
    vmwrite rax, rsp
    mov qword ptr [fault_vector], -1
    xor eax, eax
    mov ecx, 0x1111
    mov edx, 0x2222
    mov ebx, 0x3333
    mov ebp, 0x5555
    mov esi, 0x6666
    mov edi, 0x7777
    vmlaunch
enter_failed:
    call report_vmx
    call new_line
    mov rsp, [enter_rsp]
    ret
vm_exit:
    mov [guest_registers], rax
    mov [guest_registers + 8], rcx
    mov [guest_registers + 16], rdx
    mov [guest_registers + 24], rbx
    mov [guest_registers + 32], rsi
    mov [guest_registers + 40], rdi
    mov [guest_registers + 48], rbp
    mov esi, offset exit_text
    call print
    mov eax, 0x4402                     # exit reason
    vmread rax, rax
    call print_hex
    movzx ebx, ax
    xor ebp, ebp
    cmp ebx, 70
    jae no_details
    movzx ebp, byte ptr [exit_details + rbx]
no_details:
    mov edi, 0x6400                     # exit qualification
    vmread rdi, rdi
    cmp ebx, 48                         # whether a read-modify-write also counts as a read is up to the implementation
    jne defined
    and edi, ~0xe00                     # and so is what a violation says of the guest's paging entries
    test edi, 2
    jz defined
    and edi, ~1
defined:
    test ebp, SHOW_QUALIFICATION
    jz no_qualification
    mov esi, offset qualification_text
    call print
    mov rax, rdi
    call print_hex
no_qualification:
    test ebp, SHOW_LENGTH
    jz no_length
    mov esi, offset length_text
    call print
    mov eax, 0x440C
    vmread rax, rax
    call print_hex
no_length:
    cmp ebx, 30                         # INS and OUTS have instruction information
    jne not_string
    test edi, 0x10
    jz not_string
    or ebp, SHOW_INFORMATION
not_string:
    test ebp, SHOW_INFORMATION
    jz no_information
    mov esi, offset information_text
    call print
    mov eax, 0x440E
    vmread rax, rax
    cmp ebx, 46                         # bit 11, the operand size, is undefined in 64-bit mode
    jne operand_size_defined
    and eax, 0xFFFFF7FF
operand_size_defined:
    cmp ebx, 30                         # bits 17:15, the segment, are undefined for INS
    jne segment_defined
    test edi, 8
    jz segment_defined
    and eax, 0xFFFC7FFF
segment_defined:
    call print_hex
no_information:
    test ebp, SHOW_INTERRUPTION
    jz no_interruption
    mov esi, offset interruption_text
    call print
    mov eax, 0x4404
    vmread rax, rax
    call print_hex
    bt eax, 11                          # error code valid
    jnc no_interruption
    mov eax, 0x4406
    vmread rax, rax
    call print_hex
no_interruption:
    test ebp, SHOW_PHYSICAL
    jz no_physical
    mov esi, offset physical_text
    call print
    mov eax, 0x2400
    vmread rax, rax
    call print_hex
    cmp ebx, 48
    jne no_physical
    test edi, 0x80                      # guest-linear address valid
    jz no_physical
    mov esi, offset linear_text
    call print
    mov eax, 0x640A
    vmread rax, rax
    call print_hex
no_physical:
    mov eax, 0x4408                     # IDT-vectoring information
    vmread rax, rax
    bt eax, 31
    jnc no_vectoring
    mov esi, offset vectoring_text
    call print
    call print_hex
    bt eax, 11
    jnc no_vectoring
    mov eax, 0x440A
    vmread rax, rax
    call print_hex
no_vectoring:
    mov esi, offset rip_text
    call print
    mov eax, 0x681E
    vmread rax, rax
    sub rax, [guest_start]
    call print_hex
    call new_line
    dec dword ptr [exits_left]
    jz leave
    test ebp, STEP_OVER
    jz no_step
    mov eax, 0x440C
    vmread rcx, rax
    mov eax, 0x681E
    vmread rdx, rax
    add rdx, rcx
    vmwrite rax, rdx
    jmp resume
no_step:
    cmp ebx, 18                         # VMCALL ends the guest
    je leave
    cmp qword ptr [exit_hook], 0
    je leave
    mov eax, ebx                        # the hook is told the reason and returns 0 to leave
    call [exit_hook]
    test eax, eax
    jz leave
resume:
    mov rax, [guest_registers]
    mov rcx, [guest_registers + 8]
    mov rdx, [guest_registers + 16]
    mov rbx, [guest_registers + 24]
    mov rsi, [guest_registers + 32]
    mov rdi, [guest_registers + 40]
    mov rbp, [guest_registers + 48]
    vmresume
    jmp enter_failed
leave:
    mov rsp, [enter_rsp]
    ret
exit_text: .asciz "  exit"
qualification_text: .asciz ", qualification"
length_text: .asciz ", length"
information_text: .asciz ", information"
interruption_text: .asciz ", interruption"
physical_text: .asciz ", physical"
linear_text: .asciz ", linear"
vectoring_text: .asciz ", vectoring"
rip_text: .asciz ", at"

exit_details:                           # by basic exit reason
    .byte SHOW_QUALIFICATION | SHOW_INTERRUPTION, SHOW_INTERRUPTION, 0, 0, 0, 0, 0, 0
    .byte 0, SHOW_QUALIFICATION, 0x42, 0, 0x42, 0x42, 0x43, 0x42        # 8
    .byte 0x42, 0x42, SHOW_LENGTH, 0x47, 0x42, 0x47, 0x47, 0x47         # 16
    .byte 0x42, 0x47, 0x42, 0x47, 0x43, 0x43, 0x43, 0x42                # 24
    .byte 0x42, SHOW_QUALIFICATION, SHOW_QUALIFICATION, 0, 0x43, 0, 0, 0x42 # 32
    .byte 0x42, 0, 0, 0, SHOW_QUALIFICATION, SHOW_QUALIFICATION, 0x47, 0x47              # 40
    .byte SHOW_QUALIFICATION | SHOW_PHYSICAL, SHOW_PHYSICAL, 0x47, 0x42, 0, 0x47, 0x42, 0x42 # 48
    .byte SHOW_QUALIFICATION, 0x46, 0x47, 0x42, 0, 0x46, 0, 0                            # 56
    .byte 0, 0, 0, 0, 0, 0                                              # 64
.balign 8
pointer: .quad 0
enter_rsp: .quad 0
guest_start: .quad 0
exit_hook: .quad 0
exits_left: .long 0
.balign 8
guest_registers: .fill 7, 8, 0
