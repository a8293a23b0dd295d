"""Square roots, estimates and comparisons of singles and doubles."""

from __future__ import annotations

from vmxon.isa.operands import Operand, XmmOperand
from vmxon.isa.sse.lanes import Vector
from vmxon.isa.table import Form, instruction
from vmxon.microcode import inline, u32
from vmxon.processor.flags import write_status
from vmxon.processor.floating.convert import reciprocal_estimate, reciprocal_root_estimate
from vmxon.processor.floating.formats import DOUBLE, SINGLE, Format
from vmxon.processor.simd import (
    LOW_SINGLE,
    Estimate,
    check_sse,
    compare_to_flags,
    half_estimate,
    packed_compare,
    packed_root,
    scalar_compare,
    scalar_root,
)
from vmxon.processor.state import ProcessorState as Cpu


@inline
def all_roots(cpu: Cpu, destination: XmmOperand, source: Vector, target: Format) -> None:
    """Square roots of all elements."""
    check_sse(cpu)
    low, high = source.read_halves()
    low, high = packed_root(cpu, target, low, high)
    destination.write_halves(low, high)


@inline
def first_root(cpu: Cpu, destination: XmmOperand, source: Vector, target: Format) -> None:
    """Square root of the first element."""
    check_sse(cpu)
    destination.write_low(scalar_root(cpu, target, destination.read_low(), source.read_low()))


