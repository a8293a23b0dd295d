"""SSSE3, for XMM and for MMX registers (Vol. 1 §12.5 “Overview of SSSE3 Instructions”)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from vmxon.isa.operands import MmxOperand, Operand
from vmxon.isa.sse.lanes import (
    BYTE,
    DOUBLEWORD,
    WORD,
    Lane,
    Named,
    Register,
    Source,
    add,
    add_signed,
    check_vector,
    clamp,
    lanes,
    subtract,
    subtract_signed,
)
from vmxon.isa.table import Form, instruction
from vmxon.microcode import IntType, i8, i32, inline, microcode, u8, u64
from vmxon.processor.state import ProcessorState as Cpu

F = TypeVar("F", bound=Callable[..., None])


def ssse3(mnemonic: str, opcode: str, immediate: str = "") -> Callable[[F], F]:
    """An instruction for XMM registers and, under the same opcode, for MMX registers."""
    of_xmm = instruction(mnemonic, Form(f"66 0F {opcode}", f"xmm, xmm/m128{immediate}"), feature="ssse3")
    of_mmx = instruction(f"{mnemonic} MMX", Form(f"NP 0F {opcode}", f"mm, mm/m64{immediate}"), feature="ssse3")
    return lambda meaning: of_mmx(of_xmm(meaning))


@inline
def absolute(kind: IntType, left: int, right: int) -> int:
    """|right|."""
    return kind(0) - right if kind.signed(right) < 0 else right


@inline
def with_sign_of(kind: IntType, left: int, right: int) -> int:
    """left, negated where right is negative, 0 where right is 0."""
    negated = kind(0) - left if kind.signed(right) < 0 else left
    return kind(0) if right == 0 else negated


@inline
def multiply_rounded(kind: IntType, left: int, right: int) -> int:
    """Bits 30:15 of the signed product, rounded."""
    product = i32(kind.signed(left)) * i32(kind.signed(right))
    return kind(((product >> 14) + 1) >> 1)


@inline
def multiply_add_bytes(kind: IntType, left: int, right: int) -> int:
    """The sum of two products of an unsigned byte of left with a signed byte of right, saturated."""
    first = i32(u8(left)) * i32(i8(u8(right)))
    second = i32(u8(left >> 8)) * i32(i8(u8(right >> 8)))
    return kind(clamp(first + second, -0x8000, 0x7FFF))


@ssse3("PABSB", "38 1C /r")
def pabsb(cpu: Cpu, destination: Register, source: Source) -> None:
    """Absolute values of bytes (Vol. 2B “PABSB/PABSW/PABSD/PABSQ”)."""
    lanes(cpu, destination, source, BYTE, absolute)


@ssse3("PABSW", "38 1D /r")
def pabsw(cpu: Cpu, destination: Register, source: Source) -> None:
    """Absolute values of words."""
    lanes(cpu, destination, source, WORD, absolute)


@ssse3("PABSD", "38 1E /r")
def pabsd(cpu: Cpu, destination: Register, source: Source) -> None:
    """Absolute values of doublewords."""
    lanes(cpu, destination, source, DOUBLEWORD, absolute)


@ssse3("PSIGNB", "38 08 /r")
def psignb(cpu: Cpu, destination: Register, source: Source) -> None:
    """Bytes with the signs of others (Vol. 2B “PSIGNB/PSIGNW/PSIGND”)."""
    lanes(cpu, destination, source, BYTE, with_sign_of)


@ssse3("PSIGNW", "38 09 /r")
def psignw(cpu: Cpu, destination: Register, source: Source) -> None:
    """Words with the signs of others."""
    lanes(cpu, destination, source, WORD, with_sign_of)


@ssse3("PSIGND", "38 0A /r")
def psignd(cpu: Cpu, destination: Register, source: Source) -> None:
    """Doublewords with the signs of others."""
    lanes(cpu, destination, source, DOUBLEWORD, with_sign_of)


@ssse3("PMULHRSW", "38 0B /r")
def pmulhrsw(cpu: Cpu, destination: Register, source: Source) -> None:
    """Rounded upper halves of products of words (Vol. 2B “PMULHRSW”)."""
    lanes(cpu, destination, source, WORD, multiply_rounded)


@ssse3("PMADDUBSW", "38 04 /r")
def pmaddubsw(cpu: Cpu, destination: Register, source: Source) -> None:
    """Sums of neighbouring products of bytes (Vol. 2B “PMADDUBSW”)."""
    lanes(cpu, destination, source, WORD, multiply_add_bytes)


@microcode
def pairs(kind: IntType, named: Named, low: u64, high: u64) -> u64:
    """operation(first, second) for each two neighbouring elements of 128 bits."""
    result = u64(0)
    for index in range(64 // kind.bits):
        half, place = (low, high)[index * 2 * kind.bits // 64], index * 2 * kind.bits % 64
        value = named.operation(kind, kind(half >> place), kind(half >> (place + kind.bits)))
        result = result | (u64(value) << (index * kind.bits))
    return result


@inline
def across(cpu: Cpu, destination: Register, source: Source, kind: IntType, operation: Lane) -> None:
    """Each pair of neighbours of destination, then of source."""
    check_vector(cpu, destination)
    if isinstance(destination, MmxOperand):
        destination.write_low(pairs(kind, Named(operation), destination.read_low(), source.read_low()))
        return
    low, high = source.read_halves()
    own = pairs(kind, Named(operation), destination.read_low(), destination.read_high())
    destination.write_halves(own, pairs(kind, Named(operation), low, high))


@ssse3("PHADDW", "38 01 /r")
def phaddw(cpu: Cpu, destination: Register, source: Source) -> None:
    """Sums of neighbouring words (Vol. 2B “PHADDW/PHADDD”)."""
    across(cpu, destination, source, WORD, add)


@ssse3("PHADDD", "38 02 /r")
def phaddd(cpu: Cpu, destination: Register, source: Source) -> None:
    """Sums of neighbouring doublewords."""
    across(cpu, destination, source, DOUBLEWORD, add)


@ssse3("PHADDSW", "38 03 /r")
def phaddsw(cpu: Cpu, destination: Register, source: Source) -> None:
    """Sums of neighbouring words with signed saturation (Vol. 2B “PHADDSW”)."""
    across(cpu, destination, source, WORD, add_signed)


@ssse3("PHSUBW", "38 05 /r")
def phsubw(cpu: Cpu, destination: Register, source: Source) -> None:
    """Differences of neighbouring words (Vol. 2B “PHSUBW/PHSUBD”)."""
    across(cpu, destination, source, WORD, subtract)


@ssse3("PHSUBD", "38 06 /r")
def phsubd(cpu: Cpu, destination: Register, source: Source) -> None:
    """Differences of neighbouring doublewords."""
    across(cpu, destination, source, DOUBLEWORD, subtract)


@ssse3("PHSUBSW", "38 07 /r")
def phsubsw(cpu: Cpu, destination: Register, source: Source) -> None:
    """Differences of neighbouring words with signed saturation (Vol. 2B “PHSUBSW”)."""
    across(cpu, destination, source, WORD, subtract_signed)


@microcode
def choose_bytes(low: u64, high: u64, order: u64) -> u64:
    """Eight bytes of 128 bits by the low four bits of each byte of `order`; 0 where its bit 7 is set."""
    result = u64(0)
    for position in range(0, 64, 8):
        half = low if (order >> position) & 8 == 0 else high
        byte = (half >> (((order >> position) & 7) << 3)) & 0xFF
        result = result | ((byte if (order >> position) & 0x80 == 0 else u64(0)) << position)
    return result


@ssse3("PSHUFB", "38 00 /r")
def pshufb(cpu: Cpu, destination: Register, source: Source) -> None:
    """Bytes of destination in any order (Vol. 2B “PSHUFB—Packed Shuffle Bytes”)."""
    check_vector(cpu, destination)
    if isinstance(destination, MmxOperand):
        own = destination.read_low()
        destination.write_low(choose_bytes(own, own, source.read_low()))
        return
    low, high = source.read_halves()
    own_low = destination.read_low()
    own_high = destination.read_high()
    destination.write_halves(choose_bytes(own_low, own_high, low), choose_bytes(own_low, own_high, high))


@microcode
def bytes_from(first: u64, second: u64, third: u64, fourth: u64, start: u64) -> u64:
    """Eight bytes of a string of 32, from byte `start` on; zeros beyond its end."""
    count = (start & 7) << 3
    half = start >> 3
    lower = first if half == 0 else (second if half == 1 else (third if half == 2 else (fourth if half == 3 else u64(0))))
    upper = second if half == 0 else (third if half == 1 else (fourth if half == 2 else u64(0)))
    return lower if count == 0 else (lower >> count) | (upper << (u64(64) - count))


@ssse3("PALIGNR", "3A 0F /r ib", ", imm8")
def palignr(cpu: Cpu, destination: Register, source: Source, start: Operand) -> None:
    """Bytes of destination:source from byte `start` on (Vol. 2B “PALIGNR—Packed Align Right”)."""
    check_vector(cpu, destination)
    at = u64(start.read())
    if isinstance(destination, MmxOperand):
        destination.write_low(bytes_from(source.read_low(), destination.read_low(), u64(0), u64(0), at))
        return
    low, high = source.read_halves()
    own_low = destination.read_low()
    own_high = destination.read_high()
    destination.write_halves(bytes_from(low, high, own_low, own_high, at), bytes_from(low, high, own_low, own_high, at + 8))
