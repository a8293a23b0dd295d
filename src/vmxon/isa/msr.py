"""RDMSR and WRMSR."""

from __future__ import annotations

from vmxon.isa.registers import RAX, RCX, RDX
from vmxon.isa.table import Form, instruction
from vmxon.microcode import u32, u64
from vmxon.processor.msrs import read_msr, write_msr
from vmxon.processor.slots import intercept_msr, virtual_msr_read, virtual_msr_write
from vmxon.processor.state import ProcessorState as Cpu


@instruction("RDMSR", Form("0F 32"), flow="system", cpl0=True, feature="msr")
def rdmsr(cpu: Cpu) -> None:
    """EDX:EAX := MSR[ECX] (Vol. 2B “RDMSR—Read From Model Specific Register”)."""
    index = u64(u32(cpu.gpr[RCX]))
    intercept_msr(cpu, index, False)
    value = cpu.request_value if virtual_msr_read(cpu, index) else read_msr(cpu, index)
    cpu.gpr[RAX] = u64(u32(value))
    cpu.gpr[RDX] = value >> 32


@instruction("WRMSR", Form("0F 30"), flow="system", cpl0=True, feature="msr")
def wrmsr(cpu: Cpu) -> None:
    """MSR[ECX] := EDX:EAX (Vol. 2D “WRMSR—Write to Model Specific Register”)."""
    index = u64(u32(cpu.gpr[RCX]))
    intercept_msr(cpu, index, True)
    value = u64(u32(cpu.gpr[RDX])) << 32 | u64(u32(cpu.gpr[RAX]))
    if not virtual_msr_write(cpu, index, value):
        write_msr(cpu, index, value)
