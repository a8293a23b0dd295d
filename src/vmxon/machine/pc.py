"""The bare machine: a processor with VMX, memory and a board of devices, run by its event loop."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from vmxon.arch.cpuid import cpuid_leaves
from vmxon.arch.flags import Rflags
from vmxon.devices.apic import Message
from vmxon.errors import GuestStopped, TimedOut, TripleFault
from vmxon.machine.board import Board, Sink, Sinks, ignore, nothing
from vmxon.machine.bus_requests import BusRequests
from vmxon.machine.configuration import Firmware, PcConfiguration
from vmxon.machine.firmware import Bios, BiosMemory
from vmxon.machine.firmware.rom import RESET_VECTOR, SEGMENT
from vmxon.machine.guest_history import GuestHistory
from vmxon.machine.loader import BootImage, RealStart
from vmxon.machine.local_apic import ApicWires
from vmxon.machine.memory_map import MemoryMap
from vmxon.machine.modes import enter_flat_32, enter_long, enter_real
from vmxon.machine.port_stream import PortStream
from vmxon.machine.processor import Processor
from vmxon.machine.shutdown import triple_fault
from vmxon.machine.slice import LONGEST_SLICE, Slice
from vmxon.machine.tables import Hardware, system_tables
from vmxon.processor.state import HostRequest
from vmxon.vmx.controls import PinBased
from vmxon.vmx.fields import VmcsField
from vmxon.vmx.preemption import expiry_tick
from vmxon.vmx.state import NOTIFY_FAILURES, NOTIFY_SWITCHES, Operation, active_vmcss

LONGEST_WAIT = 1.0
"""Seconds for which a machine that does nothing sleeps before it looks around."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When to stop a run that does not end by itself."""

    seconds: float | None = None
    instructions: int | None = None


class End(Enum):
    """How a run ended that nothing is wrong with."""

    DEBUG_EXIT = "the guest wrote to isa-debug-exit"
    POWER_OFF = "the guest turned the machine off"
    RESET = "the guest asked for a reset, and the configuration has none"
    QUIT = "the person at the monitor or the debugger ended it"


