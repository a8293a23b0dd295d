"""How each x87 instruction starts and what it leaves for exception handlers."""

from __future__ import annotations

from vmxon.isa.operands import MemoryOperand, Operand
from vmxon.isa.record import Record
from vmxon.microcode import inline, u16, u64
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.state import Segment
from vmxon.processor.x87.registers import check_available, check_pending


@inline
def enter(cpu: Cpu) -> None:
    """#NM, then #MF for what an earlier instruction left: how a waiting instruction starts."""
    check_available(cpu)
    check_pending(cpu)


@inline
def remember(cpu: Cpu, record: Record, escape: int, operand: Operand | None = None) -> None:
    """Opcode and pointers of a non-control instruction; `escape` is the first opcode byte, D8–DF.

    Vol. 1 §8.1.8 “x87 FPU Instruction and Data (Operand) Pointers”.
    """
    cpu.x87_ip = record.next_rip - u64(record.length)
    cpu.x87_cs = cpu.segments[Segment.CS].selector
    cpu.x87_opcode = u16(record.modrm) | ((escape & 7) << 8)
    if isinstance(operand, MemoryOperand):
        cpu.x87_dp = operand.address()
        if operand.variant == "s":
            cpu.x87_ds = cpu.segments[record.segment].selector
        else:
            cpu.x87_ds = u16(0)
