"""Operands of a matched candidate: sizes, registers, addresses, immediates, and the handler (Vol. 2A §2.1.5)."""

from __future__ import annotations

from vmxon.engine.code_bytes import take, take_signed, take_wide
from vmxon.engine.encoding import BRANCH, LOCKABLE, MOD_IGNORED, MODRM, NO_HANDLER, STACK, Candidate
from vmxon.engine.operand_classes import CLASS_BYTE, CLASS_NUMBER, SOURCE_OPCODE, SOURCE_REG, SOURCE_RM
from vmxon.engine.places import DecodeTables
from vmxon.isa.form import Immediate, Map, SizeRule
from vmxon.isa.record import Prefix, Record
from vmxon.microcode import inline, load, microcode, u8, u16, u64
from vmxon.processor.segmentation import canonical
from vmxon.processor.state import CodeSize, Segment
from vmxon.processor.state import ProcessorState as Cpu

ZERO_REGISTER = 16 * 8
STRAIGHT, ENDS_BLOCK = range(2)
"""What follows the instruction in its block: another one, or nothing."""
SHORT_JUMP = 0x70
"""The opcodes of conditional jumps by a byte, 70–7F; those of 0F 80–8F have the same low half."""
RBX, RSP, RBP, RSI, RDI = 3, 4, 5, 6, 7


@microcode
def fill_record(cpu: Cpu, candidate_address: u64, rip: u64, record_address: u64) -> u64:
    """Operands, sizes and the handler of a matched candidate."""
    d = DecodeTables(cpu.decode_tables)
    c = Candidate(candidate_address)
    record = Record(record_address)
    d.operand_code = operand_code(cpu, u64(c.size_rule))
    address_code = u64(cpu.code_size)
    if d.prefixes & Prefix.ADDRESS != 0:
        address_code = address_code ^ 1 if address_code < 2 else u64(1)
    d.address_code = address_code
    shifts = u64(48) if address_code == 0 else (u64(32) if address_code == 1 else u64(0))
    record.address_shift = u8(shifts)
    record.base = u8(ZERO_REGISTER)
    record.index = u8(ZERO_REGISTER)
    record.scale = u8(0)
    record.displacement = u64(0)
    record.immediate = u64(0)
    record.entry = c.instruction
    record.operand_code = u8(d.operand_code)
    if c.flags & MOD_IGNORED != 0:
        d.modrm = d.modrm | 0xC0
    record.modrm = u8(d.modrm)
    stack_based = False
    rip_relative = False
    kind = u64(0)
    if c.flags & MODRM != 0:
        d.at = d.at + 1
        if d.modrm < 0xC0:
            kind = u64(1)
            if address_code == 0:
                stack_based = address_16(cpu, record_address)
            else:
                stack_based = address_32(cpu, record_address)
                rip_relative = cpu.code_size == CodeSize.BITS64 and d.modrm & 0xC7 == 5
    record.segment = choose_segment(cpu, stack_based)
    read_immediate(cpu, u64(c.immediate), record_address)
    if c.immediate == Immediate.MOFFS:
        kind = u64(1)
    following = rip + d.at
    if rip_relative:
        record.displacement = record.displacement + following
    if c.immediate == Immediate.RELATIVE_BYTE or c.immediate == Immediate.RELATIVE_Z:
        target = following + record.displacement
        if d.operand_code == 0:
            target = target & 0xFFFF
        elif cpu.code_size != CodeSize.BITS64:
            target = target & 0xFFFF_FFFF
        record.displacement = target
    record.destination = register_field(cpu, u64(c.destination))
    record.source = register_field(cpu, u64(c.source))
    record.third = u8(d.vvvv * 8 if cpu.code_size == CodeSize.BITS64 else (d.vvvv & 7) * 8)
    if d.prefixes & Prefix.LOCK != 0 and (c.flags & LOCKABLE == 0 or kind == 0):
        record.handler = d.undefined
        return u64(ENDS_BLOCK)
    if c.immediate == Immediate.RELATIVE_BYTE or c.immediate == Immediate.RELATIVE_Z:
        if is_outside(cpu, record.displacement):
            record.handler = d.outside
            record.scale = u8(SHORT_JUMP | d.opcode & 15) if d.opcode_map == Map.TWO_BYTE else u8(d.opcode)
            return u64(ENDS_BLOCK)
    number = u64(load(u16, d.slots + (u64(c.slots) + d.operand_code * 4 + address_kind(cpu, u64(c.flags), kind, record_address)) * 2))
    if number == NO_HANDLER:
        record.handler = d.undefined
        return u64(ENDS_BLOCK)
    record.handler = load(u64, d.handlers + number * 8)
    if c.flags & BRANCH != 0:
        return u64(ENDS_BLOCK)
    return u64(STRAIGHT)


