"""The local APIC of the only processor: what it accepts, in which order it asks, and what software reads of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from vmxon.arch.apic import (
    VECTOR_REGISTERS,
    VECTOR_WORDS,
    ApicMode,
    ApicRegister,
    DeliveryMode,
    ErrorStatus,
    InterruptCommand,
    Lvt,
    Shorthand,
    SpuriousVector,
)
from vmxon.devices.apic.destination import Names
from vmxon.devices.apic.message import BROADCAST, Message
from vmxon.devices.apic.timer import DEADLINE, ApicTimer
from vmxon.devices.apic.vectors import VectorSet
from vmxon.devices.clock import VirtualClock
from vmxon.devices.state import Saved

R = ApicRegister
FIRST_LVT = R.LVT_TIMER
LVT = (R.LVT_TIMER, R.LVT_THERMAL, R.LVT_PERFORMANCE, R.LVT_LINT0, R.LVT_LINT1, R.LVT_ERROR)
LVT_ENTRIES = len(LVT)
PINS = (R.LVT_LINT0, R.LVT_LINT1)
EXTINT_BITS, EXTINT = Lvt.masked.mask | Lvt.delivery.mask, Lvt.delivery.put(DeliveryMode.EXTINT)
"""What makes an entry let the 8259 through."""
VERSION = 0x14 | (LVT_ENTRIES - 1) << 16 | 1 << 24
"""An integrated APIC, with the number of the last LVT entry, which can suppress EOI broadcasts."""
RESET_LVT = Lvt.masked.mask
RESET_SPURIOUS = 0xFF
ALL = 0xFFFF_FFFF
LOWEST_VECTOR = 16


class Core(Protocol):
    """What a local APIC drives in its processor."""

    def set_interrupt(self, level: bool) -> None:
        """The request for an acknowledge cycle."""

    def signal_nmi(self) -> None: ...

    def signal_init(self) -> None: ...

    def set_task_priority(self, level: int) -> None:
        """CR8 follows the task-priority register."""

    def read_deadline(self) -> int | None:
        """When IA32_TSC_DEADLINE is reached, in nanoseconds; None where it is 0."""

    def clear_deadline(self) -> None:
        """IA32_TSC_DEADLINE := 0."""


class LocalApic(
    Saved,
    saves=(
        *("mode", "task_priority", "requests", "in_service", "triggers", "entries", "spurious", "status", "errors"),
        *("command", "logical", "format", "timer", "pins", "past_apic", "external_requests"),
    ),
):
    """A local APIC with ID 0; `external` gives the vector of the 8259 for ExtINT, `broadcast` tells I/O APICs of an EOI."""

    def __init__(
        self,
        clock: VirtualClock,
        core: Core,
        external: Callable[[], int] | None = None,
        broadcast: Callable[[int], None] = lambda vector: None,
    ) -> None:
        self.core = core
        self.external, self.broadcast = external, broadcast
        self.past_apic = False
        """The 8259 is wired to the processor's INTR, not to LINT0."""
        self.external_requests = False
        """An ExtINT message arrived."""
        self.mode = ApicMode.XAPIC
        self.requests, self.in_service, self.triggers = VectorSet(), VectorSet(), VectorSet()
        self.timer = ApicTimer(clock, lambda: self.signal(R.LVT_TIMER))
        self.pins = [False, False]
        self._readers: dict[int, Callable[[], int]] = {
            **dict.fromkeys((R.ID, R.ARBITRATION_PRIORITY, R.REMOTE_READ, R.END_OF_INTERRUPT), lambda: 0),
            R.VERSION: lambda: VERSION,
            R.TASK_PRIORITY: lambda: self.task_priority,
            R.PROCESSOR_PRIORITY: lambda: self.processor_priority,
            R.LOGICAL_DESTINATION: lambda: self.names.logical_destination,
            R.DESTINATION_FORMAT: lambda: self.format,
            R.SPURIOUS_VECTOR: lambda: self.spurious,
            R.ERROR_STATUS: lambda: self.status,
            R.COMMAND: lambda: self.command if self.mode == ApicMode.X2APIC else self.command & ALL,
            R.COMMAND_HIGH: lambda: self.command >> 32,
            R.INITIAL_COUNT: lambda: self.timer.initial,
            R.CURRENT_COUNT: lambda: self.timer.current,
            R.DIVIDE_CONFIGURATION: lambda: self.timer.configuration,
        }
        self._writers: dict[int, Callable[[int], None]] = {
            R.TASK_PRIORITY: self._write_priority,
            R.END_OF_INTERRUPT: lambda value: self.end(),
            R.LOGICAL_DESTINATION: self._write_logical,
            R.DESTINATION_FORMAT: self._write_format,
            R.SPURIOUS_VECTOR: self._write_spurious,
            R.ERROR_STATUS: self._write_status,
            R.COMMAND: self._write_command,
            R.COMMAND_HIGH: self._write_command_high,
            R.INITIAL_COUNT: self.timer.set_initial,
            R.DIVIDE_CONFIGURATION: lambda value: self.timer.set_configuration(value & R.DIVIDE_CONFIGURATION.writable),
            R.SELF_IPI: self._write_self_interrupt,
        }
        self.reset()

    def reset(self) -> None:
        """The state after RESET and INIT, and where IA32_APIC_BASE enables the APIC anew; pins and mode stay."""
        for vectors in (self.requests, self.in_service, self.triggers):
            vectors.clear()
        self.timer.reset()
        self.task_priority = 0
        self.entries = [RESET_LVT] * LVT_ENTRIES
        self.spurious = RESET_SPURIOUS
        self.status = self.errors = 0
        self.external_requests = False
        self.command = 0
        self.logical, self.format = 0, ALL
        self.update()

    def set_mode(self, mode: ApicMode) -> None:
        """IA32_APIC_BASE was written; leaving a mode for “disabled” loses all registers."""
        if mode == self.mode:
            return
        self.mode = mode
        if mode == ApicMode.DISABLED:
            self.core.set_task_priority(0)
            self.reset()
        elif mode == ApicMode.X2APIC:
            self.command &= ALL
        self.update()

    # Priorities.
    @property
    def enabled(self) -> bool:
        """Software has enabled it."""
        return bool(self.spurious & SpuriousVector.enabled.mask)

    @property
    def processor_priority(self) -> int:
        """PPR: the higher of task priority and what is in service (Vol. 3A §11.8.3.1 “Task and Processor Priorities”)."""
        service = self.in_service.highest
        return self.task_priority if self.task_priority >> 4 >= service >> 4 else service & 0xF0

    def _deliverable(self) -> int:
        """The vector to deliver now, 0 for none."""
        vector = self.requests.highest
        return vector if self.enabled and vector >> 4 > self.processor_priority >> 4 else 0

    def _external(self) -> bool:
        """The 8259 requests, through LINT0 as ExtINT or past a disabled APIC."""
        if self.mode == ApicMode.DISABLED or self.past_apic:
            return self.pins[0]
        return self.external_requests or any(
            self.entries[register - FIRST_LVT] & EXTINT_BITS == EXTINT and self._active(pin) for pin, register in enumerate(PINS)
        )

    def update(self) -> None:
        """Drive the processor's interrupt request."""
        self.core.set_interrupt(self._external() or (self.mode != ApicMode.DISABLED and self._deliverable() != 0))

    def acknowledge(self) -> int:
        """The vector that the processor takes; the spurious one where nothing requests any more."""
        if self.external is not None and self._external():
            self.external_requests = False
            vector = self.external()
            self.update()
            return vector
        vector = self._deliverable()
        if not vector:
            return self.spurious & SpuriousVector.vector.mask
        self.requests.discard(vector)
        self.in_service.add(vector)
        self.update()
        return vector

    def end(self) -> None:
        """EOI: the highest interrupt in service is over; a level that is still there requests again."""
        vector = self.in_service.highest
        self.in_service.discard(vector)
        if vector in self.triggers:
            for pin, register in enumerate(PINS):
                if self._entry(register).remote_request and self._entry(register).vector == vector:
                    self.entries[register - FIRST_LVT] &= ~Lvt.remote_request.mask
                    self._sample(pin, rising=False)
            if not self.spurious & SpuriousVector.no_broadcast.mask:
                self.broadcast(vector)
        self.update()

    # What arrives.
    def receive(self, message: Message) -> bool:
        """A message of an I/O APIC; False where it is for no processor, or for one that accepts none."""
        if self.mode == ApicMode.DISABLED or not self.names.receive(message):
            return False
        if message.delivery in (DeliveryMode.FIXED, DeliveryMode.LOWEST):
            return self.accept(message.vector, message.level)
        self._deliver(message.delivery, message.vector)
        return True

    def accept(self, vector: int, level: bool = False) -> bool:
        """A fixed or lowest-priority interrupt for this processor; False where software has it disabled."""
        if self.mode == ApicMode.DISABLED or not self.enabled:
            return False
        if vector < LOWEST_VECTOR:
            self.fail(ErrorStatus.receive_vector.mask)
            return True
        self.requests.add(vector)
        if level:
            self.triggers.add(vector)
        else:
            self.triggers.discard(vector)
        self.update()
        return True

    def lead_past(self, past: bool) -> None:
        """Wire the 8259 to the processor, or to LINT0."""
        self.past_apic = past
        self.update()

    def signal(self, register: ApicRegister) -> None:
        """An event of the local vector table: timer, thermal, performance."""
        if register is R.LVT_TIMER and self.timer.mode == DEADLINE:
            self.core.clear_deadline()
        entry = self._entry(register)
        if not entry.masked:
            self._deliver(DeliveryMode.FIXED if register is R.LVT_TIMER else entry.delivery, entry.vector)

    def signal_counters(self) -> None:
        """A performance-monitoring counter has overflowed: its entry is masked as it is sent (Vol. 3A §11.5.1 “Local Vector Table”)."""
        self.signal(R.LVT_PERFORMANCE)
        self.entries[LVT.index(R.LVT_PERFORMANCE)] |= Lvt.masked.mask

    def set_pin(self, pin: int, level: bool) -> None:
        """LINT0 (the 8259) or LINT1 (NMI) changed."""
        before = self._active(pin)
        self.pins[pin] = level
        self._sample(pin, rising=self._active(pin) and not before)
        self.update()

    def _active(self, pin: int) -> bool:
        return self.pins[pin] != bool(self.entries[PINS[pin] - FIRST_LVT] & Lvt.active_low.mask)

    def _sample(self, pin: int, *, rising: bool) -> None:
        register = PINS[pin]
        entry = self._entry(register)
        if self.mode == ApicMode.DISABLED:
            if pin == 1 and rising:
                self.core.signal_nmi()
        elif entry.masked or not self._active(pin):
            pass
        elif entry.delivery is DeliveryMode.FIXED and entry.level_triggered:
            if not entry.remote_request and self.enabled:
                self.entries[register - FIRST_LVT] |= Lvt.remote_request.mask
                self.accept(entry.vector, level=True)
        elif rising and entry.delivery is not DeliveryMode.EXTINT:  # which follows the pin
            self._deliver(entry.delivery, entry.vector)

    def _deliver(self, delivery: DeliveryMode, vector: int) -> None:
        match delivery:
            case DeliveryMode.FIXED | DeliveryMode.LOWEST:
                self.accept(vector)
            case DeliveryMode.NMI:
                self.core.signal_nmi()
            case DeliveryMode.INIT:
                self.core.set_task_priority(0)
                self.reset()
                self.core.signal_init()
            case DeliveryMode.EXTINT:
                self.external_requests = True
                self.update()
            case _:  # SMI: there is no SMM; start-up: the processor runs
                pass

    def fail(self, error: int) -> None:
        """Note an error, and tell of it through the LVT; a vector below 16 there is itself an error, of which nobody can be told."""
        self.errors |= error
        entry = self._entry(R.LVT_ERROR)
        if entry.masked:
            return
        if entry.vector < LOWEST_VECTOR:
            self.errors |= ErrorStatus.receive_vector.mask
        else:
            self.accept(entry.vector)

    # What is sent.
    def send(self) -> None:
        """The low half of the ICR was written."""
        command = InterruptCommand(self.command)
        shorthand, delivery = command.shorthand, command.delivery
        if delivery in (DeliveryMode.FIXED, DeliveryMode.LOWEST) and command.vector < LOWEST_VECTOR:
            self.fail(ErrorStatus.send_vector.mask)
            return
        if delivery is DeliveryMode.INIT and command.level_triggered and not command.assert_level:
            return  # the INIT level de-assert only synchronizes arbitration IDs
        if shorthand is Shorthand.NONE:
            arrives = self.names.include(command.destination, logical=bool(command.logical))
        else:
            arrives = shorthand is not Shorthand.OTHERS and delivery is DeliveryMode.FIXED
        if arrives:
            self._deliver(delivery, command.vector)

    def send_fixed(self, vector: int, target: int) -> None:
        """A fixed interrupt to a physical destination, without the ICR."""
        if vector < LOWEST_VECTOR:
            self.fail(ErrorStatus.send_vector.mask)
        elif target in (0, ALL if self.mode == ApicMode.X2APIC else BROADCAST):
            self.accept(vector)

    @property
    def names(self) -> Names:
        """What it answers to."""
        return Names(self.mode, self.logical, self.format)

    # Registers.
    def _entry(self, register: ApicRegister) -> Lvt:
        return Lvt(self.entries[register - FIRST_LVT])

    def read(self, number: int) -> int:
        """The register `number` (offset / 16); what software cannot read is 0 and an error."""
        for array, vectors in ((R.IN_SERVICE, self.in_service), (R.TRIGGER_MODE, self.triggers), (R.REQUESTS, self.requests)):
            if 0 <= number - array < VECTOR_WORDS:
                return vectors.word(number - array)
        if FIRST_LVT <= number < FIRST_LVT + LVT_ENTRIES:
            return self.entries[number - FIRST_LVT]
        reader = self._readers.get(number)
        if reader is None:
            self.fail(ErrorStatus.register.mask)
            return 0
        return reader()

    def write(self, number: int, value: int) -> None:
        """Write the register `number`; reserved bits are dropped, read-only registers keep their value."""
        if FIRST_LVT <= number < FIRST_LVT + LVT_ENTRIES:
            self._write_entry(LVT[number - FIRST_LVT], value)
            return
        writer = self._writers.get(number)
        if writer is not None:
            writer(value)
        elif number not in self._readers and number not in VECTOR_REGISTERS:
            self.fail(ErrorStatus.register.mask)

    def _write_priority(self, value: int) -> None:
        self.task_priority = value & R.TASK_PRIORITY.writable
        self.core.set_task_priority(self.task_priority >> 4)
        self.update()

    def _write_logical(self, value: int) -> None:
        self.logical = value & R.LOGICAL_DESTINATION.writable

    def _write_format(self, value: int) -> None:
        self.format = value & R.DESTINATION_FORMAT.writable | ALL >> 4

    def _write_status(self, value: int) -> None:
        self.status, self.errors = self.errors, 0

    def _write_command(self, value: int) -> None:
        high = value if self.mode == ApicMode.X2APIC else self.command
        self.command = high & ALL << 32 | value & R.COMMAND.writable & ALL
        self.send()

    def _write_command_high(self, value: int) -> None:
        self.command = (value & R.COMMAND_HIGH.writable) << 32 | self.command & ALL

    def _write_self_interrupt(self, value: int) -> None:
        if self.mode != ApicMode.X2APIC:
            self.fail(ErrorStatus.register.mask)
        elif value & 0xFF < LOWEST_VECTOR:
            self.fail(ErrorStatus.send_vector.mask)
        else:
            self.accept(value & 0xFF)

    def _write_spurious(self, value: int) -> None:
        self.spurious = value & R.SPURIOUS_VECTOR.writable
        if not self.enabled:
            self.entries = [entry | Lvt.masked.mask for entry in self.entries]
        self.update()

    def _write_entry(self, register: ApicRegister, value: int) -> None:
        kept = self.entries[register - FIRST_LVT] & Lvt.remote_request.mask
        value &= register.writable
        if not self.enabled:
            value |= Lvt.masked.mask
        if not value & Lvt.level_triggered.mask:
            kept = 0
        self.entries[register - FIRST_LVT] = value | kept
        if register is R.LVT_TIMER:
            self.timer.set_mode(Lvt(value).timer_mode)
            self.follow_deadline()
        elif register in PINS:
            self._sample(PINS.index(register), rising=False)
            self.update()

    def follow_deadline(self) -> None:
        """IA32_TSC_DEADLINE or the TSC was written; outside TSC-deadline mode the register stays 0."""
        if self.timer.mode == DEADLINE:
            self.timer.set_deadline(self.core.read_deadline())
        else:
            self.core.clear_deadline()
