"""FXSAVE, FXRSTOR: x87 and SSE state in memory (Vol. 1 §10.5 “FXSAVE and FXRSTOR Instructions”)."""

from __future__ import annotations

from vmxon.isa.operands import MemoryOperand, check_alignment
from vmxon.isa.record import Prefix, Record
from vmxon.isa.table import Form, instruction
from vmxon.microcode import u64
from vmxon.processor.extended_state import FXSAVE_BYTES, load_fxsave_image, store_fxsave_image
from vmxon.processor.memory import readable, writable
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.x87.registers import check_available


@instruction("FXSAVE", Form("NP 0F AE /0", "m8"))
def fxsave(cpu: Cpu, destination: MemoryOperand, record: Record) -> None:
    """destination := x87 and SSE state, 512 bytes, aligned to 16; FXSAVE64 with REX.W (Vol. 2A “FXSAVE”)."""
    check_available(cpu)
    linear = destination.linear(FXSAVE_BYTES, True)
    check_alignment(cpu, linear, 16)
    pointer = writable(cpu, linear, FXSAVE_BYTES, record.segment)
    store_fxsave_image(cpu, pointer, u64(record.prefixes & Prefix.REX_W) != 0)


@instruction("FXRSTOR", Form("NP 0F AE /1", "m8"))
def fxrstor(cpu: Cpu, source: MemoryOperand, record: Record) -> None:
    """x87 and SSE state := source; #GP(0) for reserved bits of MXCSR (Vol. 2A “FXRSTOR”)."""
    check_available(cpu)
    linear = source.linear(FXSAVE_BYTES)
    check_alignment(cpu, linear, 16)
    pointer = readable(cpu, linear, FXSAVE_BYTES, record.segment)
    load_fxsave_image(cpu, pointer, u64(record.prefixes & Prefix.REX_W) != 0)
