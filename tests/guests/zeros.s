# The last of the text: what follows is not in the file and starts as zeros.
.balign 4096
zeros:
.set pml4, zeros
.set pdpt, zeros + 0x1000
.set page_directory, zeros + 0x2000
.set page_table, zeros + 0x3000
.set idt, zeros + 0x4000
.set tss, zeros + 0x5000
.set stack_top, zeros + 0xA000
.set inner_stack_top, zeros + 0xC000
.set guest_stack_top, zeros + 0xE000
.set vmxon_region, zeros + 0x10000
.set vmcs_region, zeros + 0x11000
.set other_region, zeros + 0x12000
.set third_region, zeros + 0x13000
.set bitmaps, zeros + 0x14000           # I/O bitmaps A and B, MSR bitmaps
.set ept_pml4, zeros + 0x18000
.set ept_pdpt, zeros + 0x19000
.set ept_directory, zeros + 0x1A000
.set ept_table, zeros + 0x1B000
.set msr_areas, zeros + 0x1C000
.set scratch, zeros + 0x20000           # 64 KiB that programs use as they like
.set aligned, 0x800000                  # a 2 MiB page that programs map as they like
