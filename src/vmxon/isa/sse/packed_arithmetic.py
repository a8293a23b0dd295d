"""Packed integer arithmetic and comparison (Vol. 1 §11.4.2 “SSE2 64-Bit and 128-Bit SIMD Integer Instructions”)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from vmxon.isa.sse.lanes import (
    BYTE,
    DOUBLEWORD,
    QUADWORD,
    WORD,
    Register,
    Source,
    add,
    add_signed,
    add_unsigned,
    average,
    equal,
    greater,
    halves,
    lanes,
    maximum_signed,
    maximum_unsigned,
    minimum_signed,
    minimum_unsigned,
    multiply_high_signed,
    multiply_high_unsigned,
    multiply_low,
    subtract,
    subtract_signed,
    subtract_unsigned,
)
from vmxon.isa.table import Form, instruction
from vmxon.microcode import i16, i32, inline, microcode, u8, u16, u32, u64
from vmxon.processor.state import ProcessorState as Cpu

F = TypeVar("F", bound=Callable[..., None])


def packed(mnemonic: str, opcode: str, mmx_source: str = "mm/m64") -> Callable[[F], F]:
    """An instruction for XMM registers and, under the same opcode, for MMX registers."""
    of_xmm = instruction(mnemonic, Form(f"66 0F {opcode} /r", "xmm, xmm/m128"))
    of_mmx = instruction(f"{mnemonic} MMX", Form(f"NP 0F {opcode} /r", f"mm, {mmx_source}"), feature="mmx")
    return lambda meaning: of_mmx(of_xmm(meaning))


@packed("PADDB", "FC")
def paddb(cpu: Cpu, destination: Register, source: Source) -> None:
    """Sums of bytes (Vol. 2B “PADDB/PADDW/PADDD/PADDQ—Add Packed Integers”)."""
    lanes(cpu, destination, source, BYTE, add)


@packed("PADDW", "FD")
def paddw(cpu: Cpu, destination: Register, source: Source) -> None:
    """Sums of words."""
    lanes(cpu, destination, source, WORD, add)


@packed("PADDD", "FE")
def paddd(cpu: Cpu, destination: Register, source: Source) -> None:
    """Sums of doublewords."""
    lanes(cpu, destination, source, DOUBLEWORD, add)


@packed("PADDQ", "D4")
def paddq(cpu: Cpu, destination: Register, source: Source) -> None:
    """Sums of quadwords."""
    lanes(cpu, destination, source, QUADWORD, add)


@packed("PADDSB", "EC")
def paddsb(cpu: Cpu, destination: Register, source: Source) -> None:
    """Sums of bytes with signed saturation (Vol. 2B “PADDSB/PADDSW”)."""
    lanes(cpu, destination, source, BYTE, add_signed)


@packed("PADDSW", "ED")
def paddsw(cpu: Cpu, destination: Register, source: Source) -> None:
    """Sums of words with signed saturation."""
    lanes(cpu, destination, source, WORD, add_signed)


@packed("PADDUSB", "DC")
def paddusb(cpu: Cpu, destination: Register, source: Source) -> None:
    """Sums of bytes with unsigned saturation (Vol. 2B “PADDUSB/PADDUSW”)."""
    lanes(cpu, destination, source, BYTE, add_unsigned)


@packed("PADDUSW", "DD")
def paddusw(cpu: Cpu, destination: Register, source: Source) -> None:
    """Sums of words with unsigned saturation."""
    lanes(cpu, destination, source, WORD, add_unsigned)


@packed("PSUBB", "F8")
def psubb(cpu: Cpu, destination: Register, source: Source) -> None:
    """Differences of bytes (Vol. 2B “PSUBB/PSUBW/PSUBD—Subtract Packed Integers”)."""
    lanes(cpu, destination, source, BYTE, subtract)


@packed("PSUBW", "F9")
def psubw(cpu: Cpu, destination: Register, source: Source) -> None:
    """Differences of words."""
    lanes(cpu, destination, source, WORD, subtract)


@packed("PSUBD", "FA")
def psubd(cpu: Cpu, destination: Register, source: Source) -> None:
    """Differences of doublewords."""
    lanes(cpu, destination, source, DOUBLEWORD, subtract)


@packed("PSUBQ", "FB")
def psubq(cpu: Cpu, destination: Register, source: Source) -> None:
    """Differences of quadwords (Vol. 2B “PSUBQ”)."""
    lanes(cpu, destination, source, QUADWORD, subtract)


@packed("PSUBSB", "E8")
def psubsb(cpu: Cpu, destination: Register, source: Source) -> None:
    """Differences of bytes with signed saturation (Vol. 2B “PSUBSB/PSUBSW”)."""
    lanes(cpu, destination, source, BYTE, subtract_signed)


@packed("PSUBSW", "E9")
def psubsw(cpu: Cpu, destination: Register, source: Source) -> None:
    """Differences of words with signed saturation."""
    lanes(cpu, destination, source, WORD, subtract_signed)


@packed("PSUBUSB", "D8")
def psubusb(cpu: Cpu, destination: Register, source: Source) -> None:
    """Differences of bytes with unsigned saturation (Vol. 2B “PSUBUSB/PSUBUSW”)."""
    lanes(cpu, destination, source, BYTE, subtract_unsigned)


@packed("PSUBUSW", "D9")
def psubusw(cpu: Cpu, destination: Register, source: Source) -> None:
    """Differences of words with unsigned saturation."""
    lanes(cpu, destination, source, WORD, subtract_unsigned)


@packed("PCMPEQB", "74")
def pcmpeqb(cpu: Cpu, destination: Register, source: Source) -> None:
    """All ones in each byte that is equal (Vol. 2B “PCMPEQB/PCMPEQW/PCMPEQD”)."""
    lanes(cpu, destination, source, BYTE, equal)


@packed("PCMPEQW", "75")
def pcmpeqw(cpu: Cpu, destination: Register, source: Source) -> None:
    """All ones in each word that is equal."""
    lanes(cpu, destination, source, WORD, equal)


@packed("PCMPEQD", "76")
def pcmpeqd(cpu: Cpu, destination: Register, source: Source) -> None:
    """All ones in each doubleword that is equal."""
    lanes(cpu, destination, source, DOUBLEWORD, equal)


@packed("PCMPGTB", "64")
def pcmpgtb(cpu: Cpu, destination: Register, source: Source) -> None:
    """All ones in each byte that is greater (Vol. 2B “PCMPGTB/PCMPGTW/PCMPGTD”)."""
    lanes(cpu, destination, source, BYTE, greater)


@packed("PCMPGTW", "65")
def pcmpgtw(cpu: Cpu, destination: Register, source: Source) -> None:
    """All ones in each word that is greater."""
    lanes(cpu, destination, source, WORD, greater)


@packed("PCMPGTD", "66")
def pcmpgtd(cpu: Cpu, destination: Register, source: Source) -> None:
    """All ones in each doubleword that is greater."""
    lanes(cpu, destination, source, DOUBLEWORD, greater)


@packed("PAVGB", "E0")
def pavgb(cpu: Cpu, destination: Register, source: Source) -> None:
    """Rounded means of bytes (Vol. 2B “PAVGB/PAVGW”)."""
    lanes(cpu, destination, source, BYTE, average)


@packed("PAVGW", "E3")
def pavgw(cpu: Cpu, destination: Register, source: Source) -> None:
    """Rounded means of words."""
    lanes(cpu, destination, source, WORD, average)


@packed("PMINUB", "DA")
def pminub(cpu: Cpu, destination: Register, source: Source) -> None:
    """The smaller unsigned bytes (Vol. 2B “PMINUB/PMINUW”)."""
    lanes(cpu, destination, source, BYTE, minimum_unsigned)


@packed("PMAXUB", "DE")
def pmaxub(cpu: Cpu, destination: Register, source: Source) -> None:
    """The larger unsigned bytes (Vol. 2B “PMAXUB/PMAXUW”)."""
    lanes(cpu, destination, source, BYTE, maximum_unsigned)


@packed("PMINSW", "EA")
def pminsw(cpu: Cpu, destination: Register, source: Source) -> None:
    """The smaller signed words (Vol. 2B “PMINSB/PMINSW”)."""
    lanes(cpu, destination, source, WORD, minimum_signed)


@packed("PMAXSW", "EE")
def pmaxsw(cpu: Cpu, destination: Register, source: Source) -> None:
    """The larger signed words (Vol. 2B “PMAXSB/PMAXSW/PMAXSD/PMAXSQ”)."""
    lanes(cpu, destination, source, WORD, maximum_signed)


@packed("PMULLW", "D5")
def pmullw(cpu: Cpu, destination: Register, source: Source) -> None:
    """Lower halves of products of words (Vol. 2B “PMULLW”)."""
    lanes(cpu, destination, source, WORD, multiply_low)


@packed("PMULHW", "E5")
def pmulhw(cpu: Cpu, destination: Register, source: Source) -> None:
    """Upper halves of signed products of words (Vol. 2B “PMULHW”)."""
    lanes(cpu, destination, source, WORD, multiply_high_signed)


@packed("PMULHUW", "E4")
def pmulhuw(cpu: Cpu, destination: Register, source: Source) -> None:
    """Upper halves of unsigned products of words (Vol. 2B “PMULHUW”)."""
    lanes(cpu, destination, source, WORD, multiply_high_unsigned)


@inline
def multiply_even(left: int, right: int) -> int:
    """The product of the lower doublewords."""
    return u64(u32(left)) * u64(u32(right))


@packed("PMULUDQ", "F4")
def pmuludq(cpu: Cpu, destination: Register, source: Source) -> None:
    """Products of the even doublewords (Vol. 2B “PMULUDQ”)."""
    halves(cpu, destination, source, multiply_even)


@microcode
def multiply_add(left: u64, right: u64) -> u64:
    """Sums of two products of signed words, in doublewords."""
    result = u64(0)
    for position in (0, 32):
        first = i32(i16(u16(left >> position))) * i32(i16(u16(right >> position)))
        second = i32(i16(u16(left >> (position + 16)))) * i32(i16(u16(right >> (position + 16))))
        result = result | (u64(u32(first + second)) << position)
    return result


@packed("PMADDWD", "F5")
def pmaddwd(cpu: Cpu, destination: Register, source: Source) -> None:
    """Sums of neighbouring products of signed words (Vol. 2B “PMADDWD—Multiply and Add Packed Integers”)."""
    halves(cpu, destination, source, multiply_add)


@microcode
def sum_of_distances(left: u64, right: u64) -> u64:
    """The sum of |left - right| over eight bytes."""
    total = u64(0)
    for position in range(0, 64, 8):
        one = u8(left >> position)
        other = u8(right >> position)
        total = total + u64(one - other if one > other else other - one)
    return total


@packed("PSADBW", "F6")
def psadbw(cpu: Cpu, destination: Register, source: Source) -> None:
    """Sums of absolute differences of bytes, one for each half (Vol. 2B “PSADBW”)."""
    halves(cpu, destination, source, sum_of_distances)
