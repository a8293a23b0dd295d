"""FADD, FSUB, FMUL, FDIV, and the operations on ST(0) alone (Vol. 1 §8.3.5 “Basic Arithmetic Instructions”)."""

from __future__ import annotations

from vmxon.isa.operands import MemoryOperand, NumberOperand
from vmxon.isa.record import Record
from vmxon.isa.table import Form, instruction
from vmxon.isa.x87.step import enter, remember
from vmxon.microcode import inline, u32, u64
from vmxon.processor.floating.extended import SIGN
from vmxon.processor.floating.extended_convert import widen, widen_integer
from vmxon.processor.floating.formats import DOUBLE, SINGLE
from vmxon.processor.floating.simd import Operation
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.x87.arithmetic import (
    change_sign,
    extract_top,
    memory_arithmetic,
    register_arithmetic,
    remainder_top,
    round_top,
    scale_top,
    square_root_top,
)

Real = MemoryOperand | NumberOperand
"""A real number in memory or ST(i)."""


@inline
def to_top(cpu: Cpu, operation: Operation, reverse: int, source: Real, record: Record) -> None:
    """ST(0) := ST(0) (operation) source, operands exchanged where `reverse` is 1."""
    enter(cpu)
    if isinstance(source, MemoryOperand):
        head, significand, denormal = widen(DOUBLE if source.kind.bits == 64 else SINGLE, u64(source.read()))
        memory_arithmetic(cpu, operation, reverse, head, significand, denormal)
        remember(cpu, record, 0xDC if source.kind.bits == 64 else 0xD8, source)
    else:
        left, right = (u32(source.number()), u32(0)) if reverse else (u32(0), u32(source.number()))
        register_arithmetic(cpu, operation, 0, left, right, u32(0))
        remember(cpu, record, 0xD8)


@inline
def to_register(cpu: Cpu, operation: Operation, reverse: int, pops: int, destination: NumberOperand, record: Record) -> None:
    """ST(i) := ST(i) (operation) ST(0), operands exchanged where `reverse` is 1, then pop."""
    enter(cpu)
    index = u32(destination.number())
    left, right = (u32(0), index) if reverse else (index, u32(0))
    register_arithmetic(cpu, operation, pops, left, right, index)
    remember(cpu, record, 0xDE if pops else 0xDC)


@inline
def with_integer(cpu: Cpu, operation: Operation, reverse: int, source: MemoryOperand, record: Record) -> None:
    """ST(0) := ST(0) (operation) a signed integer in memory, operands exchanged where `reverse` is 1."""
    enter(cpu)
    head, significand = widen_integer(u64(source.kind.signed(source.read())))
    memory_arithmetic(cpu, operation, reverse, head, significand, u32(0))
    remember(cpu, record, 0xDA if source.kind.bits == 32 else 0xDE, source)


@instruction("FADD", Form("D8 /0", "m32"), Form("DC /0", "m64"), Form("D8 /0", "sti"))
def fadd(cpu: Cpu, source: Real, record: Record) -> None:
    """ST(0) := ST(0) + source (Vol. 2A “FADD/FADDP/FIADD—Add”)."""
    to_top(cpu, Operation.ADD, 0, source, record)


@instruction("FADD STI", Form("DC /0", "sti"))
def fadd_register(cpu: Cpu, destination: NumberOperand, record: Record) -> None:
    """ST(i) := ST(i) + ST(0)."""
    to_register(cpu, Operation.ADD, 0, 0, destination, record)


@instruction("FADDP", Form("DE /0", "sti"))
def faddp(cpu: Cpu, destination: NumberOperand, record: Record) -> None:
    """ST(i) := ST(i) + ST(0), pop."""
    to_register(cpu, Operation.ADD, 0, 1, destination, record)


@instruction("FIADD", Form("DA /0", "m32"), Form("DE /0", "m16"))
def fiadd(cpu: Cpu, source: MemoryOperand, record: Record) -> None:
    """ST(0) := ST(0) + integer."""
    with_integer(cpu, Operation.ADD, 0, source, record)


@instruction("FMUL", Form("D8 /1", "m32"), Form("DC /1", "m64"), Form("D8 /1", "sti"))
def fmul(cpu: Cpu, source: Real, record: Record) -> None:
    """ST(0) := ST(0) · source (Vol. 2A “FMUL/FMULP/FIMUL—Multiply”)."""
    to_top(cpu, Operation.MULTIPLY, 0, source, record)


