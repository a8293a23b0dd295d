"""The decoder: bytes to a `Record`, in every mode, by the tables of `engine.encoding` (Vol. 2A ch. 2 “Instruction Format”)."""

from __future__ import annotations

from vmxon.engine.encoding import (
    BRANCH,
    LOCKABLE,
    MEMORY_ONLY,
    MISSING,
    MOD_IGNORED,
    MODRM,
    NO_HANDLER,
    REGISTER_ONLY,
    STACK,
    Candidate,
)
from vmxon.engine.operand_classes import CLASS_BYTE, CLASS_NUMBER, SOURCE_OPCODE, SOURCE_REG, SOURCE_RM
from vmxon.engine.places import DecodeTables
from vmxon.isa.form import Immediate, Mandatory, Map, SizeRule
from vmxon.isa.record import Prefix, Record
from vmxon.microcode import i8, i16, i32, inline, load, microcode, u8, u16, u32, u64
from vmxon.processor.state import CodeSize, Segment
from vmxon.processor.state import ProcessorState as Cpu

ZERO_REGISTER = 16 * 8
STRAIGHT, ENDS_BLOCK, TRUNCATED = range(3)
MAXIMUM_LENGTH = 15
RBX, RSP, RBP, RSI, RDI = 3, 4, 5, 6, 7


@inline
def tables_of(cpu: Cpu) -> DecodeTables:
    """The decoder's tables."""
    return DecodeTables(cpu.decode_tables)


@microcode
def take(cpu: Cpu) -> u64:
    """The next byte; zero, with `short` set, beyond the bytes at hand."""
    d = DecodeTables(cpu.decode_tables)
    position = d.at
    d.at = position + 1
    if position >= d.available:
        d.short = u64(1)
        return u64(0)
    return u64(load(u8, d.pointer + position))


@microcode
def take_wide(cpu: Cpu, size: u64) -> u64:
    """A little-endian number of `size` bytes."""
    value = u64(0)
    shift = u64(0)
    while shift < size * 8:
        value = value | take(cpu) << shift
        shift = shift + 8
    return value


@microcode
def take_signed(cpu: Cpu, size: u64) -> u64:
    """The same, sign-extended from 1, 2 or 4 bytes."""
    value = take_wide(cpu, size)
    if size == 1:
        return u64(i8(value))
    if size == 2:
        return u64(i16(value))
    if size == 4:
        return u64(i32(value))
    return value


@microcode
def decode(cpu: Cpu, pointer: u64, available: u64, rip: u64, record_address: u64) -> u64:
    """Decode one instruction of up to `available` bytes at host address `pointer` into a record; STRAIGHT, ENDS_BLOCK or TRUNCATED."""
    d = DecodeTables(cpu.decode_tables)
    record = Record(record_address)
    d.pointer = pointer
    d.available = available
    d.at = u64(0)
    d.short = u64(0)
    d.vex = u64(0)
    d.vvvv = u64(0)
    d.vex_long = u64(0)
    record.link_taken = u64(0)
    record.link_next = u64(0)
    read_prefixes(cpu)
    read_opcode(cpu)
    candidate_address = match(cpu)
    flow = u64(STRAIGHT)
    if candidate_address == 0:
        record.handler = d.undefined
        flow = u64(ENDS_BLOCK)
    else:
        flow = fill_record(cpu, candidate_address, rip, record_address)
    if d.short != 0:
        if d.available >= MAXIMUM_LENGTH:
            record.handler = d.too_long
            record.length = u8(0)
            record.next_rip = rip
            return u64(ENDS_BLOCK)
        return u64(TRUNCATED)
    if d.at > MAXIMUM_LENGTH:
        record.handler = d.too_long
        flow = u64(ENDS_BLOCK)
    record.length = u8(d.at)
    record.next_rip = rip + d.at
    if cpu.code_size != CodeSize.BITS64:
        record.next_rip = record.next_rip & 0xFFFF_FFFF
    record.prefixes = u8(d.prefixes)
    return flow


@inline
def is_legacy_prefix(byte: int) -> bool:
    """66, 67, F0, F2, F3 and the segment overrides."""
    return byte & 0xFC == 0x64 or byte & 0xFC == 0xF0 and byte != 0xF1 or byte & 0xE7 == 0x26


@microcode
def read_prefixes(cpu: Cpu) -> None:
    """Legacy prefixes and REX; leaves the first opcode byte in `opcode`."""
    d = DecodeTables(cpu.decode_tables)
    prefixes = u64(0)
    rex = u64(0)
    override = u64(0)
    mandatory = u64(Mandatory.NONE)
    long = cpu.code_size == CodeSize.BITS64
    byte = u64(0)
    while d.short == 0:
        byte = take(cpu)
        if byte == 0x66:
            prefixes = prefixes | Prefix.OPERAND
            if mandatory == Mandatory.NONE:
                mandatory = u64(Mandatory.P66)
        elif byte == 0x67:
            prefixes = prefixes | Prefix.ADDRESS
        elif byte == 0xF0:
            prefixes = prefixes | Prefix.LOCK
        elif byte == 0xF2:
            prefixes = prefixes & ~u64(Prefix.REP) | Prefix.REPNE
            mandatory = u64(Mandatory.F2)
        elif byte == 0xF3:
            prefixes = prefixes & ~u64(Prefix.REPNE) | Prefix.REP
            mandatory = u64(Mandatory.F3)
        elif byte == 0x64 or byte == 0x65:
            override = byte - 0x64 + Segment.FS + 1
        elif byte & 0xE7 == 0x26:
            if not long:
                override = (byte >> 3 & 3) + 1
        elif long and byte & 0xF0 == 0x40:
            rex = byte
            byte = take(cpu)
            if is_legacy_prefix(byte) or byte & 0xF0 == 0x40:
                # A REX prefix counts only right before the opcode.
                rex = u64(0)
                d.at = d.at - 1
            else:
                break
        else:
            break
        if d.at > MAXIMUM_LENGTH:
            d.short = u64(1)
            break
    if rex != 0:
        prefixes = prefixes | Prefix.REX
    if rex & 8 != 0:
        prefixes = prefixes | Prefix.REX_W
    d.prefixes = prefixes
    d.rex = rex
    d.override = override
    d.mandatory = mandatory
    d.opcode = byte


