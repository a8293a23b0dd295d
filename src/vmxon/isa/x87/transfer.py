"""Loads, stores, exchanges and conditional moves (Vol. 1 §8.3.3 “Data Transfer Instructions”)."""

from __future__ import annotations

from vmxon.isa.operands import MemoryOperand, NumberOperand
from vmxon.isa.record import Record
from vmxon.isa.table import Form, instruction
from vmxon.isa.x87.step import enter, remember
from vmxon.microcode import inline, load, store, u16, u32, u64
from vmxon.processor.flags import condition
from vmxon.processor.floating.extended_convert import widen_decimal, widen_integer
from vmxon.processor.floating.formats import DOUBLE, SINGLE
from vmxon.processor.memory import readable, writable
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.x87.registers import push
from vmxon.processor.x87.transfer import (
    decimal_to_store,
    exchange,
    extended_to_store,
    finish_store,
    integer_to_store,
    is_refused,
    load_real,
    load_register,
    move_if,
    real_to_store,
    store_register,
)

EXTENDED_BYTES = 10
"""Size of an 80-bit operand, real or packed BCD; the notation m8 stands for its address."""


@instruction("FLD", Form("D9 /0", "m32"), Form("DD /0", "m64"), Form("D9 /0", "sti"))
def fld(cpu: Cpu, source: MemoryOperand | NumberOperand, record: Record) -> None:
    """Push a real number (Vol. 2A “FLD—Load Floating-Point Value”)."""
    enter(cpu)
    if isinstance(source, MemoryOperand):
        load_real(cpu, DOUBLE if source.kind.bits == 64 else SINGLE, u64(source.read()))
    else:
        load_register(cpu, u32(source.number()))
    remember(cpu, record, 0xDD if source.kind.bits == 64 else 0xD9, source)


@instruction("FLD80", Form("DB /5", "m8"))
def fld80(cpu: Cpu, source: MemoryOperand, record: Record) -> None:
    """Push a number in double extended precision as it is: FLD m80fp."""
    enter(cpu)
    pointer = readable(cpu, source.linear(EXTENDED_BYTES), EXTENDED_BYTES, record.segment)
    push(cpu, u32(load(u16, pointer + 8)), load(u64, pointer), u32(0))
    remember(cpu, record, 0xDB, source)


@inline
def store_real(cpu: Cpu, destination: MemoryOperand | NumberOperand, pops: int, record: Record) -> None:
    """destination := ST(0), then pop."""
    enter(cpu)
    if isinstance(destination, MemoryOperand):
        value, flags = real_to_store(cpu, DOUBLE if destination.kind.bits == 64 else SINGLE)
        if not is_refused(cpu, flags):
            destination.write(destination.kind(value))
        finish_store(cpu, pops, flags)
    else:
        store_register(cpu, pops, u32(destination.number()))
    remember(cpu, record, 0xD9 if destination.kind.bits == 32 else 0xDD, destination)


@instruction("FST", Form("D9 /2", "m32"), Form("DD /2", "m64"), Form("DD /2", "sti"))
def fst(cpu: Cpu, destination: MemoryOperand | NumberOperand, record: Record) -> None:
    """destination := ST(0) (Vol. 2A “FST/FSTP—Store Floating-Point Value”)."""
    store_real(cpu, destination, 0, record)


@instruction(
    "FSTP",
    Form("D9 /3", "m32"),
    Form("DD /3", "m64"),
    Form("DD /3", "sti"),
    # Undocumented encodings of the register form.
    Form("D9 /3", "sti"),
    Form("DF /2", "sti"),
    Form("DF /3", "sti"),
)
def fstp(cpu: Cpu, destination: MemoryOperand | NumberOperand, record: Record) -> None:
    """destination := ST(0), pop."""
    store_real(cpu, destination, 1, record)


@instruction("FSTP80", Form("DB /7", "m8"))
def fstp80(cpu: Cpu, destination: MemoryOperand, record: Record) -> None:
    """m80fp := ST(0) as it is, pop: FSTP m80fp."""
    enter(cpu)
    significand, head, flags = extended_to_store(cpu)
    store_ten_bytes(cpu, destination, record, significand, head, flags)
    finish_store(cpu, 1, flags)
    remember(cpu, record, 0xDB, destination)


@inline
def store_ten_bytes(cpu: Cpu, destination: MemoryOperand, record: Record, low: int, high: int, flags: int) -> None:
    """Write 80 bits unless an unmasked exception forbids it."""
    if not is_refused(cpu, flags):
        linear = destination.linear(EXTENDED_BYTES, True)
        pointer = writable(cpu, linear, EXTENDED_BYTES, record.segment)
        store(u64, pointer, low)
        store(u16, pointer + 8, u16(high))


@instruction("FILD", Form("DF /0", "m16"), Form("DB /0", "m32"), Form("DF /5", "m64"))
def fild(cpu: Cpu, source: MemoryOperand, record: Record) -> None:
    """Push a signed integer (Vol. 2A “FILD—Load Integer”)."""
    enter(cpu)
    head, significand = widen_integer(u64(source.kind.signed(source.read())))
    push(cpu, head, significand, u32(0))
    remember(cpu, record, 0xDB if source.kind.bits == 32 else 0xDF, source)


@inline
def store_integer(cpu: Cpu, destination: MemoryOperand, pops: int, record: Record, escape: int, truncates: int = 0) -> None:
    """destination := ST(0) as a signed integer, then pop."""
    enter(cpu)
    value, flags = integer_to_store(cpu, destination.kind.bits, truncates)
    if not is_refused(cpu, flags):
        destination.write(destination.kind(value))
    finish_store(cpu, pops, flags)
    remember(cpu, record, escape, destination)


