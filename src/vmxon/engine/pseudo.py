"""Handlers that no encoding names: what the decoder puts where it found no instruction."""

from __future__ import annotations

from vmxon.engine.handlers import Handler
from vmxon.isa.form import Form
from vmxon.isa.record import Record
from vmxon.isa.registers import RCX, step_register
from vmxon.isa.table import Instruction
from vmxon.microcode import fault, microcode, u32, u64
from vmxon.processor.exceptions import general_protection, undefined_opcode
from vmxon.processor.flags import condition, zero
from vmxon.processor.state import FaultKind, HostRequest
from vmxon.processor.state import ProcessorState as Cpu

JCC, LOOPNE, LOOP, JRCXZ = 0x70, 0xE0, 0xE2, 0xE3
"""Opcodes of relative branches that may not be taken."""


def undefined(cpu: Cpu) -> None:
    """#UD."""
    undefined_opcode(cpu)


def too_long(cpu: Cpu) -> None:
    """An instruction of more than 15 bytes: #GP(0) (Vol. 2A §2.3.11)."""
    general_protection(cpu, 0)


def outside(cpu: Cpu, record: Record) -> None:
    """A relative branch to where no instruction can be: #GP(0) at the branch where it is taken, and only there.

    The decoder leaves the opcode in `scale`, that of a conditional jump as its short form.
    """
    opcode = record.scale
    taken = True
    if opcode & 0xF0 == JCC:
        taken = holds(cpu, u32(opcode & 15))
    elif opcode == JRCXZ:
        taken = cpu.gpr[RCX] << record.address_shift == 0
    elif opcode & 0xFC == LOOPNE:
        taken = (cpu.gpr[RCX] - 1) << record.address_shift != 0
        if opcode != LOOP:
            taken = taken & (zero(cpu) == (opcode != LOOPNE))
        if not taken:
            step_register(cpu, RCX, record.address_shift, u64(-1))
    if taken:
        general_protection(cpu, 0)


@microcode
def holds(cpu: Cpu, code: u32) -> bool:
    """A condition by its number at run time."""
    result = False
    for known in range(16):
        if code == known:
            result = condition(cpu, known)
    return result


def pending(cpu: Cpu, record: Record) -> None:
    """An instruction whose group is not loaded yet: Python loads it, and the instruction comes again."""
    cpu.request = u32(HostRequest.GROUP)
    cpu.request_value = u64(record.entry)
    cpu.fault_kind = u32(FaultKind.HOST)
    fault()


def _pseudo(name: str, meaning: object, flow: str = "next") -> Handler:
    row = Instruction(name, (), meaning, "", "", False, False, flow, False, "", False)
    return Handler(row, Form("00"), (), 32, "")


UNDEFINED = _pseudo("(undefined)", undefined)
TOO_LONG = _pseudo("(too long)", too_long)
OUTSIDE = _pseudo("(outside)", outside, "system")
PENDING = _pseudo("(pending)", pending)
PSEUDO = (UNDEFINED, TOO_LONG, OUTSIDE, PENDING)
"""In the order of their addresses (`places.PSEUDO_HANDLERS` counts them)."""
