# COUNT passes: 1 MiB copied and summed, then 131,072 pseudo-random 8-byte reads and read-modify-writes.
.set WORDS, 131072
.set SHIFT, 47                          # 64 - log2(WORDS)
.set source, space
.set target, space + WORDS * 8
main64:
    mov esi, offset source
    mov edi, offset target
    xor edx, edx
    mov r8, 88172645463325252
    mov r10, 6364136223846793005
    mov ebp, COUNT
    xor ecx, ecx
fill:
    mov [rsi + rcx * 8], rcx
    inc rcx
    cmp rcx, WORDS
    jne fill
.balign 16
pass:
    xor ecx, ecx
copy:
    mov rax, [rsi + rcx * 8]
    mov [rdi + rcx * 8], rax
    add rdx, rax
    inc rcx
    cmp rcx, WORDS
    jne copy
    mov ecx, WORDS
random:
    imul r8, r10
    add r8, 1442695
    mov r9, r8
    shr r9, SHIFT
    add rdx, [rdi + r9 * 8]
    xor [rsi + r9 * 8], rdx
    dec rcx
    jnz random
    dec ebp
    jnz pass
    mov rax, rdx
    ret
