# COUNT round trips: the guest executes CPUID, the host steps over it and resumes. The result is the number of CPUID exits; with bit
# 63 set it is a VM-instruction error or an unexpected exit reason. EPT and VPID, where defined, turn these on (1 GiB of 2 MiB pages).
.set vmxon_region, space
.set vmcs_region, space + 0x1000
.set ept_pml4, space + 0x2000
.set ept_pdpt, space + 0x3000
.set ept_directory, space + 0x4000
.set tss, space + 0x5000
.set guest_stack_top, space + 0x7000
.set pointer, space + 0x7000
.set host_stack, space + 0x7008

.macro write field, value               # VMWRITE; changes RAX and RDX
    mov eax, \field
    mov rdx, \value
    vmwrite rax, rdx
    jbe fail
.endm
.macro control field, capability, wanted # what must be 1, with `wanted` as far as it may be 1; changes RBX too
    mov ecx, \capability
    rdmsr
    or eax, \wanted
    and eax, edx
    mov ebx, eax
    write \field, rbx
.endm
.macro write_segment index, selector, limit, rights
    write (0x800 + 2 * \index), \selector
    write (0x4800 + 2 * \index), \limit
    write (0x4814 + 2 * \index), \rights
.endm

main64:
    mov [host_stack], rsp
    mov eax, offset tss
    mov dword ptr [gdt_tss], 0x67
    mov word ptr [gdt_tss + 2], ax
    shr eax, 16
    mov [gdt_tss + 4], al
    mov byte ptr [gdt_tss + 5], 0x89
    mov [gdt_tss + 7], ah
    mov eax, 0x18
    ltr ax
    mov rax, cr4
    or eax, 1 << 13                     # VMXE
    mov cr4, rax
    mov rax, cr0
    or eax, 1 << 5                      # NE
    mov cr0, rax
    mov ecx, 0x3A                       # IA32_FEATURE_CONTROL
    rdmsr
    test eax, 1
    jnz locked
    or eax, 5
    wrmsr
locked:
    mov ecx, 0x480                      # IA32_VMX_BASIC
    rdmsr
    and eax, 0x7FFFFFFF
    mov [vmxon_region], eax
    mov [vmcs_region], eax
    mov eax, offset vmxon_region
    mov [pointer], rax
    vmxon [pointer]
    jbe fail
    mov eax, offset vmcs_region
    mov [pointer], rax
    vmclear [pointer]
    jbe fail
    vmptrld [pointer]
    jbe fail
    control 0x4000, 0x481, 0
    control 0x400C, 0x483, 0x200        # host address-space size
    control 0x4012, 0x484, 0x200        # IA-32e mode guest
.set SECONDARY, 0
.ifdef EPT
.set SECONDARY, SECONDARY + 2
    mov edi, offset ept_directory
    mov eax, 0xB7                       # read, write, execute, write-back, large page
    mov ecx, 512
ept_entry:
    mov [rdi], rax
    add eax, 0x200000
    add edi, 8
    dec ecx
    jnz ept_entry
    mov eax, offset ept_directory + 7
    mov [ept_pdpt], rax
    mov eax, offset ept_pdpt + 7
    mov [ept_pml4], rax
    mov ebx, offset ept_pml4 + 0x1E     # write-back, four levels
    write 0x201A, rbx
.endif
.ifdef VPID
.set SECONDARY, SECONDARY + 0x20
    write 0, 1
.endif
.if SECONDARY
    control 0x4002, 0x482, 0x80000000
    control 0x401E, 0x48B, SECONDARY
.else
    control 0x4002, 0x482, 0
.endif
    write 0x4004, 0                     # exception bitmap
    write 0x2800, -1                    # VMCS link pointer
    mov rbx, cr0
    write 0x6800, rbx
    write 0x6C00, rbx
    mov rbx, cr3
    write 0x6802, rbx
    write 0x6C02, rbx
    mov rbx, cr4
    write 0x6804, rbx
    write 0x6C04, rbx
    write 0x681A, 0x400                 # DR7
    mov ebx, 0xFFFFFFFF
    write_segment 0, 0x10, rbx, 0xC093
    write_segment 1, 0x08, rbx, 0xA09B
    write_segment 2, 0x10, rbx, 0xC093
    write_segment 3, 0x10, rbx, 0xC093
    write_segment 4, 0x10, rbx, 0xC093
    write_segment 5, 0x10, rbx, 0xC093
    write_segment 6, 0, 0, 0x10000
    write_segment 7, 0x18, 0x67, 0x8B
    write 0xC00, 0x10                   # host selectors
    write 0xC02, 0x08
    write 0xC04, 0x10
    write 0xC06, 0x10
    write 0xC08, 0x10
    write 0xC0A, 0x10
    write 0xC0C, 0x18
    write 0x4810, (5 * 8 - 1)            # GDT and IDT limits
    write 0x4812, 0
    write 0x4824, 0                     # interruptibility, activity, SYSENTER_CS
    write 0x4826, 0
    write 0x482A, 0
    xor ebx, ebx
    write 0x6806, rbx                   # bases
    write 0x6808, rbx
    write 0x680A, rbx
    write 0x680C, rbx
    write 0x680E, rbx
    write 0x6810, rbx
    write 0x6812, rbx
    write 0x6818, rbx
    write 0x6822, rbx
    write 0x6824, rbx
    write 0x6826, rbx
    write 0x6C06, rbx
    write 0x6C08, rbx
    write 0x6C0E, rbx
    write 0x6C10, rbx
    write 0x6C12, rbx
    write 0x4C00, rbx
    mov ebx, offset tss
    write 0x6814, rbx
    write 0x6C0A, rbx
    mov ebx, offset gdt
    write 0x6816, rbx
    write 0x6C0C, rbx
    write 0x6820, 2                     # RFLAGS
    mov ebx, offset guest_stack_top
    write 0x681C, rbx
    mov ebx, offset guest
    write 0x681E, rbx
    mov rbx, rsp
    write 0x6C14, rbx
    mov ebx, offset host
    write 0x6C16, rbx
    xor r14d, r14d
    mov r15d, COUNT
    vmlaunch
fail:
    mov eax, 0x4400                     # VM-instruction error
    vmread rax, rax
    jmp failed
.balign 16
host:
    mov ebx, 0x4402                     # exit reason
    vmread rbx, rbx
    cmp ebx, 10                         # CPUID
    jne other
    inc r14d
    mov ebx, 0x440C                     # instruction length
    vmread rbx, rbx
    mov ebp, 0x681E                     # guest RIP
    vmread rdx, rbp
    add rdx, rbx
    vmwrite rbp, rdx
    vmresume
    jmp fail
other:
    cmp ebx, 18                         # VMCALL
    jne unexpected
    mov rax, r14
    mov rsp, [host_stack]
    ret
unexpected:
    mov eax, ebx
failed:
    bts rax, 63
    mov rsp, [host_stack]
    ret
.balign 16
guest:
    xor eax, eax
    cpuid
    dec r15d
    jnz guest
    vmcall
