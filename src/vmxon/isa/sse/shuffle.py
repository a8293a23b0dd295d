"""Shuffles, interleaving, packing, insertion (Vol. 1 §11.4.1.5 “SSE2 Shuffle and Unpack Instructions”)."""

from __future__ import annotations

from vmxon.isa.operands import MmxOperand, Operand, XmmOperand
from vmxon.isa.sse.lanes import BYTE, DOUBLEWORD, QUADWORD, WORD, Register, Source, Vector, check_vector, clamp
from vmxon.isa.sse.packed_arithmetic import packed
from vmxon.isa.table import Form, instruction
from vmxon.microcode import IntType, inline, microcode, u16, u32, u64
from vmxon.processor.simd import LOW_SINGLE, check_sse
from vmxon.processor.state import ProcessorState as Cpu


@inline
def pick32(low: int, high: int, selector: int) -> int:
    """The doubleword 0–3 of a register, as u64; `selector` is a u64 whose low two bits count."""
    half = low if (selector & 2) == 0 else high
    return (half >> ((selector & 1) << 5)) & LOW_SINGLE


@microcode
def shuffle_words(half: u64, order: u64) -> u64:
    """Four words of a half in the order of an immediate (u64)."""
    result = u64(0)
    for index in range(4):
        result = result | (((half >> (((order >> (2 * index)) & 3) << 4)) & 0xFFFF) << (16 * index))
    return result


@instruction("PSHUFD", Form("66 0F 70 /r ib", "xmm, xmm/m128, imm8"))
def pshufd(cpu: Cpu, destination: XmmOperand, source: Vector, order: Operand) -> None:
    """Doublewords of source in any order (Vol. 2B “PSHUFD”)."""
    check_sse(cpu)
    low, high = source.read_halves()
    by = u64(order.read())
    destination.write_halves(
        pick32(low, high, by) | (pick32(low, high, by >> 2) << 32),
        pick32(low, high, by >> 4) | (pick32(low, high, by >> 6) << 32),
    )


@instruction("PSHUFLW", Form("F2 0F 70 /r ib", "xmm, xmm/m128, imm8"))
def pshuflw(cpu: Cpu, destination: XmmOperand, source: Vector, order: Operand) -> None:
    """Low words of source in any order, the high half as it is (Vol. 2B “PSHUFLW”)."""
    check_sse(cpu)
    low, high = source.read_halves()
    destination.write_halves(shuffle_words(low, u64(order.read())), high)


@instruction("PSHUFHW", Form("F3 0F 70 /r ib", "xmm, xmm/m128, imm8"))
def pshufhw(cpu: Cpu, destination: XmmOperand, source: Vector, order: Operand) -> None:
    """High words of source in any order, the low half as it is (Vol. 2B “PSHUFHW”)."""
    check_sse(cpu)
    low, high = source.read_halves()
    destination.write_halves(low, shuffle_words(high, u64(order.read())))


@instruction("SHUFPS", Form("NP 0F C6 /r ib", "xmm, xmm/m128, imm8"))
def shufps(cpu: Cpu, destination: XmmOperand, source: Vector, order: Operand) -> None:
    """Two singles of destination, then two of source (Vol. 2B “SHUFPS”)."""
    check_sse(cpu)
    low, high = source.read_halves()
    by = u64(order.read())
    own_low = destination.read_low()
    own_high = destination.read_high()
    destination.write_halves(
        pick32(own_low, own_high, by) | (pick32(own_low, own_high, by >> 2) << 32),
        pick32(low, high, by >> 4) | (pick32(low, high, by >> 6) << 32),
    )


@instruction("SHUFPD", Form("66 0F C6 /r ib", "xmm, xmm/m128, imm8"))
def shufpd(cpu: Cpu, destination: XmmOperand, source: Vector, order: Operand) -> None:
    """One double of destination, then one of source (Vol. 2B “SHUFPD”)."""
    check_sse(cpu)
    low, high = source.read_halves()
    by = order.read()
    first = destination.read_low() if by & 1 == 0 else destination.read_high()
    destination.write_halves(first, low if by & 2 == 0 else high)


