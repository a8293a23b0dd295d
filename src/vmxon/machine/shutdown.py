"""The report of a triple fault: three exceptions, and the registers that none of them changed."""

from __future__ import annotations

from vmxon.arch.exceptions import Vector
from vmxon.errors import Fault
from vmxon.machine.processor import Processor
from vmxon.processor.state import Segment

NAMES = ("RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", *(f"R{number}" for number in range(8, 16)))


def triple_fault(processor: Processor) -> tuple[Fault, ...]:
    """The three faults that a shut-down processor remembers, in the order in which they came."""
    state = processor.state
    faults = []
    for place in range(3):
        event, pointer = state.shutdown_faults[2 * place], state.shutdown_faults[2 * place + 1]
        vector, error = event >> 32, event & 0xFFFF_FFFF
        known = vector in Vector.__members__.values()
        name = f"#{Vector(vector).name}" if known else f"interrupt {vector:#x}"
        code = error if known and Vector(vector).pushes_error_code else None
        faults.append(Fault(name, pointer, code, _registers(processor) if place == 2 else {"CR2": state.cr2}))
    return tuple(faults)


def _registers(processor: Processor) -> dict[str, int]:
    state = processor.state
    values = {name: state.gpr[number] for number, name in enumerate(NAMES)}
    values |= {"RFLAGS": processor.rflags, "CR0": state.cr0, "CR2": state.cr2, "CR3": state.cr3, "CR4": state.cr4, "EFER": state.efer}
    values |= {segment.name: state.segments[segment].selector for segment in (Segment.CS, Segment.SS, Segment.DS, Segment.TR)}
    return values | {"GDTR": state.gdt_base, "IDTR": state.idt_base}
