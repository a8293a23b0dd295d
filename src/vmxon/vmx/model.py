"""What a processor model means for VMX state: capability MSRs, and which field encodings exist."""

from __future__ import annotations

from vmxon.arch.cpuid import Model
from vmxon.microcode.layout import Memory
from vmxon.processor.state import ProcessorState
from vmxon.vmx.capabilities import capability_msrs
from vmxon.vmx.field_support import supported_fields
from vmxon.vmx.preemption import STOPPED
from vmxon.vmx.state import ENCODINGS, NO_VMCS, Operation, VmxMemory, active_vmcss, table_index

FIRST_CAPABILITY = 0x480


def describe_vmx(state: ProcessorState, memory: Memory, model: Model) -> None:
    """Fill in what microcode reads of `model`; `memory` is the block at state.vmx_memory. Without VMX, nothing exists."""
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
    reset_vmx(state, memory)


def reset_vmx(state: ProcessorState, memory: Memory) -> None:
    """What RESET does: the processor is outside VMX operation, and no VMCS is active any more."""
    state.vmx_operation = Operation.OUTSIDE
    state.vmcs_pointer = state.vmxon_pointer = NO_VMCS
    state.vmcs = state.vmx_clock = 0
    state.second_stage = state.vpid = state.ept_pointer = 0
    state.vmx_secondary = state.vmx_tertiary = 0
    state.vmx_timer_deadline = STOPPED
    state.vmx_guest_deadline = state.hlat_pointer = 0
    state.vmx_monitor_armed = state.vmx_monitor_trap = state.vmx_iret = 0
    state.vmx_abort = state.vmx_shutdown = state.vmx_broken_rule = 0
    for cache in active_vmcss(memory).values():
        cache.region = 0
