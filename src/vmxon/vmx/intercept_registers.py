"""Control registers in a guest: masks, shadows, CR3 targets, and the fixed bits of VMX operation (Vol. 3C §26.1.3, §24.8)."""

from __future__ import annotations

from vmxon.arch.apic import ApicRegister
from vmxon.arch.control import Cr0
from vmxon.microcode import implements, inline, microcode, u32, u64, u128
from vmxon.processor.exceptions import general_protection
from vmxon.processor.slots import (
    cr_fixed_check,
    intercept_clts,
    intercept_cr_read,
    intercept_cr_write,
    intercept_lmsw,
    tsc_offset,
    virtual_cr8_write,
    vmx_msr_read,
)
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.vmx.controls import PrimaryProcessorBased as Primary
from vmxon.vmx.controls import SecondaryProcessorBased as Secondary
from vmxon.vmx.exit import instruction_exit, non_root
from vmxon.vmx.exit_reasons import ExitReason
from vmxon.vmx.fields import VmcsField
from vmxon.vmx.intercepts import primary, secondary
from vmxon.vmx.qualifications import CrAccessQualification, CrAccessType
from vmxon.vmx.state import Operation, read_field, write_field
from vmxon.vmx.virtual_apic import read_virtual, virtualize_priority, write_virtual

CAPABILITIES, CAPABILITY_COUNT = 0x480, 20
CR0_FIXED0, CR0_FIXED1, CR4_FIXED0, CR4_FIXED1 = 6, 7, 8, 9
"""Places in cpu.vmx_capability."""
REAL_MODE_BITS = Cr0.pe.mask | Cr0.pg.mask
TARGETS = (
    VmcsField.CR3_TARGET_VALUE_0,
    VmcsField.CR3_TARGET_VALUE_1,
    VmcsField.CR3_TARGET_VALUE_2,
    VmcsField.CR3_TARGET_VALUE_3,
)
MASKS = {0: VmcsField.CR0_GUEST_HOST_MASK, 4: VmcsField.CR4_GUEST_HOST_MASK}
SHADOWS = {0: VmcsField.CR0_READ_SHADOW, 4: VmcsField.CR4_READ_SHADOW}
LMSW_BITS = 0xF
TSC_FRACTION = 48


@inline
def cr_exit(cpu: Cpu, register: int, access: CrAccessType, gpr: int) -> None:
    """Exit due to an access to a (static) control register."""
    head = register | access << CrAccessQualification.access.low
    instruction_exit(cpu, u32(ExitReason.CR_ACCESS), gpr << CrAccessQualification.register.low | head, u32(0))


@implements(intercept_cr_write)
def cr_write(cpu: Cpu, register: int, value: u64, gpr: u64) -> u64:
    """MOV to CR0 and CR4: exits where a bit that the host owns would differ from its shadow; the host keeps its bits."""
    if not non_root(cpu):
        return value
    if register == 3:
        if primary(cpu, Primary.cr3_load_exiting) and not cr3_target(cpu, value):
            cr_exit(cpu, 3, CrAccessType.MOV_TO_CR, gpr)
        return value
    if register == 8:
        if primary(cpu, Primary.cr8_load_exiting):
            cr_exit(cpu, 8, CrAccessType.MOV_TO_CR, gpr)
        return value
    mask = read_field(cpu, MASKS[register])
    if (value ^ read_field(cpu, SHADOWS[register])) & mask != 0:
        cr_exit(cpu, register, CrAccessType.MOV_TO_CR, gpr)
    if register == 0:
        return (value & ~mask) | (cpu.cr0 & mask)
    return (value & ~mask) | (cpu.cr4 & mask)


@implements(virtual_cr8_write)
def shadow_task_priority(cpu: Cpu, value: u64) -> bool:
    """MOV to CR8 under “use TPR shadow” (Vol. 3C §30.3 “Virtualizing CR8-Based TPR Accesses”)."""
    if not non_root(cpu) or not primary(cpu, Primary.use_tpr_shadow):
        return False
    if value >> 4 != 0:
        general_protection(cpu, 0)
    write_virtual(cpu, u64(ApicRegister.TASK_PRIORITY), value << 4)
    virtualize_priority(cpu)
    return True


@microcode
def cr3_target(cpu: Cpu, value: u64) -> bool:
    """The value is one of the CR3 targets that count."""
    count = read_field(cpu, VmcsField.CR3_TARGET_COUNT)
    for number, field in enumerate(TARGETS):
        if count > number and read_field(cpu, field) == value:
            return True
    return False


