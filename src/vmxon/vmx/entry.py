"""VM entry: VMLAUNCH and VMRESUME (Vol. 3C ch. 27 “VM Entries”): basic checks, the rule book, loading, injection."""

from __future__ import annotations

from vmxon.microcode import inline, microcode, u8, u32, u64
from vmxon.processor.exceptions import abandon
from vmxon.processor.interrupts import SHUTDOWN, inject
from vmxon.processor.memory import commit_stores
from vmxon.processor.state import FaultKind, HostRequest
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.time import read_tsc, ticks
from vmxon.vmx.check import failure_qualification, first_broken_in
from vmxon.vmx.controls import PinBased, SecondaryProcessorBased, TertiaryProcessorBased
from vmxon.vmx.controls import PrimaryProcessorBased as Primary
from vmxon.vmx.entry_load import load_guest_state
from vmxon.vmx.errors import InstructionError
from vmxon.vmx.events import EntryInterruption, EventType
from vmxon.vmx.exit import fail_entry
from vmxon.vmx.exit_reasons import ExitReason
from vmxon.vmx.exit_save import ALL_ONES
from vmxon.vmx.fields import VmcsField
from vmxon.vmx.guest_timer import has_guest_timer
from vmxon.vmx.intercept_events import pin
from vmxon.vmx.intercepts import primary
from vmxon.vmx.msr_area import load_msr_area
from vmxon.vmx.preemption import start_timer
from vmxon.vmx.results import fail_invalid, fail_valid
from vmxon.vmx.rules import Area
from vmxon.vmx.state import NOTIFY_FAILURES, NOTIFY_SWITCHES, Operation, VmcsCache, has_vmcs, read_field

MOV_SS_BLOCKING, NMI_BLOCKING = 2, 8
LONGEST_GAP = 1 << 32
LONGEST_PREFIX = 63
CLEAR, LAUNCHED = 0, 1
"""Launch states."""


@microcode
def enter(cpu: Cpu, expected: u64) -> None:
    """VMLAUNCH (`expected` launch state CLEAR) or VMRESUME (LAUNCHED), after the privilege checks of the instruction.

    Returns where VM entry failed with VMfail; otherwise the processor goes on in the guest, or in the host after a failed
    entry, and the instruction is abandoned.
    """
    cpu.vmx_broken_rule = u32(0)
    if not ready(cpu, expected):
        return
    broken = first_broken_in(cpu, Area.CONTROLS)
    if broken != 0:
        note_failure(cpu, broken)
        fail_valid(cpu, InstructionError.ENTRY_CONTROLS)
        return
    broken = first_broken_in(cpu, Area.HOST_STATE)
    if broken != 0:
        note_failure(cpu, broken)
        fail_valid(cpu, InstructionError.ENTRY_HOST_STATE)
        return
    # A failed entry leaves blocking by NMI as it was (Vol. 3C §27.8).
    blocking = cpu.interruptibility & NMI_BLOCKING
    broken = first_broken_in(cpu, Area.GUEST_STATE)
    if broken != 0:
        note_failure(cpu, broken)
        fail_entry(cpu, u32(ExitReason.INVALID_GUEST_STATE), failure_qualification(cpu, broken))
        cpu.interruptibility = blocking
        abandon(cpu)
    take_controls(cpu)
    load_guest_state(cpu)
    refused = load_msr_area(cpu, VmcsField.VM_ENTRY_MSR_LOAD_COUNT, VmcsField.VM_ENTRY_MSR_LOAD_ADDRESS)
    if refused != 0:
        fail_entry(cpu, u32(ExitReason.MSR_LOADING), refused)
        cpu.interruptibility = blocking
        abandon(cpu)
    cache = VmcsCache(cpu.vmcs)
    cache.launched = u64(LAUNCHED)
    if cpu.vmx_notify & NOTIFY_SWITCHES != 0:
        cpu.request = u32(HostRequest.VM_ENTERED)
        cpu.request_value = expected
    start_guest(cpu)
    abandon(cpu)


@inline
def note_failure(cpu: Cpu, broken: int) -> None:
    """Remember the broken rule, and have Python explain it where it listens."""
    cpu.vmx_broken_rule = broken
    if cpu.vmx_notify & NOTIFY_FAILURES != 0:
        cpu.request = u32(HostRequest.ENTRY_FAILED)


@microcode
def ready(cpu: Cpu, expected: u64) -> bool:
    """The basic checks, in their order (Vol. 3C §27.1 “Basic VM-Entry Checks”); sets the flags where one fails."""
    if not has_vmcs(cpu):
        fail_invalid(cpu)
        return False
    cache = VmcsCache(cpu.vmcs)
    if cache.shadow != 0:
        fail_invalid(cpu)
        return False
    if cpu.interruptibility & MOV_SS_BLOCKING != 0:
        fail_valid(cpu, InstructionError.ENTRY_MOV_SS_BLOCKING)
        return False
    if cache.launched != expected:
        if expected == CLEAR:
            fail_valid(cpu, InstructionError.VMLAUNCH_NOT_CLEAR)
        else:
            fail_valid(cpu, InstructionError.VMRESUME_NOT_LAUNCHED)
        return False
    return True


