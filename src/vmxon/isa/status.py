"""Changing one status flag and keeping the other five."""

from __future__ import annotations

from vmxon.microcode import inline, u64
from vmxon.processor.flags import ZERO, carry, overflow, read_status, write_status
from vmxon.processor.state import ProcessorState as Cpu


@inline
def set_carry(cpu: Cpu, value: bool) -> None:
    """CF := value; the auxiliary word holds CF and CF^OF, so both bits flip together."""
    cpu.flag_auxiliary = cpu.flag_auxiliary ^ (u64(carry(cpu) != value) * (3 << 62))


@inline
def set_overflow(cpu: Cpu, value: bool) -> None:
    """OF := value."""
    cpu.flag_auxiliary = cpu.flag_auxiliary ^ u64(overflow(cpu) != value) << 62


@inline
def set_carry_and_overflow(cpu: Cpu, carried: bool, overflowed: bool) -> None:
    """CF and OF, for rotates."""
    pair = u64(carried) << 63 | u64(carried != overflowed) << 62
    cpu.flag_auxiliary = (cpu.flag_auxiliary & ~(3 << 62)) | pair


@inline
def set_zero(cpu: Cpu, value: bool) -> None:
    """ZF := value."""
    write_status(cpu, (read_status(cpu) & ~ZERO) | u64(value) << 6)
