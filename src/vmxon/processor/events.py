"""What happens between instructions: traps, NMIs, interrupts, waking from HLT, and how long shadows last.

The order is that of Vol. 3A Table 6-2 “Priority Among Concurrent Events”. The dispatcher calls `service_events` before a block
whenever cpu.attention is 1. Each part that may have to act again at the next instruction sets cpu.attention and
cpu.single_step; where none does, blocks run at full length until something sets attention.
"""

from __future__ import annotations

from enum import IntEnum

from vmxon.arch.control import Dr6
from vmxon.arch.exceptions import Vector
from vmxon.arch.flags import Rflags
from vmxon.arch.msr import DebugCtl
from vmxon.microcode import inline, microcode, u8, u32, u64
from vmxon.processor.counters import NEVER, counter_event
from vmxon.processor.exceptions import HARDWARE_EXCEPTION
from vmxon.processor.initialization import initialize
from vmxon.processor.interrupts import EXTERNAL_INTERRUPT, NMI, NMI_BLOCKING, STI_AND_MOV_SS, deliver
from vmxon.processor.slots import intercept_external_interrupt, intercept_nmi, intercept_windows
from vmxon.processor.state import FaultKind, HostRequest
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.time import ticks

STI, MOV_SS = 1, 2
NON_ROOT = 2
"""cpu.vmx_operation of a guest, for which VMX has windows and timers to look at."""
ACTIVE, HALTED, SHUTDOWN, WAIT_FOR_SIPI = range(4)


class EventStage(IntEnum):
    """Places in the order of events at which VMX has something of its own (Vol. 3C §26.2 “Other Causes of VM Exits”)."""

    BEFORE_TRAPS = 0
    """Monitor trap flag, INIT."""
    BEFORE_NMI = 1
    """Preemption timer, NMI window."""
    BEFORE_INTERRUPTS = 2
    """Interrupt window."""


@inline
def start_shadow(cpu: Cpu, kind: int) -> None:
    """STI (1) or MOV SS (2) inhibits interrupts until the next instruction has retired."""
    cpu.interruptibility = cpu.interruptibility | u8(kind)
    cpu.shadow_ticks = ticks(cpu)
    cpu.attention = u8(1)


@inline
def look_again(cpu: Cpu) -> None:
    """Stop after one instruction and ask again."""
    cpu.attention = u8(1)
    cpu.single_step = u8(1)


@microcode
def service_events(cpu: Cpu) -> bool:
    """True where native code may go on at cpu.rip; False where Python must act first on cpu.request."""
    taken = True
    while taken:
        # Whatever is pending besides has to be seen before the first instruction of a handler.
        cpu.attention = u8(0)
        cpu.single_step = u8(0)
        cpu.fault_kind = u32(FaultKind.NONE)
        if (cpu.counter_deadline != NEVER or cpu.counter_interrupt != 0) and counter_event(cpu):
            cpu.attention = u8(1)
            return False
        if nothing_pending(cpu):
            return True
        expire_shadows(cpu)
        note_single_step(cpu)
        if cpu.init_pending != 0 and cpu.vmx_operation == 0:
            # In VMX root operation INIT stays pending; in non-root operation it is for VMX to exit.
            cpu.init_pending = u8(0)
            initialize(cpu)
            return True
        if cpu.activity == SHUTDOWN and cpu.vmx_operation != NON_ROOT:
            # A guest that was entered in shutdown waits there for an NMI, INIT or a VM exit.
            cpu.attention = u8(1)
            cpu.request = u32(HostRequest.TRIPLE_FAULT)
            return False
        taken = deferred_taken(cpu) or exit_taken(cpu, EventStage.BEFORE_TRAPS) or trap_taken(cpu)
        taken = taken or exit_taken(cpu, EventStage.BEFORE_NMI) or nmi_taken(cpu) or exit_taken(cpu, EventStage.BEFORE_INTERRUPTS)
        taken = taken or interrupt_taken(cpu)
        cpu.fault_kind = u32(FaultKind.NONE)
        if cpu.request != 0:
            cpu.attention = u8(1)
            return False
    if cpu.activity != ACTIVE:
        cpu.attention = u8(1)
        cpu.request = u32(HostRequest.HALT)
        return False
    arm_single_step(cpu)
    return True


@inline
def nothing_pending(cpu: Cpu) -> bool:
    """The usual case, after most changes of RFLAGS: outside non-root operation, no event, no shadow, no trap."""
    events = cpu.interrupt_line | cpu.acknowledged | cpu.nmi_pending | cpu.init_pending | cpu.deferred | cpu.step_armed
    state = cpu.activity | (cpu.interruptibility & STI_AND_MOV_SS)
    flags = (cpu.rflags_other & (Rflags.tf.mask | Rflags.rf.mask)) | cpu.pending_debug
    return (events | state) == 0 and flags == 0 and cpu.vmx_operation != NON_ROOT


@microcode
def exit_taken(cpu: Cpu, stage: u8) -> bool:
    """Whether VMX left non-root operation at this place."""
    cpu.event_stage = stage
    return intercept_windows(cpu) != 0


