"""The VMX-preemption timer (Vol. 3C §26.5.1 “VMX-Preemption Timer”): counts down as the TSC does, 2^n times slower.

Native code stops exactly when it expires: while it runs, the instruction budget is never longer than the time that is left.
"""

from __future__ import annotations

from vmxon.arch.msr_vmx import VmxMisc
from vmxon.microcode import i64, inline, microcode, u64
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.time import MULTIPLIER_FRACTION, read_tsc

MISC = 0x485 - 0x480
STOPPED = (1 << 64) - 1
FAR = 1 << 44
"""Longest stretch, in TSC counts, that one budget may cover; keeps the division below 64 bits."""
SCALE = 16


@inline
def timer_shift(cpu: Cpu) -> int:
    """The timer counts once when this bit of the TSC changes, IA32_VMX_MISC[4:0]."""
    return cpu.vmx_capability[MISC] & VmxMisc.timer_shift.mask


@inline
def start_timer(cpu: Cpu, value: int) -> None:
    """Start the timer with `value` counts left."""
    shift = timer_shift(cpu)
    cpu.vmx_timer_deadline = ((read_tsc(cpu) >> shift) + value) << shift


@microcode
def timer_left(cpu: Cpu) -> u64:
    """Counts left; 0 once it has expired."""
    shift = timer_shift(cpu)
    now, end = read_tsc(cpu) >> shift, cpu.vmx_timer_deadline >> shift
    left = u64(0)
    if end > now:
        left = end - now
    return left


@microcode
def expired(cpu: Cpu) -> bool:
    """The timer has reached 0; where it has not, the budget now ends there at the latest."""
    if cpu.vmx_timer_deadline == STOPPED:
        return False
    return reached(cpu, cpu.vmx_timer_deadline)


@microcode
def reached(cpu: Cpu, deadline: u64) -> bool:
    """The TSC has reached `deadline`; where it has not, the budget now ends there at the latest."""
    now = read_tsc(cpu)
    if now >= deadline:
        return True
    distance = deadline - now
    if distance > FAR:
        distance = u64(FAR)
    # Rounded down, so that it never runs too far; what is left over is asked for again.
    ticks = (distance << SCALE) // ((cpu.tsc_multiplier >> (MULTIPLIER_FRACTION - SCALE)) + 1)
    if ticks == 0:
        ticks = u64(1)
    if i64(cpu.budget) > i64(ticks):
        cpu.budget_granted = cpu.budget_granted - (cpu.budget - ticks)
        cpu.budget = ticks
    return False


def expiry_tick(state: Cpu) -> int | None:
    """The tick at which the first running timer of a guest expires, for who skips idle time; None where none runs."""
    if state.vmx_operation != 2:
        return None
    deadline = min(state.vmx_timer_deadline, state.vmx_guest_deadline or STOPPED)
    if deadline == STOPPED:
        return None
    counts = deadline - state.tsc_adjust
    return -(-(max(0, counts) << MULTIPLIER_FRACTION) // state.tsc_multiplier)
