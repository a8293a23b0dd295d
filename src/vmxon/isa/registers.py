"""General-purpose registers that an instruction names implicitly."""

from __future__ import annotations

from vmxon.microcode import IntType, inline, select, u8, u64
from vmxon.processor.state import ProcessorState as Cpu

RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI = range(8)


@inline
def read_register(cpu: Cpu, number: int, kind: IntType) -> int:
    """The low part of a register."""
    return kind(cpu.gpr[number])


@inline
def write_register(cpu: Cpu, number: int, kind: IntType, value: int) -> None:
    """Replace the low part; 32 bits clear the upper half (Vol. 1 §3.4.1.1 “…Registers in 64-Bit Mode”)."""
    if kind.bits >= 32:
        cpu.gpr[number] = u64(kind(value))
    else:
        cpu.gpr[number] = (cpu.gpr[number] & ~kind.mask) | u64(kind(value))


@inline
def read_ah(cpu: Cpu) -> int:
    """AH."""
    return u8(cpu.gpr[RAX] >> 8)


@inline
def write_ah(cpu: Cpu, value: int) -> None:
    """Replace AH by a u8."""
    cpu.gpr[RAX] = (cpu.gpr[RAX] & ~0xFF00) | u64(value) << 8


@inline
def step_register(cpu: Cpu, number: int, shift: int, distance: int) -> int:
    """Add `distance` (u64) to a register of 64 - shift bits, and give its new value; 16 bits keep the rest."""
    old = cpu.gpr[number]
    value = ((old + distance) << shift) >> shift
    cpu.gpr[number] = value | select(shift == 48, old & ~0xFFFF, u64(0))
    return value