@inline
def is_outside(cpu: Cpu, target: int) -> bool:
    """No instruction can be at a branch target: it is beyond the code segment, whose limit is part of a block's key, or not canonical."""
    outside = not canonical(cpu, target)
    if cpu.code_size != CodeSize.BITS64:
        outside = target > u64(cpu.segments[Segment.CS].limit)
    return outside


@inline
def address_kind(cpu: Cpu, flags: int, kind: int, record_address: int) -> int:
    """Which of the four handlers: 0 no memory, 1 flat, 2 flat with index, 3 segmented."""
    record = Record(record_address)
    result = u64(0)
    if kind != 0 or flags & STACK != 0:
        result = u64(3)
        if cpu.code_size == CodeSize.BITS64 and (kind == 0 or record.address_shift == 0 and record.segment >= Segment.FLAT_DATA):
            result = u64(1)
            if kind != 0 and record.index != ZERO_REGISTER:
                result = u64(2)
    return result


@microcode
def operand_code(cpu: Cpu, rule: u64) -> u64:
    """0, 1, 2 for an operand size of 16, 32, 64 bits."""
    d = DecodeTables(cpu.decode_tables)
    small = d.prefixes & Prefix.OPERAND != 0
    wide = d.rex & 8 != 0
    if rule == SizeRule.ALWAYS_16:
        return u64(0)
    if rule == SizeRule.ALWAYS_32:
        return u64(1)
    if cpu.code_size != CodeSize.BITS64:
        if rule == SizeRule.W or rule == SizeRule.ALWAYS_64:
            return u64(1)
        if small:
            return u64(1) if cpu.code_size == CodeSize.BITS16 else u64(0)
        return u64(cpu.code_size)
    if rule == SizeRule.FORCED_64 or rule == SizeRule.ALWAYS_64 or wide:
        return u64(2)
    if rule == SizeRule.W:
        return u64(1)
    if small:
        return u64(0)
    return u64(2) if rule == SizeRule.DEFAULT_64 else u64(1)


@microcode
def register_field(cpu: Cpu, where: u64) -> u8:
    """The register operand that a candidate names: byte offset of a GPR, or a number."""
    d = DecodeTables(cpu.decode_tables)
    source = where & 15
    number = u64(0)
    if source == SOURCE_REG:
        number = d.modrm >> 3 & 7 | (d.rex >> 2 & 1) << 3
    elif source == SOURCE_RM:
        number = d.modrm & 7 | (d.rex & 1) << 3
    elif source == SOURCE_OPCODE:
        number = d.opcode & 7 | (d.rex & 1) << 3
    if where & CLASS_NUMBER != 0:
        return u8(number)
    if where & CLASS_BYTE != 0 and number >= 4 and d.rex == 0:
        return u8((number - 4) * 8 + 1)
    return u8(number * 8)


