"""The seven constants (Vol. 2A “FLD1/FLDL2T/FLDL2E/FLDPI/FLDLG2/FLDLN2/FLDZ—Load Constant”)."""

from __future__ import annotations

from vmxon.isa.record import Record
from vmxon.isa.table import Form, instruction
from vmxon.isa.x87.step import enter, remember
from vmxon.microcode import inline, u32, u64
from vmxon.processor.floating.formats import NEAREST, UPWARD
from vmxon.processor.floating.rounding import rounding_mode
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.x87.registers import push


@inline
def load_constant(cpu: Cpu, head: int, truncated: int, rounds_up: tuple[int, ...], record: Record) -> None:
    """Push a constant, one unit higher in the rounding modes `rounds_up`; the precision flag stays as it is."""
    enter(cpu)
    significand = u64(truncated)
    if rounding_mode(u32(cpu.x87_control)) in rounds_up:
        significand = u64(truncated + 1)
    push(cpu, u32(head), significand, u32(0))
    remember(cpu, record, 0xD9)


@instruction("FLD1", Form("D9 E8"))
def fld1(cpu: Cpu, record: Record) -> None:
    """Push +1.0."""
    enter(cpu)
    push(cpu, u32(0x3FFF), u64(1 << 63), u32(0))
    remember(cpu, record, 0xD9)


# The truncated 64-bit significands; whether “nearest” is the next one follows from the digits that come after.
@instruction("FLDL2T", Form("D9 E9"))
def fldl2t(cpu: Cpu, record: Record) -> None:
    """Push log2(10)."""
    load_constant(cpu, 0x4000, 0xD49A784BCD1B8AFE, (UPWARD,), record)


@instruction("FLDL2E", Form("D9 EA"))
def fldl2e(cpu: Cpu, record: Record) -> None:
    """Push log2(e)."""
    load_constant(cpu, 0x3FFF, 0xB8AA3B295C17F0BB, (NEAREST, UPWARD), record)


@instruction("FLDPI", Form("D9 EB"))
def fldpi(cpu: Cpu, record: Record) -> None:
    """Push π."""
    load_constant(cpu, 0x4000, 0xC90FDAA22168C234, (NEAREST, UPWARD), record)


@instruction("FLDLG2", Form("D9 EC"))
def fldlg2(cpu: Cpu, record: Record) -> None:
    """Push log10(2)."""
    load_constant(cpu, 0x3FFD, 0x9A209A84FBCFF798, (NEAREST, UPWARD), record)


@instruction("FLDLN2", Form("D9 ED"))
def fldln2(cpu: Cpu, record: Record) -> None:
    """Push ln(2)."""
    load_constant(cpu, 0x3FFE, 0xB17217F7D1CF79AB, (NEAREST, UPWARD), record)


@instruction("FLDZ", Form("D9 EE"))
def fldz(cpu: Cpu, record: Record) -> None:
    """Push +0.0."""
    enter(cpu)
    push(cpu, u32(0), u64(0), u32(0))
    remember(cpu, record, 0xD9)
