"""Which events exit (Vol. 3C §26.2 “Other Causes of VM Exits”): exceptions, interrupts, NMIs, windows, timer, monitor trap."""

from __future__ import annotations

from vmxon.arch.bits import Bits
from vmxon.arch.control import Dr6
from vmxon.arch.exceptions import Vector
from vmxon.arch.flags import Rflags
from vmxon.microcode import implements, inline, microcode, u8, u32, u64
from vmxon.processor.events import EventStage, look_again
from vmxon.processor.exceptions import HARDWARE_EXCEPTION, abandon
from vmxon.processor.slots import (
    intercept_exception,
    intercept_external_interrupt,
    intercept_nmi,
    intercept_triple_fault,
    intercept_windows,
    on_iret_unblock_nmi,
)
from vmxon.processor.state import HostRequest
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.time import ticks
from vmxon.vmx.controls import PinBased, PrimaryExit
from vmxon.vmx.controls import PrimaryProcessorBased as Primary
from vmxon.vmx.events import EventType
from vmxon.vmx.exit import HAS_CODE, KIND, VALID, nmi_unblocking, non_root, vm_exit
from vmxon.vmx.exit_reasons import ExitReason
from vmxon.vmx.exit_save import exit_control
from vmxon.vmx.fields import VmcsField
from vmxon.vmx.guest_timer import guest_timer_event
from vmxon.vmx.intercepts import primary
from vmxon.vmx.preemption import expired
from vmxon.vmx.state import read_field, write_field
from vmxon.vmx.virtual_apic import posted_interrupts, virtual_apic_exit, virtual_interrupt

STI_AND_MOV_SS, NMI_BLOCKING = 3, 8
ACTIVE, HALTED, SHUTDOWN, WAIT_FOR_SIPI = range(4)
STARTED = 2
"""cpu.vmx_monitor_armed while the instruction that ends in the exit runs."""


@inline
def pin(cpu: Cpu, control: Bits[bool]) -> bool:
    """A pin-based control of the running guest is 1."""
    return read_field(cpu, VmcsField.PIN_BASED_VM_EXECUTION_CONTROLS) & control.mask != 0


# Exceptions


@implements(intercept_exception)
def exception_intercept(cpu: Cpu) -> None:
    """The exception bitmap; for page faults with mask and match (Vol. 3C §26.2)."""
    if non_root(cpu) and in_exception_bitmap(cpu):
        exception_exit(cpu)
        abandon(cpu)


@microcode
def in_exception_bitmap(cpu: Cpu) -> bool:
    """The bitmap has the bit of the exception; for a page fault that does not match, it must not have it."""
    marked = read_field(cpu, VmcsField.EXCEPTION_BITMAP) >> u64(cpu.fault_vector & 31) & 1 != 0
    if cpu.fault_vector == Vector.PF and cpu.fault_soft == HARDWARE_EXCEPTION:
        mask = read_field(cpu, VmcsField.PAGE_FAULT_ERROR_CODE_MASK)
        if u64(cpu.fault_error) & mask != read_field(cpu, VmcsField.PAGE_FAULT_ERROR_CODE_MATCH):
            return not marked
    return marked


@microcode
def exception_exit(cpu: Cpu) -> None:
    """Exit reason 0, with the exception's interruption information; RF is saved as it would be pushed."""
    information = cpu.fault_vector | u32(cpu.fault_soft) << KIND | VALID
    qualification = u64(0)
    if cpu.fault_soft == HARDWARE_EXCEPTION:
        if cpu.fault_vector == Vector.PF:
            qualification = cpu.fault_address
        elif cpu.fault_vector == Vector.DB:
            qualification = cpu.fault_qualification
            cpu.pending_debug = u64(0)
        if cpu.delivering == 0:
            information = information | nmi_unblocking(cpu)
        is_fault = cpu.fault_vector != Vector.DB or qualification & Dr6.bd.mask != 0
        if is_fault and cpu.fault_vector != Vector.DF and cpu.fault_vector != Vector.MC:
            cpu.rflags_other = cpu.rflags_other | Rflags.rf.mask
    else:
        write_field(cpu, VmcsField.VM_EXIT_INSTRUCTION_LENGTH, u64(cpu.fault_length))
    if cpu.fault_has_error != 0:
        information = information | HAS_CODE
        write_field(cpu, VmcsField.VM_EXIT_INTERRUPTION_ERROR_CODE, u64(cpu.fault_error))
    vm_exit(cpu, u32(ExitReason.EXCEPTION_OR_NMI), qualification, information)


@implements(intercept_triple_fault)
def triple_fault(cpu: Cpu) -> None:
    """A guest's triple fault always exits; it is not reported as part of a delivery."""
    if non_root(cpu):
        cpu.delivering = u8(0)
        vm_exit(cpu, u32(ExitReason.TRIPLE_FAULT), u64(0), u32(0))
        abandon(cpu)


# Interrupts and NMIs


@implements(intercept_external_interrupt)
def external_interrupt(cpu: Cpu) -> u64:
    """“external-interrupt exiting”: exits whatever RFLAGS.IF is; under “acknowledge interrupt on exit” once Python gave the vector."""
    if not non_root(cpu) or not pin(cpu, PinBased.external_interrupt_exiting):
        return u64(0)
    if exit_control(cpu, PrimaryExit.acknowledge_interrupt.mask):
        cpu.request = u32(HostRequest.ACKNOWLEDGE)
        return u64(0)
    vm_exit(cpu, u32(ExitReason.EXTERNAL_INTERRUPT), u64(0), u32(0))
    return u64(1)


