"""Moves between XMM registers, general registers and memory (Vol. 1 §10.4.1.1 “SSE Data Movement Instructions”)."""

from __future__ import annotations

from vmxon.isa.operands import MemoryOperand, Operand, XmmOperand, check_alignment
from vmxon.isa.record import Record
from vmxon.isa.sse.lanes import Vector
from vmxon.isa.table import Form, instruction
from vmxon.microcode import inline, load, store, u32, u64
from vmxon.processor.memory import fast_segment_linear, modifiable
from vmxon.processor.simd import LOW_SINGLE, check_sse
from vmxon.processor.state import ProcessorState as Cpu


@inline
def move_whole(cpu: Cpu, destination: Vector, source: Vector) -> None:
    """destination := source, 128 bits."""
    check_sse(cpu)
    low, high = source.read_halves()
    destination.write_halves(low, high)


@instruction("MOVAPS", Form("NP 0F 28 /r", "xmm, xmm/m128"), Form("NP 0F 29 /r", "xmm/m128, xmm"))
def movaps(cpu: Cpu, destination: Vector, source: Vector) -> None:
    """destination := source, aligned (Vol. 2B “MOVAPS”)."""
    move_whole(cpu, destination, source)


@instruction("MOVAPD", Form("66 0F 28 /r", "xmm, xmm/m128"), Form("66 0F 29 /r", "xmm/m128, xmm"))
def movapd(cpu: Cpu, destination: Vector, source: Vector) -> None:
    """destination := source, aligned (Vol. 2B “MOVAPD”)."""
    move_whole(cpu, destination, source)


@instruction("MOVDQA", Form("66 0F 6F /r", "xmm, xmm/m128"), Form("66 0F 7F /r", "xmm/m128, xmm"))
def movdqa(cpu: Cpu, destination: Vector, source: Vector) -> None:
    """destination := source, aligned (Vol. 2B “MOVDQA”)."""
    move_whole(cpu, destination, source)


@instruction(
    "MOVUPS",
    Form("NP 0F 10 /r", "xmm, xmm/m128", unaligned=True),
    Form("NP 0F 11 /r", "xmm/m128, xmm", unaligned=True),
)
def movups(cpu: Cpu, destination: Vector, source: Vector) -> None:
    """destination := source (Vol. 2B “MOVUPS”)."""
    move_whole(cpu, destination, source)


@instruction(
    "MOVUPD",
    Form("66 0F 10 /r", "xmm, xmm/m128", unaligned=True),
    Form("66 0F 11 /r", "xmm/m128, xmm", unaligned=True),
)
def movupd(cpu: Cpu, destination: Vector, source: Vector) -> None:
    """destination := source (Vol. 2B “MOVUPD”)."""
    move_whole(cpu, destination, source)


@instruction(
    "MOVDQU",
    Form("F3 0F 6F /r", "xmm, xmm/m128", unaligned=True),
    Form("F3 0F 7F /r", "xmm/m128, xmm", unaligned=True),
)
def movdqu(cpu: Cpu, destination: Vector, source: Vector) -> None:
    """destination := source (Vol. 2B “MOVDQU”)."""
    move_whole(cpu, destination, source)


@instruction("MOVSS", Form("F3 0F 10 /r", "xmm, xmm/m32"), Form("F3 0F 11 /r", "xmm/m32, xmm"))
def movss(cpu: Cpu, destination: Vector, source: Vector) -> None:
    """One single: a load clears the rest of the register, a move between registers keeps it (Vol. 2B “MOVSS”)."""
    check_sse(cpu)
    value = source.read_low()
    if destination.is_memory:
        destination.write_low(value)
    elif source.is_memory:
        destination.write_halves(value, u64(0))
    else:
        destination.write_low((destination.read_low() & ~u64(LOW_SINGLE)) | (value & LOW_SINGLE))


