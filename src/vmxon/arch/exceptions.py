"""Exception vectors and error codes (Vol. 3A §6.15 “Exception and Interrupt Reference”)."""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Self

from vmxon.arch.bits import Word, field, flag


class Kind(Enum):
    """Where the saved instruction pointer of an exception points."""

    FAULT = "at the instruction, which can run again"
    TRAP = "after the instruction"
    FAULT_OR_TRAP = "depends on the condition"
    ABORT = "not reliable"
    INTERRUPT = "after the last completed instruction"


class Severity(Enum):
    """What a second exception during its delivery does (Vol. 3A Table 6-4 “Interrupt and Exception Classes”)."""

    BENIGN = "delivered one after the other"
    CONTRIBUTORY = "a contributory one on top of it is a double fault"
    PAGE_FAULT = "a contributory one or a page fault on top of it is a double fault"


class Vector(IntEnum):
    """The vectors that the architecture defines, by mnemonic."""

    title: str
    kind: Kind
    pushes_error_code: bool
    severity: Severity

    def __new__(
        cls,
        value: int,
        title: str = "",
        kind: Kind = Kind.FAULT,
        pushes_error_code: bool = False,
        severity: Severity = Severity.BENIGN,
    ) -> Self:
        vector = int.__new__(cls, value)
        vector._value_ = value
        vector.title, vector.kind = title, kind
        vector.pushes_error_code, vector.severity = pushes_error_code, severity
        return vector

    DE = 0, "divide error", Kind.FAULT, False, Severity.CONTRIBUTORY
    DB = 1, "debug", Kind.FAULT_OR_TRAP
    NMI = 2, "non-maskable interrupt", Kind.INTERRUPT
    BP = 3, "breakpoint", Kind.TRAP
    OF = 4, "overflow", Kind.TRAP
    BR = 5, "bound range exceeded", Kind.FAULT
    UD = 6, "invalid opcode", Kind.FAULT
    NM = 7, "device not available", Kind.FAULT
    DF = 8, "double fault", Kind.ABORT, True
    CSO = 9, "coprocessor segment overrun", Kind.FAULT
    TS = 10, "invalid TSS", Kind.FAULT, True, Severity.CONTRIBUTORY
    NP = 11, "segment not present", Kind.FAULT, True, Severity.CONTRIBUTORY
    SS = 12, "stack-segment fault", Kind.FAULT, True, Severity.CONTRIBUTORY
    GP = 13, "general protection", Kind.FAULT, True, Severity.CONTRIBUTORY
    PF = 14, "page fault", Kind.FAULT, True, Severity.PAGE_FAULT
    MF = 16, "x87 floating-point error", Kind.FAULT
    AC = 17, "alignment check", Kind.FAULT, True
    MC = 18, "machine check", Kind.ABORT
    XM = 19, "SIMD floating-point exception", Kind.FAULT
    VE = 20, "virtualization exception", Kind.FAULT, False, Severity.PAGE_FAULT
    CP = 21, "control protection", Kind.FAULT, True, Severity.CONTRIBUTORY

    @property
    def mnemonic(self) -> str:
        """As the manual writes it: `#GP`, but `NMI`."""
        return self.name if self is Vector.NMI else f"#{self.name}"


DOUBLE_FAULT_PAIRS = frozenset(
    {
        (Severity.CONTRIBUTORY, Severity.CONTRIBUTORY),
        (Severity.PAGE_FAULT, Severity.CONTRIBUTORY),
        (Severity.PAGE_FAULT, Severity.PAGE_FAULT),
    }
)
"""(first, second): pairs that become #DF (Vol. 3A Table 6-5 “Conditions for Generating a Double Fault”)."""

ERROR_CODE_VECTORS = sum(1 << vector for vector in Vector if vector.pushes_error_code)
"""Bit n is set where vector n pushes an error code in protected mode."""


class SelectorErrorCode(Word, width=32):
    """Error code of #TS, #NP, #SS and #GP that name a descriptor (Vol. 3A §6.13 “Error Code”)."""

    ext = flag(0, "the event came from outside the program")
    idt = flag(1, "the index refers to the IDT")
    ti = flag(2, "the index refers to the LDT instead of the GDT")
    index = field(15, 3, "number of the descriptor")


class PageFaultErrorCode(Word, width=32):
    """Error code of #PF (Vol. 3A §4.7 “Page-Fault Exceptions”)."""

    present = flag(0, "a protection violation, not a missing page")
    write = flag(1, "the access was a write")
    user = flag(2, "the access was a user-mode access")
    reserved_bit = flag(3, "a reserved bit was set in a paging entry")
    fetch = flag(4, "the access was an instruction fetch")
    protection_key = flag(5, "protection keys forbade the access")
    shadow_stack = flag(6, "the access was a shadow-stack access")
    hlat = flag(7, "the fault came from HLAT paging")
    sgx = flag(15, "the fault came from enclave access control")
