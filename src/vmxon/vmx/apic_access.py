"""Accesses to the APIC-access page, and to the x2APIC MSRs of a guest (Vol. 3C §30.4, §30.5)."""

from __future__ import annotations

from typing import NoReturn

from vmxon.arch.apic import VECTOR_REGISTERS, X2APIC_FIRST, ApicRegister
from vmxon.microcode import fault, implements, microcode, u32, u64
from vmxon.processor.exceptions import general_protection
from vmxon.processor.paging import EXECUTE, READ, WALK, WRITE
from vmxon.processor.slots import apic_access
from vmxon.processor.state import FaultKind
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.vmx.controls import SecondaryProcessorBased as Secondary
from vmxon.vmx.ept_events import APIC_ACCESS
from vmxon.vmx.exit_reasons import ExitReason
from vmxon.vmx.fields import VmcsField
from vmxon.vmx.physical import read_quad, write_physical
from vmxon.vmx.qualifications import ApicAccessQualification, ApicAccessType
from vmxon.vmx.state import read_field
from vmxon.vmx.virtual_apic import (
    delivers,
    send_command,
    tpr_shadow,
    uses,
    virtualize_end,
    virtualize_priority,
    virtualize_self_interrupt,
)
from vmxon.vmx.virtual_events import note_exit
from vmxon.vmx.virtual_ipi import RESERVED, virtualizes_ipis

R = ApicRegister
WIDEST = 4
PLAIN = {
    *(R.ID, R.TASK_PRIORITY, R.END_OF_INTERRUPT, R.LOGICAL_DESTINATION, R.DESTINATION_FORMAT, R.SPURIOUS_VECTOR),
    *(R.ERROR_STATUS, R.COMMAND, R.COMMAND_HIGH, R.INITIAL_COUNT, R.DIVIDE_CONFIGURATION),
    *(R.LVT_TIMER, R.LVT_THERMAL, R.LVT_PERFORMANCE, R.LVT_LINT0, R.LVT_LINT1, R.LVT_ERROR),
}
WRITES = sum(1 << register for register in PLAIN)
READS = sum(1 << register for register in PLAIN | {R.VERSION} | VECTOR_REGISTERS)
"""Registers that “APIC-register virtualization” lets the guest read and write, as bit sets (Vol. 3C §30.4.2, §30.4.3.1)."""
DELIVERY_WRITES = 1 << R.TASK_PRIORITY | 1 << R.END_OF_INTERRUPT | 1 << R.COMMAND
"""What “virtual-interrupt delivery” alone lets it write."""


@implements(apic_access)
def access_apic_page(cpu: Cpu, linear: u64, size: u64, access: u64) -> u64:
    """Host-physical address in the virtual-APIC page that takes the place of the access, or an APIC-access VM exit."""
    offset = linear & 0xFFF
    if access & WALK != 0:
        if cpu.delivering != 0:
            refuse(cpu, u64(0), u64(ApicAccessType.PHYSICAL_EVENT_DELIVERY))
        refuse(cpu, u64(0), u64(ApicAccessType.PHYSICAL_INSTRUCTION))
    if cpu.delivering != 0:
        refuse(cpu, offset, u64(ApicAccessType.LINEAR_EVENT_DELIVERY))
    if access & EXECUTE != 0:
        refuse(cpu, offset, u64(ApicAccessType.LINEAR_FETCH))
    if not tpr_shadow(cpu) or (offset & 15) + size > WIDEST:
        refuse(cpu, offset, kind(cpu, access))
    if access & READ != 0 and not allowed(cpu, offset, False):
        refuse(cpu, offset, u64(ApicAccessType.LINEAR_READ))
    if access & WRITE != 0 and not allowed(cpu, offset, True):
        refuse(cpu, offset, u64(ApicAccessType.LINEAR_WRITE))
    return read_field(cpu, VmcsField.VIRTUAL_APIC_ADDRESS) | offset