@instruction("MOVSD XMM", Form("F2 0F 10 /r", "xmm, xmm/m64"), Form("F2 0F 11 /r", "xmm/m64, xmm"))
def movsd(cpu: Cpu, destination: Vector, source: Vector) -> None:
    """One double: a load clears the rest of the register, a move between registers keeps it (Vol. 2B “MOVSD”)."""
    check_sse(cpu)
    value = source.read_low()
    if source.is_memory:
        destination.write_halves(value, u64(0))
    else:
        destination.write_low(value)


@instruction("MOVQ", Form("F3 0F 7E /r", "xmm, xmm/m64"), Form("66 0F D6 /r", "xmm/m64, xmm"))
def movq(cpu: Cpu, destination: Vector, source: Vector) -> None:
    """64 bits; the rest of a destination register becomes 0 (Vol. 2B “MOVQ”)."""
    check_sse(cpu)
    value = source.read_low()
    if destination.is_memory:
        destination.write_low(value)
    else:
        destination.write_halves(value, u64(0))


@instruction("MOVD", Form("66 0F 6E /r", "xmm, r/m32/64"))
def movd(cpu: Cpu, destination: XmmOperand, source: Operand) -> None:
    """A general register or memory into an XMM register, zero-extended (Vol. 2B “MOVD/MOVQ”)."""
    check_sse(cpu)
    destination.write_halves(u64(source.read()), u64(0))


@instruction("MOVD from XMM", Form("66 0F 7E /r", "r/m32/64, xmm"))
def movd_from_xmm(cpu: Cpu, destination: Operand, source: XmmOperand) -> None:
    """The low 32 or 64 bits of an XMM register into a general register or memory."""
    check_sse(cpu)
    destination.write(destination.kind(source.read_low()))


@instruction("MOVHLPS", Form("NP 0F 12 /r", "xmm, xmmrm"))
def movhlps(cpu: Cpu, destination: XmmOperand, source: XmmOperand) -> None:
    """Low half := high half of source (Vol. 2B “MOVHLPS”)."""
    check_sse(cpu)
    destination.write_low(source.read_high())


@instruction("MOVLHPS", Form("NP 0F 16 /r", "xmm, xmmrm"))
def movlhps(cpu: Cpu, destination: XmmOperand, source: XmmOperand) -> None:
    """High half := low half of source (Vol. 2B “MOVLHPS”)."""
    check_sse(cpu)
    destination.write_high(source.read_low())


@instruction("MOVLPS", Form("NP 0F 12 /r", "xmm, m64"), Form("66 0F 12 /r", "xmm, m64"))
def movlps(cpu: Cpu, destination: XmmOperand, source: Operand) -> None:
    """Low half := memory: MOVLPS and MOVLPD (Vol. 2B “MOVLPS”)."""
    check_sse(cpu)
    destination.write_low(source.read())


@instruction("MOVLPS to memory", Form("NP 0F 13 /r", "m64, xmm"), Form("66 0F 13 /r", "m64, xmm"))
def movlps_to_memory(cpu: Cpu, destination: Operand, source: XmmOperand) -> None:
    """Memory := low half."""
    check_sse(cpu)
    destination.write(source.read_low())


@instruction("MOVHPS", Form("NP 0F 16 /r", "xmm, m64"), Form("66 0F 16 /r", "xmm, m64"))
def movhps(cpu: Cpu, destination: XmmOperand, source: Operand) -> None:
    """High half := memory: MOVHPS and MOVHPD (Vol. 2B “MOVHPS”)."""
    check_sse(cpu)
    destination.write_high(source.read())


@instruction("MOVHPS to memory", Form("NP 0F 17 /r", "m64, xmm"), Form("66 0F 17 /r", "m64, xmm"))
def movhps_to_memory(cpu: Cpu, destination: Operand, source: XmmOperand) -> None:
    """Memory := high half."""
    check_sse(cpu)
    destination.write(source.read_high())


