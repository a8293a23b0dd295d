# Memory that the boot loader clears: everything after the image.

.balign 4096
image_end:
.equ bss, image_end
.equ pml4, bss
.equ pdpt, bss + 0x1000
.equ directory, bss + 0x2000
.equ user_directory, bss + 0x3000
.equ user_table, bss + 0x4000
.equ idt, bss + 0x5000
.equ task_stack, bss + 0x6000
.equ stack_top, bss + 0x9000
.equ interrupt_stack_top, bss + 0xB000
.equ heap, bss + 0xB000
.equ variables, bss + 0x14000
.equ information, variables
.equ ticks, variables + 8
.equ calls, variables + 16
.equ heap_pages, variables + 24
.equ expected_fault, variables + 32
.equ kernel_stack, variables + 40
.equ user_stack, variables + 48
.equ task_result, variables + 56
.equ under_hypervisor, variables + 64
.equ identity, variables + 72           # 12 characters and a 0
.equ digits_end, variables + 128
.equ task_state, variables + 256
.equ bss_end, bss + 0x16000
