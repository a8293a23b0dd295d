"""Integer arithmetic, extension and rounding of SSE4.1, and PCMPGTQ of SSE4.2 (Vol. 1 §12.8 “SSE4.1 Instruction Set”)."""

from __future__ import annotations

from vmxon.isa.operands import Operand, XmmOperand
from vmxon.isa.sse.blend import sse4_1
from vmxon.isa.sse.lanes import (
    BYTE,
    DOUBLEWORD,
    QUADWORD,
    WORD,
    Vector,
    equal,
    greater,
    halves,
    lanes,
    maximum_signed,
    maximum_unsigned,
    minimum_signed,
    minimum_unsigned,
    multiply_low,
)
from vmxon.isa.sse.shuffle import pack
from vmxon.isa.table import Form, instruction
from vmxon.microcode import IntType, i32, i64, inline, microcode, u8, u16, u32, u64
from vmxon.processor.simd import check_sse
from vmxon.processor.state import ProcessorState as Cpu


@sse4_1("PMINSB", "38 38 /r", "xmm, xmm/m128")
def pminsb(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """The smaller signed bytes (Vol. 2B “PMINSB/PMINSW”)."""
    lanes(cpu, destination, source, BYTE, minimum_signed)


@sse4_1("PMINSD", "38 39 /r", "xmm, xmm/m128")
def pminsd(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """The smaller signed doublewords (Vol. 2B “PMINSD/PMINSQ”)."""
    lanes(cpu, destination, source, DOUBLEWORD, minimum_signed)


@sse4_1("PMINUW", "38 3A /r", "xmm, xmm/m128")
def pminuw(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """The smaller unsigned words (Vol. 2B “PMINUB/PMINUW”)."""
    lanes(cpu, destination, source, WORD, minimum_unsigned)


@sse4_1("PMINUD", "38 3B /r", "xmm, xmm/m128")
def pminud(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """The smaller unsigned doublewords (Vol. 2B “PMINUD/PMINUQ”)."""
    lanes(cpu, destination, source, DOUBLEWORD, minimum_unsigned)


@sse4_1("PMAXSB", "38 3C /r", "xmm, xmm/m128")
def pmaxsb(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """The larger signed bytes (Vol. 2B “PMAXSB/PMAXSW/PMAXSD/PMAXSQ”)."""
    lanes(cpu, destination, source, BYTE, maximum_signed)


@sse4_1("PMAXSD", "38 3D /r", "xmm, xmm/m128")
def pmaxsd(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """The larger signed doublewords."""
    lanes(cpu, destination, source, DOUBLEWORD, maximum_signed)


@sse4_1("PMAXUW", "38 3E /r", "xmm, xmm/m128")
def pmaxuw(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """The larger unsigned words (Vol. 2B “PMAXUB/PMAXUW”)."""
    lanes(cpu, destination, source, WORD, maximum_unsigned)


@sse4_1("PMAXUD", "38 3F /r", "xmm, xmm/m128")
def pmaxud(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """The larger unsigned doublewords (Vol. 2B “PMAXUD/PMAXUQ”)."""
    lanes(cpu, destination, source, DOUBLEWORD, maximum_unsigned)


@sse4_1("PMULLD", "38 40 /r", "xmm, xmm/m128")
def pmulld(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Lower halves of products of doublewords (Vol. 2B “PMULLD/PMULLQ”)."""
    lanes(cpu, destination, source, DOUBLEWORD, multiply_low)


@sse4_1("PCMPEQQ", "38 29 /r", "xmm, xmm/m128")
def pcmpeqq(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """All ones in each quadword that is equal (Vol. 2B “PCMPEQQ”)."""
    lanes(cpu, destination, source, QUADWORD, equal)


@instruction("PCMPGTQ", Form("66 0F 38 37 /r", "xmm, xmm/m128"), feature="sse4_2")
def pcmpgtq(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """All ones in each quadword that is greater (Vol. 2B “PCMPGTQ”)."""
    lanes(cpu, destination, source, QUADWORD, greater)


@inline
def multiply_even_signed(left: int, right: int) -> int:
    """The signed product of the lower doublewords."""
    return u64(i64(i32(u32(left))) * i64(i32(u32(right))))


@sse4_1("PMULDQ", "38 28 /r", "xmm, xmm/m128")
def pmuldq(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Signed products of the even doublewords (Vol. 2B “PMULDQ”)."""
    halves(cpu, destination, source, multiply_even_signed)


@sse4_1("PACKUSDW", "38 2B /r", "xmm, xmm/m128")
def packusdw(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Doublewords into unsigned words with saturation (Vol. 2B “PACKUSDW”)."""
    pack(cpu, destination, source, WORD, 0, 0xFFFF)


@microcode
def extended_elements(narrow: IntType, wide: IntType, value: u64, start: int) -> u64:
    """A half of wide elements from narrow ones, of which `start` is the number of the first; `narrow` decides the extension."""
    result = u64(0)
    for index in range(64 // wide.bits):
        element = narrow(narrow.unsigned(value >> ((start + index) * narrow.bits)))
        result = result | (u64(wide(element)) << (index * wide.bits))
    return result


@inline
def extend(cpu: Cpu, destination: XmmOperand, source: Vector, narrow: IntType, wide: IntType) -> None:
    """destination := the lowest elements of source in the wider type."""
    check_sse(cpu)
    value = source.read_low()
    destination.write_halves(
        extended_elements(narrow, wide, value, 0), extended_elements(narrow, wide, value, 64 // wide.bits)
    )


for _offset, _narrow, _wide, _letters in (
    (0, BYTE, WORD, "BW"),
    (1, BYTE, DOUBLEWORD, "BD"),
    (2, BYTE, QUADWORD, "BQ"),
    (3, WORD, DOUBLEWORD, "WD"),
    (4, WORD, QUADWORD, "WQ"),
    (5, DOUBLEWORD, QUADWORD, "DQ"),
):
    _operands = f"xmm, xmm/m{128 * _narrow.bits // _wide.bits}"

    @sse4_1(f"PMOVSX{_letters}", f"38 {0x20 + _offset:02X} /r", _operands)
    def pmovsx(
        cpu: Cpu, destination: XmmOperand, source: Vector, narrow: IntType = _narrow.signed, wide: IntType = _wide
    ) -> None:
        """The lowest elements, sign-extended (Vol. 2B “PMOVSX—Packed Move With Sign Extend”)."""
        extend(cpu, destination, source, narrow, wide)

    @sse4_1(f"PMOVZX{_letters}", f"38 {0x30 + _offset:02X} /r", _operands)
    def pmovzx(cpu: Cpu, destination: XmmOperand, source: Vector, narrow: IntType = _narrow, wide: IntType = _wide) -> None:
        """The lowest elements, zero-extended (Vol. 2B “PMOVZX—Packed Move With Zero Extend”)."""
        extend(cpu, destination, source, narrow, wide)


@microcode
def smallest_word(low: u64, high: u64) -> u64:
    """The smallest of eight words, and in bits 18:16 the number of the first such."""
    best = u64(0xFFFF)
    place = u64(0)
    index = u64(0)
    while index < 8:
        half = low if index < 4 else high
        word = u64(u16(half >> ((index & 3) << 4)))
        if word < best:
            best = word
            place = index
        index = index + 1
    return best | (place << 16)


@sse4_1("PHMINPOSUW", "38 41 /r", "xmm, xmm/m128")
def phminposuw(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """The smallest unsigned word and its number (Vol. 2B “PHMINPOSUW”)."""
    check_sse(cpu)
    low, high = source.read_halves()
    destination.write_halves(smallest_word(low, high), u64(0))


@microcode
def distances(low: u64, high: u64, pattern: u32, start: u64) -> u64:
    """Four sums of absolute differences: a pattern of four bytes against the bytes at start, start + 1, start + 2, start + 3."""
    result = u64(0)
    index = u64(0)
    while index < 4:
        total = u64(0)
        byte = u64(0)
        while byte < 4:
            at = start + index + byte
            one = u8((low if at < 8 else high) >> ((at & 7) << 3))
            other = u8(pattern >> u32(byte << 3))
            total = total + u64(one - other if one > other else other - one)
            byte = byte + 1
        result = result | (total << (index << 4))
        index = index + 1
    return result


@sse4_1("MPSADBW", "3A 42 /r ib", "xmm, xmm/m128, imm8")
def mpsadbw(cpu: Cpu, destination: XmmOperand, source: Vector, order: Operand) -> None:
    """Eight sums of absolute differences; the immediate places pattern (bits 1:0) and field (bit 2) (Vol. 2B “MPSADBW”)."""
    check_sse(cpu)
    low, high = source.read_halves()
    by = u64(order.read())
    half = high if by & 2 != 0 else low
    pattern = u32(half >> ((by & 1) << 5))
    start = by & 4
    own_low = destination.read_low()
    own_high = destination.read_high()
    destination.write_halves(distances(own_low, own_high, pattern, start), distances(own_low, own_high, pattern, start + 4))
