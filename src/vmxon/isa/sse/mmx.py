"""What only MMX registers have, and what joins them to general and XMM registers (Vol. 1 ch. 9, §10.4.4, §11.4.2).

Instructions that exist for both kinds of registers are declared beside their XMM forms.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from vmxon.isa.operands import MemoryOperand, MmxOperand, Operand, XmmOperand
from vmxon.isa.record import Record
from vmxon.isa.sse.moves import RDI, byte_signs, store_masked
from vmxon.isa.sse.shuffle import shuffle_words, with_word, word_of
from vmxon.isa.table import Form, instruction
from vmxon.microcode import inline, u16, u32, u64
from vmxon.processor.floating.formats import DOUBLE, SINGLE, Format
from vmxon.processor.memory import fast_segment_linear, modifiable
from vmxon.processor.mmx import check_mmx, enter_mmx
from vmxon.processor.simd import check_sse
from vmxon.processor.simd_convert import doubles_to_integers, integer_pair_to_singles, integers_to_doubles, single_pair_to_integers
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.x87.registers import check_available, check_pending

F = TypeVar("F", bound=Callable[..., None])
MmxSource = MmxOperand | MemoryOperand


def mmx(mnemonic: str, *forms: Form) -> Callable[[F], F]:
    """An instruction of MMX registers."""
    return instruction(mnemonic, *forms, feature="mmx")


@mmx("EMMS", Form("NP 0F 77"))
def emms(cpu: Cpu) -> None:
    """Tag all registers empty, for x87 code to follow (Vol. 2A “EMMS—Empty MMX Technology State”)."""
    check_mmx(cpu)
    cpu.x87_top = u32(0)
    cpu.x87_tag = u16(0)


@mmx("MOVQ MMX", Form("NP 0F 6F /r", "mm, mm/m64"), Form("NP 0F 7F /r", "mm/m64, mm"))
def movq_mmx(cpu: Cpu, destination: MmxSource, source: MmxSource) -> None:
    """64 bits between MMX registers and memory (Vol. 2B “MOVQ—Move Quadword”)."""
    check_mmx(cpu)
    destination.write_low(source.read_low())
    enter_mmx(cpu)


@mmx("MOVD MMX", Form("NP 0F 6E /r", "mm, r/m32/64"))
def movd_mmx(cpu: Cpu, destination: MmxOperand, source: Operand) -> None:
    """A general register or memory into an MMX register, zero-extended (Vol. 2B “MOVD/MOVQ”)."""
    check_mmx(cpu)
    destination.write_low(u64(source.read()))


@mmx("MOVD from MMX", Form("NP 0F 7E /r", "r/m32/64, mm"))
def movd_from_mmx(cpu: Cpu, destination: Operand, source: MmxOperand) -> None:
    """The low 32 or all 64 bits of an MMX register into a general register or memory."""
    check_mmx(cpu)
    destination.write(destination.kind(source.read_low()))
    enter_mmx(cpu)


@mmx("MOVNTQ", Form("NP 0F E7 /r", "m64, mm"))
def movntq(cpu: Cpu, destination: MemoryOperand, source: MmxOperand) -> None:
    """Memory := MMX register, with a non-temporal hint (Vol. 2B “MOVNTQ”)."""
    check_mmx(cpu)
    destination.write(source.read_low())
    enter_mmx(cpu)


@mmx("MASKMOVQ", Form("NP 0F F7 /r", "mm, mmrm"))
def maskmovq(cpu: Cpu, source: MmxOperand, mask: MmxOperand, record: Record) -> None:
    """[DS:rDI] := the bytes of source whose mask byte has bit 7 set (Vol. 2B “MASKMOVQ”)."""
    check_mmx(cpu)
    offset = cpu.gpr[RDI] & (u64(0xFFFF_FFFF_FFFF_FFFF) >> record.address_shift)
    linear = fast_segment_linear(cpu, record.segment, offset, 8, True)
    store_masked(modifiable(cpu, linear, 8, record.segment), source.read_low(), mask.read_low())
    enter_mmx(cpu)


@mmx("PMOVMSKB MMX", Form("NP 0F D7 /r", "r32, mmrm"))
def pmovmskb_mmx(cpu: Cpu, destination: Operand, source: MmxOperand) -> None:
    """The signs of eight bytes (Vol. 2B “PMOVMSKB”)."""
    check_mmx(cpu)
    destination.write(u32(byte_signs(source.read_low())))
    enter_mmx(cpu)


@mmx("PSHUFW", Form("NP 0F 70 /r ib", "mm, mm/m64, imm8"))
def pshufw(cpu: Cpu, destination: MmxOperand, source: MmxSource, order: Operand) -> None:
    """Words of source in any order (Vol. 2B “PSHUFW—Shuffle Packed Words”)."""
    check_mmx(cpu)
    destination.write_low(shuffle_words(source.read_low(), u64(order.read())))


@mmx("PINSRW MMX", Form("NP 0F C4 /r ib", "mm, r/m16, imm8"))
def pinsrw_mmx(cpu: Cpu, destination: MmxOperand, source: Operand, index: Operand) -> None:
    """Replace one word (Vol. 2B “PINSRW—Insert Word”)."""
    check_mmx(cpu)
    value = u64(source.read())
    destination.write_low(with_word(destination.read_low(), value, u64(index.read())))


@mmx("PEXTRW MMX", Form("NP 0F C5 /r ib", "r32, mmrm, imm8"))
def pextrw_mmx(cpu: Cpu, destination: Operand, source: MmxOperand, index: Operand) -> None:
    """One word, zero-extended (Vol. 2B “PEXTRW—Extract Word”)."""
    check_mmx(cpu)
    destination.write(word_of(source.read_low(), u64(index.read())))
    enter_mmx(cpu)


@mmx("MOVDQ2Q", Form("F2 0F D6 /r", "mm, xmmrm"))
def movdq2q(cpu: Cpu, destination: MmxOperand, source: XmmOperand) -> None:
    """MMX register := low half of an XMM register (Vol. 2B “MOVDQ2Q”)."""
    check_mixed(cpu)
    destination.write_low(source.read_low())


@mmx("MOVQ2DQ", Form("F3 0F D6 /r", "xmm, mmrm"))
def movq2dq(cpu: Cpu, destination: XmmOperand, source: MmxOperand) -> None:
    """XMM register := MMX register, zero-extended (Vol. 2B “MOVQ2DQ”)."""
    check_mixed(cpu)
    destination.write_halves(source.read_low(), u64(0))
    enter_mmx(cpu)


# Conversions between packed integers in MMX registers and singles or doubles in XMM registers.


@inline
def check_mixed(cpu: Cpu) -> None:
    """Both kinds of registers are used: the exceptions of SSE, then #MF (Vol. 2A Table 2-15 and its neighbours)."""
    check_sse(cpu)
    check_available(cpu)
    check_pending(cpu)