@instruction("FIST", Form("DF /2", "m16"), Form("DB /2", "m32"))
def fist(cpu: Cpu, destination: MemoryOperand, record: Record) -> None:
    """destination := ST(0) rounded to an integer (Vol. 2A “FIST/FISTP—Store Integer”)."""
    store_integer(cpu, destination, 0, record, 0xDB if destination.kind.bits == 32 else 0xDF)


@instruction("FISTP", Form("DF /3", "m16"), Form("DB /3", "m32"), Form("DF /7", "m64"))
def fistp(cpu: Cpu, destination: MemoryOperand, record: Record) -> None:
    """destination := ST(0) rounded to an integer, pop."""
    store_integer(cpu, destination, 1, record, 0xDB if destination.kind.bits == 32 else 0xDF)


@instruction("FISTTP", Form("DF /1", "m16"), Form("DB /1", "m32"), Form("DD /1", "m64"), feature="sse3")
def fisttp(cpu: Cpu, destination: MemoryOperand, record: Record) -> None:
    """destination := ST(0) truncated to an integer, pop (Vol. 2A “FISTTP—Store Integer With Truncation”)."""
    wide = 0xDD if destination.kind.bits == 64 else 0xDB
    store_integer(cpu, destination, 1, record, 0xDF if destination.kind.bits == 16 else wide, 1)


@instruction("FBLD", Form("DF /4", "m8"))
def fbld(cpu: Cpu, source: MemoryOperand, record: Record) -> None:
    """Push a packed BCD integer (Vol. 2A “FBLD—Load Binary Coded Decimal”)."""
    enter(cpu)
    pointer = readable(cpu, source.linear(EXTENDED_BYTES), EXTENDED_BYTES, record.segment)
    head, significand = widen_decimal(load(u64, pointer), u32(load(u16, pointer + 8)))
    push(cpu, head, significand, u32(0))
    remember(cpu, record, 0xDF, source)


@instruction("FBSTP", Form("DF /6", "m8"))
def fbstp(cpu: Cpu, destination: MemoryOperand, record: Record) -> None:
    """m80bcd := ST(0) rounded to an integer, pop (Vol. 2A “FBSTP—Store BCD Integer and Pop”)."""
    enter(cpu)
    low, high, flags = decimal_to_store(cpu)
    store_ten_bytes(cpu, destination, record, low, high, flags)
    finish_store(cpu, 1, flags)
    remember(cpu, record, 0xDF, destination)


# DD /1 and DF /1 are undocumented encodings of the same.
@instruction("FXCH", Form("D9 /1", "sti"), Form("DD /1", "sti"), Form("DF /1", "sti"))
def fxch(cpu: Cpu, other: NumberOperand, record: Record) -> None:
    """Exchange ST(0) and ST(i) (Vol. 2A “FXCH—Exchange Register Contents”)."""
    enter(cpu)
    exchange(cpu, u32(other.number()))
    remember(cpu, record, 0xD9)


@inline
def conditional_move(cpu: Cpu, code: int, source: NumberOperand, record: Record, escape: int) -> None:
    """ST(0) := ST(i) on a condition of RFLAGS."""
    enter(cpu)
    move_if(cpu, condition(cpu, code), u32(source.number()))
    remember(cpu, record, escape)


@instruction("FCMOVB", Form("DA /0", "sti"))
def fcmovb(cpu: Cpu, source: NumberOperand, record: Record) -> None:
    """ST(0) := ST(i) if CF = 1 (Vol. 2A “FCMOVcc—Floating-Point Conditional Move”)."""
    conditional_move(cpu, 2, source, record, 0xDA)


@instruction("FCMOVE", Form("DA /1", "sti"))
def fcmove(cpu: Cpu, source: NumberOperand, record: Record) -> None:
    """ST(0) := ST(i) if ZF = 1."""
    conditional_move(cpu, 4, source, record, 0xDA)


@instruction("FCMOVBE", Form("DA /2", "sti"))
def fcmovbe(cpu: Cpu, source: NumberOperand, record: Record) -> None:
    """ST(0) := ST(i) if CF = 1 or ZF = 1."""
    conditional_move(cpu, 6, source, record, 0xDA)


@instruction("FCMOVU", Form("DA /3", "sti"))
def fcmovu(cpu: Cpu, source: NumberOperand, record: Record) -> None:
    """ST(0) := ST(i) if PF = 1."""
    conditional_move(cpu, 10, source, record, 0xDA)


@instruction("FCMOVNB", Form("DB /0", "sti"))
def fcmovnb(cpu: Cpu, source: NumberOperand, record: Record) -> None:
    """ST(0) := ST(i) if CF = 0."""
    conditional_move(cpu, 3, source, record, 0xDB)


@instruction("FCMOVNE", Form("DB /1", "sti"))
def fcmovne(cpu: Cpu, source: NumberOperand, record: Record) -> None:
    """ST(0) := ST(i) if ZF = 0."""
    conditional_move(cpu, 5, source, record, 0xDB)


@instruction("FCMOVNBE", Form("DB /2", "sti"))
def fcmovnbe(cpu: Cpu, source: NumberOperand, record: Record) -> None:
    """ST(0) := ST(i) if CF = 0 and ZF = 0."""
    conditional_move(cpu, 7, source, record, 0xDB)


@instruction("FCMOVNU", Form("DB /3", "sti"))
def fcmovnu(cpu: Cpu, source: NumberOperand, record: Record) -> None:
    """ST(0) := ST(i) if PF = 0."""
    conditional_move(cpu, 11, source, record, 0xDB)
