"""FCOM, FUCOM, FCOMI, FICOM, FTST, FXAM (Vol. 1 §8.3.6 “Comparison and Classification Instructions”)."""

from __future__ import annotations

from vmxon.isa.operands import MemoryOperand, NumberOperand
from vmxon.isa.record import Record
from vmxon.isa.table import Form, instruction
from vmxon.isa.x87.step import enter, remember
from vmxon.microcode import inline, u32, u64
from vmxon.processor.flags import write_status
from vmxon.processor.floating.extended_convert import widen, widen_integer
from vmxon.processor.floating.formats import DOUBLE, SINGLE
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.x87.compare import compare_register, compare_to_flags, compare_with, examine_top


@inline
def compare_ordered(cpu: Cpu, source: MemoryOperand | NumberOperand, pops: int, record: Record) -> None:
    """Compare ST(0) with a real number; a quiet NaN is invalid."""
    enter(cpu)
    if isinstance(source, MemoryOperand):
        head, significand, denormal = widen(DOUBLE if source.kind.bits == 64 else SINGLE, u64(source.read()))
        compare_with(cpu, 1, pops, head, significand, denormal, False)
    else:
        compare_register(cpu, 1, pops, u32(source.number()))
    remember(cpu, record, 0xDC if source.kind.bits == 64 else 0xD8, source)


# DC /2 and DC /3, DE /2 with a register are undocumented encodings of the same.
@instruction("FCOM", Form("D8 /2", "m32"), Form("DC /2", "m64"), Form("D8 /2", "sti"), Form("DC /2", "sti"))
def fcom(cpu: Cpu, source: MemoryOperand | NumberOperand, record: Record) -> None:
    """C3, C2, C0 := ST(0) compared with source (Vol. 2A “FCOM/FCOMP/FCOMPP—Compare Floating-Point Values”)."""
    compare_ordered(cpu, source, 0, record)


@instruction(
    "FCOMP",
    Form("D8 /3", "m32"),
    Form("DC /3", "m64"),
    Form("D8 /3", "sti"),
    Form("DC /3", "sti"),
    Form("DE /2", "sti"),
)
def fcomp(cpu: Cpu, source: MemoryOperand | NumberOperand, record: Record) -> None:
    """The same, pop."""
    compare_ordered(cpu, source, 1, record)


@instruction("FCOMPP", Form("DE D9"))
def fcompp(cpu: Cpu, record: Record) -> None:
    """Compare ST(0) with ST(1), pop both."""
    enter(cpu)
    compare_register(cpu, 1, 2, u32(1))
    remember(cpu, record, 0xDE)


@instruction("FUCOM", Form("DD /4", "sti"))
def fucom(cpu: Cpu, source: NumberOperand, record: Record) -> None:
    """Compare ST(0) with ST(i), quiet NaNs allowed (Vol. 2A “FUCOM/FUCOMP/FUCOMPP”)."""
    enter(cpu)
    compare_register(cpu, 0, 0, u32(source.number()))
    remember(cpu, record, 0xDD)


@instruction("FUCOMP", Form("DD /5", "sti"))
def fucomp(cpu: Cpu, source: NumberOperand, record: Record) -> None:
    """The same, pop."""
    enter(cpu)
    compare_register(cpu, 0, 1, u32(source.number()))
    remember(cpu, record, 0xDD)


@instruction("FUCOMPP", Form("DA E9"))
def fucompp(cpu: Cpu, record: Record) -> None:
    """Compare ST(0) with ST(1), quiet NaNs allowed, pop both."""
    enter(cpu)
    compare_register(cpu, 0, 2, u32(1))
    remember(cpu, record, 0xDA)


@inline
def compare_integer(cpu: Cpu, source: MemoryOperand, pops: int, record: Record) -> None:
    """Compare ST(0) with a signed integer."""
    enter(cpu)
    head, significand = widen_integer(u64(source.kind.signed(source.read())))
    compare_with(cpu, 1, pops, head, significand, u32(0), False)
    remember(cpu, record, 0xDA if source.kind.bits == 32 else 0xDE, source)


@instruction("FICOM", Form("DE /2", "m16"), Form("DA /2", "m32"))
def ficom(cpu: Cpu, source: MemoryOperand, record: Record) -> None:
    """C3, C2, C0 := ST(0) compared with an integer (Vol. 2A “FICOM/FICOMP—Compare Integer”)."""
    compare_integer(cpu, source, 0, record)


@instruction("FICOMP", Form("DE /3", "m16"), Form("DA /3", "m32"))
def ficomp(cpu: Cpu, source: MemoryOperand, record: Record) -> None:
    """The same, pop."""
    compare_integer(cpu, source, 1, record)


@inline
def compare_setting_flags(cpu: Cpu, signal_quiet: int, pops: int, source: NumberOperand, record: Record) -> None:
    """ZF, PF, CF := ST(0) compared with ST(i); OF, SF, AF := 0."""
    enter(cpu)
    write_status(cpu, compare_to_flags(cpu, signal_quiet, pops, u32(source.number())))
    remember(cpu, record, 0xDF if pops else 0xDB)


@instruction("FCOMI", Form("DB /6", "sti"), writes="of sf zf af pf cf")
def fcomi(cpu: Cpu, source: NumberOperand, record: Record) -> None:
    """Compare into RFLAGS (Vol. 2A “FCOMI/FCOMIP/ FUCOMI/FUCOMIP”)."""
    compare_setting_flags(cpu, 1, 0, source, record)


@instruction("FCOMIP", Form("DF /6", "sti"), writes="of sf zf af pf cf")
def fcomip(cpu: Cpu, source: NumberOperand, record: Record) -> None:
    """The same, pop."""
    compare_setting_flags(cpu, 1, 1, source, record)


@instruction("FUCOMI", Form("DB /5", "sti"), writes="of sf zf af pf cf")
def fucomi(cpu: Cpu, source: NumberOperand, record: Record) -> None:
    """Compare into RFLAGS, quiet NaNs allowed."""
    compare_setting_flags(cpu, 0, 0, source, record)


@instruction("FUCOMIP", Form("DF /5", "sti"), writes="of sf zf af pf cf")
def fucomip(cpu: Cpu, source: NumberOperand, record: Record) -> None:
    """The same, pop."""
    compare_setting_flags(cpu, 0, 1, source, record)


@instruction("FTST", Form("D9 E4"))
def ftst(cpu: Cpu, record: Record) -> None:
    """Compare ST(0) with +0.0 (Vol. 2A “FTST—TEST”)."""
    enter(cpu)
    compare_with(cpu, 1, 0, u32(0), u64(0), u32(0), False)
    remember(cpu, record, 0xD9)


@instruction("FXAM", Form("D9 E5"))
def fxam(cpu: Cpu, record: Record) -> None:
    """C3, C2, C0 := class of ST(0), C1 := its sign (Vol. 2A “FXAM—Examine Floating-Point”)."""
    enter(cpu)
    examine_top(cpu)
    remember(cpu, record, 0xD9)