@mmx("CVTPI2PS", Form("NP 0F 2A /r", "xmm, mm/m64"))
def cvtpi2ps(cpu: Cpu, destination: XmmOperand, source: MmxSource) -> None:
    """Two signed doublewords as singles in the low half (Vol. 2A “CVTPI2PS”)."""
    check_mixed(cpu)
    destination.write_low(integer_pair_to_singles(cpu, source.read_low()))
    enter_mmx(cpu)


@mmx("CVTPI2PD", Form("66 0F 2A /r", "xmm, mm/m64"))
def cvtpi2pd(cpu: Cpu, destination: XmmOperand, source: MmxSource) -> None:
    """Two signed doublewords as doubles; from memory it is no MMX instruction (Vol. 2A “CVTPI2PD”)."""
    if source.is_memory:
        check_sse(cpu)
    else:
        check_mixed(cpu)
    low, high = integers_to_doubles(source.read_low())
    destination.write_halves(low, high)
    if not source.is_memory:
        enter_mmx(cpu)


@inline
def to_mmx(cpu: Cpu, destination: MmxOperand, source: XmmOperand | MemoryOperand, of: Format, truncates: int) -> None:
    """MMX register := two signed doublewords."""
    check_mixed(cpu)
    if of.precision == SINGLE.precision:
        destination.write_low(single_pair_to_integers(cpu, truncates, source.read_low()))
    else:
        low, high = source.read_halves()
        destination.write_low(doubles_to_integers(cpu, truncates, low, high))


@mmx("CVTPS2PI", Form("NP 0F 2D /r", "mm, xmm/m64"))
def cvtps2pi(cpu: Cpu, destination: MmxOperand, source: XmmOperand | MemoryOperand) -> None:
    """Two singles as signed doublewords, rounded (Vol. 2A “CVTPS2PI”)."""
    to_mmx(cpu, destination, source, SINGLE, 0)


@mmx("CVTTPS2PI", Form("NP 0F 2C /r", "mm, xmm/m64"))
def cvttps2pi(cpu: Cpu, destination: MmxOperand, source: XmmOperand | MemoryOperand) -> None:
    """Two singles as signed doublewords, truncated (Vol. 2A “CVTTPS2PI”)."""
    to_mmx(cpu, destination, source, SINGLE, 1)


@mmx("CVTPD2PI", Form("66 0F 2D /r", "mm, xmm/m128"))
def cvtpd2pi(cpu: Cpu, destination: MmxOperand, source: XmmOperand | MemoryOperand) -> None:
    """Two doubles as signed doublewords, rounded (Vol. 2A “CVTPD2PI”)."""
    to_mmx(cpu, destination, source, DOUBLE, 0)


@mmx("CVTTPD2PI", Form("66 0F 2C /r", "mm, xmm/m128"))
def cvttpd2pi(cpu: Cpu, destination: MmxOperand, source: XmmOperand | MemoryOperand) -> None:
    """Two doubles as signed doublewords, truncated (Vol. 2A “CVTTPD2PI”)."""
    to_mmx(cpu, destination, source, DOUBLE, 1)