@microcode
def read_opcode(cpu: Cpu) -> None:
    """Escapes and VEX: the map and the opcode byte."""
    d = DecodeTables(cpu.decode_tables)
    byte = d.opcode
    d.opcode_map = u64(Map.ONE_BYTE)
    if byte == 0x0F:
        byte = take(cpu)
        d.opcode_map = u64(Map.TWO_BYTE)
        if byte == 0x38:
            byte = take(cpu)
            d.opcode_map = u64(Map.MAP_38)
        elif byte == 0x3A:
            byte = take(cpu)
            d.opcode_map = u64(Map.MAP_3A)
    elif byte == 0xC4 or byte == 0xC5:
        following = u64(load(u8, d.pointer + d.at)) if d.at < d.available else u64(0)
        if d.at >= d.available:
            d.short = u64(1)
        if cpu.code_size == CodeSize.BITS64 or following & 0xC0 == 0xC0:
            byte = read_vex(cpu, byte)
    d.opcode = byte


@microcode
def read_vex(cpu: Cpu, escape: u64) -> u64:
    """The two or three bytes of a VEX prefix; gives the opcode byte. Wrong prefixes in front leave a map that matches nothing."""
    d = DecodeTables(cpu.decode_tables)
    refused = d.prefixes & (Prefix.OPERAND | Prefix.REP | Prefix.REPNE | Prefix.LOCK | Prefix.REX) != 0
    first = take(cpu)
    rex = u64(0x40) | (~first >> 7 & 1) << 2
    last = first
    opcode_map = u64(1)
    if escape == 0xC4:
        last = take(cpu)
        rex = rex | (~first >> 6 & 1) << 1 | (~first >> 5 & 1) | (last >> 7) << 3
        opcode_map = first & 31
    if cpu.code_size != CodeSize.BITS64:
        rex = u64(0x40) | rex & 8
    d.vex = u64(1)
    d.rex = rex
    d.vvvv = ~(last >> 3) & 15
    d.vex_long = last >> 2 & 1
    packed = last & 3
    d.mandatory = u64(Mandatory.NONE) + packed
    if refused or opcode_map == 0 or opcode_map > 3:
        opcode_map = u64(0)
        d.mandatory = u64(99)
    d.opcode_map = u64(Map.VEX_TWO_BYTE) + opcode_map - 1
    if opcode_map == 0:
        d.opcode_map = u64(Map.VEX_3A)
    return take(cpu)


@microcode
def match(cpu: Cpu) -> u64:
    """Host address of the first candidate that fits, 0 for none; ModRM is read into `modrm` (not consumed) where one is needed."""
    d = DecodeTables(cpu.decode_tables)
    row = d.starts + (d.opcode_map << 8 | d.opcode) * 4
    start = u64(load(u16, row))
    count = u64(load(u16, row + 2))
    has_modrm = d.at < d.available
    modrm = u64(load(u8, d.pointer + d.at)) if has_modrm else u64(0)
    mode = u64(1) << u64(cpu.code_size)
    w = d.rex >> 3 & 1
    d.modrm = modrm
    index = u64(0)
    while index < count:
        address = d.candidates + (start + index) * Candidate.size
        c = Candidate(address)
        index = index + 1
        if u64(c.modes) & mode == 0:
            continue
        if c.mandatory == Mandatory.NOT_REPEATED:
            if d.mandatory >= Mandatory.F3:
                continue
        elif c.mandatory != Mandatory.ANY and u64(c.mandatory) != d.mandatory:
            continue
        if c.w != 0 and u64(c.w) != w + 1:
            continue
        if d.vex != 0 and (c.vex_length != 0 and u64(c.vex_length) != d.vex_long + 1 or c.third == 0 and d.vvvv != 0):
            continue
        if c.flags & MODRM != 0:
            if not has_modrm:
                d.short = u64(1)
                return u64(0)
            if (modrm ^ u64(c.modrm_value)) & u64(c.modrm_mask) != 0:
                continue
            register = modrm >= 0xC0
            if c.flags & MEMORY_ONLY != 0 and register or c.flags & REGISTER_ONLY != 0 and not register:
                continue
        feature = u64(c.feature)
        if feature != 0 and cpu.features[feature >> 6] >> (feature & 63) & 1 == 0:
            continue
        return address
    return u64(0)


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
    if c.flags & MISSING != 0:
        record.handler = d.missing
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


_ = u32
