"""Handlers that no encoding names: what the decoder puts where it found no instruction."""

from __future__ import annotations

from vmxon.engine.handlers import Handler
from vmxon.isa.form import Form
from vmxon.isa.record import Record
from vmxon.isa.table import Instruction
from vmxon.microcode import fault, u32, u64
from vmxon.processor.exceptions import general_protection, undefined_opcode
from vmxon.processor.state import FaultKind, HostRequest
from vmxon.processor.state import ProcessorState as Cpu


def undefined(cpu: Cpu) -> None:
    """#UD."""
    undefined_opcode(cpu)


def too_long(cpu: Cpu) -> None:
    """An instruction of more than 15 bytes: #GP(0) (Vol. 2A §2.3.11)."""
    general_protection(cpu, 0)


def pending(cpu: Cpu, record: Record) -> None:
    """An instruction whose group is not loaded yet: Python loads it, and the instruction comes again."""
    cpu.request = u32(HostRequest.GROUP)
    cpu.request_value = u64(record.entry)
    cpu.fault_kind = u32(FaultKind.HOST)
    fault()


def _pseudo(name: str, meaning: object) -> Handler:
    row = Instruction(name, (), meaning, "", "", False, False, "next", False, "", False)
    return Handler(row, Form("00"), (), 32, "")


UNDEFINED = _pseudo("(undefined)", undefined)
TOO_LONG = _pseudo("(too long)", too_long)
PENDING = _pseudo("(pending)", pending)
PSEUDO = (UNDEFINED, TOO_LONG, PENDING)
"""In the order of their addresses (`places.PSEUDO_HANDLERS` counts them)."""
