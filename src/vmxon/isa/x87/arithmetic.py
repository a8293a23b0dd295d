"""FADD, FSUB, FMUL, FDIV in all forms, and the operations on ST(0) alone (Vol. 1 §8.3.5 “Basic Arithmetic Instructions”)."""

from __future__ import annotations

from vmxon.isa.operands import FormVariant, Operand
from vmxon.isa.record import Record
from vmxon.isa.table import Form, instruction
from vmxon.isa.x87.step import enter, escape, remember
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

TO_TOP = 0xD8
"""The escape byte of the forms whose destination is ST(0); with DC and DE it is ST(i)."""


@inline
def calculate(
    cpu: Cpu, operation: Operation, reverse: int, operand: Operand, record: Record, form: FormVariant, pops: int = 0
) -> None:
    """destination := destination (operation) source, operands exchanged where `reverse` is 1."""
    enter(cpu)
    if operand.is_memory:
        head, significand, denormal = widen(DOUBLE if operand.kind.bits == 64 else SINGLE, u64(operand.read()))
        memory_arithmetic(cpu, operation, reverse, head, significand, denormal)
    else:
        index = u32(operand.number())
        to_top = escape(form) == TO_TOP
        destination, source = (u32(0), index) if to_top else (index, u32(0))
        if reverse == 1:
            register_arithmetic(cpu, operation, pops, source, destination, destination)
        else:
            register_arithmetic(cpu, operation, pops, destination, source, destination)
    remember(cpu, record, form, operand)


@inline
def calculate_integer(
    cpu: Cpu, operation: Operation, reverse: int, operand: Operand, record: Record, form: FormVariant
) -> None:
    """The same with a signed integer in memory."""
    enter(cpu)
    head, significand = widen_integer(u64(operand.kind.signed(operand.read())))
    memory_arithmetic(cpu, operation, reverse, head, significand, u32(0))
    remember(cpu, record, form, operand)


@instruction("FADD", Form("D8 /0", "m32"), Form("DC /0", "m64"), Form("D8 /0", "sti"), Form("DC /0", "sti"))
def fadd(cpu: Cpu, operand: Operand, record: Record, form: FormVariant) -> None:
    """destination := destination + source (Vol. 2A “FADD/FADDP/FIADD—Add”)."""
    calculate(cpu, Operation.ADD, 0, operand, record, form)


@instruction("FADDP", Form("DE /0", "sti"))
def faddp(cpu: Cpu, operand: Operand, record: Record, form: FormVariant) -> None:
    """ST(i) := ST(i) + ST(0), pop."""
    calculate(cpu, Operation.ADD, 0, operand, record, form, 1)


@instruction("FIADD", Form("DA /0", "m32"), Form("DE /0", "m16"))
def fiadd(cpu: Cpu, operand: Operand, record: Record, form: FormVariant) -> None:
    """ST(0) := ST(0) + integer."""
    calculate_integer(cpu, Operation.ADD, 0, operand, record, form)


@instruction("FMUL", Form("D8 /1", "m32"), Form("DC /1", "m64"), Form("D8 /1", "sti"), Form("DC /1", "sti"))
def fmul(cpu: Cpu, operand: Operand, record: Record, form: FormVariant) -> None:
    """destination := destination · source (Vol. 2A “FMUL/FMULP/FIMUL—Multiply”)."""
    calculate(cpu, Operation.MULTIPLY, 0, operand, record, form)


@instruction("FMULP", Form("DE /1", "sti"))
def fmulp(cpu: Cpu, operand: Operand, record: Record, form: FormVariant) -> None:
    """ST(i) := ST(i) · ST(0), pop."""
    calculate(cpu, Operation.MULTIPLY, 0, operand, record, form, 1)


@instruction("FIMUL", Form("DA /1", "m32"), Form("DE /1", "m16"))
def fimul(cpu: Cpu, operand: Operand, record: Record, form: FormVariant) -> None:
    """ST(0) := ST(0) · integer."""
    calculate_integer(cpu, Operation.MULTIPLY, 0, operand, record, form)


@instruction("FSUB", Form("D8 /4", "m32"), Form("DC /4", "m64"), Form("D8 /4", "sti"), Form("DC /5", "sti"))
def fsub(cpu: Cpu, operand: Operand, record: Record, form: FormVariant) -> None:
    """destination := destination - source (Vol. 2A “FSUB/FSUBP/FISUB—Subtract”)."""
    calculate(cpu, Operation.SUBTRACT, 0, operand, record, form)


@instruction("FSUBP", Form("DE /5", "sti"))
def fsubp(cpu: Cpu, operand: Operand, record: Record, form: FormVariant) -> None:
    """ST(i) := ST(i) - ST(0), pop."""
    calculate(cpu, Operation.SUBTRACT, 0, operand, record, form, 1)


@instruction("FISUB", Form("DA /4", "m32"), Form("DE /4", "m16"))
def fisub(cpu: Cpu, operand: Operand, record: Record, form: FormVariant) -> None:
    """ST(0) := ST(0) - integer."""
    calculate_integer(cpu, Operation.SUBTRACT, 0, operand, record, form)


@instruction("FSUBR", Form("D8 /5", "m32"), Form("DC /5", "m64"), Form("D8 /5", "sti"), Form("DC /4", "sti"))
def fsubr(cpu: Cpu, operand: Operand, record: Record, form: FormVariant) -> None:
    """destination := source - destination (Vol. 2A “FSUBR/FSUBRP/FISUBR—Reverse Subtract”)."""
    calculate(cpu, Operation.SUBTRACT, 1, operand, record, form)


