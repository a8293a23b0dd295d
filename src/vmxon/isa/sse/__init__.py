"""SSE and SSE2 instructions, in the groups of Vol. 1 §10.4 “SSE Instruction Set” and §11.4 “SSE2 Instruction Set”."""
