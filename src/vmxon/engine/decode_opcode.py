"""Prefixes, escapes, VEX, and which candidate of the tables an opcode byte means (Vol. 2A §2.1 “Instruction Format …”)."""

from __future__ import annotations

from vmxon.engine.code_bytes import take
from vmxon.engine.encoding import MEMORY_ONLY, MODRM, REGISTER_ONLY, Candidate
from vmxon.engine.places import DecodeTables
from vmxon.isa.form import Mandatory, Map
from vmxon.isa.record import Prefix
from vmxon.microcode import inline, load, microcode, u8, u16, u64
from vmxon.processor.state import CodeSize, Segment
from vmxon.processor.state import ProcessorState as Cpu

MAXIMUM_LENGTH = 15


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
