"""Arithmetic of singles and doubles (Vol. 1 §10.4.1.2 “SSE Arithmetic Instructions”, §11.4.1.2 for doubles)."""

from __future__ import annotations

from vmxon.isa.operands import XmmOperand
from vmxon.isa.sse.lanes import Vector
from vmxon.isa.table import Form, instruction
from vmxon.microcode import inline
from vmxon.processor.floating.formats import DOUBLE, SINGLE, Format
from vmxon.processor.floating.simd import Operation
from vmxon.processor.simd import check_sse, packed_arithmetic, scalar_arithmetic
from vmxon.processor.state import ProcessorState as Cpu


@inline
def packed(cpu: Cpu, destination: XmmOperand, source: Vector, operation: Operation, target: Format) -> None:
    """destination := destination (operation) source on all elements."""
    check_sse(cpu)
    low, high = source.read_halves()
    low, high = packed_arithmetic(cpu, operation, target, destination.read_low(), destination.read_high(), low, high)
    destination.write_halves(low, high)


@inline
def scalar(cpu: Cpu, destination: XmmOperand, source: Vector, operation: Operation, target: Format) -> None:
    """The same on the first element."""
    check_sse(cpu)
    value = source.read_low()
    destination.write_low(scalar_arithmetic(cpu, operation, target, destination.read_low(), value))


@instruction("ADDPS", Form("NP 0F 58 /r", "xmm, xmm/m128"))
def addps(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Sums of four singles (Vol. 2A “ADDPS”)."""
    packed(cpu, destination, source, Operation.ADD, SINGLE)


@instruction("ADDPD", Form("66 0F 58 /r", "xmm, xmm/m128"))
def addpd(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Sums of two doubles."""
    packed(cpu, destination, source, Operation.ADD, DOUBLE)


@instruction("ADDSS", Form("F3 0F 58 /r", "xmm, xmm/m32"))
def addss(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Sum of the first singles."""
    scalar(cpu, destination, source, Operation.ADD, SINGLE)


@instruction("ADDSD", Form("F2 0F 58 /r", "xmm, xmm/m64"))
def addsd(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Sum of the first doubles."""
    scalar(cpu, destination, source, Operation.ADD, DOUBLE)


@instruction("SUBPS", Form("NP 0F 5C /r", "xmm, xmm/m128"))
def subps(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Differences of four singles (Vol. 2B “SUBPS”)."""
    packed(cpu, destination, source, Operation.SUBTRACT, SINGLE)


@instruction("SUBPD", Form("66 0F 5C /r", "xmm, xmm/m128"))
def subpd(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Differences of two doubles."""
    packed(cpu, destination, source, Operation.SUBTRACT, DOUBLE)


@instruction("SUBSS", Form("F3 0F 5C /r", "xmm, xmm/m32"))
def subss(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Difference of the first singles."""
    scalar(cpu, destination, source, Operation.SUBTRACT, SINGLE)


@instruction("SUBSD", Form("F2 0F 5C /r", "xmm, xmm/m64"))
def subsd(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Difference of the first doubles."""
    scalar(cpu, destination, source, Operation.SUBTRACT, DOUBLE)


@instruction("MULPS", Form("NP 0F 59 /r", "xmm, xmm/m128"))
def mulps(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Products of four singles (Vol. 2B “MULPS”)."""
    packed(cpu, destination, source, Operation.MULTIPLY, SINGLE)


@instruction("MULPD", Form("66 0F 59 /r", "xmm, xmm/m128"))
def mulpd(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Products of two doubles."""
    packed(cpu, destination, source, Operation.MULTIPLY, DOUBLE)


@instruction("MULSS", Form("F3 0F 59 /r", "xmm, xmm/m32"))
def mulss(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Product of the first singles."""
    scalar(cpu, destination, source, Operation.MULTIPLY, SINGLE)


@instruction("MULSD", Form("F2 0F 59 /r", "xmm, xmm/m64"))
def mulsd(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Product of the first doubles."""
    scalar(cpu, destination, source, Operation.MULTIPLY, DOUBLE)


@instruction("DIVPS", Form("NP 0F 5E /r", "xmm, xmm/m128"))
def divps(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Quotients of four singles (Vol. 2A “DIVPS”)."""
    packed(cpu, destination, source, Operation.DIVIDE, SINGLE)


@instruction("DIVPD", Form("66 0F 5E /r", "xmm, xmm/m128"))
def divpd(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Quotients of two doubles."""
    packed(cpu, destination, source, Operation.DIVIDE, DOUBLE)


@instruction("DIVSS", Form("F3 0F 5E /r", "xmm, xmm/m32"))
def divss(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Quotient of the first singles."""
    scalar(cpu, destination, source, Operation.DIVIDE, SINGLE)


@instruction("DIVSD", Form("F2 0F 5E /r", "xmm, xmm/m64"))
def divsd(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Quotient of the first doubles."""
    scalar(cpu, destination, source, Operation.DIVIDE, DOUBLE)


@instruction("MINPS", Form("NP 0F 5D /r", "xmm, xmm/m128"))
def minps(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Minima of four singles (Vol. 2B “MINPS”)."""
    packed(cpu, destination, source, Operation.MINIMUM, SINGLE)


@instruction("MINPD", Form("66 0F 5D /r", "xmm, xmm/m128"))
def minpd(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Minima of two doubles."""
    packed(cpu, destination, source, Operation.MINIMUM, DOUBLE)


@instruction("MINSS", Form("F3 0F 5D /r", "xmm, xmm/m32"))
def minss(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Minimum of the first singles."""
    scalar(cpu, destination, source, Operation.MINIMUM, SINGLE)


@instruction("MINSD", Form("F2 0F 5D /r", "xmm, xmm/m64"))
def minsd(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Minimum of the first doubles."""
    scalar(cpu, destination, source, Operation.MINIMUM, DOUBLE)


@instruction("MAXPS", Form("NP 0F 5F /r", "xmm, xmm/m128"))
def maxps(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Maxima of four singles (Vol. 2B “MAXPS”)."""
    packed(cpu, destination, source, Operation.MAXIMUM, SINGLE)


@instruction("MAXPD", Form("66 0F 5F /r", "xmm, xmm/m128"))
def maxpd(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Maxima of two doubles."""
    packed(cpu, destination, source, Operation.MAXIMUM, DOUBLE)


@instruction("MAXSS", Form("F3 0F 5F /r", "xmm, xmm/m32"))
def maxss(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Maximum of the first singles."""
    scalar(cpu, destination, source, Operation.MAXIMUM, SINGLE)


@instruction("MAXSD", Form("F2 0F 5F /r", "xmm, xmm/m64"))
def maxsd(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Maximum of the first doubles."""
    scalar(cpu, destination, source, Operation.MAXIMUM, DOUBLE)
