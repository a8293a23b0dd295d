# Text on the serial port.

print:                                  # RSI: text that ends in 0
    mov edx, SERIAL
print_next:
    lodsb
    test al, al
    jz print_done
    out dx, al
    jmp print_next
print_done:
    ret

print_line_end:
    mov edx, SERIAL
    mov al, 10
    out dx, al
    ret

print_number:                           # RDI, in decimal
    lea rsi, [digits_end - 1]
    mov byte ptr [rsi], 0
    mov rax, rdi
    mov ecx, 10
digit_next:
    xor edx, edx
    div rcx
    add dl, 0x30
    dec rsi
    mov byte ptr [rsi], dl
    test rax, rax
    jnz digit_next
    jmp print
