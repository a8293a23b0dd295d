"""x87 instructions; each module declares one group of Vol. 1 §8.3 “x87 FPU Instruction Set”."""