@microcode
def expire_shadows(cpu: Cpu) -> None:
    """End blocking by STI and MOV SS, and RF, once an instruction has retired under them."""
    if cpu.interruptibility & STI_AND_MOV_SS != 0:
        if ticks(cpu) != cpu.shadow_ticks:
            cpu.interruptibility = cpu.interruptibility & (~STI_AND_MOV_SS & 0xFF)
        else:
            look_again(cpu)
    if cpu.rflags_other & Rflags.rf.mask != 0:
        if ticks(cpu) != cpu.resume_ticks:
            cpu.rflags_other = cpu.rflags_other & ~u64(Rflags.rf.mask)
        else:
            look_again(cpu)


@microcode
def note_single_step(cpu: Cpu) -> None:
    """The instruction that began with TF set has retired: a single-step trap is pending, under BTF only if it was a taken branch."""
    if cpu.step_armed != 0 and cpu.step_operation != cpu.vmx_operation:
        cpu.step_armed = u8(0)
    if cpu.step_armed != 0 and ticks(cpu) != cpu.step_ticks:
        cpu.step_armed = u8(0)
        if cpu.debugctl & DebugCtl.btf.mask == 0 or cpu.branched != 0:
            cpu.pending_debug = cpu.pending_debug | Dr6.bs.mask


@microcode
def arm_single_step(cpu: Cpu) -> None:
    """RFLAGS.TF at the start of an instruction makes a trap at its end."""
    if cpu.rflags_other & Rflags.tf.mask != 0:
        if cpu.step_armed == 0:
            cpu.step_armed = u8(1)
            cpu.step_operation = cpu.vmx_operation
            cpu.step_ticks = ticks(cpu)
        look_again(cpu)
    else:
        cpu.step_armed = u8(0)


@microcode
def deferred_taken(cpu: Cpu) -> bool:
    """Deliver the exception that a task switch left for the new task."""
    if cpu.deferred == 0:
        return False
    record_event(cpu, cpu.deferred_vector, u8(HARDWARE_EXCEPTION))
    cpu.fault_error = cpu.deferred_error
    cpu.fault_has_error = cpu.deferred_has_error
    cpu.fault_address = cpu.deferred_address
    deliver(cpu)
    if delivered(cpu):
        cpu.deferred = u8(0)
    return True


@microcode
def trap_taken(cpu: Cpu) -> bool:
    """Deliver pending debug traps as one #DB, unless MOV SS, shutdown or the wait for SIPI hold them back."""
    if cpu.pending_debug == 0 or cpu.activity >= SHUTDOWN:
        return False
    if cpu.interruptibility & MOV_SS != 0:
        look_again(cpu)
        return False
    record_event(cpu, u32(Vector.DB), u8(HARDWARE_EXCEPTION))
    cpu.fault_qualification = cpu.pending_debug & (Dr6.bs.mask | Dr6.bt.mask | 0xF)
    deliver(cpu)
    if delivered(cpu):
        cpu.pending_debug = u64(0)
    return True


@inline
def record_event(cpu: Cpu, vector: int, kind: int) -> None:
    """Make cpu.fault_* describe an event that is not a fault of an instruction."""
    cpu.fault_kind = u32(FaultKind.EXCEPTION)
    cpu.fault_vector = vector
    cpu.fault_error = u32(0)
    cpu.fault_has_error = u8(0)
    cpu.fault_soft = kind
    cpu.fault_length = u8(0)
    cpu.fault_qualification = u64(0)


@inline
def delivered(cpu: Cpu) -> bool:
    """The event has gone to its handler or ended in a VM exit; otherwise it comes again."""
    return cpu.fault_kind == FaultKind.NONE or cpu.fault_kind == FaultKind.ABANDON


@microcode
def nmi_taken(cpu: Cpu) -> bool:
    """Deliver a pending NMI unless NMIs are blocked, by an earlier one or by MOV SS."""
    if cpu.nmi_pending == 0 or cpu.activity == WAIT_FOR_SIPI:
        return False
    if cpu.interruptibility & (NMI_BLOCKING | MOV_SS) != 0:
        if cpu.interruptibility & MOV_SS != 0:
            look_again(cpu)
        return False
    if intercept_nmi(cpu) != 0:
        cpu.nmi_pending = u8(0)
        return True
    record_event(cpu, u32(Vector.NMI), u8(NMI))
    deliver(cpu)
    if delivered(cpu):
        cpu.nmi_pending = u8(0)
    return True


@microcode
def interrupt_taken(cpu: Cpu) -> bool:
    """Take an external interrupt: first its VM exit, then, with IF, the acknowledge cycle in Python, then delivery."""
    if cpu.interrupt_line == 0 and cpu.acknowledged == 0:
        return False
    if cpu.activity >= SHUTDOWN or cpu.interruptibility & STI_AND_MOV_SS != 0:
        return False
    if cpu.acknowledged == 0:
        if intercept_external_interrupt(cpu) != 0:
            return True
        if cpu.request == 0 and cpu.rflags_other & Rflags.if_.mask != 0:
            cpu.request = u32(HostRequest.ACKNOWLEDGE)
        return False
    record_event(cpu, u32(cpu.acknowledged_vector), u8(EXTERNAL_INTERRUPT))
    deliver(cpu)
    if delivered(cpu):
        cpu.acknowledged = u8(0)
    return True