@instruction("MOVMSKPS", Form("NP 0F 50 /r", "r32, xmmrm"))
def movmskps(cpu: Cpu, destination: Operand, source: XmmOperand) -> None:
    """The signs of four singles (Vol. 2B “MOVMSKPS”)."""
    check_sse(cpu)
    low = source.read_low()
    high = source.read_high()
    signs = ((low >> 31) & 1) | ((low >> 62) & 2) | ((high >> 29) & 4) | ((high >> 60) & 8)
    destination.write(u32(signs))


@instruction("MOVMSKPD", Form("66 0F 50 /r", "r32, xmmrm"))
def movmskpd(cpu: Cpu, destination: Operand, source: XmmOperand) -> None:
    """The signs of two doubles (Vol. 2B “MOVMSKPD”)."""
    check_sse(cpu)
    destination.write(u32((source.read_low() >> 63) | ((source.read_high() >> 62) & 2)))


@inline
def byte_signs(half: int) -> int:
    """Bit 7 of each byte, gathered into eight bits."""
    # Each sign bit lands once in the top byte of the product; no two partial products meet.
    return (((half >> 7) & 0x0101_0101_0101_0101) * 0x0102_0408_1020_4080) >> 56


@instruction("PMOVMSKB", Form("66 0F D7 /r", "r32, xmmrm"))
def pmovmskb(cpu: Cpu, destination: Operand, source: XmmOperand) -> None:
    """The signs of sixteen bytes (Vol. 2B “PMOVMSKB”)."""
    check_sse(cpu)
    destination.write(u32(byte_signs(source.read_low()) | (byte_signs(source.read_high()) << 8)))


@instruction("MOVNTDQ", Form("66 0F E7 /r", "m128, xmm"), Form("NP 0F 2B /r", "m128, xmm"), Form("66 0F 2B /r", "m128, xmm"))
def movntdq(cpu: Cpu, destination: MemoryOperand, source: XmmOperand) -> None:
    """Memory := register, aligned, with a non-temporal hint: MOVNTDQ, MOVNTPS, MOVNTPD (Vol. 2B “MOVNTDQ”)."""
    check_sse(cpu)
    check_alignment(cpu, destination.linear(16, True), 16)
    destination.write_halves(source.read_low(), source.read_high())


@instruction("MOVNTI", Form("NP 0F C3 /r", "m32, r32"))
def movnti(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """Memory := general register, with a non-temporal hint; no SSE state is touched (Vol. 2B “MOVNTI”)."""
    destination.write(source.read())


@instruction("MOVNTI 64", Form("NP REX.W 0F C3 /r", "m64, r64", modes="64"))
def movnti_64(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """The same for 64 bits."""
    destination.write(source.read())


RDI = 7


@instruction("MASKMOVDQU", Form("66 0F F7 /r", "xmm, xmmrm"))
def maskmovdqu(cpu: Cpu, source: XmmOperand, mask: XmmOperand, record: Record) -> None:
    """[DS:rDI] := the bytes of source whose mask byte has bit 7 set (Vol. 2B “MASKMOVDQU”)."""
    check_sse(cpu)
    offset = cpu.gpr[RDI] & (u64(0xFFFF_FFFF_FFFF_FFFF) >> record.address_shift)
    linear = fast_segment_linear(cpu, record.segment, offset, 16, True)
    pointer = modifiable(cpu, linear, 16, record.segment)
    store_masked(pointer, source.read_low(), mask.read_low())
    store_masked(pointer + 8, source.read_high(), mask.read_high())


@inline
def store_masked(pointer: int, value: int, mask: int) -> None:
    """Replace the bytes of a u64 in memory that the mask selects."""
    # Bit 7 of each byte becomes a byte of ones.
    chosen = ((mask >> 7) & 0x0101_0101_0101_0101) * 0xFF
    store(u64, pointer, (load(u64, pointer) & ~chosen) | (value & chosen))
