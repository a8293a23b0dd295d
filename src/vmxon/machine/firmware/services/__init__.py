"""What the interrupts of a PC's BIOS do, one module for each."""