@microcode
def choose_segment(cpu: Cpu, stack_based: bool) -> u8:
    """The segment of the memory operand."""
    d = DecodeTables(cpu.decode_tables)
    if d.override != 0:
        return u8(d.override - 1)
    if cpu.code_size == CodeSize.BITS64:
        return u8(Segment.FLAT_STACK) if stack_based else u8(Segment.FLAT_DATA)
    return u8(Segment.SS) if stack_based else u8(Segment.DS)


@microcode
def address_16(cpu: Cpu, record_address: u64) -> bool:
    """16-bit addressing (Vol. 2A Table 2-1); True where the default segment is SS."""
    d = DecodeTables(cpu.decode_tables)
    record = Record(record_address)
    rm = d.modrm & 7
    mod = d.modrm >> 6
    if rm == 6 and mod == 0:
        record.displacement = take_signed(cpu, u64(2))
        return False
    base = u64(RBX) if rm == 0 or rm == 1 or rm == 7 else u64(RBP)
    if rm == 4:
        base = u64(RSI)
    elif rm == 5:
        base = u64(RDI)
    record.base = u8(base * 8)
    if rm == 0 or rm == 2:
        record.index = u8(RSI * 8)
    elif rm == 1 or rm == 3:
        record.index = u8(RDI * 8)
    if mod == 1:
        record.displacement = take_signed(cpu, u64(1))
    elif mod == 2:
        record.displacement = take_signed(cpu, u64(2))
    return base == RBP


@microcode
def address_32(cpu: Cpu, record_address: u64) -> bool:
    """32 and 64-bit addressing (Vol. 2A Tables 2-2 and 2-3); True where the default segment is SS."""
    d = DecodeTables(cpu.decode_tables)
    record = Record(record_address)
    mod = d.modrm >> 6
    rm = d.modrm & 7
    base = rm | (d.rex & 1) << 3
    absent = mod == 0 and rm == 5
    if rm == 4:
        sib = take(cpu)
        index = sib >> 3 & 7 | (d.rex >> 1 & 1) << 3
        if index != RSP:
            record.index = u8(index * 8)
            record.scale = u8(sib >> 6)
        base = sib & 7 | (d.rex & 1) << 3
        absent = sib & 7 == 5 and mod == 0
    if absent:
        record.displacement = take_signed(cpu, u64(4))
        return False
    record.base = u8(base * 8)
    if mod == 1:
        record.displacement = take_signed(cpu, u64(1))
    elif mod == 2:
        record.displacement = take_signed(cpu, u64(4))
    return base == RSP or base == RBP


@microcode
def read_immediate(cpu: Cpu, kind: u64, record_address: u64) -> None:
    """What follows the operand bytes."""
    d = DecodeTables(cpu.decode_tables)
    record = Record(record_address)
    operand_bytes = u64(2) if d.operand_code == 0 else u64(4)
    if kind == Immediate.BYTE:
        record.immediate = take_signed(cpu, u64(1))
    elif kind == Immediate.WORD:
        record.immediate = take_wide(cpu, u64(2))
    elif kind == Immediate.Z:
        record.immediate = take_signed(cpu, operand_bytes)
    elif kind == Immediate.V:
        record.immediate = take_signed(cpu, u64(8) if d.operand_code == 2 else operand_bytes)
    elif kind == Immediate.D:
        record.immediate = take_signed(cpu, u64(4))
    elif kind == Immediate.MOFFS:
        record.displacement = take_wide(cpu, u64(2) << d.address_code)
    elif kind == Immediate.FAR:
        record.immediate = take_wide(cpu, operand_bytes)
        record.displacement = take_wide(cpu, u64(2))
    elif kind == Immediate.WORD_BYTE:
        record.immediate = take_wide(cpu, u64(2))
        record.displacement = take(cpu)
    elif kind == Immediate.RELATIVE_BYTE:
        record.displacement = take_signed(cpu, u64(1))
    elif kind == Immediate.RELATIVE_Z:
        record.displacement = take_signed(cpu, operand_bytes)