@instruction("FMUL STI", Form("DC /1", "sti"))
def fmul_register(cpu: Cpu, destination: NumberOperand, record: Record) -> None:
    """ST(i) := ST(i) · ST(0)."""
    to_register(cpu, Operation.MULTIPLY, 0, 0, destination, record)


@instruction("FMULP", Form("DE /1", "sti"))
def fmulp(cpu: Cpu, destination: NumberOperand, record: Record) -> None:
    """ST(i) := ST(i) · ST(0), pop."""
    to_register(cpu, Operation.MULTIPLY, 0, 1, destination, record)


@instruction("FIMUL", Form("DA /1", "m32"), Form("DE /1", "m16"))
def fimul(cpu: Cpu, source: MemoryOperand, record: Record) -> None:
    """ST(0) := ST(0) · integer."""
    with_integer(cpu, Operation.MULTIPLY, 0, source, record)


@instruction("FSUB", Form("D8 /4", "m32"), Form("DC /4", "m64"), Form("D8 /4", "sti"))
def fsub(cpu: Cpu, source: Real, record: Record) -> None:
    """ST(0) := ST(0) - source (Vol. 2A “FSUB/FSUBP/FISUB—Subtract”)."""
    to_top(cpu, Operation.SUBTRACT, 0, source, record)


@instruction("FSUB STI", Form("DC /5", "sti"))
def fsub_register(cpu: Cpu, destination: NumberOperand, record: Record) -> None:
    """ST(i) := ST(i) - ST(0)."""
    to_register(cpu, Operation.SUBTRACT, 0, 0, destination, record)


@instruction("FSUBP", Form("DE /5", "sti"))
def fsubp(cpu: Cpu, destination: NumberOperand, record: Record) -> None:
    """ST(i) := ST(i) - ST(0), pop."""
    to_register(cpu, Operation.SUBTRACT, 0, 1, destination, record)


@instruction("FISUB", Form("DA /4", "m32"), Form("DE /4", "m16"))
def fisub(cpu: Cpu, source: MemoryOperand, record: Record) -> None:
    """ST(0) := ST(0) - integer."""
    with_integer(cpu, Operation.SUBTRACT, 0, source, record)


@instruction("FSUBR", Form("D8 /5", "m32"), Form("DC /5", "m64"), Form("D8 /5", "sti"))
def fsubr(cpu: Cpu, source: Real, record: Record) -> None:
    """ST(0) := source - ST(0) (Vol. 2A “FSUBR/FSUBRP/FISUBR—Reverse Subtract”)."""
    to_top(cpu, Operation.SUBTRACT, 1, source, record)


@instruction("FSUBR STI", Form("DC /4", "sti"))
def fsubr_register(cpu: Cpu, destination: NumberOperand, record: Record) -> None:
    """ST(i) := ST(0) - ST(i)."""
    to_register(cpu, Operation.SUBTRACT, 1, 0, destination, record)


@instruction("FSUBRP", Form("DE /4", "sti"))
def fsubrp(cpu: Cpu, destination: NumberOperand, record: Record) -> None:
    """ST(i) := ST(0) - ST(i), pop."""
    to_register(cpu, Operation.SUBTRACT, 1, 1, destination, record)


@instruction("FISUBR", Form("DA /5", "m32"), Form("DE /5", "m16"))
def fisubr(cpu: Cpu, source: MemoryOperand, record: Record) -> None:
    """ST(0) := integer - ST(0)."""
    with_integer(cpu, Operation.SUBTRACT, 1, source, record)


@instruction("FDIV", Form("D8 /6", "m32"), Form("DC /6", "m64"), Form("D8 /6", "sti"))
def fdiv(cpu: Cpu, source: Real, record: Record) -> None:
    """ST(0) := ST(0) / source (Vol. 2A “FDIV/FDIVP/FIDIV—Divide”)."""
    to_top(cpu, Operation.DIVIDE, 0, source, record)


@instruction("FDIV STI", Form("DC /7", "sti"))
def fdiv_register(cpu: Cpu, destination: NumberOperand, record: Record) -> None:
    """ST(i) := ST(i) / ST(0)."""
    to_register(cpu, Operation.DIVIDE, 0, 0, destination, record)


@instruction("FDIVP", Form("DE /7", "sti"))
def fdivp(cpu: Cpu, destination: NumberOperand, record: Record) -> None:
    """ST(i) := ST(i) / ST(0), pop."""
    to_register(cpu, Operation.DIVIDE, 0, 1, destination, record)


