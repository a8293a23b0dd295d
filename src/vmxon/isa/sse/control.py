"""MXCSR (Vol. 1 §10.2.3 “MXCSR Control and Status Register”)."""

from __future__ import annotations

from vmxon.isa.operands import Operand
from vmxon.isa.table import Form, instruction
from vmxon.processor.simd import check_sse, load_mxcsr
from vmxon.processor.state import ProcessorState as Cpu


@instruction("LDMXCSR", Form("NP 0F AE /2", "m32"))
def ldmxcsr(cpu: Cpu, source: Operand) -> None:
    """MXCSR := source; #GP(0) for reserved bits (Vol. 2A “LDMXCSR”)."""
    check_sse(cpu)
    load_mxcsr(cpu, source.read())


@instruction("STMXCSR", Form("NP 0F AE /3", "m32"))
def stmxcsr(cpu: Cpu, destination: Operand) -> None:
    """destination := MXCSR (Vol. 2B “STMXCSR”)."""
    check_sse(cpu)
    destination.write(cpu.mxcsr)
