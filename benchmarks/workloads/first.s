# Nothing: the time to its S is the time to start.
main64:
    xor eax, eax
    ret
