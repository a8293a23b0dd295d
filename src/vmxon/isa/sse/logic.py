"""Bitwise logic and shifts on XMM registers (Vol. 1 §11.4.1.2 “SSE2 Logical Instructions”)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from vmxon.isa.operands import ImmediateOperand, MmxOperand, Operand, XmmOperand
from vmxon.isa.sse.lanes import DOUBLEWORD, QUADWORD, WORD, Lane, Named, Register, Source, Vector, check_vector, halves
from vmxon.isa.sse.packed_arithmetic import packed
from vmxon.isa.table import Form, instruction
from vmxon.microcode import IntType, inline, microcode, u64
from vmxon.processor.simd import check_sse
from vmxon.processor.state import ProcessorState as Cpu

F = TypeVar("F", bound=Callable[..., None])


@inline
def bit_and(left: int, right: int) -> int:
    """left & right."""
    return left & right


@inline
def bit_and_not(left: int, right: int) -> int:
    """~left & right."""
    return ~left & right


@inline
def bit_or(left: int, right: int) -> int:
    """left | right."""
    return left | right


@inline
def bit_xor(left: int, right: int) -> int:
    """left ^ right."""
    return left ^ right


@instruction("ANDPS", Form("NP 0F 54 /r", "xmm, xmm/m128"))
def andps(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """destination := destination & source."""
    halves(cpu, destination, source, bit_and)


@instruction("ANDPD", Form("66 0F 54 /r", "xmm, xmm/m128"))
def andpd(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """destination := destination & source."""
    halves(cpu, destination, source, bit_and)


@packed("PAND", "DB")
def pand(cpu: Cpu, destination: Register, source: Source) -> None:
    """destination := destination & source."""
    halves(cpu, destination, source, bit_and)


@instruction("ANDNPS", Form("NP 0F 55 /r", "xmm, xmm/m128"))
def andnps(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """destination := ~destination & source."""
    halves(cpu, destination, source, bit_and_not)


@instruction("ANDNPD", Form("66 0F 55 /r", "xmm, xmm/m128"))
def andnpd(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """destination := ~destination & source."""
    halves(cpu, destination, source, bit_and_not)


@packed("PANDN", "DF")
def pandn(cpu: Cpu, destination: Register, source: Source) -> None:
    """destination := ~destination & source."""
    halves(cpu, destination, source, bit_and_not)


@instruction("ORPS", Form("NP 0F 56 /r", "xmm, xmm/m128"))
def orps(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """destination := destination | source."""
    halves(cpu, destination, source, bit_or)


@instruction("ORPD", Form("66 0F 56 /r", "xmm, xmm/m128"))
def orpd(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """destination := destination | source."""
    halves(cpu, destination, source, bit_or)


@packed("POR", "EB")
def por(cpu: Cpu, destination: Register, source: Source) -> None:
    """destination := destination | source."""
    halves(cpu, destination, source, bit_or)


@instruction("XORPS", Form("NP 0F 57 /r", "xmm, xmm/m128"))
def xorps(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """destination := destination ^ source."""
    halves(cpu, destination, source, bit_xor)


@instruction("XORPD", Form("66 0F 57 /r", "xmm, xmm/m128"))
def xorpd(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """destination := destination ^ source."""
    halves(cpu, destination, source, bit_xor)


@packed("PXOR", "EF")
def pxor(cpu: Cpu, destination: Register, source: Source) -> None:
    """destination := destination ^ source."""
    halves(cpu, destination, source, bit_xor)


# Shifts. The count is the whole low half of the source, or the immediate; a count beyond the element clears it.


@inline
def shift_left(kind: IntType, value: int, count: int) -> int:
    """value · 2^count, count a u64."""
    return kind(0) if count >= kind.bits else value << kind(count)


@inline
def shift_right(kind: IntType, value: int, count: int) -> int:
    """value / 2^count."""
    return kind(0) if count >= kind.bits else value >> kind(count)


@inline
def shift_right_signed(kind: IntType, value: int, count: int) -> int:
    """The same with copies of the sign; a count beyond the element is one less than its width."""
    limited = u64(kind.bits - 1) if count >= kind.bits else count
    return kind(kind.signed(value) >> kind.signed(limited))


@microcode
def shift_half(kind: IntType, named: Named, half: u64, count: u64) -> u64:
    """Shift each element of a half."""
    result = u64(0)
    for position in range(0, 64, kind.bits):
        result = result | (u64(named.operation(kind, kind(half >> position), count)) << position)
    return result


@inline
def shift(cpu: Cpu, destination: Register, source: ImmediateOperand | Source, kind: IntType, operation: Lane) -> None:
    """Shift all elements by an immediate or by the low half of a vector."""
    check_vector(cpu, destination)
    if isinstance(source, ImmediateOperand):
        count = u64(source.read())
    elif isinstance(destination, MmxOperand):
        count = source.read_low()
    else:
        count, _ = source.read_halves()
    low = shift_half(kind, Named(operation), destination.read_low(), count)
    if isinstance(destination, MmxOperand):
        destination.write_low(low)
    else:
        destination.write_halves(low, shift_half(kind, Named(operation), destination.read_high(), count))


def shifting(mnemonic: str, opcode: str, immediate: str) -> Callable[[F], F]:
    """The forms of a shift: by a vector and by an immediate, of XMM and of MMX registers."""
    of_xmm = instruction(mnemonic, Form(f"66 0F {opcode} /r", "xmm, xmm/m128"), Form(f"66 0F {immediate} ib", "xmm, imm8"))
    mmx_forms = Form(f"NP 0F {opcode} /r", "mm, mm/m64"), Form(f"NP 0F {immediate} ib", "mm, imm8")
    of_mmx = instruction(f"{mnemonic} MMX", *mmx_forms, feature="mmx")
    return lambda meaning: of_mmx(of_xmm(meaning))


@shifting("PSLLW", "F1", "71 /6")
def psllw(cpu: Cpu, destination: Register, source: ImmediateOperand | Source) -> None:
    """Words shifted left (Vol. 2B “PSLLW/PSLLD/PSLLQ”)."""
    shift(cpu, destination, source, WORD, shift_left)


@shifting("PSLLD", "F2", "72 /6")
def pslld(cpu: Cpu, destination: Register, source: ImmediateOperand | Source) -> None:
    """Doublewords shifted left."""
    shift(cpu, destination, source, DOUBLEWORD, shift_left)


@shifting("PSLLQ", "F3", "73 /6")
def psllq(cpu: Cpu, destination: Register, source: ImmediateOperand | Source) -> None:
    """Quadwords shifted left."""
    shift(cpu, destination, source, QUADWORD, shift_left)


@shifting("PSRLW", "D1", "71 /2")
def psrlw(cpu: Cpu, destination: Register, source: ImmediateOperand | Source) -> None:
    """Words shifted right (Vol. 2B “PSRLW/PSRLD/PSRLQ”)."""
    shift(cpu, destination, source, WORD, shift_right)


@shifting("PSRLD", "D2", "72 /2")
def psrld(cpu: Cpu, destination: Register, source: ImmediateOperand | Source) -> None:
    """Doublewords shifted right."""
    shift(cpu, destination, source, DOUBLEWORD, shift_right)


@shifting("PSRLQ", "D3", "73 /2")
def psrlq(cpu: Cpu, destination: Register, source: ImmediateOperand | Source) -> None:
    """Quadwords shifted right."""
    shift(cpu, destination, source, QUADWORD, shift_right)


@shifting("PSRAW", "E1", "71 /4")
def psraw(cpu: Cpu, destination: Register, source: ImmediateOperand | Source) -> None:
    """Words shifted right with their signs (Vol. 2B “PSRAW/PSRAD/PSRAQ”)."""
    shift(cpu, destination, source, WORD, shift_right_signed)


@shifting("PSRAD", "E2", "72 /4")
def psrad(cpu: Cpu, destination: Register, source: ImmediateOperand | Source) -> None:
    """Doublewords shifted right with their signs."""
    shift(cpu, destination, source, DOUBLEWORD, shift_right_signed)


@instruction("PSLLDQ", Form("66 0F 73 /7 ib", "xmm, imm8"))
def pslldq(cpu: Cpu, destination: XmmOperand, count: Operand) -> None:
    """The whole register shifted left by bytes (Vol. 2B “PSLLDQ—Shift Double Quadword Left Logical”)."""
    check_sse(cpu)
    low = destination.read_low()
    high = destination.read_high()
    bits = u64(count.read()) << 3
    rest = bits - 64
    new_low = shift_left(QUADWORD, low, bits)
    across = shift_left(QUADWORD, low, rest) if bits >= 64 else shift_right(QUADWORD, low, u64(64) - bits)
    destination.write_halves(new_low, shift_left(QUADWORD, high, bits) | across)


@instruction("PSRLDQ", Form("66 0F 73 /3 ib", "xmm, imm8"))
def psrldq(cpu: Cpu, destination: XmmOperand, count: Operand) -> None:
    """The whole register shifted right by bytes (Vol. 2B “PSRLDQ—Shift Double Quadword Right Logical”)."""
    check_sse(cpu)
    low = destination.read_low()
    high = destination.read_high()
    bits = u64(count.read()) << 3
    rest = bits - 64
    new_high = shift_right(QUADWORD, high, bits)
    across = shift_right(QUADWORD, high, rest) if bits >= 64 else shift_left(QUADWORD, high, u64(64) - bits)
    destination.write_halves(shift_right(QUADWORD, low, bits) | across, new_high)
