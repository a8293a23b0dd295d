"""Instructions whose memory forms get handlers of their own for flat addresses of 64-bit mode.

All others use the segmented handler everywhere: it is right in every mode and a few host instructions longer. Each flat variant costs
compile time at the first start; these are the instructions that make up more than 99 % of what kernels and programs execute.
"""

from __future__ import annotations

FLAT = frozenset(
    {
        *("MOV", "MOVZX", "MOVSX", "MOVSXD", "LEA", "XCHG", "CMOVcc", "PUSH", "POP", "CALL r/m", "JMP r/m"),
        *("ADD", "SUB", "CMP", "AND", "OR", "XOR", "TEST", "INC", "DEC", "IMUL", "SHL", "SHR", "SAR"),
        *("MOVAPS", "MOVUPS", "MOVDQA", "MOVDQU", "MOVQ", "MOVSS", "MOVSD"),
    }
)
