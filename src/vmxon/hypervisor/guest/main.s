# What the kernel does, in order; each step prints a line on the serial port.

main:
    lea rsi, [rip + text_welcome]
    call print
    call set_up_interrupts
    call look_at_processor
    call use_msrs
    call touch_ports
    call take_ticks
    call touch_memory
    call run_task
    jmp finish

# CPUID: the vendor, and whether a hypervisor shows itself.
look_at_processor:
    lea rsi, [rip + text_processor]
    call print
    xor eax, eax
    cpuid
    call print_identity_vendor
    mov eax, 1
    cpuid
    mov r12d, ecx
    lea rsi, [rip + text_vmx_shown]
    lea rax, [rip + text_vmx_hidden]
    test r12d, 1 << 5
    cmovz rsi, rax
    call print
    test r12d, r12d
    jns no_hypervisor
    mov eax, 0x40000000
    cpuid
    mov dword ptr [identity], ebx
    mov dword ptr [identity + 4], ecx
    mov dword ptr [identity + 8], edx
    cmp ebx, 0x6F786D76                 # “vmxo”
    sete byte ptr [under_hypervisor]
    lea rsi, [rip + text_hypervisor]
    call print
    lea rsi, [identity]
    call print
    jmp print_line_end
no_hypervisor:
    lea rsi, [rip + text_bare]
    jmp print

print_identity_vendor:
    mov dword ptr [identity], ebx
    mov dword ptr [identity + 4], edx
    mov dword ptr [identity + 8], ecx
    lea rsi, [identity]
    jmp print

# An MSR of its own, and one that nobody gives it: #GP, from which the handler comes back.
use_msrs:
    mov ecx, 0xC0000102                 # IA32_KERNEL_GS_BASE
    mov eax, 0x5678
    xor edx, edx
    wrmsr
    xor eax, eax
    rdmsr
    cmp eax, 0x5678
    jne failed
    mov qword ptr [expected_fault], offset msr_refused
    mov ecx, 0x12345
    rdmsr
    jmp failed
msr_refused:
    lea rsi, [rip + text_msrs]
    jmp print

# Port 0x80, the clock chip, a port where nothing is.
touch_ports:
    mov al, 0x42
    out 0x80, al
    mov al, 0x32                        # century
    out 0x70, al
    in al, 0x71
    mov r12b, al
    mov dx, 0x5678
    in al, dx
    cmp al, 0xFF
    jne failed
    lea rsi, [rip + text_ports]
    call print
    movzx edi, r12b                     # BCD
    mov eax, edi
    shr edi, 4
    imul edi, edi, 10
    and eax, 15
    add edi, eax
    call print_number
    jmp print_line_end

# Ten ticks of the timer, asleep in between.
take_ticks:
    sti
wait_for_tick:
    hlt
    cmp dword ptr [ticks], 10
    jb wait_for_tick
    cli
    lea rsi, [rip + text_ticks]
    call print
    mov edi, dword ptr [ticks]
    call print_number
    jmp print_line_end

# One word in each 2-MiB page of memory that the boot loader reports, written first and read back afterwards.
touch_memory:
    mov ebx, dword ptr [information]
    mov r12d, dword ptr [rbx + 8]       # KiB above 1 MiB
    shl r12, 10
    add r12, 0x100000 - 8
    mov eax, 1 << 30
    cmp r12, rax
    cmova r12, rax
    xor r13d, r13d                      # pages
    mov rdi, LARGE_PAGE
write_next:
    cmp rdi, r12
    ja written
    mov qword ptr [rdi], rdi
    inc r13
    add rdi, LARGE_PAGE
    jmp write_next
written:
    mov rdi, LARGE_PAGE
read_next:
    cmp rdi, r12
    ja touched
    cmp qword ptr [rdi], rdi
    jne failed
    add rdi, LARGE_PAGE
    jmp read_next
touched:
    lea rsi, [rip + text_memory]
    call print
    mov rdi, r13
    call print_number
    jmp print_line_end

# The end: a hypercall where there is a hypervisor, else the debug-exit port.
finish:
    lea rsi, [rip + text_end]
    call print
    cmp byte ptr [under_hypervisor], 0
    je leave_by_port
    mov eax, 1                          # hypercall EXIT
    xor ebx, ebx                        # status 0
    vmcall
leave_by_port:
    mov eax, 0x10
    out 0xF4, al
    jmp forever

failed:
    lea rsi, [rip + text_failed]
    call print
    cmp byte ptr [under_hypervisor], 0
    je fail_by_port
    mov eax, 1
    mov ebx, 1
    vmcall
fail_by_port:
    mov eax, 0
    out 0xF4, al
    jmp forever

text_welcome:    .asciz "guest: in 64-bit mode, paging on\n"
text_processor:  .asciz "guest: CPUID says "
text_vmx_shown:  .asciz ", with VMX\n"
text_vmx_hidden: .asciz ", without VMX\n"
text_hypervisor: .asciz "guest: a hypervisor is here: "
text_bare:       .asciz "guest: no hypervisor shows itself\n"
text_msrs:       .asciz "guest: MSRs: my own works, a foreign one raises #GP\n"
text_ports:      .asciz "guest: ports: an empty one reads FF, the clock says century "
text_ticks:      .asciz "guest: timer ticks: "
text_memory:     .asciz "guest: 2-MiB pages of memory touched: "
text_end:        .asciz "guest: done\n"
text_failed:     .asciz "guest: something went wrong\n"
