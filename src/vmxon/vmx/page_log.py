"""Page-modification logging (Vol. 3C §29.3.6 “Page-Modification Logging”): pages whose dirty flag EPT sets go into a list."""

from __future__ import annotations

from vmxon.microcode import inline, microcode, u64
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.vmx.controls import SecondaryProcessorBased
from vmxon.vmx.fields import VmcsField
from vmxon.vmx.physical import write_physical
from vmxon.vmx.state import read_field, write_field

ENTRIES = 512


@inline
def logging(cpu: Cpu) -> bool:
    """“enable PML” is 1."""
    return cpu.vmx_secondary & SecondaryProcessorBased.enable_pml.mask != 0


@inline
def log_full(cpu: Cpu) -> bool:
    """The log has no room: neither accessed nor dirty flags may be set now."""
    return logging(cpu) and read_field(cpu, VmcsField.GUEST_PML_INDEX) >= ENTRIES


@microcode
def log_page(cpu: Cpu, physical: u64) -> None:
    """Enter a guest-physical page into the log, which has room; the index counts down, from 0 to FFFFH."""
    if logging(cpu):
        index = read_field(cpu, VmcsField.GUEST_PML_INDEX)
        write_physical(cpu, u64, read_field(cpu, VmcsField.PML_ADDRESS) + 8 * index, physical & ~u64(0xFFF))
        write_field(cpu, VmcsField.GUEST_PML_INDEX, index - 1)
