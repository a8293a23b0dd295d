"""What a processor model means for VMX state: capability MSRs, and which field encodings exist."""

from __future__ import annotations

from vmxon.arch.cpuid import Model
from vmxon.microcode.layout import Memory
from vmxon.processor.state import ProcessorState
from vmxon.vmx.capabilities import capability_msrs
from vmxon.vmx.field_support import supported_fields
from vmxon.vmx.state import ENCODINGS, NO_VMCS, VmxMemory, table_index

FIRST_CAPABILITY = 0x480


def describe_vmx(state: ProcessorState, memory: Memory, model: Model) -> None:
    """Fill in what microcode reads of `model`; `memory` is the block at state.vmx_memory. Without VMX, nothing exists."""
    state.vmcs_pointer = state.vmxon_pointer = NO_VMCS
    state.vmx_capability_exists = 0
    for address, value in capability_msrs(model).items():
        state.vmx_capability[address - FIRST_CAPABILITY] = value
        state.vmx_capability_exists |= 1 << (address - FIRST_CAPABILITY)
    table = VmxMemory(memory)
    for index in range(ENCODINGS):
        table.slots[index] = 0
    if model.vmx is not None:
        for field in supported_fields(model.vmx):
            table.slots[table_index(field)] = field.slot + 1
