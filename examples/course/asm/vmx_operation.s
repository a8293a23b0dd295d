# Into VMX operation (step 3), and a VMCS with a guest that shares our page tables (steps 5 to 8). Regions follow free_memory.
.set vmxon_region, free_memory
.set vmcs, free_memory + 0x1000
.set guest_stack, free_memory + 0x4000
.macro field encoding, value
    mov eax, \encoding
    mov rcx, \value
    vmwrite rax, rcx
.endm
.macro controls encoding, capability, wanted
    mov ecx, \capability                # EDX: may be 1, EAX: must be 1
    rdmsr
    or eax, \wanted
    and eax, edx
    mov ecx, \encoding
    vmwrite rcx, rax
.endm
enter_vmx_operation:
    mov rax, cr4
    or eax, 1 << 13                     # VMXE
    mov cr4, rax
    mov ecx, 0x3A                       # IA32_FEATURE_CONTROL: locked, VMXON allowed
    rdmsr
    test al, 1
    jnz locked
    or eax, 5
    wrmsr
locked:
    mov ecx, 0x480                      # IA32_VMX_BASIC: the revision
    rdmsr
    mov [vmxon_region], eax
    mov [vmcs], eax
    mov qword ptr [pointer], offset vmxon_region
    vmxon qword ptr [pointer]
    ret
.balign 8
pointer: .quad 0
prepare_guest:                          # code at guest_start, exits go on at vm_exit
    mov qword ptr [pointer], offset vmcs
    vmclear qword ptr [pointer]
    vmptrld qword ptr [pointer]
    controls 0x4000, 0x48D, 0           # pin-based
    controls 0x4002, 0x48E, 0x80        # primary: HLT exiting
    controls 0x400C, 0x48F, 0x200       # VM-exit: a 64-bit host
    controls 0x4012, 0x490, 0x200       # VM-entry: a 64-bit guest
    mov rdx, cr0
    field 0x6C00, rdx                   # host CR0, CR3, CR4
    field 0x6800, rdx                   # and the guest's
    mov rdx, cr3
    field 0x6C02, rdx
    field 0x6802, rdx
    mov rdx, cr4
    field 0x6C04, rdx
    field 0x6804, rdx
    field 0x6C16, "offset vm_exit"      # host RIP and RSP
    field 0x6C14, "offset stack_top - 8"
    field 0x0C02, 0x08                  # host CS, SS, DS, ES, TR
    field 0x0C04, 0x10
    field 0x0C06, 0x10
    field 0x0C00, 0x10
    field 0x0C0C, 0x18
    field 0x6C0A, "offset tss"          # bases of TR, GDTR, IDTR
    field 0x6C0C, "offset gdt"
    field 0x6C0E, "offset idt"
    field 0x2800, -1                    # no shadow VMCS
    field 0x681E, "offset guest_start"  # guest RIP, RSP, RFLAGS
    field 0x681C, "offset guest_stack"
    field 0x6820, 2
    field 0x0802, 0x08                  # guest CS
    field 0x4802, 0xFFFFFFFF
    field 0x4816, 0xA09B
    field 0x4804, 0xFFFFFFFF            # guest SS, the other data segments and LDTR are unusable
    field 0x4818, 0xC093
    field 0x4814, 0x10000
    field 0x481A, 0x10000
    field 0x481C, 0x10000
    field 0x481E, 0x10000
    field 0x4820, 0x10000
    field 0x480E, 0x67                  # guest TR: a busy TSS
    field 0x4822, 0x8B
    ret
exit_reason:                            # into EAX
    mov eax, 0x4402
    vmread rax, rax
    ret
skip_instruction:                       # guest RIP += length of the instruction that exited
    mov eax, 0x440C
    vmread rcx, rax
    mov eax, 0x681E
    vmread rdx, rax
    add rdx, rcx
    vmwrite rax, rdx
    ret
failed:
    jc no_vmcs
    say "VMfailValid "
    mov eax, 0x4400
    vmread rax, rax
    jmp print_hex
no_vmcs:
    say "VMfailInvalid\n"
    ret
