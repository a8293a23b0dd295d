"""Rounding to integers and dot products of SSE4.1 (Vol. 1 §12.8.1 “Dword Multiply …”, §12.8.2 “Floating-Point Dot Product …”)."""

from __future__ import annotations

from vmxon.isa.operands import Operand, XmmOperand
from vmxon.isa.sse.blend import sse4_1
from vmxon.isa.sse.lanes import Vector
from vmxon.microcode import inline, u32
from vmxon.processor.floating.formats import DOUBLE, SINGLE, Format
from vmxon.processor.simd import check_sse
from vmxon.processor.simd_across import dot_doubles, dot_singles, packed_integral, scalar_integral
from vmxon.processor.state import ProcessorState as Cpu


@inline
def round_all(cpu: Cpu, destination: XmmOperand, source: Vector, order: Operand, target: Format) -> None:
    """All elements as integers of the same format."""
    check_sse(cpu)
    low, high = source.read_halves()
    low, high = packed_integral(cpu, target, u32(order.read()), low, high)
    destination.write_halves(low, high)


@inline
def round_first(cpu: Cpu, destination: XmmOperand, source: Vector, order: Operand, target: Format) -> None:
    """The first element as an integer of the same format."""
    check_sse(cpu)
    value = source.read_low()
    destination.write_low(scalar_integral(cpu, target, u32(order.read()), destination.read_low(), value))


@sse4_1("ROUNDPS", "3A 08 /r ib", "xmm, xmm/m128, imm8")
def roundps(cpu: Cpu, destination: XmmOperand, source: Vector, order: Operand) -> None:
    """Four singles rounded to integers (Vol. 2B “ROUNDPS”)."""
    round_all(cpu, destination, source, order, SINGLE)


@sse4_1("ROUNDPD", "3A 09 /r ib", "xmm, xmm/m128, imm8")
def roundpd(cpu: Cpu, destination: XmmOperand, source: Vector, order: Operand) -> None:
    """Two doubles rounded to integers (Vol. 2B “ROUNDPD”)."""
    round_all(cpu, destination, source, order, DOUBLE)


@sse4_1("ROUNDSS", "3A 0A /r ib", "xmm, xmm/m32, imm8")
def roundss(cpu: Cpu, destination: XmmOperand, source: Vector, order: Operand) -> None:
    """The first single rounded to an integer (Vol. 2B “ROUNDSS”)."""
    round_first(cpu, destination, source, order, SINGLE)


@sse4_1("ROUNDSD", "3A 0B /r ib", "xmm, xmm/m64, imm8")
def roundsd(cpu: Cpu, destination: XmmOperand, source: Vector, order: Operand) -> None:
    """The first double rounded to an integer (Vol. 2B “ROUNDSD”)."""
    round_first(cpu, destination, source, order, DOUBLE)


@sse4_1("DPPS", "3A 40 /r ib", "xmm, xmm/m128, imm8")
def dpps(cpu: Cpu, destination: XmmOperand, source: Vector, order: Operand) -> None:
    """Dot product of singles (Vol. 2A “DPPS”)."""
    check_sse(cpu)
    low, high = source.read_halves()
    low, high = dot_singles(cpu, u32(order.read()), destination.read_low(), destination.read_high(), low, high)
    destination.write_halves(low, high)


@sse4_1("DPPD", "3A 41 /r ib", "xmm, xmm/m128, imm8")
def dppd(cpu: Cpu, destination: XmmOperand, source: Vector, order: Operand) -> None:
    """Dot product of doubles (Vol. 2A “DPPD”)."""
    check_sse(cpu)
    low, high = source.read_halves()
    low, high = dot_doubles(cpu, u32(order.read()), destination.read_low(), destination.read_high(), low, high)
    destination.write_halves(low, high)