@instruction("FIDIV", Form("DA /6", "m32"), Form("DE /6", "m16"))
def fidiv(cpu: Cpu, source: MemoryOperand, record: Record) -> None:
    """ST(0) := ST(0) / integer."""
    with_integer(cpu, Operation.DIVIDE, 0, source, record)


@instruction("FDIVR", Form("D8 /7", "m32"), Form("DC /7", "m64"), Form("D8 /7", "sti"))
def fdivr(cpu: Cpu, source: Real, record: Record) -> None:
    """ST(0) := source / ST(0) (Vol. 2A “FDIVR/FDIVRP/FIDIVR—Reverse Divide”)."""
    to_top(cpu, Operation.DIVIDE, 1, source, record)


@instruction("FDIVR STI", Form("DC /6", "sti"))
def fdivr_register(cpu: Cpu, destination: NumberOperand, record: Record) -> None:
    """ST(i) := ST(0) / ST(i)."""
    to_register(cpu, Operation.DIVIDE, 1, 0, destination, record)


@instruction("FDIVRP", Form("DE /6", "sti"))
def fdivrp(cpu: Cpu, destination: NumberOperand, record: Record) -> None:
    """ST(i) := ST(0) / ST(i), pop."""
    to_register(cpu, Operation.DIVIDE, 1, 1, destination, record)


@instruction("FIDIVR", Form("DA /7", "m32"), Form("DE /7", "m16"))
def fidivr(cpu: Cpu, source: MemoryOperand, record: Record) -> None:
    """ST(0) := integer / ST(0)."""
    with_integer(cpu, Operation.DIVIDE, 1, source, record)


@instruction("FCHS", Form("D9 E0"))
def fchs(cpu: Cpu, record: Record) -> None:
    """ST(0) := -ST(0) (Vol. 2A “FCHS—Change Sign”)."""
    enter(cpu)
    change_sign(cpu, u32(0xFFFF), u32(SIGN))
    remember(cpu, record, 0xD9)


@instruction("FABS", Form("D9 E1"))
def fabs(cpu: Cpu, record: Record) -> None:
    """ST(0) := |ST(0)| (Vol. 2A “FABS—Absolute Value”)."""
    enter(cpu)
    change_sign(cpu, u32(0x7FFF), u32(0))
    remember(cpu, record, 0xD9)


@instruction("FXTRACT", Form("D9 F4"))
def fxtract(cpu: Cpu, record: Record) -> None:
    """ST(0) := exponent of ST(0), push its significand (Vol. 2A “FXTRACT—Extract Exponent and Significand”)."""
    enter(cpu)
    extract_top(cpu)
    remember(cpu, record, 0xD9)


@instruction("FPREM1", Form("D9 F5"))
def fprem1(cpu: Cpu, record: Record) -> None:
    """ST(0) := IEEE remainder of ST(0) / ST(1), or a step towards it (Vol. 2A “FPREM1—Partial Remainder”)."""
    enter(cpu)
    remainder_top(cpu, 1)
    remember(cpu, record, 0xD9)


@instruction("FPREM", Form("D9 F8"))
def fprem(cpu: Cpu, record: Record) -> None:
    """ST(0) := truncating remainder of ST(0) / ST(1), or a step towards it (Vol. 2A “FPREM—Partial Remainder”)."""
    enter(cpu)
    remainder_top(cpu, 0)
    remember(cpu, record, 0xD9)


@instruction("FSQRT", Form("D9 FA"))
def fsqrt(cpu: Cpu, record: Record) -> None:
    """ST(0) := √ST(0) (Vol. 2A “FSQRT—Square Root”)."""
    enter(cpu)
    square_root_top(cpu)
    remember(cpu, record, 0xD9)


@instruction("FRNDINT", Form("D9 FC"))
def frndint(cpu: Cpu, record: Record) -> None:
    """ST(0) := ST(0) rounded to an integer (Vol. 2A “FRNDINT—Round to Integer”)."""
    enter(cpu)
    round_top(cpu)
    remember(cpu, record, 0xD9)


@instruction("FSCALE", Form("D9 FD"))
def fscale(cpu: Cpu, record: Record) -> None:
    """ST(0) := ST(0) · 2^ST(1) (Vol. 2A “FSCALE—Scale”)."""
    enter(cpu)
    scale_top(cpu)
    remember(cpu, record, 0xD9)
