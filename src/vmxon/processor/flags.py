"""Lazy status flags (Vol. 1 §3.4.3.1 “Status Flags”).

Two words hold the six flags. `flag_result` is the last result, sign-extended: ZF is “zero”, SF its sign, PF the parity of its low
byte. `flag_auxiliary` holds CF in bit 63, CF^OF in bit 62 and AF in bit 3; bits 15:8 correct the parity byte and bit 0 the sign,
so that POPF can make combinations that no result has (ZF and SF together).
"""

from __future__ import annotations

from vmxon.microcode import IntType, inline, microcode, popcount, u8, u64
from vmxon.processor.state import ProcessorState as Cpu

CARRY, PARITY, ADJUST, ZERO, SIGN, OVERFLOW = 1 << 0, 1 << 2, 1 << 4, 1 << 6, 1 << 7, 1 << 11
STATUS = CARRY | PARITY | ADJUST | ZERO | SIGN | OVERFLOW


@inline
def set_flags_add(cpu: Cpu, kind: IntType, left: int, right: int, total: int) -> None:
    """Flags of total = left + right (+ carry)."""
    set_flags_carries(cpu, kind, (left & right) | ((left | right) & ~total), total)


@inline
def set_flags_sub(cpu: Cpu, kind: IntType, left: int, right: int, difference: int) -> None:
    """Flags of difference = left - right (- borrow)."""
    set_flags_carries(cpu, kind, (~left & right) | ((~left | right) & difference), difference)


@inline
def set_flags_carries(cpu: Cpu, kind: IntType, carries: int, result: int) -> None:
    """Flags from the vector of carries (or borrows) out of each bit."""
    wide = u64(carries)
    top = wide << (64 - kind.bits)
    cpu.flag_result = u64(kind.signed(result))
    cpu.flag_auxiliary = (top & (3 << 62)) | (wide & 8)


@inline
def set_flags_logic(cpu: Cpu, kind: IntType, result: int) -> None:
    """Flags of AND, OR, XOR, TEST: CF = OF = AF = 0."""
    cpu.flag_result = u64(kind.signed(result))
    cpu.flag_auxiliary = u64(0)


@inline
def set_flags(cpu: Cpu, kind: IntType, result: int, carry: bool, overflow: bool, adjust: bool) -> None:
    """ZF, SF, PF from the result, the other three as given."""
    cpu.flag_result = u64(kind.signed(result))
    cpu.flag_auxiliary = u64(carry) << 63 | u64(carry != overflow) << 62 | u64(adjust) << 3


@inline
def carry(cpu: Cpu) -> bool:
    """CF."""
    return cpu.flag_auxiliary >> 63 != 0


@inline
def overflow(cpu: Cpu) -> bool:
    """OF."""
    return ((cpu.flag_auxiliary ^ (cpu.flag_auxiliary << 1)) >> 63) != 0


@inline
def zero(cpu: Cpu) -> bool:
    """ZF."""
    return cpu.flag_result == 0


@inline
def sign(cpu: Cpu) -> bool:
    """SF."""
    return (cpu.flag_result ^ (cpu.flag_auxiliary << 63)) >> 63 != 0


@inline
def parity(cpu: Cpu) -> bool:
    """PF: the low byte has an even number of ones."""
    return popcount(u8(cpu.flag_result ^ (cpu.flag_auxiliary >> 8))) & 1 == 0


@inline
def adjust(cpu: Cpu) -> bool:
    """AF."""
    return cpu.flag_auxiliary & 8 != 0


@inline
def less(cpu: Cpu) -> bool:
    """SF != OF."""
    auxiliary = cpu.flag_auxiliary
    return (cpu.flag_result ^ (auxiliary << 63) ^ auxiliary ^ (auxiliary << 1)) >> 63 != 0


@inline
def condition(cpu: Cpu, code: int) -> bool:
    """The condition of Jcc, SETcc, CMOVcc by its static 4-bit code (Vol. 1 App. B “EFLAGS Condition Codes”)."""
    if code >> 1 == 0:
        value = overflow(cpu)
    elif code >> 1 == 1:
        value = carry(cpu)
    elif code >> 1 == 2:
        value = zero(cpu)
    elif code >> 1 == 3:
        value = carry(cpu) | zero(cpu)
    elif code >> 1 == 4:
        value = sign(cpu)
    elif code >> 1 == 5:
        value = parity(cpu)
    elif code >> 1 == 6:
        value = less(cpu)
    else:
        value = less(cpu) | zero(cpu)
    if code & 1 != 0:
        return not value
    return value


@inline
def read_status(cpu: Cpu) -> int:
    """The six status flags in their RFLAGS positions, as u64."""
    return (
        u64(carry(cpu))
        | u64(parity(cpu)) << 2
        | u64(adjust(cpu)) << 4
        | u64(zero(cpu)) << 6
        | u64(sign(cpu)) << 7
        | u64(overflow(cpu)) << 11
    )


@inline
def write_status(cpu: Cpu, value: int) -> None:
    """Set all six status flags from their RFLAGS positions in a u64."""
    wants_zero = value & ZERO != 0
    wants_carry = (value & CARRY) << 63
    wants_overflow = (value & OVERFLOW) << 52
    # With ZF the result is 0 (sign 0, parity byte even); without, it is 0x100 (sign 0, parity even, not zero).
    cpu.flag_result = u64(0) if wants_zero else u64(0x100)
    cpu.flag_auxiliary = (
        wants_carry
        | (wants_carry ^ wants_overflow) >> 1
        | (value & ADJUST) >> 1
        | (value & SIGN) >> 7
        | u64(value & PARITY == 0) << 8
    )


@microcode
def read_rflags(cpu: Cpu) -> u64:
    """RFLAGS as a whole."""
    return read_status(cpu) | cpu.rflags_other


@microcode
def write_rflags(cpu: Cpu, value: u64, writable: u64) -> None:
    """Set the flags in the mask `writable` from `value`; the others keep theirs. Recomputes what depends on TF and IF."""
    merged = (read_rflags(cpu) & ~writable) | (value & writable)
    write_status(cpu, merged)
    cpu.rflags_other = (merged & ~STATUS) | 2
    cpu.attention = u8(1)
