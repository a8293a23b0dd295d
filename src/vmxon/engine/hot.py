"""What is worth compile time at the first start: flat handlers, and the code generator's effort.

`FLAT` are the instructions whose memory forms get handlers of their own for flat addresses of 64-bit mode. All others use the
segmented handler everywhere: it is right in every mode and a few host instructions longer. Each flat
variant costs compile time at the first start; these are the instructions that compilers make most code of.
"""

from __future__ import annotations

from vmxon.isa.table import Instruction

FLAT = frozenset(
    {
        *("MOV", "MOVZX", "MOVSX", "MOVSXD", "LEA", "XCHG", "CMOVcc", "PUSH", "POP", "CALL r/m", "JMP r/m"),
        *("ADD", "SUB", "CMP", "AND", "OR", "XOR", "TEST", "INC", "DEC", "IMUL", "SHL", "SHR", "SAR"),
        *("MOVAPS", "MOVUPS", "MOVDQA", "MOVDQU", "MOVQ", "MOVSS", "MOVSD"),
    }
)

COLD = (
    *("processor.call_gates", "processor.inner_stack", "processor.msr", "processor.returns", "processor.selector_tests", "processor.task"),
    *("processor.transfers", "processor.virtual_8086", "processor.x87", "isa.x87", "vmx.msr_area", "vmx.regions"),
)
"""Beginnings of the names of out-of-line functions that LLVM compiles without optimizing its machine code: four times faster."""


def is_cold(row: Instruction) -> bool:
    """Handlers that do next to nothing themselves: of system instructions, which call out of line, and of the x87; not VMX's."""
    return (row.flow == "system" or row.source.startswith("vmxon.isa.x87")) and not row.source.startswith("vmxon.vmx")
