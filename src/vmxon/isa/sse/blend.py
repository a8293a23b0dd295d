"""Blends, insertions and extractions of SSE4.1 (Vol. 1 §12.8.3, §12.8.8 and §12.8.10)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from vmxon.isa.operands import MemoryOperand, Operand, XmmOperand, check_alignment
from vmxon.isa.sse.lanes import BYTE, DOUBLEWORD, QUADWORD, WORD, Vector
from vmxon.isa.table import Form, instruction
from vmxon.microcode import IntType, inline, microcode, u64
from vmxon.processor.flags import CARRY, ZERO, write_status
from vmxon.processor.simd import LOW_SINGLE, check_sse
from vmxon.processor.state import ProcessorState as Cpu

F = TypeVar("F", bound=Callable[..., None])


def sse4_1(mnemonic: str, opcode: str, *operands: str) -> Callable[[F], F]:
    """An instruction of SSE4.1, with a form for each list of operands."""
    return instruction(mnemonic, *(Form(f"66 0F {opcode}", text) for text in operands), feature="sse4_1")


@microcode
def blend_by_sign(kind: IntType, left: u64, right: u64, mask: u64) -> u64:
    """The elements of right where the mask's element is negative, those of left elsewhere."""
    result = u64(0)
    for position in range(0, 64, kind.bits):
        chosen = right if (mask >> (position + kind.bits - 1)) & 1 != 0 else left
        result = result | (u64(kind(chosen >> position)) << position)
    return result


@inline
def blend_by_register(cpu: Cpu, destination: XmmOperand, source: Vector, kind: IntType) -> None:
    """Choose by the signs in XMM0."""
    check_sse(cpu)
    low, high = source.read_halves()
    mask_low = cpu.xmm[0]
    mask_high = cpu.xmm[1]
    destination.write_halves(
        blend_by_sign(kind, destination.read_low(), low, mask_low), blend_by_sign(kind, destination.read_high(), high, mask_high)
    )


