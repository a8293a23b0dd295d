"""What a guest's triple fault left behind: three exceptions in the processor's record, the registers in the VMCS."""

from __future__ import annotations

from vmxon.arch.exceptions import Vector
from vmxon.errors import Fault, TripleFault
from vmxon.hypervisor.memory.guest_walk import Paging
from vmxon.hypervisor.operation.registers import GuestRegisters, Register
from vmxon.machine.root import RootProcessor
from vmxon.vmx.fields import VmcsField as Field

SHOWN = {
    "RFLAGS": Field.GUEST_RFLAGS,
    "CS": Field.GUEST_CS_SELECTOR,
    "SS": Field.GUEST_SS_SELECTOR,
    "DS": Field.GUEST_DS_SELECTOR,
    "TR": Field.GUEST_TR_SELECTOR,
    "GDTR": Field.GUEST_GDTR_BASE,
    "IDTR": Field.GUEST_IDTR_BASE,
}

HIDDEN = (
    *(Field.GUEST_RSP, Field.CR0_GUEST_HOST_MASK, Field.GUEST_CR0, Field.CR0_READ_SHADOW),
    *(Field.CR4_GUEST_HOST_MASK, Field.GUEST_CR4, Field.CR4_READ_SHADOW),
)
"""RSP, and what the guest sees of CR0 and CR4 is made of."""


def describe_triple_fault(root: RootProcessor, registers: GuestRegisters, paging: Paging) -> TripleFault:
    """The error to raise: no register changes between the three, so the state stands once, at the last."""
    record = list(root.state.shutdown_faults)
    faults = []
    for place in range(3):
        event, pointer = record[2 * place], record[2 * place + 1]
        vector = event >> 32
        known = Vector(vector) if vector in Vector.__members__.values() else None
        name = f"#{known.name}" if known is not None else f"interrupt {vector:#x}"
        code = event & 0xFFFF_FFFF if known is not None and known.pushes_error_code else None
        faults.append(Fault(name, pointer, code, _state(root, registers, paging) if place == 2 else {}))
    return TripleFault(tuple(faults))


def _state(root: RootProcessor, registers: GuestRegisters, paging: Paging) -> dict[str, int]:
    rsp, cr0_mask, cr0, cr0_shadow, cr4_mask, cr4, cr4_shadow, *values = root.fields(HIDDEN + tuple(SHOWN.values()))
    general = {register.name: rsp if register is Register.RSP else registers[register] for register in Register}
    control = {
        "CR0": cr0 & ~cr0_mask | cr0_shadow & cr0_mask,
        "CR2": root.state.cr2,
        "CR3": paging.cr3,
        "CR4": cr4 & ~cr4_mask | cr4_shadow & cr4_mask,
        "EFER": paging.efer,
    }
    return general | control | dict(zip(SHOWN, values, strict=True))
