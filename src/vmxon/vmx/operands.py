"""Operands of VMX instructions as a VM exit reports them (Vol. 3C §28.2.5, Tables 28-9, 28-13, 28-14)."""

from __future__ import annotations

from vmxon.isa.record import Record
from vmxon.microcode import inline, microcode, u32
from vmxon.processor.state import Segment
from vmxon.vmx.instruction_information import AddressSize, MemoryInformation, VmcsAccessInformation

ZERO_REGISTER = 16 * 8
"""Byte offset of the register that stands for “none”."""


@inline
def register_number(offset: int) -> int:
    """Number of a general-purpose register from its byte offset in the state, as u32."""
    return u32(offset) >> 3


@microcode
def memory_information(record: Record) -> u32:
    """Scale, address size, segment, index and base of a memory operand."""
    size = u32(AddressSize.A64)
    if record.address_shift == 32:
        size = u32(AddressSize.A32)
    elif record.address_shift == 48:
        size = u32(AddressSize.A16)
    segment = u32(record.segment)
    if record.segment == Segment.FLAT_DATA:
        segment = u32(Segment.DS)
    elif record.segment == Segment.FLAT_STACK:
        segment = u32(Segment.SS)
    information = size << MemoryInformation.address_size.low | segment << MemoryInformation.segment.low
    if record.index == ZERO_REGISTER:
        information = information | MemoryInformation.no_index.mask
    else:
        information = information | register_number(record.index) << MemoryInformation.index.low | u32(record.scale) & 3
    if record.base == ZERO_REGISTER:
        information = information | MemoryInformation.no_base.mask
    else:
        information = information | register_number(record.base) << MemoryInformation.base.low
    return information


@inline
def register_information(offset: int) -> int:
    """A register operand in the place of the memory operand of VMREAD or VMWRITE."""
    number = register_number(offset)
    return number << VmcsAccessInformation.register.low | VmcsAccessInformation.is_register.mask