@sse4_1("PBLENDVB", "38 10 /r", "xmm, xmm/m128")
def pblendvb(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Bytes chosen by the signs in XMM0 (Vol. 2B “PBLENDVB”)."""
    blend_by_register(cpu, destination, source, BYTE)


@sse4_1("BLENDVPS", "38 14 /r", "xmm, xmm/m128")
def blendvps(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Singles chosen by the signs in XMM0 (Vol. 2A “BLENDVPS”)."""
    blend_by_register(cpu, destination, source, DOUBLEWORD)


@sse4_1("BLENDVPD", "38 15 /r", "xmm, xmm/m128")
def blendvpd(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Doubles chosen by the signs in XMM0 (Vol. 2A “BLENDVPD”)."""
    blend_by_register(cpu, destination, source, QUADWORD)


@microcode
def blend_by_bits(kind: IntType, left: u64, right: u64, chosen: u64) -> u64:
    """The elements of right where the bit of their number is 1."""
    result = u64(0)
    for index in range(64 // kind.bits):
        half = right if (chosen >> index) & 1 != 0 else left
        result = result | (u64(kind(half >> (index * kind.bits))) << (index * kind.bits))
    return result


@inline
def blend_by_immediate(cpu: Cpu, destination: XmmOperand, source: Vector, order: Operand, kind: IntType) -> None:
    """Choose by the bits of the immediate."""
    check_sse(cpu)
    low, high = source.read_halves()
    by = u64(order.read())
    destination.write_halves(
        blend_by_bits(kind, destination.read_low(), low, by),
        blend_by_bits(kind, destination.read_high(), high, by >> (64 // kind.bits)),
    )


@sse4_1("BLENDPS", "3A 0C /r ib", "xmm, xmm/m128, imm8")
def blendps(cpu: Cpu, destination: XmmOperand, source: Vector, order: Operand) -> None:
    """Singles chosen by the immediate (Vol. 2A “BLENDPS”)."""
    blend_by_immediate(cpu, destination, source, order, DOUBLEWORD)


@sse4_1("BLENDPD", "3A 0D /r ib", "xmm, xmm/m128, imm8")
def blendpd(cpu: Cpu, destination: XmmOperand, source: Vector, order: Operand) -> None:
    """Doubles chosen by the immediate (Vol. 2A “BLENDPD”)."""
    blend_by_immediate(cpu, destination, source, order, QUADWORD)


@sse4_1("PBLENDW", "3A 0E /r ib", "xmm, xmm/m128, imm8")
def pblendw(cpu: Cpu, destination: XmmOperand, source: Vector, order: Operand) -> None:
    """Words chosen by the immediate (Vol. 2B “PBLENDW”)."""
    blend_by_immediate(cpu, destination, source, order, WORD)


@inline
def place_of(kind: IntType, index: int) -> int:
    """The first bit of an element in its half; `index` is a u64."""
    return (index & (64 // kind.bits - 1)) * kind.bits


@inline
def is_upper(kind: IntType, index: int) -> bool:
    """Whether an element is in the upper half."""
    return index & (64 // kind.bits) != 0


@inline
def extract(cpu: Cpu, destination: Operand, source: XmmOperand, index: Operand, kind: IntType) -> None:
    """destination := one element, zero-extended."""
    check_sse(cpu)
    at = u64(index.read())
    half = source.read_high() if is_upper(kind, at) else source.read_low()
    destination.write(destination.kind(kind(half >> place_of(kind, at))))


@sse4_1("PEXTRB", "3A 14 /r ib", "rm32, xmm, imm8", "m8, xmm, imm8")
def pextrb(cpu: Cpu, destination: Operand, source: XmmOperand, index: Operand) -> None:
    """One byte (Vol. 2B “PEXTRB/PEXTRD/PEXTRQ—Extract Byte/Dword/Qword”)."""
    extract(cpu, destination, source, index, BYTE)


@sse4_1("PEXTRW to memory", "3A 15 /r ib", "rm32, xmm, imm8", "m16, xmm, imm8")
def pextrw_to_memory(cpu: Cpu, destination: Operand, source: XmmOperand, index: Operand) -> None:
    """One word (Vol. 2B “PEXTRW—Extract Word”)."""
    extract(cpu, destination, source, index, WORD)


@sse4_1("PEXTRD", "3A 16 /r ib", "r/m32/64, xmm, imm8")
def pextrd(cpu: Cpu, destination: Operand, source: XmmOperand, index: Operand) -> None:
    """One doubleword, or with REX.W one quadword (Vol. 2B “PEXTRB/PEXTRD/PEXTRQ”)."""
    extract(cpu, destination, source, index, destination.kind)


@sse4_1("EXTRACTPS", "3A 17 /r ib", "r/m32, xmm, imm8")
def extractps(cpu: Cpu, destination: Operand, source: XmmOperand, index: Operand) -> None:
    """One single (Vol. 2A “EXTRACTPS”)."""
    extract(cpu, destination, source, index, DOUBLEWORD)


@inline
def insert(cpu: Cpu, destination: XmmOperand, source: Operand, index: Operand, kind: IntType) -> None:
    """One element := source."""
    check_sse(cpu)
    value = u64(kind(source.read()))
    at = u64(index.read())
    keep = ~(u64(kind.mask) << place_of(kind, at))
    if is_upper(kind, at):
        destination.write_high((destination.read_high() & keep) | (value << place_of(kind, at)))
    else:
        destination.write_low((destination.read_low() & keep) | (value << place_of(kind, at)))


@sse4_1("PINSRB", "3A 20 /r ib", "xmm, rm32, imm8", "xmm, m8, imm8")
def pinsrb(cpu: Cpu, destination: XmmOperand, source: Operand, index: Operand) -> None:
    """Replace one byte (Vol. 2B “PINSRB/PINSRD/PINSRQ—Insert Byte/Dword/Qword”)."""
    insert(cpu, destination, source, index, BYTE)


@sse4_1("PINSRD", "3A 22 /r ib", "xmm, r/m32/64, imm8")
def pinsrd(cpu: Cpu, destination: XmmOperand, source: Operand, index: Operand) -> None:
    """Replace one doubleword, or with REX.W one quadword (Vol. 2B “PINSRB/PINSRD/PINSRQ”)."""
    insert(cpu, destination, source, index, source.kind)


@microcode
def insert_single(half: u64, value: u64, place: u64, upper: bool, here: bool) -> u64:
    """A half with one of its singles replaced where `here`."""
    replaced = (half & ~(u64(LOW_SINGLE) << place)) | (value << place)
    return replaced if upper == here else half


@sse4_1("INSERTPS", "3A 21 /r ib", "xmm, xmm/m32, imm8")
def insertps(cpu: Cpu, destination: XmmOperand, source: Vector, order: Operand) -> None:
    """Replace one single (bits 5:4), by one of source (bits 7:6), then clear some (bits 3:0) (Vol. 2A “INSERTPS”)."""
    check_sse(cpu)
    by = u64(order.read())
    value = source.read_low()
    if not isinstance(source, MemoryOperand):
        half = source.read_high() if by & 0x80 != 0 else value
        value = half >> (((by >> 6) & 1) << 5)
    value = value & LOW_SINGLE
    place = ((by >> 4) & 1) << 5
    upper = by & 0x20 != 0
    low = insert_single(destination.read_low(), value, place, upper, False)
    high = insert_single(destination.read_high(), value, place, upper, True)
    destination.write_halves(blend_by_bits(DOUBLEWORD, low, u64(0), by), blend_by_bits(DOUBLEWORD, high, u64(0), by >> 2))


@sse4_1("PTEST", "38 17 /r", "xmm, xmm/m128")
def ptest(cpu: Cpu, left: XmmOperand, right: Vector) -> None:
    """ZF := left & right is 0; CF := ~left & right is 0 (Vol. 2B “PTEST—Logical Compare”)."""
    check_sse(cpu)
    low, high = right.read_halves()
    both = (left.read_low() & low) | (left.read_high() & high)
    only_right = (~left.read_low() & low) | (~left.read_high() & high)
    status = (u64(ZERO) if both == 0 else u64(0)) | (u64(CARRY) if only_right == 0 else u64(0))
    write_status(cpu, status)


@sse4_1("MOVNTDQA", "38 2A /r", "xmm, m128")
def movntdqa(cpu: Cpu, destination: XmmOperand, source: MemoryOperand) -> None:
    """Register := memory, aligned, with a non-temporal hint (Vol. 2B “MOVNTDQA”)."""
    check_sse(cpu)
    check_alignment(cpu, source.linear(16), 16)
    low, high = source.read_halves()
    destination.write_halves(low, high)
