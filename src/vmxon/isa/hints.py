"""Instructions that move nothing: long NOP, PAUSE, prefetches, cache-line flushes, fences, and UD."""

from __future__ import annotations

from vmxon.isa.operands import Operand
from vmxon.isa.table import Form, instruction
from vmxon.microcode import u64
from vmxon.processor.exceptions import undefined_opcode
from vmxon.processor.memory import readable
from vmxon.processor.slots import Intercept, intercept
from vmxon.processor.state import ProcessorState as Cpu


@instruction("NOP", *(Form(f"0F {opcode:02X} /r", "r/m") for opcode in range(0x19, 0x20)))
def hint(cpu: Cpu, operand: Operand) -> None:
    """Nothing: the hint space 0F 19–0F 1F, ENDBR64 within it; the operand is not read (Vol. 2B “NOP—No Operation”)."""


@instruction("PREFETCHh", Form("0F 18 /r", "r/m"), Form("0F 0D /r", "r/m"))
def prefetch(cpu: Cpu, operand: Operand) -> None:
    """Nothing: a prefetch never faults; with a register operand a NOP (Vol. 2B “PREFETCHh”, “PREFETCHW”)."""


@instruction("PAUSE", Form("F3 90", ""), flow="system")
def pause(cpu: Cpu) -> None:
    """A hint in spin loops, which VMX can intercept (Vol. 2B “PAUSE—Spin Loop Hint”)."""
    intercept(cpu, Intercept.PAUSE, u64(0))


@instruction(
    "CLFLUSH",
    Form("NP 0F AE /7", "m8"),
)
def clflush(cpu: Cpu, line: Operand) -> None:
    """There is no cache, but the address is checked like a read (Vol. 2A “CLFLUSH—Flush Cache Line”)."""
    readable(cpu, line.linear(1), 1)


@instruction("CLFLUSHOPT", Form("66 0F AE /7", "m8"), feature="clflushopt")
def clflushopt(cpu: Cpu, line: Operand) -> None:
    """The same (Vol. 2A “CLFLUSHOPT—Flush Cache Line Optimized”)."""
    readable(cpu, line.linear(1), 1)


@instruction("CLWB", Form("66 0F AE /6", "m8"), feature="clwb")
def clwb(cpu: Cpu, line: Operand) -> None:
    """The same (Vol. 2A “CLWB—Cache Line Write Back”)."""
    readable(cpu, line.linear(1), 1)


@instruction("LFENCE", Form("NP 0F AE /5", "r32"))
def lfence(cpu: Cpu, unused: Operand) -> None:
    """Nothing: memory is strongly ordered (Vol. 2A “LFENCE—Load Fence”)."""


@instruction("MFENCE", Form("NP 0F AE /6", "r32"))
def mfence(cpu: Cpu, unused: Operand) -> None:
    """Nothing (Vol. 2B “MFENCE—Memory Fence”)."""


@instruction("SFENCE", Form("NP 0F AE /7", "r32"))
def sfence(cpu: Cpu, unused: Operand) -> None:
    """Nothing (Vol. 2B “SFENCE—Store Fence”)."""


@instruction("UD", Form("0F 0B"), Form("0F B9 /r"), Form("0F FF /r"))
def ud(cpu: Cpu) -> None:
    """UD2, UD1, UD0: #UD (Vol. 2D “UD—Undefined Instruction”)."""
    undefined_opcode(cpu)