@microcode
def take_controls(cpu: Cpu) -> None:
    """Put the controls in force that the running guest's every step asks for."""
    cpu.vmx_operation = u8(Operation.NON_ROOT)
    cpu.vmx_secondary = u64(0)
    if primary(cpu, Primary.activate_secondary):
        cpu.vmx_secondary = read_field(cpu, VmcsField.SECONDARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS)
    cpu.vmx_tertiary = u64(0)
    if primary(cpu, Primary.activate_tertiary):
        cpu.vmx_tertiary = read_field(cpu, VmcsField.TERTIARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS)
    cpu.hlat_pointer = u64(0)
    if cpu.vmx_tertiary & TertiaryProcessorBased.enable_hlat.mask != 0:
        cpu.hlat_pointer = read_field(cpu, VmcsField.HLATP) | 1
        cpu.hlat_prefix = read_field(cpu, VmcsField.HLAT_PREFIX_SIZE) & LONGEST_PREFIX
    cpu.vpid = u64(0)
    if cpu.vmx_secondary & SecondaryProcessorBased.enable_vpid.mask != 0:
        cpu.vpid = read_field(cpu, VmcsField.VPID)
    cpu.second_stage = u8(0)
    cpu.ept_pointer = u64(0)
    if cpu.vmx_secondary & SecondaryProcessorBased.enable_ept.mask != 0:
        cpu.second_stage = u8(1)
        cpu.ept_pointer = read_field(cpu, VmcsField.EPTP)


@microcode
def start_guest(cpu: Cpu) -> None:
    """What begins with the guest: shadows, preemption timer, monitor trap flag, the injected event."""
    now = ticks(cpu)
    cpu.shadow_ticks = now
    cpu.resume_ticks = now
    cpu.attention = u8(1)
    cpu.vmx_monitor_armed = u8(primary(cpu, Primary.monitor_trap_flag))
    cpu.vmx_monitor_trap = u8(0)
    cpu.vmx_timer_deadline = u64(ALL_ONES)
    if pin(cpu, PinBased.preemption_timer):
        start_timer(cpu, read_field(cpu, VmcsField.VMX_PREEMPTION_TIMER_VALUE))
    if has_guest_timer(cpu):
        cpu.vmx_guest_deadline = read_field(cpu, VmcsField.GUEST_DEADLINE)
    # The first PAUSE begins a loop (Vol. 3C §26.1.3): the last one is further away than any PLE_GAP.
    cpu.vmx_pause_last = read_tsc(cpu) - LONGEST_GAP
    event = read_field(cpu, VmcsField.VM_ENTRY_INTERRUPTION_INFORMATION)
    if drops_pending_debug(cpu, event):
        cpu.pending_debug = u64(0)
    if event & EntryInterruption.valid.mask != 0:
        inject_event(cpu, u32(event))


@microcode
def drops_pending_debug(cpu: Cpu, event: u64) -> bool:
    """No debug exceptions are pending behind this entry (Vol. 3C §27.7.3 “Delivery of Pending Debug Exceptions after VM Entry”)."""
    kind = event >> EntryInterruption.type.low & 7
    if event & EntryInterruption.valid.mask == 0 or kind == EventType.OTHER:
        return cpu.activity >= SHUTDOWN
    software = kind == EventType.SOFTWARE_INTERRUPT or kind == EventType.SOFTWARE_EXCEPTION
    return not software or cpu.interruptibility & MOV_SS_BLOCKING == 0


@microcode
def inject_event(cpu: Cpu, event: u32) -> None:
    """Deliver the event through the guest's interrupt table before its first instruction (Vol. 3C §27.6 “Event Injection”)."""
    kind = event >> EntryInterruption.type.low & 7
    if kind == EventType.OTHER:
        cpu.vmx_monitor_trap = u8(1)
        return
    cpu.fault_kind = u32(FaultKind.EXCEPTION)
    cpu.fault_vector = event & 0xFF
    cpu.fault_soft = u8(kind)
    cpu.fault_has_error = u8(event & EntryInterruption.deliver_error_code.mask != 0)
    cpu.fault_error = u32(read_field(cpu, VmcsField.VM_ENTRY_EXCEPTION_ERROR_CODE))
    cpu.fault_length = u8(read_field(cpu, VmcsField.VM_ENTRY_INSTRUCTION_LENGTH))
    cpu.fault_qualification = u64(0)
    inject(cpu)
    # A frame across two pages was pushed by deferred stores.
    commit_stores(cpu)
    # An exit of the monitor trap flag comes before the first instruction of the handler.
    cpu.vmx_monitor_trap = cpu.vmx_monitor_armed
