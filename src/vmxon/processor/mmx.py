"""MMX: its registers are the significands of the x87 registers (Vol. 1 §9.2.2 “MMX Registers”)."""

from __future__ import annotations

from vmxon.microcode import inline, u16, u32
from vmxon.processor.exceptions import undefined_opcode
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.x87.registers import CR0_EM, check_available, check_pending


@inline
def check_mmx(cpu: Cpu) -> None:
    """#UD where CR0.EM = 1, #NM where CR0.TS = 1, then #MF for what an x87 instruction left (Vol. 3A §13.1)."""
    if cpu.cr0 & CR0_EM != 0:
        undefined_opcode(cpu)
    check_available(cpu)
    check_pending(cpu)


@inline
def enter_mmx(cpu: Cpu) -> None:
    """What every MMX instruction but EMMS does: TOP becomes 0 and all tags valid (Vol. 3A §13.2 “The MMX State …”)."""
    cpu.x87_top = u32(0)
    cpu.x87_tag = u16(0xFF)