class Pc:
    """A PC; `inbox` takes calls from other threads (keys, serial input), which run between two instructions."""

    def __init__(
        self, configuration: PcConfiguration | None = None, *, serial: Sequence[Sink] = (), debug_console: Sink = ignore
    ) -> None:
        self.configuration = configuration = configuration or PcConfiguration()
        self.processor = Processor(configuration.model, configuration.layout)
        self.memory_map = MemoryMap(self.processor.engine, configuration.rom)
        self.processor.keep_translations(configuration.tlb)
        self.state = self.processor.state
        self.pace = configuration.pace
        self.kernel: BootImage | None = None
        self.end: End | None = None
        """How the run ended; None before that."""
        self.exit_value: int | None = None
        """The status that the guest chose through isa-debug-exit."""
        self.reset_wanted = False
        sinks = Sinks(
            serial,
            debug_console,
            leave=self._leave,
            reset=self.want_reset,
            power_off=self.power_off,
            a20=self.memory_map.set_a20,
            message=self._message,
            past_apic=self._lead_past_apic,
        )
        engine = self.processor.engine
        self.memory = BiosMemory(engine.memory_size, engine.read_physical, engine.write_physical)
        """Physical memory for devices and the firmware."""
        self.board = board = Board(configuration, engine.memory, sinks, self.memory, self.memory_map)
        self.stream = PortStream(engine, board.bus)
        self.apic = ApicWires(self.processor, board.clock, self.pace.time_of, board.pic.acknowledge, board.io_apic.end)
        self.board.pic.output.connect(lambda level: self.apic.apic.set_pin(0, level))
        self.requests = BusRequests(self.processor, self.stream, board.bus, board.memory_bus, self.apic, self.memory_map)
        self.bios: Bios | None = None
        """Our firmware, where no other is in ROM."""
        self.interactive = False
        """Somebody may type: idle time passes at the pace of the wall clock."""
        self.attended = False
        """Somebody watches through a monitor or a debugger: they need not wait long, and a halt that nothing can end waits for them."""
        self.slice = Slice()
        self.paused = False
        """No instruction runs; the inbox is served still."""
        self.pause_at: int | None = None
        """The number of retired instructions at which the machine pauses by itself."""
        self.on_pause: Callable[[], None] = nothing
        """Called when it did."""
        self.on_reset: Callable[[], None] = nothing
        """Called before each reset."""
        self.inbox: deque[Callable[[], None]] = deque()
        self.arrived = threading.Event()
        self.services: dict[int, Callable[[], None]] = {
            **self.requests.services,
            **self.apic.services,
            HostRequest.HALT: self._halt,
            HostRequest.NUMERIC_ERROR: self.board.numeric_error.report,
            HostRequest.TRIPLE_FAULT: self._triple_fault,
        }
        self._initialize()
        if configuration.kernel is not None:
            self.load(configuration.kernel)

    def _initialize(self) -> None:
        """What a BIOS leaves to a kernel that none starts: its services, the timer, the 8259 let through. Ours starts itself."""
        if self.configuration.rom:
            return
        # Xen, started by multiboot, takes the end of conventional memory from the data area and asks INT 15h for the map.
        self._our_bios().power_on()
        self.board.program()
        if self.configuration.acpi:
            self._place_tables()
        self.apic.program_virtual_wire()
        if self.configuration.firmware is Firmware.OWN:
            self._start_firmware(None)

    def _start_firmware(self, program: RealStart | None) -> None:
        """Our own, from its reset vector on, to a program in memory or to a boot sector."""
        self._our_bios().program = program
        enter_real(self.state, SEGMENT, RESET_VECTOR)
        self.processor.refresh()

    def _our_bios(self) -> Bios:
        """Our firmware with its code in the F segment."""
        if self.bios is None:
            self.bios = Bios(self.board, self.memory)
            self.bios.connect(self.board.bus)
        self.bios.place_code()
        return self.bios

    def reset(self) -> None:
        """RESET of processor and devices; memory keeps its content, and the kernel is loaded again."""
        self.reset_wanted = False
        self.processor.reset()
        self.memory_map.reset()
        self.board.reset()
        self.apic.reset()
        self.apic.apic.set_pin(0, self.board.pic.output.level)
        self._initialize()
        if self.kernel is not None:
            self.load(self.kernel)

    def load(self, image: BootImage) -> None:
        """Place a boot image and set the registers that its protocol promises; run() starts it, each reset again."""
        self.kernel = image
        image.place(self.memory.write, self.memory.read)
        if isinstance(image.start, RealStart):
            self._start_firmware(image.start)
            return
        if image.start is None:
            enter_flat_32(self.state, image.entry)
        else:
            enter_long(self.state, image.entry, image.start.tables)
        gpr = self.state.gpr
        gpr[0], gpr[3], gpr[4], gpr[6] = image.eax, image.ebx, image.esp, image.esi
        self.processor.refresh()

    def _place_tables(self) -> None:
        """What firmware tells of the machine."""
        signature, _, _, features = cpuid_leaves(self.configuration.model)[1, 0]
        for table in system_tables(Hardware.of(self.configuration), signature, features):
            self.processor.engine.write_physical(table.address, table.data)

    def memory_hash(self) -> str:
        """SHA-256 of guest memory, to compare runs."""
        return hashlib.sha256(self.processor.engine.memory).hexdigest()

    # Outside input.
    def post(self, call: Callable[[], None]) -> None:
        """Have `call` run in the machine's thread before the next instruction; safe from any thread."""
        self.inbox.append(call)
        self.arrived.set()

    def _serve_inbox(self) -> None:
        self.arrived.clear()
        for _ in range(len(self.inbox)):  # a call that posts another waits for the next time
            self.inbox.popleft()()

    def pause(self) -> None:
        """Stop between two instructions; only from the machine's thread, which is to say through `post`."""
        self.paused = True

    def resume(self, count: int | None = None) -> None:
        """Go on, for so many instructions or for good; from the machine's thread as well."""
        self.paused = False
        self.pause_at = None if count is None else self.processor.instructions + count

    # The loop.
    def run(self, limits: Limits | None = None) -> int | None:
        """Run until the guest ends, as `end` says; the value that it wrote to isa-debug-exit, else None.

        Raises:
            TimedOut: a limit was reached.
            GuestStopped: triple fault, or a halt that nothing can end.
        """
        limits = limits or Limits()
        started = time.monotonic()
        processor, clock = self.processor, self.board.clock
        while not self._ended():
            if self.inbox:
                self._serve_inbox()
            if self.reset_wanted:
                self._reset_or_end()
            elif self.pause_at is not None and self.pause_at <= processor.instructions:
                self.paused, self.pause_at = True, None
                self.on_pause()
            if self._ended():
                break
            if self.paused:
                self.arrived.wait(LONGEST_WAIT)
                continue
            if limits.seconds is not None and time.monotonic() - started > limits.seconds:
                raise TimedOut(f"the guest did not end within {limits.seconds:g} s", where=self._place())
            now = processor.ticks
            clock.run_until(self.pace.time_of(now))
            budget = self._until_deadline(now)
            if limits.instructions is not None:
                left = limits.instructions - processor.instructions
                if left <= 0:
                    raise TimedOut(f"the guest did not end within {limits.instructions:,} instructions", where=self._place())
                budget = min(budget, left)
            if self.pause_at is not None:
                budget = min(budget, self.pause_at - processor.instructions)
            request = self.slice.run(processor, budget) if self.interactive or self.attended else processor.run_native(budget)
            self.stream.settle()
            clock.now = self.pace.time_of(processor.ticks)
            service = self.services.get(request)
            if service is not None:
                service()
        return self.exit_value

    def _ended(self) -> bool:
        """No instruction will run any more."""
        return self.end is not None

    def _reset_or_end(self) -> None:
        if self.configuration.no_reboot:
            self.end = End.RESET
        else:
            self.on_reset()
            self.reset()

    def _until_deadline(self, now: int) -> int:
        deadline = self.board.clock.next_deadline()
        if deadline is None:
            return LONGEST_SLICE
        return max(1, min(LONGEST_SLICE, self.pace.ticks_at(deadline) - now))

    def _place(self) -> str:
        return f"RIP {self.state.rip:#018x}"

    # What native code asks for.
    def _halt(self) -> None:
        deadline = self.board.clock.next_deadline()
        expiry = expiry_tick(self.state)
        if expiry is None and not self._interruptible() and not self.state.nmi_pending and not self.inbox:
            if self.attended:
                self.arrived.wait(LONGEST_WAIT)
                return
            raise GuestStopped("the guest halted with interrupts off", where=self._place())
        if expiry is not None:
            expiry_time = self.pace.time_of(expiry)
            deadline = expiry_time if deadline is None else min(deadline, expiry_time)
        if deadline is None and not self.interactive:
            if self.attended:
                self.arrived.wait(LONGEST_WAIT)
                return
            raise GuestStopped("the guest halted and no device will wake it", where=self._place())
        now = self.board.clock.now
        if self.interactive:
            wait = None if deadline is None else max(0, deadline - now) / 1e9
            before = time.monotonic()
            self.arrived.wait(LONGEST_WAIT if wait is None else min(wait, LONGEST_WAIT))
            passed = int((time.monotonic() - before) * 1e9)
            target = now + passed if deadline is None else min(deadline, now + max(passed, 1))
        else:
            target = deadline if deadline is not None else now
        wake = self.pace.ticks_at(target)
        if expiry is not None and target == self.pace.time_of(expiry):
            wake = max(wake, expiry)
        self.state.idle_ticks = max(self.state.idle_ticks, wake - self.processor.instructions)
        self.state.attention = 1

    def _interruptible(self) -> bool:
        """An interrupt can end a halt: it is delivered, or it is a VM exit whatever RFLAGS.IF says."""
        if self.processor.rflags & Rflags.if_.mask:
            return True
        if self.state.vmx_operation != Operation.NON_ROOT:
            return False
        vmcs = active_vmcss(self.processor.engine.vmx_memory)[self.state.vmcs_pointer]
        pins = vmcs.fields[VmcsField.PIN_BASED_VM_EXECUTION_CONTROLS.slot]
        return bool(pins & PinBased.external_interrupt_exiting.mask)

    def _triple_fault(self) -> None:
        if self.configuration.triple_fault_resets:
            self.want_reset()
            return
        raise TripleFault(triple_fault(self.processor))

    def on_entry_failure(self, listener: Callable[[], None]) -> None:
        """Have `listener` called after each VM entry that a rule of the rule book stopped, the VMCS still current."""
        self.services[HostRequest.ENTRY_FAILED] = listener
        self.state.vmx_notify |= NOTIFY_FAILURES

    def record_guests(self, history: GuestHistory) -> None:
        """Have `history` hear of each VM entry, VM exit and INVEPT; the machine runs much slower then."""

        def entered() -> None:
            history.entered(history.next_entry(first=not self.state.request_value))

        self.services[HostRequest.VM_ENTERED] = entered
        self.services[HostRequest.VM_EXITED] = history.exited
        self.services[HostRequest.INVEPT] = history.invept
        self.state.vmx_notify |= NOTIFY_SWITCHES

    def _message(self, message: Message) -> bool:
        return self.apic.apic.receive(message)

    def _lead_past_apic(self, past: bool) -> None:
        self.apic.apic.lead_past(past)

    def _leave(self, value: int) -> None:
        self.exit_value, self.end = value, End.DEBUG_EXIT

    def want_reset(self) -> None:
        """Reset before the next instruction."""
        self.reset_wanted = True

    def power_off(self) -> None:
        """End the run before the next instruction."""
        self.end = End.POWER_OFF

    def quit(self) -> None:
        """The same, for a person who has seen enough."""
        self.end = End.QUIT