@instruction("SQRTPS", Form("NP 0F 51 /r", "xmm, xmm/m128"))
def sqrtps(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Square roots of four singles (Vol. 2B “SQRTPS”)."""
    all_roots(cpu, destination, source, SINGLE)


@instruction("SQRTPD", Form("66 0F 51 /r", "xmm, xmm/m128"))
def sqrtpd(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Square roots of two doubles (Vol. 2B “SQRTPD”)."""
    all_roots(cpu, destination, source, DOUBLE)


@instruction("SQRTSS", Form("F3 0F 51 /r", "xmm, xmm/m32"))
def sqrtss(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Square root of the first single (Vol. 2B “SQRTSS”)."""
    first_root(cpu, destination, source, SINGLE)


@instruction("SQRTSD", Form("F2 0F 51 /r", "xmm, xmm/m64"))
def sqrtsd(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Square root of the first double (Vol. 2B “SQRTSD”)."""
    first_root(cpu, destination, source, DOUBLE)


@inline
def all_estimates(cpu: Cpu, destination: XmmOperand, source: Vector, estimate: Estimate) -> None:
    """An estimate for each of four singles."""
    check_sse(cpu)
    low, high = source.read_halves()
    destination.write_halves(half_estimate(estimate, low), half_estimate(estimate, high))


@inline
def first_estimate(cpu: Cpu, destination: XmmOperand, source: Vector, estimate: Estimate) -> None:
    """An estimate for the first single."""
    check_sse(cpu)
    value = estimate(source.read_low() & LOW_SINGLE)
    destination.write_low((destination.read_low() & ~LOW_SINGLE) | value)


@instruction("RCPPS", Form("NP 0F 53 /r", "xmm, xmm/m128"))
def rcpps(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Estimates of four reciprocals (Vol. 2B “RCPPS”)."""
    all_estimates(cpu, destination, source, reciprocal_estimate)


@instruction("RCPSS", Form("F3 0F 53 /r", "xmm, xmm/m32"))
def rcpss(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Estimate of the first reciprocal (Vol. 2B “RCPSS”)."""
    first_estimate(cpu, destination, source, reciprocal_estimate)


@instruction("RSQRTPS", Form("NP 0F 52 /r", "xmm, xmm/m128"))
def rsqrtps(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Estimates of four reciprocal roots (Vol. 2B “RSQRTPS”)."""
    all_estimates(cpu, destination, source, reciprocal_root_estimate)


@instruction("RSQRTSS", Form("F3 0F 52 /r", "xmm, xmm/m32"))
def rsqrtss(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Estimate of the first reciprocal root (Vol. 2B “RSQRTSS”)."""
    first_estimate(cpu, destination, source, reciprocal_root_estimate)


@inline
def all_compared(cpu: Cpu, destination: XmmOperand, source: Vector, predicate: Operand, target: Format) -> None:
    """All ones in the elements for which the predicate holds."""
    check_sse(cpu)
    low, high = source.read_halves()
    low, high = packed_compare(cpu, target, u32(predicate.read() & 7), destination.read_low(), destination.read_high(), low, high)
    destination.write_halves(low, high)


@inline
def first_compared(cpu: Cpu, destination: XmmOperand, source: Vector, predicate: Operand, target: Format) -> None:
    """All ones in the first element if the predicate holds."""
    check_sse(cpu)
    value = source.read_low()
    destination.write_low(scalar_compare(cpu, target, u32(predicate.read() & 7), destination.read_low(), value))


@instruction("CMPPS", Form("NP 0F C2 /r ib", "xmm, xmm/m128, imm8"))
def cmpps(cpu: Cpu, destination: XmmOperand, source: Vector, predicate: Operand) -> None:
    """Compare four singles (Vol. 2A “CMPPS”)."""
    all_compared(cpu, destination, source, predicate, SINGLE)


@instruction("CMPPD", Form("66 0F C2 /r ib", "xmm, xmm/m128, imm8"))
def cmppd(cpu: Cpu, destination: XmmOperand, source: Vector, predicate: Operand) -> None:
    """Compare two doubles (Vol. 2A “CMPPD”)."""
    all_compared(cpu, destination, source, predicate, DOUBLE)


@instruction("CMPSS", Form("F3 0F C2 /r ib", "xmm, xmm/m32, imm8"))
def cmpss(cpu: Cpu, destination: XmmOperand, source: Vector, predicate: Operand) -> None:
    """Compare the first singles (Vol. 2A “CMPSS”)."""
    first_compared(cpu, destination, source, predicate, SINGLE)


@instruction("CMPSD XMM", Form("F2 0F C2 /r ib", "xmm, xmm/m64, imm8"))
def cmpsd(cpu: Cpu, destination: XmmOperand, source: Vector, predicate: Operand) -> None:
    """Compare the first doubles (Vol. 2A “CMPSD”)."""
    first_compared(cpu, destination, source, predicate, DOUBLE)


@inline
def compare_into_flags(cpu: Cpu, left: XmmOperand, right: Vector, signal_quiet: int, target: Format) -> None:
    """ZF, PF, CF := comparison of the first elements; OF, SF, AF := 0."""
    check_sse(cpu)
    value = right.read_low()
    write_status(cpu, compare_to_flags(cpu, target, signal_quiet, left.read_low(), value))


@instruction("COMISS", Form("NP 0F 2F /r", "xmm, xmm/m32"), writes="of sf zf af pf cf")
def comiss(cpu: Cpu, left: XmmOperand, right: Vector) -> None:
    """Compare singles into RFLAGS (Vol. 2A “COMISS”)."""
    compare_into_flags(cpu, left, right, 1, SINGLE)


@instruction("COMISD", Form("66 0F 2F /r", "xmm, xmm/m64"), writes="of sf zf af pf cf")
def comisd(cpu: Cpu, left: XmmOperand, right: Vector) -> None:
    """Compare doubles into RFLAGS (Vol. 2A “COMISD”)."""
    compare_into_flags(cpu, left, right, 1, DOUBLE)


@instruction("UCOMISS", Form("NP 0F 2E /r", "xmm, xmm/m32"), writes="of sf zf af pf cf")
def ucomiss(cpu: Cpu, left: XmmOperand, right: Vector) -> None:
    """Compare singles into RFLAGS, quiet NaNs allowed (Vol. 2D “UCOMISS”)."""
    compare_into_flags(cpu, left, right, 0, SINGLE)


@instruction("UCOMISD", Form("66 0F 2E /r", "xmm, xmm/m64"), writes="of sf zf af pf cf")
def ucomisd(cpu: Cpu, left: XmmOperand, right: Vector) -> None:
    """Compare doubles into RFLAGS, quiet NaNs allowed (Vol. 2D “UCOMISD”)."""
    compare_into_flags(cpu, left, right, 0, DOUBLE)