@microcode
def kind(cpu: Cpu, access: u64) -> u64:
    """How the exit qualification names a linear data access; one that reads and writes is a write."""
    return u64(ApicAccessType.LINEAR_WRITE) if access & WRITE != 0 else u64(ApicAccessType.LINEAR_READ)


@microcode
def allowed(cpu: Cpu, offset: u64, write: bool) -> bool:
    """The controls virtualize this access to a register; without register virtualization only at the register's own offset."""
    register = offset >> 4
    if register >= 64:
        return False
    registers = u64(1 << R.TASK_PRIORITY)
    if uses(cpu, Secondary.apic_register_virtualization.mask):
        registers = u64(WRITES) if write else u64(READS)
    elif offset & 15 != 0:
        return False
    elif write and delivers(cpu):
        registers = u64(DELIVERY_WRITES)
    if write and virtualizes_ipis(cpu):
        registers = registers | 1 << R.COMMAND
    return registers >> register & 1 != 0


@microcode
def refuse(cpu: Cpu, offset: u64, access: u64) -> NoReturn:
    """Fault with an APIC-access VM exit."""
    cpu.fault_qualification = offset | access << ApicAccessQualification.access.low | APIC_ACCESS
    cpu.fault_kind = u32(FaultKind.SECOND_STAGE)
    fault()


# x2APIC MSRs


@microcode
def read_apic_msr(cpu: Cpu, index: u64) -> bool:
    """RDMSR of 800H–8FFH under “virtualize x2APIC mode”: the TPR, and under register virtualization everything."""
    if not uses(cpu, Secondary.virtualize_x2apic_mode.mask):
        return False
    register = index - X2APIC_FIRST
    if register != R.TASK_PRIORITY and not uses(cpu, Secondary.apic_register_virtualization.mask):
        return False
    cpu.request_value = read_quad(cpu, read_field(cpu, VmcsField.VIRTUAL_APIC_ADDRESS) + (register << 4))
    return True


@microcode
def write_apic_msr(cpu: Cpu, index: u64, value: u64) -> bool:
    """WRMSR of the TPR, under “virtual-interrupt delivery” of EOI and self-IPI, under “IPI virtualization” of the ICR; #GP(0) for
    reserved bits."""
    if not uses(cpu, Secondary.virtualize_x2apic_mode.mask):
        return False
    if index == X2APIC_FIRST + R.TASK_PRIORITY:
        if value >> 8 != 0:
            general_protection(cpu, 0)
        store_msr(cpu, u64(R.TASK_PRIORITY), value)
        virtualize_priority(cpu)
        return True
    if index == X2APIC_FIRST + R.COMMAND and virtualizes_ipis(cpu):
        if value & RESERVED != 0:
            general_protection(cpu, 0)
        store_msr(cpu, u64(R.COMMAND), value)
        send_command(cpu, value & 0xFFFF_FFFF, value >> 32)
        return True
    if not delivers(cpu):
        return False
    if index == X2APIC_FIRST + R.END_OF_INTERRUPT:
        if value != 0:
            general_protection(cpu, 0)
        store_msr(cpu, u64(R.END_OF_INTERRUPT), value)
        virtualize_end(cpu)
        return True
    if index != X2APIC_FIRST + R.SELF_IPI:
        return False
    if value >> 8 != 0:
        general_protection(cpu, 0)
    store_msr(cpu, u64(R.SELF_IPI), value)
    if value >> 4 == 0:
        note_exit(cpu, u32(ExitReason.APIC_WRITE), u64(R.SELF_IPI << 4))
    else:
        virtualize_self_interrupt(cpu, value)
    return True


@microcode
def store_msr(cpu: Cpu, register: u64, value: u64) -> None:
    """The 64 bits that WRMSR leaves in the virtual-APIC page."""
    write_physical(cpu, u64, read_field(cpu, VmcsField.VIRTUAL_APIC_ADDRESS) + (register << 4), value)
