"""Events as the VMCS describes them, and the guest's non-register state (Vol. 3C §25.4.2, §25.8.3, §25.9.2–3)."""

from enum import IntEnum

from vmxon.arch.bits import Word, choice, field, flag


class EventType(IntEnum):
    """Bits 10:8 of every interruption-information word."""

    EXTERNAL_INTERRUPT = 0
    RESERVED = 1
    NMI = 2
    HARDWARE_EXCEPTION = 3
    SOFTWARE_INTERRUPT = 4
    PRIVILEGED_SOFTWARE_EXCEPTION = 5
    SOFTWARE_EXCEPTION = 6
    OTHER = 7


class EntryInterruption(Word, width=32):
    """VM-entry interruption information: the event to inject (§25.8.3 “VM-Entry Controls for Event Injection”)."""

    vector = field(7, 0, "vector")
    type = choice(10, 8, EventType, "kind of event")
    deliver_error_code = flag(11, "push the error code")
    nested_exception = flag(13, "FRED: the exception is nested")
    valid = flag(31, "inject the event")


class ExitInterruption(Word, width=32):
    """VM-exit interruption information: the event that exited (§25.9.2 “… Due to Vectored Events”)."""

    vector = field(7, 0, "vector")
    type = choice(10, 8, EventType, "kind of event")
    error_code_valid = flag(11, "the error-code field holds the event's error code")
    nmi_unblocking = flag(12, "an IRET that unblocked NMIs faulted; block them again before resuming")
    nested_exception = flag(13, "FRED: the exception is nested")
    valid = flag(31, "the word describes an event")


class IdtVectoring(Word, width=32):
    """IDT-vectoring information: the event that was being delivered (§25.9.3 “… That Occur During Event Delivery”)."""

    vector = field(7, 0, "vector")
    type = choice(10, 8, EventType, "kind of event")
    error_code_valid = flag(11, "the error-code field holds the event's error code")
    nested_exception = flag(13, "FRED: the exception is nested")
    valid = flag(31, "the exit interrupted a delivery")


class InterruptibilityState(Word, width=32):
    """What is blocked for the moment (Table 25-3 “Format of Interruptibility State”)."""

    sti = flag(0, "blocking by STI")
    mov_ss = flag(1, "blocking by MOV SS")
    smi = flag(2, "blocking by SMI")
    nmi = flag(3, "blocking by NMI; under “virtual NMIs” the guest's own blocking")
    enclave = flag(4, "the exit came from an enclave")


class ActivityState(IntEnum):
    """What the processor was doing (§25.4.2 “Guest Non-Register State”)."""

    ACTIVE = 0
    HLT = 1
    SHUTDOWN = 2
    WAIT_FOR_SIPI = 3


class PendingDebugExceptions(Word, width=64):
    """Debug exceptions that are recognized but not delivered (Table 25-4)."""

    b0 = flag(0, "breakpoint 0 met its condition")
    b1 = flag(1, "breakpoint 1 met its condition")
    b2 = flag(2, "breakpoint 2 met its condition")
    b3 = flag(3, "breakpoint 3 met its condition")
    bus_lock = flag(11, "a bus lock")
    enabled_breakpoint = flag(12, "at least one of the breakpoints is enabled in DR7")
    bs = flag(14, "single step")
    rtm = flag(16, "inside a transactional region")
