"""RDMSR and WRMSR that VMX answers for a guest: x2APIC registers, IA32_SPEC_CTRL, IA32_TSC_DEADLINE (Vol. 3C §26.3 “Changes to
Instruction Behavior in VMX Non-Root Operation”, §30.5)."""

from __future__ import annotations

from vmxon.arch.apic import X2APIC_FIRST, X2APIC_LAST
from vmxon.arch.msr import SpecCtrl
from vmxon.microcode import implements, inline, microcode, u64
from vmxon.processor.exceptions import general_protection
from vmxon.processor.slots import virtual_msr_read, virtual_msr_write
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.vmx.apic_access import read_apic_msr, write_apic_msr
from vmxon.vmx.controls import TertiaryProcessorBased as Tertiary
from vmxon.vmx.exit import non_root
from vmxon.vmx.fields import VmcsField
from vmxon.vmx.guest_timer import has_guest_timer, set_guest_deadline
from vmxon.vmx.state import read_field, write_field

SPEC_CTRL, TSC_DEADLINE = 0x48, 0x6E0


@inline
def hides_spec_ctrl(cpu: Cpu) -> bool:
    """“virtualize IA32_SPEC_CTRL”."""
    return cpu.vmx_tertiary & Tertiary.virtualize_spec_ctrl.mask != 0


@implements(virtual_msr_read)
def read_virtual_msr(cpu: Cpu, index: u64) -> bool:
    """True where cpu.request_value is the answer."""
    if not non_root(cpu):
        return False
    if index >= X2APIC_FIRST and index <= X2APIC_LAST:
        return read_apic_msr(cpu, index)
    if index == SPEC_CTRL and hides_spec_ctrl(cpu):
        cpu.request_value = read_field(cpu, VmcsField.IA32_SPEC_CTRL_SHADOW)
        return True
    if index == TSC_DEADLINE and has_guest_timer(cpu):
        cpu.request_value = read_field(cpu, VmcsField.GUEST_DEADLINE_SHADOW)
        return True
    return False


@implements(virtual_msr_write)
def write_virtual_msr(cpu: Cpu, index: u64, value: u64) -> bool:
    """True where the write is done; #GP(0) for reserved bits."""
    if not non_root(cpu):
        return False
    if index >= X2APIC_FIRST and index <= X2APIC_LAST:
        return write_apic_msr(cpu, index, value)
    if index == SPEC_CTRL and hides_spec_ctrl(cpu):
        write_masked(cpu, value)
        return True
    if index == TSC_DEADLINE and has_guest_timer(cpu):
        set_guest_deadline(cpu, value)
        return True
    return False


@microcode
def write_masked(cpu: Cpu, value: u64) -> None:
    """IA32_SPEC_CTRL but for the bits of the mask; the guest reads back what it wrote."""
    if value & ~u64(SpecCtrl.layout.named) != 0:
        general_protection(cpu, 0)
    mask = read_field(cpu, VmcsField.IA32_SPEC_CTRL_MASK)
    cpu.spec_ctrl = (value & ~mask) | (cpu.spec_ctrl & mask)
    write_field(cpu, VmcsField.IA32_SPEC_CTRL_SHADOW, value)
