"""BOUND: an index between two bounds in memory, or #BR."""

from __future__ import annotations

from vmxon.arch.exceptions import Vector
from vmxon.isa.operands import FormVariant, Operand
from vmxon.isa.record import Record
from vmxon.isa.table import Form, instruction
from vmxon.microcode import load, u32
from vmxon.processor.exceptions import raise_plain
from vmxon.processor.memory import readable
from vmxon.processor.state import ProcessorState as Cpu


@instruction("BOUND", Form("62 /r", "r, m", modes="16 32"))
def bound(cpu: Cpu, index: Operand, bounds: Operand, record: Record, form: FormVariant) -> None:
    """#BR unless lower <= index <= upper, all signed (Vol. 2A “BOUND—Check Array Index Against Bounds”)."""
    kind = form.kind.signed
    pointer = readable(cpu, bounds.linear(kind.bytes * 2), kind.bytes * 2, record.segment)
    number = kind(index.read())
    if number < load(kind, pointer) or number > load(kind, pointer + kind.bytes):
        raise_plain(cpu, u32(Vector.BR))
