# COUNT times the primes below a million by Eratosthenes, one byte each (78,498); the result is the sum of the counts.
.set NUMBERS, 1000000
.set flags, space
main64:
    mov r12d, COUNT
    xor r13d, r13d
    mov esi, offset flags
.balign 16
again:
    mov rax, 0x0101010101010101
    xor ecx, ecx
fill:
    mov [rsi + rcx], rax
    add rcx, 8
    cmp rcx, NUMBERS
    jb fill
    mov edi, 2
candidate:
    cmp byte ptr [rsi + rdi], 0
    je next
    mov rax, rdi
    imul rax, rax
    cmp rax, NUMBERS
    jae count
mark:
    mov byte ptr [rsi + rax], 0
    add rax, rdi
    cmp rax, NUMBERS
    jb mark
next:
    inc rdi
    jmp candidate
count:
    mov ecx, 2
    xor edx, edx
counted:
    movzx eax, byte ptr [rsi + rcx]
    add edx, eax
    inc rcx
    cmp rcx, NUMBERS
    jne counted
    add r13, rdx
    dec r12d
    jnz again
    mov rax, r13
    ret
