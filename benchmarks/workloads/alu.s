# A tight loop of integer arithmetic: 10 instructions, one more in every fourth of its COUNT rounds.
main64:
    mov rax, 0x123456789ABCDEF
    mov rbx, 0x9E3779B97F4A7C15
    xor ecx, ecx
    mov esi, COUNT
.balign 16
again:
    add rax, rbx
    xor rbx, rax
    mov rdx, rax
    shr rdx, 7
    xor rax, rdx
    rol rbx, 13
    test sil, 3
    jnz skip
    add rcx, rbx
skip:
    dec rsi
    jnz again
    xor rax, rcx
    ret
