"""The bytes of the instruction being decoded, one after the other."""

from __future__ import annotations

from vmxon.engine.places import DecodeTables
from vmxon.microcode import i8, i16, i32, load, microcode, u8, u64
from vmxon.processor.state import ProcessorState as Cpu


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
