# The sum of COUNT times fib(30), recursively: 22,886,560 instructions each, calls and returns above all.
main64:
    mov r12d, COUNT
    xor r13d, r13d
again:
    mov edi, 30
    call fib
    add r13, rax
    dec r12d
    jnz again
    mov rax, r13
    ret
.balign 16
fib:
    cmp edi, 2
    jb leaf
    push rbx
    push rdi
    dec edi
    call fib
    mov ebx, eax
    pop rdi
    sub edi, 2
    call fib
    add eax, ebx
    pop rbx
    ret
leaf:
    mov eax, edi
    ret
