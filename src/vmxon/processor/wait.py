"""A wait without HLT: virtual time passes in which no instruction retires, up to a deadline or the next event of the machine."""

from __future__ import annotations

from vmxon.microcode import i64, microcode, u64
from vmxon.processor.slots import tsc_offset
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.time import MULTIPLIER_FRACTION, read_tsc

LIMIT = 0xFFFF_FFFC
"""IA32_UMWAIT_CONTROL: the longest wait, in TSC counts; 0 for no limit."""
SAMPLE = 1 << 20


@microcode
def wait_until(cpu: Cpu, deadline: u64) -> bool:
    """Let time pass until the TSC that software sees reaches `deadline`; True where IA32_UMWAIT_CONTROL ended it before.

    A wait may always end early: it does at once where the TSC is scaled, or runs faster or slower than the machine's ticks.
    """
    now = tsc_offset(cpu, read_tsc(cpu))
    later = tsc_offset(cpu, read_tsc(cpu) + SAMPLE)
    if deadline <= now or later - now != SAMPLE or cpu.tsc_multiplier != 1 << MULTIPLIER_FRACTION:
        return False
    span = deadline - now
    limit = cpu.umwait_control & LIMIT
    limited = limit != 0 and limit < span
    if limited:
        span = limit
    if i64(cpu.budget) <= 0:
        return False
    if span > cpu.budget:
        # An event of the machine comes first.
        span = cpu.budget
        limited = False
    cpu.budget = cpu.budget - span
    cpu.budget_granted = cpu.budget_granted - span
    cpu.idle_ticks = cpu.idle_ticks + span
    return limited
