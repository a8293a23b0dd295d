# The last of the text: what follows is not in the file and starts as zeros.
.balign 4096
bss:
.set pml4, bss
.set pdpt, bss + 0x1000
.set page_directory, bss + 0x2000
.set stack_top, bss + 0x14000
.set space, bss + 0x14000               # workloads take theirs from here
