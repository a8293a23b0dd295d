"""How VMX instructions end (Vol. 3C §31.2 “Conventions”): VMsucceed, VMfailInvalid, VMfailValid."""

from __future__ import annotations

from vmxon.microcode import inline, u64
from vmxon.processor.flags import CARRY, ZERO, write_status
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.vmx.errors import InstructionError
from vmxon.vmx.fields import VmcsField
from vmxon.vmx.state import has_vmcs, write_field


@inline
def succeed(cpu: Cpu) -> None:
    """VMsucceed: CF, PF, AF, ZF, SF and OF are 0."""
    write_status(cpu, u64(0))


@inline
def fail_invalid(cpu: Cpu) -> None:
    """VMfailInvalid: CF is 1, the others are 0; there is no VMCS to write an error number to."""
    write_status(cpu, u64(CARRY))


@inline
def fail_valid(cpu: Cpu, error: InstructionError) -> None:
    """VMfailValid: ZF is 1, the others are 0; the error number goes into the current VMCS."""
    write_status(cpu, u64(ZERO))
    write_field(cpu, VmcsField.VM_INSTRUCTION_ERROR, u64(error))


@inline
def fail(cpu: Cpu, error: InstructionError) -> None:
    """VMfail: valid where there is a current VMCS, else invalid."""
    if has_vmcs(cpu):
        fail_valid(cpu, error)
    else:
        fail_invalid(cpu)
