"""Events for the guest: interrupts when it can take them, exceptions that the hypervisor raises in its name."""

from __future__ import annotations

from vmxon.arch.exceptions import Vector
from vmxon.arch.flags import Rflags
from vmxon.errors import Fault, TripleFault
from vmxon.hypervisor.guest_apic import GuestApic
from vmxon.machine.root import RootProcessor
from vmxon.vmx.controls import PrimaryProcessorBased
from vmxon.vmx.events import EntryInterruption, EventType, IdtVectoring
from vmxon.vmx.fields import VmcsField as Field

BLOCKED_BY_STI_OR_MOV_SS, BLOCKED_BY_NMI = 3, 8
WINDOW = PrimaryProcessorBased.interrupt_window_exiting.mask
CONTRIBUTORY = frozenset({Vector.DE, Vector.TS, Vector.NP, Vector.SS, Vector.GP})
SOFTWARE = (EventType.SOFTWARE_INTERRUPT, EventType.PRIVILEGED_SOFTWARE_EXCEPTION, EventType.SOFTWARE_EXCEPTION)


class Injector:
    """What the next VM entry delivers (Vol. 3C §27.6 “Event Injection”), at most one event."""

    def __init__(self, root: RootProcessor, apic: GuestApic) -> None:
        self.root, self.apic = root, apic
        (self._primary,) = root.fields((Field.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS,))
        self.pending = False
        """An event waits in the VMCS for the next VM entry."""
        self._repeated: int | None = None
        """The exception among what is delivered again."""
        self.window = False
        """Interrupt-window exiting is on."""

    def reset(self) -> None:
        """Nothing waits any more; the VMCS has its first controls."""
        self.pending = self.window = False
        self._repeated = None

    def repeat(self, vectoring: int, error_code: int, length: int) -> None:
        """Deliver again what the exit interrupted; without this the event would be lost."""
        word = IdtVectoring(vectoring)
        self._repeated = word.vector if word.type is EventType.HARDWARE_EXCEPTION else None
        self._inject(word.vector, word.type, error_code if word.error_code_valid else None, length)

    def exception(self, vector: Vector, error_code: int | None = None) -> None:
        """Raise a fault at the guest's RIP; during the delivery of another it may become a #DF (Vol. 3A Table 6-5)."""
        first = self._repeated if self.pending else None
        if first == Vector.DF:
            (rip,) = self.root.fields((Field.GUEST_RIP,))
            raise TripleFault((Fault("#DF", rip, 0), Fault(f"#{vector.name}", rip, error_code)))
        if (first == Vector.PF and vector in CONTRIBUTORY | {Vector.PF}) or (first in CONTRIBUTORY and vector in CONTRIBUTORY):
            vector, error_code = Vector.DF, 0
        self._inject(vector, EventType.HARDWARE_EXCEPTION, error_code, 0)

    def refuse(self) -> bool:
        """#GP(0) for an instruction that is not done."""
        self.exception(Vector.GP, 0)
        return False

    def non_maskable(self) -> None:
        """Hand an NMI on."""
        self._inject(Vector.NMI, EventType.NMI, None, 0)

    def _inject(self, vector: int, kind: EventType, error_code: int | None, length: int) -> None:
        word = EntryInterruption.make(vector=vector, type=kind, valid=1, deliver_error_code=error_code is not None)
        self.root.set_fields(
            *(Field.VM_ENTRY_INTERRUPTION_INFORMATION, word),
            *(Field.VM_ENTRY_EXCEPTION_ERROR_CODE, error_code or 0),
            *(Field.VM_ENTRY_INSTRUCTION_LENGTH, length if kind in SOFTWARE else 0),
        )
        self.pending = True

    @property
    def wanted(self) -> bool:
        """Something has to be done before the next VM entry."""
        return self.pending or self.window or self.apic.line or self.apic.nmi

    def offer_interrupt(self) -> None:
        """Before VM entry: inject what the local APIC asks for, or ask for an exit when the guest is ready."""
        apic = self.apic
        if (apic.line or apic.nmi) and not self.pending:
            flags, blocking = self.root.fields((Field.GUEST_RFLAGS, Field.GUEST_INTERRUPTIBILITY_STATE))
            if apic.nmi and not blocking & (BLOCKED_BY_NMI | BLOCKED_BY_STI_OR_MOV_SS):
                apic.nmi = False
                self.non_maskable()
            elif apic.line and flags & Rflags.if_.mask and not blocking & BLOCKED_BY_STI_OR_MOV_SS:
                self._inject(apic.acknowledge(), EventType.EXTERNAL_INTERRUPT, None, 0)
        wanted = apic.line
        if wanted is not self.window:
            self.window = wanted
            controls = self._primary | WINDOW if wanted else self._primary & ~WINDOW
            self.root.set_fields(Field.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS, controls)
        self.pending = False
