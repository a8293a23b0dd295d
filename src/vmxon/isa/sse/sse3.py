"""SSE3 (Vol. 1 §12.3 “Overview of SSE3 Instructions”); FISTTP is with x87, MONITOR with HLT."""

from __future__ import annotations

from vmxon.isa.operands import MemoryOperand, XmmOperand
from vmxon.isa.sse.lanes import Vector
from vmxon.isa.table import Form, instruction
from vmxon.microcode import inline
from vmxon.processor.floating.formats import DOUBLE, SINGLE, Format
from vmxon.processor.floating.simd import Operation
from vmxon.processor.simd import LOW_SINGLE, check_sse
from vmxon.processor.simd_across import alternating, horizontal
from vmxon.processor.state import ProcessorState as Cpu


@inline
def alternate(cpu: Cpu, destination: XmmOperand, source: Vector, target: Format) -> None:
    """Even elements subtracted, odd ones added."""
    check_sse(cpu)
    low, high = source.read_halves()
    low, high = alternating(cpu, target, destination.read_low(), destination.read_high(), low, high)
    destination.write_halves(low, high)


@instruction("ADDSUBPS", Form("F2 0F D0 /r", "xmm, xmm/m128"), feature="sse3")
def addsubps(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Singles, subtracted and added in turn (Vol. 2A “ADDSUBPS”)."""
    alternate(cpu, destination, source, SINGLE)


@instruction("ADDSUBPD", Form("66 0F D0 /r", "xmm, xmm/m128"), feature="sse3")
def addsubpd(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Doubles, subtracted and added in turn (Vol. 2A “ADDSUBPD”)."""
    alternate(cpu, destination, source, DOUBLE)


@inline
def across(cpu: Cpu, destination: XmmOperand, source: Vector, operation: Operation, target: Format) -> None:
    """Each pair of neighbours of destination, then of source."""
    check_sse(cpu)
    low, high = source.read_halves()
    low, high = horizontal(cpu, operation, target, destination.read_low(), destination.read_high(), low, high)
    destination.write_halves(low, high)


@instruction("HADDPS", Form("F2 0F 7C /r", "xmm, xmm/m128"), feature="sse3")
def haddps(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Sums of neighbouring singles (Vol. 2A “HADDPS”)."""
    across(cpu, destination, source, Operation.ADD, SINGLE)


@instruction("HADDPD", Form("66 0F 7C /r", "xmm, xmm/m128"), feature="sse3")
def haddpd(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Sums of neighbouring doubles (Vol. 2A “HADDPD”)."""
    across(cpu, destination, source, Operation.ADD, DOUBLE)


@instruction("HSUBPS", Form("F2 0F 7D /r", "xmm, xmm/m128"), feature="sse3")
def hsubps(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Differences of neighbouring singles (Vol. 2A “HSUBPS”)."""
    across(cpu, destination, source, Operation.SUBTRACT, SINGLE)


@instruction("HSUBPD", Form("66 0F 7D /r", "xmm, xmm/m128"), feature="sse3")
def hsubpd(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """Differences of neighbouring doubles (Vol. 2A “HSUBPD”)."""
    across(cpu, destination, source, Operation.SUBTRACT, DOUBLE)


@instruction("LDDQU", Form("F2 0F F0 /r", "xmm, m128"), feature="sse3")
def lddqu(cpu: Cpu, destination: XmmOperand, source: MemoryOperand) -> None:
    """16 bytes from any address (Vol. 2A “LDDQU—Load Unaligned Integer 128 Bits”)."""
    check_sse(cpu)
    low, high = source.read_halves()
    destination.write_halves(low, high)


@instruction("MOVDDUP", Form("F2 0F 12 /r", "xmm, xmm/m64"), feature="sse3")
def movddup(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """The first double, twice (Vol. 2B “MOVDDUP”)."""
    check_sse(cpu)
    value = source.read_low()
    destination.write_halves(value, value)


@instruction("MOVSLDUP", Form("F3 0F 12 /r", "xmm, xmm/m128"), feature="sse3")
def movsldup(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """The even singles, each twice (Vol. 2B “MOVSLDUP”)."""
    check_sse(cpu)
    low, high = source.read_halves()
    destination.write_halves((low & LOW_SINGLE) | (low << 32), (high & LOW_SINGLE) | (high << 32))


@instruction("MOVSHDUP", Form("F3 0F 16 /r", "xmm, xmm/m128"), feature="sse3")
def movshdup(cpu: Cpu, destination: XmmOperand, source: Vector) -> None:
    """The odd singles, each twice (Vol. 2B “MOVSHDUP”)."""
    check_sse(cpu)
    low, high = source.read_halves()
    destination.write_halves((low >> 32) | (low & ~LOW_SINGLE), (high >> 32) | (high & ~LOW_SINGLE))
