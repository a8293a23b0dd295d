"""Delivery of exceptions, interrupts and NMIs: the chain of nested faults (Vol. 3A §6.15 “Exception and Interrupt Reference”).

`deliver` takes the event in cpu.fault_*. Each try runs through `attempt`; a fault inside becomes the next event of the chain,
alone, as #DF or as shutdown. The transfers are in processor/interrupt_gates.py and interrupt_gates_64.py.
"""

from __future__ import annotations

from vmxon.arch.control import Dr7
from vmxon.arch.exceptions import Severity, Vector
from vmxon.microcode import attempt, inline, microcode, u8, u32, u64
from vmxon.processor.exceptions import HARDWARE_EXCEPTION, abandon
from vmxon.processor.interrupt_gates import INJECTED, transfer_protected, transfer_real
from vmxon.processor.interrupt_gates_64 import transfer_long
from vmxon.processor.memory import commit_stores
from vmxon.processor.segmentation import SegmentRules
from vmxon.processor.slots import intercept_exception, intercept_triple_fault, second_stage_exit
from vmxon.processor.state import FaultKind, HostRequest
from vmxon.processor.state import ProcessorState as Cpu

EXTERNAL_INTERRUPT, NMI, SOFTWARE_INTERRUPT = 0, 2, 4
SHUTDOWN = 2
"""Activity state."""
CONTRIBUTORY = sum(1 << vector for vector in Vector if vector.severity is Severity.CONTRIBUTORY)
PAGE_FAULTS = sum(1 << vector for vector in Vector if vector.severity is Severity.PAGE_FAULT)
STI_AND_MOV_SS = 3
NMI_BLOCKING = 8


@microcode
def deliver(cpu: Cpu) -> None:
    """Deliver the event in cpu.fault_*; afterwards control is in its handler, in a VM exit's, or the processor is shut down.

    Where cpu.fault_kind is HOST on return, Python must read a device first: nothing was committed, and the event comes again.
    """
    deliver_chain(cpu, False)


@microcode
def inject(cpu: Cpu) -> None:
    """The same for an event that VM entry injects: the event itself is not intercepted and leaves CR2, DR6 and DR7 alone."""
    cpu.delivering = u8(0)
    cpu.fault_qualification = u64(0)
    deliver_chain(cpu, True)


@microcode
def deliver_chain(cpu: Cpu, injected: bool) -> None:
    """Events one on top of the other until one is delivered."""
    special = injected
    going = True
    alone = cpu.alone
    cpu.alone = u8(1)
    activity, interruptibility = cpu.activity, cpu.interruptibility
    while going:
        going = False
        if special or attempt(accept, cpu):
            begin(cpu)
            if special:
                cpu.delivering = u8(INJECTED)
            special = False
            forget_stores(cpu)
            if attempt(transfer, cpu):
                complete(cpu)
            elif cpu.fault_kind == FaultKind.EXCEPTION:
                going = True
            elif cpu.fault_kind == FaultKind.SECOND_STAGE:
                attempt(second_stage_exit, cpu)
                cpu.fault_kind = u32(FaultKind.ABANDON)
            else:
                # The whole chain comes again.
                cpu.activity = activity
                cpu.interruptibility = interruptibility
            if cpu.fault_kind != FaultKind.NONE:
                forget_stores(cpu)
    cpu.delivering = u8(0)
    cpu.alone = alone


@inline
def forget_stores(cpu: Cpu) -> None:
    """A transfer that did not come to its end has pushed nothing."""
    cpu.store_count = u32(0)
    cpu.store_done = u32(0)


@microcode
def transfer(cpu: Cpu) -> None:
    """Enter the handler of the event in cpu.delivering_*."""
    if cpu.segment_rules == SegmentRules.REAL:
        transfer_real(cpu)
    elif cpu.long_mode != 0:
        transfer_long(cpu)
    else:
        transfer_protected(cpu)


