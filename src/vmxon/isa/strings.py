"""String instructions once: MOVS, CMPS, STOS, LODS, SCAS without a REP prefix."""

from __future__ import annotations

from vmxon.arch.flags import Rflags
from vmxon.isa.operands import FormVariant
from vmxon.isa.record import Record
from vmxon.isa.registers import RAX, RDI, RSI, read_register, step_register, write_register
from vmxon.isa.table import Form, instruction
from vmxon.microcode import IntType, inline, load, select, store, u64, unsigned
from vmxon.processor.flags import set_flags_sub
from vmxon.processor.memory import fast_segment_linear, readable, writable
from vmxon.processor.state import CodeSize, Segment
from vmxon.processor.state import ProcessorState as Cpu

DIRECTION = Rflags.df.mask


@inline
def backward(cpu: Cpu) -> bool:
    """DF."""
    return cpu.rflags_other & DIRECTION != 0


@inline
def stride(cpu: Cpu, kind: IntType) -> int:
    """What one step adds to an index register, as u64."""
    return select(backward(cpu), u64(-kind.bytes), u64(kind.bytes))


@inline
def offset_of(cpu: Cpu, register: int, record: Record) -> int:
    """An index register at the address size."""
    shift = record.address_shift
    return (cpu.gpr[register] << shift) >> shift


@inline
def extra_segment(cpu: Cpu) -> int:
    """ES as u64, which no prefix overrides, or its flat stand-in in 64-bit mode."""
    return select(cpu.code_size == CodeSize.BITS64, u64(Segment.FLAT_DATA), u64(Segment.ES))


@inline
def read_at_source(cpu: Cpu, record: Record, kind: IntType) -> int:
    """The element at DS:rSI, or in the segment of a prefix."""
    linear = fast_segment_linear(cpu, record.segment, offset_of(cpu, RSI, record), kind.bytes, False)
    return load(kind, readable(cpu, linear, kind.bytes, record.segment))


@inline
def read_at_destination(cpu: Cpu, record: Record, kind: IntType) -> int:
    """The element at ES:rDI."""
    segment = extra_segment(cpu)
    linear = fast_segment_linear(cpu, segment, offset_of(cpu, RDI, record), kind.bytes, False)
    return load(kind, readable(cpu, linear, kind.bytes, segment))


@inline
def write_at_destination(cpu: Cpu, record: Record, kind: IntType, value: int) -> None:
    """Replace the element at ES:rDI."""
    segment = extra_segment(cpu)
    linear = fast_segment_linear(cpu, segment, offset_of(cpu, RDI, record), kind.bytes, True)
    store(kind, writable(cpu, linear, kind.bytes, segment), value)


@instruction("MOVSB", Form("A4"))
def movsb(cpu: Cpu, record: Record) -> None:
    """ES:rDI := DS:rSI, then step both; one byte (Vol. 2B “MOVS/MOVSB/MOVSW/MOVSD/MOVSQ”)."""
    move_element(cpu, record, unsigned(8))


@instruction("MOVS", Form("A5"))
def movs(cpu: Cpu, record: Record, form: FormVariant) -> None:
    """The same at the operand size."""
    move_element(cpu, record, form.kind)


@inline
def move_element(cpu: Cpu, record: Record, kind: IntType) -> None:
    """MOVS."""
    write_at_destination(cpu, record, kind, read_at_source(cpu, record, kind))
    step_register(cpu, RSI, record.address_shift, stride(cpu, kind))
    step_register(cpu, RDI, record.address_shift, stride(cpu, kind))


@instruction("CMPSB", Form("A6"), writes="of sf zf af pf cf")
def cmpsb(cpu: Cpu, record: Record) -> None:
    """The flags of DS:rSI - ES:rDI, then step both; one byte (Vol. 2A “CMPS/CMPSB/CMPSW/CMPSD/CMPSQ”)."""
    compare_elements(cpu, record, unsigned(8))


@instruction("CMPS", Form("A7"), writes="of sf zf af pf cf")
def cmps(cpu: Cpu, record: Record, form: FormVariant) -> None:
    """The same at the operand size."""
    compare_elements(cpu, record, form.kind)


@inline
def compare_elements(cpu: Cpu, record: Record, kind: IntType) -> None:
    """CMPS."""
    left, right = read_at_source(cpu, record, kind), read_at_destination(cpu, record, kind)
    step_register(cpu, RSI, record.address_shift, stride(cpu, kind))
    step_register(cpu, RDI, record.address_shift, stride(cpu, kind))
    set_flags_sub(cpu, kind, left, right, left - right)


@instruction("STOSB", Form("AA"))
def stosb(cpu: Cpu, record: Record) -> None:
    """ES:rDI := rAX, then step; one byte (Vol. 2B “STOS/STOSB/STOSW/STOSD/STOSQ”)."""
    store_element(cpu, record, unsigned(8))


@instruction("STOS", Form("AB"))
def stos(cpu: Cpu, record: Record, form: FormVariant) -> None:
    """The same at the operand size."""
    store_element(cpu, record, form.kind)


@inline
def store_element(cpu: Cpu, record: Record, kind: IntType) -> None:
    """STOS."""
    write_at_destination(cpu, record, kind, read_register(cpu, RAX, kind))
    step_register(cpu, RDI, record.address_shift, stride(cpu, kind))


@instruction("LODSB", Form("AC"))
def lodsb(cpu: Cpu, record: Record) -> None:
    """rAX := DS:rSI, then step; one byte (Vol. 2A “LODS/LODSB/LODSW/LODSD/LODSQ”)."""
    load_element(cpu, record, unsigned(8))


@instruction("LODS", Form("AD"))
def lods(cpu: Cpu, record: Record, form: FormVariant) -> None:
    """The same at the operand size."""
    load_element(cpu, record, form.kind)


@inline
def load_element(cpu: Cpu, record: Record, kind: IntType) -> None:
    """LODS."""
    write_register(cpu, RAX, kind, read_at_source(cpu, record, kind))
    step_register(cpu, RSI, record.address_shift, stride(cpu, kind))


@instruction("SCASB", Form("AE"), writes="of sf zf af pf cf")
def scasb(cpu: Cpu, record: Record) -> None:
    """The flags of rAX - ES:rDI, then step; one byte (Vol. 2B “SCAS/SCASB/SCASW/SCASD”)."""
    scan_element(cpu, record, unsigned(8))


@instruction("SCAS", Form("AF"), writes="of sf zf af pf cf")
def scas(cpu: Cpu, record: Record, form: FormVariant) -> None:
    """The same at the operand size."""
    scan_element(cpu, record, form.kind)


@inline
def scan_element(cpu: Cpu, record: Record, kind: IntType) -> None:
    """SCAS."""
    left, right = read_register(cpu, RAX, kind), read_at_destination(cpu, record, kind)
    step_register(cpu, RDI, record.address_shift, stride(cpu, kind))
    set_flags_sub(cpu, kind, left, right, left - right)