@microcode
def interleave(kind: IntType, left: u64, right: u64, start: int) -> u64:
    """Elements of two halves from bit `start` on, alternating."""
    result = u64(0)
    for index in range(32 // kind.bits):
        place = start + index * kind.bits
        result = result | (u64(kind(left >> place)) << (2 * index * kind.bits))
        result = result | (u64(kind(right >> place)) << ((2 * index + 1) * kind.bits))
    return result


@inline
def unpack_low(cpu: Cpu, destination: Register, source: Source, kind: IntType) -> None:
    """Interleave the low halves."""
    check_vector(cpu, destination)
    if isinstance(destination, MmxOperand):
        destination.write_low(interleave(kind, destination.read_low(), source.read_low(), 0))
        return
    low, _ = source.read_halves()
    own = destination.read_low()
    if kind.bits == 64:
        destination.write_halves(own, low)
    else:
        destination.write_halves(interleave(kind, own, low, 0), interleave(kind, own, low, 32))


@inline
def unpack_high(cpu: Cpu, destination: Register, source: Source, kind: IntType) -> None:
    """Interleave the high halves."""
    check_vector(cpu, destination)
    if isinstance(destination, MmxOperand):
        destination.write_low(interleave(kind, destination.read_low(), source.read_low(), 32))
        return
    _, high = source.read_halves()
    own = destination.read_high()
    if kind.bits == 64:
        destination.write_halves(own, high)
    else:
        destination.write_halves(interleave(kind, own, high, 0), interleave(kind, own, high, 32))


@packed("PUNPCKLBW", "60", "mm/m32")
def punpcklbw(cpu: Cpu, destination: Register, source: Source) -> None:
    """Low bytes interleaved (Vol. 2B “PUNPCKLBW/PUNPCKLWD/PUNPCKLDQ/PUNPCKLQDQ”)."""
    unpack_low(cpu, destination, source, BYTE)


@packed("PUNPCKLWD", "61", "mm/m32")
def punpcklwd(cpu: Cpu, destination: Register, source: Source) -> None:
    """Low words interleaved."""
    unpack_low(cpu, destination, source, WORD)


@packed("PUNPCKLDQ", "62", "mm/m32")
def punpckldq(cpu: Cpu, destination: Register, source: Source) -> None:
    """Low doublewords interleaved."""
    unpack_low(cpu, destination, source, DOUBLEWORD)


@packed("PUNPCKHBW", "68")
def punpckhbw(cpu: Cpu, destination: Register, source: Source) -> None:
    """High bytes interleaved (Vol. 2B “PUNPCKHBW/PUNPCKHWD/PUNPCKHDQ/PUNPCKHQDQ”)."""
    unpack_high(cpu, destination, source, BYTE)


@packed("PUNPCKHWD", "69")
def punpckhwd(cpu: Cpu, destination: Register, source: Source) -> None:
    """High words interleaved."""
    unpack_high(cpu, destination, source, WORD)


@packed("PUNPCKHDQ", "6A")
def punpckhdq(cpu: Cpu, destination: Register, source: Source) -> None:
    """High doublewords interleaved."""
    unpack_high(cpu, destination, source, DOUBLEWORD)


@instruction("PUNPCKLQDQ", Form("66 0F 6C /r", "xmm, xmm/m128"))
def punpcklqdq(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Low quadwords side by side."""
    unpack_low(cpu, destination, source, QUADWORD)


@instruction("PUNPCKHQDQ", Form("66 0F 6D /r", "xmm, xmm/m128"))
def punpckhqdq(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """High quadwords side by side."""
    unpack_high(cpu, destination, source, QUADWORD)


@instruction("UNPCKLPS", Form("NP 0F 14 /r", "xmm, xmm/m128"))
def unpcklps(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Low singles interleaved (Vol. 2D “UNPCKLPS”)."""
    unpack_low(cpu, destination, source, DOUBLEWORD)


@instruction("UNPCKHPS", Form("NP 0F 15 /r", "xmm, xmm/m128"))
def unpckhps(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """High singles interleaved (Vol. 2D “UNPCKHPS”)."""
    unpack_high(cpu, destination, source, DOUBLEWORD)


@instruction("UNPCKLPD", Form("66 0F 14 /r", "xmm, xmm/m128"))
def unpcklpd(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Low doubles side by side (Vol. 2D “UNPCKLPD”)."""
    unpack_low(cpu, destination, source, QUADWORD)


@instruction("UNPCKHPD", Form("66 0F 15 /r", "xmm, xmm/m128"))
def unpckhpd(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """High doubles side by side (Vol. 2D “UNPCKHPD”)."""
    unpack_high(cpu, destination, source, QUADWORD)


@microcode
def narrow_half(kind: IntType, half: u64, lowest: int, highest: int) -> u64:
    """Signed elements of twice the width of `kind`, clamped and packed into the low part of a u64."""
    result = u64(0)
    wide = kind.signed.double
    for index in range(32 // kind.bits):
        element = wide(wide.unsigned(half >> (2 * index * kind.bits)))
        result = result | (u64(kind(clamp(element, lowest, highest))) << (index * kind.bits))
    return result


@inline
def pack(cpu: Cpu, destination: Register, source: Source, kind: IntType, lowest: int, highest: int) -> None:
    """Elements of destination, then of source, in half the width with saturation."""
    check_vector(cpu, destination)
    if isinstance(destination, MmxOperand):
        upper = narrow_half(kind, source.read_low(), lowest, highest)
        destination.write_low(narrow_half(kind, destination.read_low(), lowest, highest) | (upper << 32))
        return
    low, high = source.read_halves()
    own = narrow_half(kind, destination.read_low(), lowest, highest)
    own = own | (narrow_half(kind, destination.read_high(), lowest, highest) << 32)
    other = narrow_half(kind, low, lowest, highest) | (narrow_half(kind, high, lowest, highest) << 32)
    destination.write_halves(own, other)


@packed("PACKSSWB", "63")
def packsswb(cpu: Cpu, destination: Register, source: Source) -> None:
    """Words into signed bytes (Vol. 2B “PACKSSWB/PACKSSDW”)."""
    pack(cpu, destination, source, BYTE, -0x80, 0x7F)


@packed("PACKUSWB", "67")
def packuswb(cpu: Cpu, destination: Register, source: Source) -> None:
    """Words into unsigned bytes (Vol. 2B “PACKUSWB”)."""
    pack(cpu, destination, source, BYTE, 0, 0xFF)


@packed("PACKSSDW", "6B")
def packssdw(cpu: Cpu, destination: Register, source: Source) -> None:
    """Doublewords into signed words."""
    pack(cpu, destination, source, WORD, -0x8000, 0x7FFF)


@inline
def with_word(half: int, value: int, index: int) -> int:
    """A half with one of its four words replaced; the low two bits of `index` (a u64) say which."""
    place = (index & 3) << 4
    return (half & ~(u64(0xFFFF) << place)) | (value << place)


@inline
def word_of(half: int, index: int) -> int:
    """One of the four words of a half, as u32."""
    return u32(u16(half >> ((index & 3) << 4)))


@instruction("PINSRW", Form("66 0F C4 /r ib", "xmm, r/m16, imm8"))
def pinsrw(cpu: Cpu, destination: XmmOperand, source: Operand, index: Operand) -> None:
    """Replace one word (Vol. 2B “PINSRW—Insert Word”)."""
    check_sse(cpu)
    value = u64(source.read())
    at = u64(index.read())
    if at & 4 == 0:
        destination.write_low(with_word(destination.read_low(), value, at))
    else:
        destination.write_high(with_word(destination.read_high(), value, at))


@instruction("PEXTRW", Form("66 0F C5 /r ib", "r32, xmmrm, imm8"))
def pextrw(cpu: Cpu, destination: Operand, source: XmmOperand, index: Operand) -> None:
    """One word, zero-extended (Vol. 2B “PEXTRW—Extract Word”)."""
    check_sse(cpu)
    half = source.read_low() if index.read() & 4 == 0 else source.read_high()
    destination.write(word_of(half, u64(index.read())))
