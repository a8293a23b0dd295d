"""String comparison of SSE4.2: PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM (Vol. 1 §12.10 “SSE4.2 Instruction Set”)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from vmxon.isa.operands import Operand, XmmOperand
from vmxon.isa.record import Prefix, Record
from vmxon.isa.registers import RAX, RCX, RDX
from vmxon.isa.sse.lanes import Vector
from vmxon.isa.table import Form, instruction
from vmxon.microcode import i32, inline, u32, u64
from vmxon.processor.flags import CARRY, OVERFLOW, SIGN, ZERO, write_status
from vmxon.processor.simd import check_sse
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.string_compare import (
    HIGHEST_OR_MASK,
    chosen_index,
    compare_strings,
    element_count,
    explicit_length,
    implicit_length,
    spread,
)

F = TypeVar("F", bound=Callable[..., None])


def string_comparison(mnemonic: str, opcode: str) -> Callable[[F], F]:
    """Its memory operand needs no alignment."""
    form = Form(f"66 0F 3A {opcode} /r ib", "xmm, xmm/m128, imm8", unaligned=True)
    return instruction(mnemonic, form, writes="of sf zf af pf cf", feature="sse4_2")


@inline
def compare(cpu: Cpu, first: XmmOperand, low: int, high: int, order: int, own: int, length: int) -> int:
    """IntRes2 and the flags that it and the lengths set."""
    result = compare_strings(order, first.read_low(), first.read_high(), own, low, high, length)
    status = u64(CARRY) if result != 0 else u64(0)
    status = status | (u64(ZERO) if length < element_count(order) else u64(0))
    status = status | (u64(SIGN) if own < element_count(order) else u64(0))
    write_status(cpu, status | (u64(OVERFLOW) if result & 1 != 0 else u64(0)))
    return result


@inline
def length_in(cpu: Cpu, record: Record, register: int, order: int) -> int:
    """An explicit length: a signed doubleword, with REX.W a quadword."""
    value = cpu.gpr[register]
    wide = record.prefixes & Prefix.REX_W != 0
    return explicit_length(order, value if wide else u64(i32(u32(value))))


@inline
def write_mask(cpu: Cpu, order: int, result: int) -> None:
    """XMM0 := IntRes2 as bits, or as elements of all ones."""
    if order & HIGHEST_OR_MASK != 0:
        cpu.xmm[0] = spread(order, result, u32(0))
        cpu.xmm[1] = spread(order, result, element_count(order) >> 1)
    else:
        cpu.xmm[0] = u64(result)
        cpu.xmm[1] = u64(0)


@string_comparison("PCMPESTRM", "60")
def pcmpestrm(cpu: Cpu, first: XmmOperand, second: Vector, immediate: Operand, record: Record) -> None:
    """XMM0 := mask; the lengths are in rAX and rDX (Vol. 2B “PCMPESTRM”)."""
    check_sse(cpu)
    low, high = second.read_halves()
    order = u32(immediate.read())
    own = length_in(cpu, record, RAX, order)
    write_mask(cpu, order, compare(cpu, first, low, high, order, own, length_in(cpu, record, RDX, order)))


@string_comparison("PCMPESTRI", "61")
def pcmpestri(cpu: Cpu, first: XmmOperand, second: Vector, immediate: Operand, record: Record) -> None:
    """ECX := index; the lengths are in rAX and rDX (Vol. 2B “PCMPESTRI”)."""
    check_sse(cpu)
    low, high = second.read_halves()
    order = u32(immediate.read())
    own = length_in(cpu, record, RAX, order)
    result = compare(cpu, first, low, high, order, own, length_in(cpu, record, RDX, order))
    cpu.gpr[RCX] = u64(chosen_index(order, result))


@string_comparison("PCMPISTRM", "62")
def pcmpistrm(cpu: Cpu, first: XmmOperand, second: Vector, immediate: Operand) -> None:
    """XMM0 := mask; the strings end at a zero (Vol. 2B “PCMPISTRM”)."""
    check_sse(cpu)
    low, high = second.read_halves()
    order = u32(immediate.read())
    own = implicit_length(order, first.read_low(), first.read_high())
    write_mask(cpu, order, compare(cpu, first, low, high, order, own, implicit_length(order, low, high)))


@string_comparison("PCMPISTRI", "63")
def pcmpistri(cpu: Cpu, first: XmmOperand, second: Vector, immediate: Operand) -> None:
    """ECX := index; the strings end at a zero (Vol. 2B “PCMPISTRI”)."""
    check_sse(cpu)
    low, high = second.read_halves()
    order = u32(immediate.read())
    own = implicit_length(order, first.read_low(), first.read_high())
    cpu.gpr[RCX] = u64(chosen_index(order, compare(cpu, first, low, high, order, own, implicit_length(order, low, high))))