@microcode
def acknowledged_exit(cpu: Cpu) -> bool:
    """The exit of an interrupt whose vector is known by now."""
    if cpu.acknowledged == 0 or not pin(cpu, PinBased.external_interrupt_exiting):
        return False
    if posted_interrupts(cpu):
        return True
    cpu.acknowledged = u8(0)
    information = u32(cpu.acknowledged_vector) | VALID | EventType.EXTERNAL_INTERRUPT << KIND
    vm_exit(cpu, u32(ExitReason.EXTERNAL_INTERRUPT), u64(0), information)
    return True


@implements(intercept_nmi)
def nmi(cpu: Cpu) -> u64:
    """“NMI exiting”: the exit blocks further NMIs."""
    if not non_root(cpu) or not pin(cpu, PinBased.nmi_exiting):
        return u64(0)
    nmi_exit(cpu)
    return u64(1)


@microcode
def nmi_exit(cpu: Cpu) -> None:
    """Exit reason 0 with an NMI."""
    information = u32(Vector.NMI) | VALID | EventType.NMI << KIND
    vm_exit(cpu, u32(ExitReason.EXCEPTION_OR_NMI), u64(0), information)


@implements(on_iret_unblock_nmi)
def iret_unblocks_nmi(cpu: Cpu) -> None:
    """IRET ends NMI blocking, or under “virtual NMIs” the guest's own; with “NMI exiting” alone it leaves NMIs blocked."""
    if non_root(cpu) and pin(cpu, PinBased.nmi_exiting) and not pin(cpu, PinBased.virtual_nmis):
        return
    if non_root(cpu) and cpu.interruptibility & NMI_BLOCKING != 0:
        cpu.vmx_iret = u8(1)
        cpu.attention = u8(1)
    cpu.interruptibility = cpu.interruptibility & (~NMI_BLOCKING & 0xFF)


# Between instructions


@implements(intercept_windows)
def windows(cpu: Cpu) -> u64:
    """What VMX has of its own at one place in the order of events; 1 when an exit was taken."""
    if not non_root(cpu):
        return u64(0)
    taken = False
    if cpu.event_stage == EventStage.BEFORE_TRAPS:
        cpu.vmx_iret = u8(0)
        taken = virtual_apic_exit(cpu) or init_signal(cpu) or monitor_trap(cpu)
    elif cpu.event_stage == EventStage.BEFORE_NMI:
        taken = timer_expired(cpu) or nmi_window(cpu)
    else:
        guest_timer_event(cpu)
        taken = acknowledged_exit(cpu) or interrupt_window(cpu) or virtual_interrupt(cpu)
    return u64(taken)


@microcode
def plain_exit(cpu: Cpu, reason: u32) -> bool:
    """An exit without further information."""
    vm_exit(cpu, reason, u64(0), u32(0))
    return True


@microcode
def monitor_trap(cpu: Cpu) -> bool:
    """“monitor trap flag”: an exit at the boundary after each instruction, or where VM entry injected a pending one.

    Shutdown and the wait for SIPI hold it back until an event has ended them and was delivered.
    """
    now = ticks(cpu)
    moved = now != cpu.vmx_monitor_ticks or cpu.rip != cpu.vmx_monitor_rip
    due = cpu.vmx_monitor_trap != 0 or (cpu.vmx_monitor_armed == STARTED and moved)
    if due and cpu.activity < SHUTDOWN:
        return plain_exit(cpu, u32(ExitReason.MONITOR_TRAP_FLAG))
    if cpu.vmx_monitor_armed != 0:
        # The instruction that starts now, or the delivery of an event before it, ends in the exit.
        cpu.vmx_monitor_armed = u8(STARTED)
        cpu.vmx_monitor_ticks = now
        cpu.vmx_monitor_rip = cpu.rip
        look_again(cpu)
    return False


@microcode
def init_signal(cpu: Cpu) -> bool:
    """INIT exits, but for a guest that waits for SIPI, where it is lost."""
    if cpu.init_pending == 0:
        return False
    cpu.init_pending = u8(0)
    return cpu.activity != WAIT_FOR_SIPI and plain_exit(cpu, u32(ExitReason.INIT_SIGNAL))


@microcode
def timer_expired(cpu: Cpu) -> bool:
    """The preemption timer has reached 0; it does not exit while the guest waits for SIPI."""
    if cpu.activity == WAIT_FOR_SIPI or not expired(cpu):
        return False
    return plain_exit(cpu, u32(ExitReason.PREEMPTION_TIMER))


@microcode
def nmi_window(cpu: Cpu) -> bool:
    """“NMI-window exiting”: no virtual-NMI blocking, no blocking by MOV SS or STI. It outranks NMIs, which come in here too.

    Under “virtual NMIs” the blocking bit is the guest's, so a physical NMI is taken here, whatever the bit says.
    """
    if cpu.activity == WAIT_FOR_SIPI:
        return False
    if cpu.interruptibility & STI_AND_MOV_SS != 0:
        return False
    if primary(cpu, Primary.nmi_window_exiting) and cpu.interruptibility & NMI_BLOCKING == 0:
        return plain_exit(cpu, u32(ExitReason.NMI_WINDOW))
    if cpu.nmi_pending != 0 and pin(cpu, PinBased.virtual_nmis):
        cpu.nmi_pending = u8(0)
        nmi_exit(cpu)
        return True
    return False


@microcode
def interrupt_window(cpu: Cpu) -> bool:
    """“interrupt-window exiting”: RFLAGS.IF is 1, no blocking by STI or MOV SS; it wakes a halted guest."""
    if not primary(cpu, Primary.interrupt_window_exiting):
        return False
    if cpu.rflags_other & Rflags.if_.mask == 0 or cpu.interruptibility & STI_AND_MOV_SS != 0:
        return False
    if cpu.activity != ACTIVE and cpu.activity != HALTED:
        return False
    return plain_exit(cpu, u32(ExitReason.INTERRUPT_WINDOW))
