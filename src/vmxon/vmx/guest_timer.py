"""“APIC-timer virtualization”: the guest's IA32_TSC_DEADLINE runs a timer of its own, which posts a virtual interrupt.

The guest reads what it wrote, which is the guest deadline shadow; the timer compares the processor's own TSC with the guest deadline,
which follows from it by the inverse of scaling and offset. Native code stops exactly when it expires.
"""

from __future__ import annotations

from vmxon.microcode import inline, microcode, u64
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.time import read_tsc
from vmxon.vmx.controls import PrimaryProcessorBased as Primary
from vmxon.vmx.controls import SecondaryProcessorBased as Secondary
from vmxon.vmx.controls import TertiaryProcessorBased as Tertiary
from vmxon.vmx.fields import VmcsField
from vmxon.vmx.intercepts import primary, secondary
from vmxon.vmx.preemption import reached
from vmxon.vmx.state import read_field, write_field
from vmxon.vmx.virtual_apic import evaluate, post_virtual

OFF = 0
"""A guest deadline that is never reached."""
FRACTION, WIDTH = 48, 64
NEVER = (1 << 64) - 1


@inline
def has_guest_timer(cpu: Cpu) -> bool:
    """“APIC-timer virtualization”."""
    return cpu.vmx_tertiary & Tertiary.apic_timer_virtualization.mask != 0


@microcode
def set_guest_deadline(cpu: Cpu, value: u64) -> None:
    """WRMSR of IA32_TSC_DEADLINE by the guest."""
    write_field(cpu, VmcsField.GUEST_DEADLINE_SHADOW, value)
    deadline = value
    if value != OFF and primary(cpu, Primary.use_tsc_offsetting):
        deadline = value - read_field(cpu, VmcsField.TSC_OFFSET)
        if secondary(cpu, Secondary.use_tsc_scaling):
            deadline = unscaled(deadline, read_field(cpu, VmcsField.TSC_MULTIPLIER))
        if deadline == OFF:
            deadline = read_tsc(cpu)
    cpu.vmx_guest_deadline = deadline
    reached(cpu, deadline)


@microcode
def unscaled(counts: u64, multiplier: u64) -> u64:
    """`counts` · 2^48 / `multiplier`, all ones where that does not fit; by long division."""
    quotient = u64(0)
    rest = u64(0)
    left = u64(WIDTH + FRACTION)
    while left != 0:
        left = left - 1
        carry = rest >> 63
        rest = rest << 1
        if left >= FRACTION:
            rest = rest | counts >> (left - FRACTION) & 1
        if quotient >> 63 != 0:
            return u64(NEVER)
        quotient = quotient << 1
        if carry != 0 or rest >= multiplier:
            rest = rest - multiplier
            quotient = quotient | 1
    return quotient


@microcode
def guest_timer_event(cpu: Cpu) -> None:
    """Where the deadline is reached: the timer is off, and its vector a pending virtual interrupt."""
    if cpu.vmx_guest_deadline == OFF or not reached(cpu, cpu.vmx_guest_deadline):
        return
    cpu.vmx_guest_deadline = u64(OFF)
    write_field(cpu, VmcsField.GUEST_DEADLINE_SHADOW, u64(OFF))
    post_virtual(cpu, read_field(cpu, VmcsField.VIRTUAL_TIMER_VECTOR) & 0xFF)
    evaluate(cpu)
