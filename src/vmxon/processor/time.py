"""Virtual time: retired instructions and skipped idle time, and the time-stamp counter that follows from them."""

from __future__ import annotations

from vmxon.microcode import inline, microcode, u64, u128
from vmxon.processor.state import ProcessorState as Cpu

MULTIPLIER_FRACTION = 48


@inline
def ticks(cpu: Cpu) -> int:
    """Instructions retired so far plus idle ticks, as u64; exact at the end of a block and in `system` instructions."""
    return cpu.instructions + cpu.budget_granted - cpu.budget + cpu.idle_ticks


@microcode
def read_tsc(cpu: Cpu) -> u64:
    """IA32_TIME_STAMP_COUNTER, without the offset and scaling of VMX (Vol. 3B §18.17 “Time-Stamp Counter”)."""
    return u64(u128(ticks(cpu)) * u128(cpu.tsc_multiplier) >> MULTIPLIER_FRACTION) + cpu.tsc_adjust


@microcode
def write_tsc(cpu: Cpu, value: u64) -> None:
    """WRMSR of IA32_TIME_STAMP_COUNTER: moves IA32_TSC_ADJUST by the same amount."""
    cpu.tsc_adjust = cpu.tsc_adjust + (value - read_tsc(cpu))
