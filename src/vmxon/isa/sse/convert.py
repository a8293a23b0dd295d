"""Conversions between integers, singles and doubles (Vol. 1 §11.4.1.6 “SSE2 Conversion Instructions”)."""

from __future__ import annotations

from vmxon.isa.operands import Operand, XmmOperand
from vmxon.isa.sse.lanes import Vector
from vmxon.isa.table import Form, instruction
from vmxon.microcode import inline, u64
from vmxon.processor.floating.formats import DOUBLE, SINGLE, Format
from vmxon.processor.simd import check_sse
from vmxon.processor.simd_convert import (
    doubles_to_integers,
    doubles_to_singles,
    integers_to_doubles,
    integers_to_singles,
    scalar_change,
    scalar_from_integer,
    scalar_to_integer,
    singles_to_doubles,
    singles_to_integers,
)
from vmxon.processor.state import ProcessorState as Cpu


@inline
def from_general(cpu: Cpu, destination: XmmOperand, source: Operand, target: Format) -> None:
    """First element := signed integer."""
    check_sse(cpu)
    value = u64(source.kind.signed(source.read()))
    destination.write_low(scalar_from_integer(cpu, target, destination.read_low(), value))


@instruction("CVTSI2SS", Form("F3 0F 2A /r", "xmm, r/m32/64"))
def cvtsi2ss(cpu: Cpu, destination: XmmOperand, source: Operand) -> None:
    """A signed integer as a single (Vol. 2A “CVTSI2SS”)."""
    from_general(cpu, destination, source, SINGLE)


@instruction("CVTSI2SD", Form("F2 0F 2A /r", "xmm, r/m32/64"))
def cvtsi2sd(cpu: Cpu, destination: XmmOperand, source: Operand) -> None:
    """A signed integer as a double (Vol. 2A “CVTSI2SD”)."""
    from_general(cpu, destination, source, DOUBLE)


@inline
def to_general(cpu: Cpu, destination: Operand, source: Vector, of: Format, truncates: int) -> None:
    """General register := first element as a signed integer."""
    check_sse(cpu)
    destination.write(destination.kind(scalar_to_integer(cpu, of, destination.kind.bits, truncates, source.read_low())))


@instruction("CVTSS2SI", Form("F3 0F 2D /r", "r32/64, xmm/m32"))
def cvtss2si(cpu: Cpu, destination: Operand, source: Vector) -> None:
    """A single as a signed integer, rounded (Vol. 2A “CVTSS2SI”)."""
    to_general(cpu, destination, source, SINGLE, 0)


@instruction("CVTTSS2SI", Form("F3 0F 2C /r", "r32/64, xmm/m32"))
def cvttss2si(cpu: Cpu, destination: Operand, source: Vector) -> None:
    """A single as a signed integer, truncated (Vol. 2A “CVTTSS2SI”)."""
    to_general(cpu, destination, source, SINGLE, 1)


@instruction("CVTSD2SI", Form("F2 0F 2D /r", "r32/64, xmm/m64"))
def cvtsd2si(cpu: Cpu, destination: Operand, source: Vector) -> None:
    """A double as a signed integer, rounded (Vol. 2A “CVTSD2SI”)."""
    to_general(cpu, destination, source, DOUBLE, 0)


@instruction("CVTTSD2SI", Form("F2 0F 2C /r", "r32/64, xmm/m64"))
def cvttsd2si(cpu: Cpu, destination: Operand, source: Vector) -> None:
    """A double as a signed integer, truncated (Vol. 2A “CVTTSD2SI”)."""
    to_general(cpu, destination, source, DOUBLE, 1)


@instruction("CVTSS2SD", Form("F3 0F 5A /r", "xmm, xmm/m32"))
def cvtss2sd(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """First double := first single (Vol. 2A “CVTSS2SD”)."""
    check_sse(cpu)
    destination.write_low(scalar_change(cpu, SINGLE, DOUBLE, u64(0), source.read_low()))


@instruction("CVTSD2SS", Form("F2 0F 5A /r", "xmm, xmm/m64"))
def cvtsd2ss(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """First single := first double, rounded (Vol. 2A “CVTSD2SS”)."""
    check_sse(cpu)
    destination.write_low(scalar_change(cpu, DOUBLE, SINGLE, destination.read_low(), source.read_low()))


@instruction("CVTPS2PD", Form("NP 0F 5A /r", "xmm, xmm/m64"))
def cvtps2pd(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Two singles as doubles (Vol. 2A “CVTPS2PD”)."""
    check_sse(cpu)
    low, high = singles_to_doubles(cpu, source.read_low())
    destination.write_halves(low, high)


@instruction("CVTPD2PS", Form("66 0F 5A /r", "xmm, xmm/m128"))
def cvtpd2ps(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Two doubles as singles; the high half becomes 0 (Vol. 2A “CVTPD2PS”)."""
    check_sse(cpu)
    low, high = source.read_halves()
    destination.write_halves(doubles_to_singles(cpu, low, high), u64(0))


@instruction("CVTDQ2PS", Form("NP 0F 5B /r", "xmm, xmm/m128"))
def cvtdq2ps(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Four signed doublewords as singles (Vol. 2A “CVTDQ2PS”)."""
    check_sse(cpu)
    low, high = source.read_halves()
    low, high = integers_to_singles(cpu, low, high)
    destination.write_halves(low, high)


@instruction("CVTPS2DQ", Form("66 0F 5B /r", "xmm, xmm/m128"))
def cvtps2dq(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Four singles as signed doublewords, rounded (Vol. 2A “CVTPS2DQ”)."""
    check_sse(cpu)
    low, high = source.read_halves()
    low, high = singles_to_integers(cpu, 0, low, high)
    destination.write_halves(low, high)


@instruction("CVTTPS2DQ", Form("F3 0F 5B /r", "xmm, xmm/m128"))
def cvttps2dq(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Four singles as signed doublewords, truncated (Vol. 2A “CVTTPS2DQ”)."""
    check_sse(cpu)
    low, high = source.read_halves()
    low, high = singles_to_integers(cpu, 1, low, high)
    destination.write_halves(low, high)


@instruction("CVTDQ2PD", Form("F3 0F E6 /r", "xmm, xmm/m64"))
def cvtdq2pd(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Two signed doublewords as doubles (Vol. 2A “CVTDQ2PD”)."""
    check_sse(cpu)
    low, high = integers_to_doubles(source.read_low())
    destination.write_halves(low, high)


@instruction("CVTPD2DQ", Form("F2 0F E6 /r", "xmm, xmm/m128"))
def cvtpd2dq(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Two doubles as signed doublewords, rounded; the high half becomes 0 (Vol. 2A “CVTPD2DQ”)."""
    check_sse(cpu)
    low, high = source.read_halves()
    destination.write_halves(doubles_to_integers(cpu, 0, low, high), u64(0))


@instruction("CVTTPD2DQ", Form("66 0F E6 /r", "xmm, xmm/m128"))
def cvttpd2dq(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Two doubles as signed doublewords, truncated; the high half becomes 0 (Vol. 2A “CVTTPD2DQ”)."""
    check_sse(cpu)
    low, high = source.read_halves()
    destination.write_halves(doubles_to_integers(cpu, 1, low, high), u64(0))