@instruction("FSUBRP", Form("DE /4", "sti"))
def fsubrp(cpu: Cpu, operand: Operand, record: Record, form: FormVariant) -> None:
    """ST(i) := ST(0) - ST(i), pop."""
    calculate(cpu, Operation.SUBTRACT, 1, operand, record, form, 1)


@instruction("FISUBR", Form("DA /5", "m32"), Form("DE /5", "m16"))
def fisubr(cpu: Cpu, operand: Operand, record: Record, form: FormVariant) -> None:
    """ST(0) := integer - ST(0)."""
    calculate_integer(cpu, Operation.SUBTRACT, 1, operand, record, form)


@instruction("FDIV", Form("D8 /6", "m32"), Form("DC /6", "m64"), Form("D8 /6", "sti"), Form("DC /7", "sti"))
def fdiv(cpu: Cpu, operand: Operand, record: Record, form: FormVariant) -> None:
    """destination := destination / source (Vol. 2A “FDIV/FDIVP/FIDIV—Divide”)."""
    calculate(cpu, Operation.DIVIDE, 0, operand, record, form)


@instruction("FDIVP", Form("DE /7", "sti"))
def fdivp(cpu: Cpu, operand: Operand, record: Record, form: FormVariant) -> None:
    """ST(i) := ST(i) / ST(0), pop."""
    calculate(cpu, Operation.DIVIDE, 0, operand, record, form, 1)


@instruction("FIDIV", Form("DA /6", "m32"), Form("DE /6", "m16"))
def fidiv(cpu: Cpu, operand: Operand, record: Record, form: FormVariant) -> None:
    """ST(0) := ST(0) / integer."""
    calculate_integer(cpu, Operation.DIVIDE, 0, operand, record, form)


@instruction("FDIVR", Form("D8 /7", "m32"), Form("DC /7", "m64"), Form("D8 /7", "sti"), Form("DC /6", "sti"))
def fdivr(cpu: Cpu, operand: Operand, record: Record, form: FormVariant) -> None:
    """destination := source / destination (Vol. 2A “FDIVR/FDIVRP/FIDIVR—Reverse Divide”)."""
    calculate(cpu, Operation.DIVIDE, 1, operand, record, form)


@instruction("FDIVRP", Form("DE /6", "sti"))
def fdivrp(cpu: Cpu, operand: Operand, record: Record, form: FormVariant) -> None:
    """ST(i) := ST(0) / ST(i), pop."""
    calculate(cpu, Operation.DIVIDE, 1, operand, record, form, 1)


@instruction("FIDIVR", Form("DA /7", "m32"), Form("DE /7", "m16"))
def fidivr(cpu: Cpu, operand: Operand, record: Record, form: FormVariant) -> None:
    """ST(0) := integer / ST(0)."""
    calculate_integer(cpu, Operation.DIVIDE, 1, operand, record, form)


@instruction("FCHS", Form("D9 E0"))
def fchs(cpu: Cpu, record: Record, form: FormVariant) -> None:
    """ST(0) := -ST(0) (Vol. 2A “FCHS—Change Sign”)."""
    enter(cpu)
    change_sign(cpu, u32(0xFFFF), u32(SIGN))
    remember(cpu, record, form)


@instruction("FABS", Form("D9 E1"))
def fabs(cpu: Cpu, record: Record, form: FormVariant) -> None:
    """ST(0) := |ST(0)| (Vol. 2A “FABS—Absolute Value”)."""
    enter(cpu)
    change_sign(cpu, u32(0x7FFF), u32(0))
    remember(cpu, record, form)


@instruction("FXTRACT", Form("D9 F4"))
def fxtract(cpu: Cpu, record: Record, form: FormVariant) -> None:
    """ST(0) := exponent of ST(0), push its significand (Vol. 2A “FXTRACT—Extract Exponent and Significand”)."""
    enter(cpu)
    extract_top(cpu)
    remember(cpu, record, form)


@instruction("FPREM1", Form("D9 F5"))
def fprem1(cpu: Cpu, record: Record, form: FormVariant) -> None:
    """ST(0) := IEEE remainder of ST(0) / ST(1), or a step towards it (Vol. 2A “FPREM1—Partial Remainder”)."""
    enter(cpu)
    remainder_top(cpu, 1)
    remember(cpu, record, form)


@instruction("FPREM", Form("D9 F8"))
def fprem(cpu: Cpu, record: Record, form: FormVariant) -> None:
    """ST(0) := truncating remainder of ST(0) / ST(1), or a step towards it (Vol. 2A “FPREM—Partial Remainder”)."""
    enter(cpu)
    remainder_top(cpu, 0)
    remember(cpu, record, form)


@instruction("FSQRT", Form("D9 FA"))
def fsqrt(cpu: Cpu, record: Record, form: FormVariant) -> None:
    """ST(0) := √ST(0) (Vol. 2A “FSQRT—Square Root”)."""
    enter(cpu)
    square_root_top(cpu)
    remember(cpu, record, form)


@instruction("FRNDINT", Form("D9 FC"))
def frndint(cpu: Cpu, record: Record, form: FormVariant) -> None:
    """ST(0) := ST(0) rounded to an integer (Vol. 2A “FRNDINT—Round to Integer”)."""
    enter(cpu)
    round_top(cpu)
    remember(cpu, record, form)


@instruction("FSCALE", Form("D9 FD"))
def fscale(cpu: Cpu, record: Record, form: FormVariant) -> None:
    """ST(0) := ST(0) · 2^ST(1) (Vol. 2A “FSCALE—Scale”)."""
    enter(cpu)
    scale_top(cpu)
    remember(cpu, record, form)
