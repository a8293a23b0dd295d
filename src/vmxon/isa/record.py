"""A decoded instruction: 64 bytes that the interpreter's handlers read."""

from __future__ import annotations

from enum import IntEnum

from vmxon.microcode.layout import State, scalar
from vmxon.microcode.types import u8, u16, u64


class Prefix(IntEnum):
    """Bits of `Record.prefixes`."""

    REP = 1
    """F3"""
    REPNE = 2
    """F2"""
    LOCK = 4
    REX_W = 8
    OPERAND = 16
    """66"""
    ADDRESS = 32
    """67"""
    REX = 64


class Record(State):
    """One decoded instruction of a block."""

    handler = scalar(u64)
    immediate = scalar(u64)
    """Sign-extended; the target of a relative branch is in `displacement`."""
    displacement = scalar(u64)
    """Sign-extended; absolute for RIP-relative operands; absolute target of a relative branch."""
    next_rip = scalar(u64)
    link_taken = scalar(u64)
    """First record of the block at the branch target, 0 where not linked. Far pointers keep their selector here."""
    link_next = scalar(u64)
    destination = scalar(u8)
    """First register operand: byte offset into the processor's state (GPR) or register number (XMM, Sreg, CR, DR)."""
    source = scalar(u8)
    base = scalar(u8)
    """Base register as byte offset; the zero register where absent."""
    index = scalar(u8)
    third = scalar(u8)
    """VEX.vvvv register as byte offset."""
    scale = scalar(u8)
    segment = scalar(u8)
    """`Segment` of the memory operand after override; FLAT_DATA or FLAT_STACK in 64-bit mode but for FS and GS."""
    address_shift = scalar(u8)
    """64 minus the address size."""
    length = scalar(u8)
    position = scalar(u8)
    """How many instructions of the block come before."""
    count = scalar(u8)
    """Instructions in the block; in its first record."""
    prefixes = scalar(u8)
    entry = scalar(u16)
    """Number of the decode candidate, for traces."""
    operand_code = scalar(u8)
    """Operand size: 0 16-bit, 1 32-bit, 2 64-bit."""
    modrm = scalar(u8)