@implements(intercept_cr_read)
def cr_read(cpu: Cpu, register: int, value: u64, gpr: u64) -> u64:
    """MOV from CR, and SMSW: the guest sees the shadow in the bits that the host owns."""
    if not non_root(cpu):
        return value
    if register == 3:
        if primary(cpu, Primary.cr3_store_exiting):
            cr_exit(cpu, 3, CrAccessType.MOV_FROM_CR, gpr)
        return value
    if register == 8:
        if primary(cpu, Primary.cr8_store_exiting):
            cr_exit(cpu, 8, CrAccessType.MOV_FROM_CR, gpr)
        return read_virtual(cpu, u64(ApicRegister.TASK_PRIORITY)) >> 4 & 0xF if primary(cpu, Primary.use_tpr_shadow) else value
    if register == 0 or register == 4:
        mask = read_field(cpu, MASKS[register])
        return (value & ~mask) | (read_field(cpu, SHADOWS[register]) & mask)
    return value


@implements(intercept_clts)
def clts(cpu: Cpu) -> u64:
    """CLTS: exits where the host owns TS and the guest believes it set; does nothing where it believes it clear."""
    if non_root(cpu) and read_field(cpu, VmcsField.CR0_GUEST_HOST_MASK) & Cr0.ts.mask != 0:
        if read_field(cpu, VmcsField.CR0_READ_SHADOW) & Cr0.ts.mask != 0:
            cr_exit(cpu, 0, CrAccessType.CLTS, u64(0))
        return u64(0)
    return u64(1)


@implements(intercept_lmsw)
def lmsw(cpu: Cpu, source: u64, memory: bool, linear: u64) -> u64:
    """LMSW: exits where one of CR0 bits 3:0 that the host owns would differ from its shadow; it cannot clear PE."""
    if not non_root(cpu):
        return source
    mask = read_field(cpu, VmcsField.CR0_GUEST_HOST_MASK) & LMSW_BITS
    shadow = read_field(cpu, VmcsField.CR0_READ_SHADOW)
    differs = (source ^ shadow) & mask & (LMSW_BITS & ~Cr0.pe.mask)
    sets_pe = source & ~shadow & mask & Cr0.pe.mask
    if differs | sets_pe != 0:
        place = u64(memory) << CrAccessQualification.lmsw_memory.low
        if memory:
            write_field(cpu, VmcsField.GUEST_LINEAR_ADDRESS, linear)
        word = (source & 0xFFFF) << CrAccessQualification.lmsw_source.low
        head = CrAccessType.LMSW << CrAccessQualification.access.low
        instruction_exit(cpu, u32(ExitReason.CR_ACCESS), place | word | head, u32(0))
    return (source & ~mask) | (cpu.cr0 & mask)


@implements(cr_fixed_check)
def fixed_bits(cpu: Cpu, register: int, value: u64) -> bool:
    """The bits that IA32_VMX_CRx_FIXED0 and FIXED1 fix; an unrestricted guest is free in PE and PG."""
    if cpu.vmx_operation == Operation.OUTSIDE:
        return True
    if register == 0:
        required = cpu.vmx_capability[CR0_FIXED0]
        if secondary(cpu, Secondary.unrestricted_guest):
            required = required & ~u64(REAL_MODE_BITS)
        return required & ~value == 0 and value & ~cpu.vmx_capability[CR0_FIXED1] == 0
    return cpu.vmx_capability[CR4_FIXED0] & ~value == 0 and value & ~cpu.vmx_capability[CR4_FIXED1] == 0


@implements(tsc_offset)
def guest_tsc(cpu: Cpu, tsc: u64) -> u64:
    """The guest's time: scaled, then offset (Vol. 3C §25.6.5 “Time-Stamp Counter Offset and Multiplier”)."""
    if not non_root(cpu) or not primary(cpu, Primary.use_tsc_offsetting):
        return tsc
    value = tsc
    if secondary(cpu, Secondary.use_tsc_scaling):
        multiplier = u128(read_field(cpu, VmcsField.TSC_MULTIPLIER))
        value = u64(u128(tsc) * multiplier >> TSC_FRACTION)
    return value + read_field(cpu, VmcsField.TSC_OFFSET)


@implements(vmx_msr_read)
def capability_read(cpu: Cpu, index: u64) -> bool:
    """RDMSR of 480H–493H."""
    number = index - CAPABILITIES
    if number >= CAPABILITY_COUNT or cpu.vmx_capability_exists >> number & 1 == 0:
        return False
    cpu.request_value = cpu.vmx_capability[number]
    return True
