"""Virtualization exceptions (Vol. 3C §26.5.7 “Virtualization Exceptions”): EPT violations that the guest gets instead of the host."""

from __future__ import annotations

from vmxon.arch.control import Cr0
from vmxon.arch.exceptions import Vector
from vmxon.microcode import microcode, u16, u32, u64
from vmxon.processor.exceptions import raise_plain
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.vmx.controls import SecondaryProcessorBased
from vmxon.vmx.exit_reasons import ExitReason
from vmxon.vmx.fields import VmcsField
from vmxon.vmx.physical import read_physical, write_physical
from vmxon.vmx.state import read_field

BUSY, QUALIFICATION, LINEAR, PHYSICAL, INDEX = 4, 8, 16, 24, 32
"""Offsets in the information area; the exit reason is at 0."""
ALL_ONES = 0xFFFF_FFFF


@microcode
def raise_if_possible(cpu: Cpu, qualification: u64) -> None:
    """#VE for a convertible EPT violation; returns where it exits nonetheless: no control, real mode, during event delivery, busy.

    The guest makes the area ready for the next one by writing 0 to the busy word.
    """
    if cpu.vmx_secondary & SecondaryProcessorBased.ept_violation_ve.mask == 0:
        return
    area = read_field(cpu, VmcsField.VIRTUALIZATION_EXCEPTION_INFORMATION_ADDRESS)
    if cpu.cr0 & Cr0.pe.mask == 0 or cpu.delivering != 0 or read_physical(cpu, u32, area + BUSY) != 0:
        return
    write_physical(cpu, u32, area, u32(ExitReason.EPT_VIOLATION))
    write_physical(cpu, u32, area + BUSY, u32(ALL_ONES))
    write_physical(cpu, u64, area + QUALIFICATION, qualification)
    write_physical(cpu, u64, area + LINEAR, cpu.fault_address)
    write_physical(cpu, u64, area + PHYSICAL, cpu.fault_physical)
    write_physical(cpu, u16, area + INDEX, u16(read_field(cpu, VmcsField.EPTP_INDEX)))
    raise_plain(cpu, u32(Vector.VE))
