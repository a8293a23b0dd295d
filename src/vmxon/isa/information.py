"""The VM-exit instruction-information field, as far as the operands decide it (Vol. 3C §28.2.5).

The instructions that exit pass it to `intercept_with_information`; which bits tell one of a group from the others is added there.
"""

from __future__ import annotations

from vmxon.isa.operands import Operand
from vmxon.isa.record import Record
from vmxon.microcode import inline, select, u32
from vmxon.processor.state import Segment

NO_REGISTER = 16 * 8
"""The byte offset by which a record names the zero register."""
ADDRESS_SIZE, REGISTER, IS_REGISTER, OPERAND_SIZE, SEGMENT, INDEX, NO_INDEX, BASE, NO_BASE = 7, 3, 10, 11, 15, 18, 22, 23, 27
"""Lowest bit of each field."""


@inline
def address_size(record: Record) -> int:
    """0, 1, 2 for addresses of 16, 32, 64 bits, in place (u32)."""
    return (u32(2) - (u32(record.address_shift) + 16) // 32) << ADDRESS_SIZE


@inline
def segment_number(record: Record) -> int:
    """The segment register of the memory operand, in place (u32); 64-bit mode's flat ones are DS and SS."""
    flat = select(record.segment == Segment.FLAT_STACK, u32(Segment.SS), u32(Segment.DS))
    return select(record.segment >= Segment.FLAT_DATA, flat, u32(record.segment)) << SEGMENT


@inline
def memory_information(record: Record) -> int:
    """Scale, address size, segment, index and base of a memory operand, as u32."""
    index = select(record.index == NO_REGISTER, u32(1 << NO_INDEX), u32(record.index >> 3) << INDEX)
    base = select(record.base == NO_REGISTER, u32(1 << NO_BASE), u32(record.base >> 3) << BASE)
    return u32(record.scale) | address_size(record) | segment_number(record) | index | base


@inline
def operand_information(operand: Operand, record: Record) -> int:
    """The same for an operand that may be a register."""
    if operand.is_memory:
        return memory_information(record)
    return u32(1 << IS_REGISTER) | u32(operand.number() >> 3) << REGISTER


@inline
def random_information(operand: Operand, record: Record) -> int:
    """Destination register and operand size of RDRAND and RDSEED, as u32 (Table 28-12)."""
    return u32(operand.number() >> 3) << REGISTER | u32(record.operand_code) << OPERAND_SIZE
