"""A guest and everything that makes it believe in a machine of its own: built, entered, and served until it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from vmxon.arch.cpuid import Model
from vmxon.arch.flags import Rflags
from vmxon.devices.disk import AtaDrive
from vmxon.errors import GuestStopped, TimedOut
from vmxon.hypervisor.accounting import Accounting
from vmxon.hypervisor.bring_up import enter_vmx_operation
from vmxon.hypervisor.cpuid_policy import CpuidPolicy
from vmxon.hypervisor.devices import GuestDevices
from vmxon.hypervisor.dispatch import Dispatcher
from vmxon.hypervisor.exits import RawExit
from vmxon.hypervisor.guest_memory import GuestMemory
from vmxon.hypervisor.hypercall import Hypercall
from vmxon.hypervisor.inbox import Inbox
from vmxon.hypervisor.injection import Injector
from vmxon.hypervisor.loader import Loader
from vmxon.hypervisor.msr_policy import MsrPolicy
from vmxon.hypervisor.page_manager import PAGE, PageManager
from vmxon.hypervisor.registers import GuestRegisters
from vmxon.hypervisor.vmcs import new_bitmaps, new_vmcs, write_controls, write_guest_state, write_host_state
from vmxon.machine.loader import BootImage
from vmxon.machine.outcome import Outcome
from vmxon.machine.pace import NANOSECONDS, Pace
from vmxon.machine.processor import Processor
from vmxon.machine.root import RootProcessor
from vmxon.vmx.fields import VmcsField as Field

HYPERVISOR_MEMORY = 4 << 20
TIMER_SHIFT = 5
"""The preemption timer counts once in 32 ticks; IA32_VMX_MISC[4:0] of every model that has it."""
LONGEST_RUN = 20_000_000
"""Ticks after which the guest is interrupted in any case: how long Ctrl-C, keys and --timeout may wait."""
LONGEST_SLEEP = 1.0
BLOCKED_BY_STI_OR_MOV_SS = 3
EXIT_FIELDS = (
    Field.EXIT_REASON,
    Field.EXIT_QUALIFICATION,
    Field.VM_EXIT_INSTRUCTION_LENGTH,
    Field.GUEST_RIP,
    Field.VM_EXIT_INTERRUPTION_INFORMATION,
    Field.GUEST_PHYSICAL_ADDRESS,
    Field.GUEST_LINEAR_ADDRESS,
    Field.VM_EXIT_INSTRUCTION_INFORMATION,
    Field.IDT_VECTORING_INFORMATION,
    Field.GUEST_INTERRUPTIBILITY_STATE,
)


def machine_memory(guest: int) -> int:
    """Bytes that the machine needs for a guest of that size: EPT tables, and 2 MiB to align its memory."""
    return (guest + guest // 256 + HYPERVISOR_MEMORY + PAGE - 1) // PAGE * PAGE


class VirtualMachine:
    """One guest with one processor; `inbox` takes calls from other threads."""

    def __init__(
        self,
        model: Model,
        memory_size: int,
        *,
        serial: Callable[[int], None],
        debug_console: Callable[[int], None],
        drives: Sequence[AtaDrive | None] = (),
        pace: Pace | None = None,
        batched: bool = True,
    ) -> None:
        self.pace = pace or Pace()
        self.root = root = RootProcessor(Processor(model, machine_memory(memory_size)), batched=batched)
        self.pages = PageManager(root.processor.engine.memory_size, root.free)
        enter_vmx_operation(root, self.pages)
        self.memory = GuestMemory(root, self.pages, memory_size)
        bitmaps = new_bitmaps(root, self.pages)
        self.vmcs = new_vmcs(root, self.pages)
        write_controls(root, bitmaps, self.memory.address_space.pointer)
        write_host_state(root)
        write_guest_state(root)
        self.registers = GuestRegisters(root)
        self.devices = GuestDevices(
            root,
            self.memory,
            self.registers,
            bitmaps=bitmaps,
            pace=self.pace,
            serial=serial,
            debug_console=debug_console,
            leave=self._leave,
            drives=drives,
        )
        self.injector = Injector(root, self.devices.board.pic)
        self.dispatcher = Dispatcher(
            root,
            self.memory,
            self.registers,
            devices=self.devices,
            injector=self.injector,
            cpuid=CpuidPolicy(root, self.pace.rate // 1000),
            msrs=MsrPolicy(root, bitmaps),
            hypercall=Hypercall(
                self.memory,
                self.registers,
                put=debug_console,
                leave=self._leave,
                now=lambda: self.pace.time_of(root.time),
            ),
            halt=self._halt,
        )
        self.accounting = Accounting()
        self.inbox = Inbox()
        self.interactive = False
        """Somebody may type: idle time passes at the pace of the wall clock."""
        self.exit_value: int | None = None
        self._deadline = 0
        self._rip: int | None = None
        """Where the guest goes on after an instruction that was done for it."""
        self._started = 0.0
        self._limit: float | None = None

    def load(self, image: BootImage) -> None:
        """Put a program into memory."""
        Loader(self.root, self.memory, self.registers).load(image)

    def _leave(self, value: int) -> None:
        self.exit_value = value & 0xFF

    def run(self, seconds: float | None = None) -> int:
        """Run the guest to its end; the status that it gave, by hypercall or isa-debug-exit.

        Raises:
            TimedOut: it took longer than `seconds`.
            GuestStopped: triple fault, a halt that nothing ends, an exit that nobody serves.
        """
        self._started, self._limit = time.monotonic(), seconds
        enter = self._launch
        finished = time.perf_counter()
        while self.exit_value is None:
            self._prepare_entry()
            self.registers.restore()
            failed = enter()
            left = time.perf_counter()
            self.registers.save()
            enter = self.root.enter
            if failed is not None:
                raise GuestStopped(str(failed), where="VM entry")
            reason = self._serve()
            finished = time.perf_counter()
            self.accounting.add(reason, finished - left)
        return self.exit_value

    def _launch(self) -> Outcome | None:
        return self.root.enter("VMLAUNCH", b"\x0f\x01\xc2")

    def _prepare_entry(self) -> None:
        """Bring the devices up to date, inject what they ask for, set the timer for what they want next."""
        if self.inbox:
            self.inbox.serve()
        injector = self.injector
        now = self.root.time
        if now >= self._deadline:
            self.devices.advance(now)
        if injector.pending or injector.window or injector.pic.output.level:
            injector.offer_interrupt()
        deadline = self.devices.next_deadline()
        if deadline is None or deadline > now + LONGEST_RUN:
            deadline = now + LONGEST_RUN
        if deadline != self._deadline:
            self._deadline = deadline
        timer = (deadline >> TIMER_SHIFT) - (now >> TIMER_SHIFT) + 1
        if self._rip is None:
            self.root.set_fields(Field.VMX_PREEMPTION_TIMER_VALUE, timer)
        else:
            self.root.set_fields(Field.VMX_PREEMPTION_TIMER_VALUE, timer, Field.GUEST_RIP, self._rip)
            self._rip = None

    def _serve(self) -> int:
        """Act on the exit; its reason."""
        values = self.root.fields(EXIT_FIELDS)
        blocking, vectoring = values.pop(), values.pop()
        raw = RawExit._make(values)
        if raw.reason & 1 << 31:
            raise GuestStopped(f"VM entry failed: {self.dispatcher.name(raw.reason)}", where=f"guest RIP {raw.rip:#018x}")
        self.devices.clock.now = max(self.devices.clock.now, self.pace.time_of(self.root.time))
        if vectoring >> 31:
            (code,) = self.root.fields((Field.IDT_VECTORING_ERROR_CODE,))
            self.injector.repeat(vectoring, code, raw.length)
        if self.dispatcher.act(raw):
            self._rip = raw.rip + raw.length
            if blocking & BLOCKED_BY_STI_OR_MOV_SS:
                self.root.set_fields(Field.GUEST_INTERRUPTIBILITY_STATE, blocking & ~BLOCKED_BY_STI_OR_MOV_SS)
        self._check_time(raw.rip)
        return raw.reason

    def _halt(self) -> None:
        """The guest has nothing to do until an interrupt: let time pass to the next device, or wait for a key."""
        (flags,) = self.root.fields((Field.GUEST_RFLAGS,))
        if not flags & Rflags.if_.mask:
            raise GuestStopped("the guest halted with interrupts off")
        output, clock = self.devices.board.pic.output, self.devices.clock
        while not output.level:
            if self.inbox:
                self.inbox.serve()
                continue
            deadline = clock.next_deadline()
            if self.interactive:
                self._sleep(deadline)
            elif deadline is None:
                raise GuestStopped("the guest halted and no device will wake it")
            else:
                self.root.idle_until(self.pace.ticks_at(deadline))
            self.devices.advance(self.root.time)
            self._check_time(self.root.fields((Field.GUEST_RIP,))[0])

    def _check_time(self, rip: int) -> None:
        if self._limit is not None and time.monotonic() - self._started > self._limit:
            what = f"the guest did not end within {self._limit:g} s"
            raise TimedOut(what, where=f"guest RIP {rip:#018x}")

    def _sleep(self, deadline: int | None) -> None:
        """Wait in real time, which becomes virtual time."""
        now = self.devices.clock.now
        wait = LONGEST_SLEEP if deadline is None else min(LONGEST_SLEEP, max(0, deadline - now) / NANOSECONDS)
        before = time.monotonic()
        if self._limit is not None:
            wait = min(wait, max(0.0, self._started + self._limit - before))
        self.inbox.wait(wait)
        passed = round((time.monotonic() - before) * NANOSECONDS)
        self.root.idle_until(self.pace.ticks_at(now + max(passed, 1)))