@microcode
def accept(cpu: Cpu) -> None:
    """Whether the event in cpu.fault_* is to be delivered: VM exits, #DF, shutdown; loads CR2 and DR6."""
    if cpu.segment_rules == SegmentRules.REAL:
        cpu.fault_has_error = u8(0)
    if cpu.delivering != 0:
        leave_interrupted_state(cpu)
    intercept_if_exception(cpu)
    if cpu.fault_soft == HARDWARE_EXCEPTION:
        if cpu.fault_vector == Vector.PF:
            cpu.cr2 = cpu.fault_address
        elif cpu.fault_vector == Vector.DB:
            load_debug_status(cpu)
    if cpu.delivering != 0 and becomes_shutdown(cpu):
        record_fault(cpu, 2)
        cpu.delivering = u8(0)
        intercept_triple_fault(cpu)
        cpu.activity = u8(SHUTDOWN)
        cpu.attention = u8(1)
        cpu.request = u32(HostRequest.TRIPLE_FAULT)
        abandon(cpu)
    if cpu.delivering != 0 and becomes_double_fault(cpu):
        record_fault(cpu, 1)
        cpu.fault_vector = u32(Vector.DF)
        cpu.fault_error = u32(0)
        cpu.fault_has_error = u8(cpu.segment_rules != SegmentRules.REAL)
        cpu.fault_soft = u8(HARDWARE_EXCEPTION)
        # A VM exit of the #DF itself reports no IDT vectoring (Vol. 3C §28.2.4 “Information for VM Exits During Event Delivery”).
        cpu.delivering = u8(0)
        intercept_if_exception(cpu)
    else:
        record_fault(cpu, 0)


@inline
def intercept_if_exception(cpu: Cpu) -> None:
    """The exception bitmap: for exceptions, INT1, INT3 and INTO, not for interrupts and INT n."""
    if cpu.fault_soft >= HARDWARE_EXCEPTION and cpu.fault_soft != SOFTWARE_INTERRUPT:
        intercept_exception(cpu)


@inline
def among(vector: int, vectors: int) -> bool:
    """The vector (u32) is in the static bit set."""
    return vector < 32 and (u32(vectors) >> vector) & 1 != 0


@inline
def becomes_double_fault(cpu: Cpu) -> bool:
    """The first and second event form a pair of Vol. 3A Table 6-5 “Conditions for Generating a Double Fault”."""
    first, second = cpu.delivering_vector, cpu.fault_vector
    contributory = among(second, CONTRIBUTORY)
    return cpu.delivering_soft == HARDWARE_EXCEPTION and (
        (contributory and among(first, CONTRIBUTORY)) or ((contributory or among(second, PAGE_FAULTS)) and among(first, PAGE_FAULTS))
    )


@inline
def becomes_shutdown(cpu: Cpu) -> bool:
    """A contributory exception or page fault on top of #DF."""
    return (
        cpu.delivering_soft == HARDWARE_EXCEPTION
        and cpu.delivering_vector == Vector.DF
        and among(cpu.fault_vector, CONTRIBUTORY | PAGE_FAULTS)
    )


@inline
def record_fault(cpu: Cpu, place: int) -> None:
    """Keep the fault for the report of a triple fault; `place` is 0, 1 or 2."""
    cpu.shutdown_faults[2 * place] = u64(cpu.fault_vector) << 32 | u64(cpu.fault_error)
    cpu.shutdown_faults[2 * place + 1] = cpu.rip


@microcode
def load_debug_status(cpu: Cpu) -> None:
    """What #DB does to DR6, DR7.GD, and the LBR and BTF flags (Vol. 3B §18.2.3 “Debug Status Register (DR6)”)."""
    cpu.dr[6] = cpu.dr[6] & ~u64(0xF) | cpu.fault_qualification
    cpu.dr[7] = cpu.dr[7] & ~u64(Dr7.gd.mask)
    cpu.debugctl = cpu.debugctl & ~u64(3)


@inline
def begin(cpu: Cpu) -> None:
    """The event in cpu.fault_* becomes the one being delivered."""
    cpu.delivering = u8(1)
    cpu.delivering_vector = cpu.fault_vector
    cpu.delivering_error = cpu.fault_error
    cpu.delivering_has_error = cpu.fault_has_error
    cpu.delivering_soft = cpu.fault_soft
    cpu.delivering_length = cpu.fault_length


@microcode
def leave_interrupted_state(cpu: Cpu) -> None:
    """End shadows and HLT, block NMIs after an NMI: also where the delivery then ends in another event or a VM exit (Vol. 3C §28.1)."""
    cpu.interruptibility = cpu.interruptibility & (~STI_AND_MOV_SS & 0xFF)
    if cpu.delivering_soft == NMI:
        cpu.interruptibility = cpu.interruptibility | NMI_BLOCKING
    cpu.activity = u8(0)


@inline
def complete(cpu: Cpu) -> None:
    """The handler is about to run."""
    leave_interrupted_state(cpu)
    cpu.delivering = u8(0)
    cpu.step_armed = u8(0)
    cpu.fault_kind = u32(FaultKind.NONE)
    cpu.memory_latch_count = u64(0)
    commit_stores(cpu)
