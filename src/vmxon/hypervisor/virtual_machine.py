"""A guest and everything that makes it believe in a machine of its own: built, entered, and served until it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from vmxon.arch.cpuid import Model
from vmxon.arch.flags import Rflags
from vmxon.devices.ide import IdeDrive
from vmxon.errors import GuestStopped, TimedOut
from vmxon.hypervisor.accounting import Accounting
from vmxon.hypervisor.devices import GuestDevices
from vmxon.hypervisor.exits import RawExit
from vmxon.hypervisor.exits.dispatch import Dispatcher
from vmxon.hypervisor.exits.entry_stopped import EntryStopped
from vmxon.hypervisor.exits.injection import Injector
from vmxon.hypervisor.hypercall import Hypercall
from vmxon.hypervisor.inbox import Inbox
from vmxon.hypervisor.loader import Loader
from vmxon.hypervisor.memory.arch_memory import HUGE
from vmxon.hypervisor.memory.extended_paging import ExtendedPaging
from vmxon.hypervisor.memory.guest_memory import DEVICES, DEVICES_END, GuestMemory
from vmxon.hypervisor.memory.page_manager import PAGE
from vmxon.hypervisor.memory.virtual_memory import PagingMode, VirtualMemory
from vmxon.hypervisor.operation.guest_time import GuestTime
from vmxon.hypervisor.operation.host import Host
from vmxon.hypervisor.operation.live_state import LiveState
from vmxon.hypervisor.operation.registers import GuestRegisters
from vmxon.hypervisor.operation.vmcs import (
    fields_of,
    new_bitmaps,
    new_vmcs,
    write_controls,
    write_guest_state,
    write_host_state,
    write_shadow_controls,
)
from vmxon.hypervisor.policy.cpuid import CpuidPolicy
from vmxon.hypervisor.policy.msrs import MsrPolicy
from vmxon.hypervisor.shadow.paging import ShadowPaging
from vmxon.hypervisor.shadow.tables import ShadowTables
from vmxon.machine.loader import BootImage
from vmxon.machine.outcome import Outcome
from vmxon.machine.pace import NANOSECONDS, Pace
from vmxon.vmx.fields import VmcsField as Field

HYPERVISOR_MEMORY = 4 << 20
SLICE = 20_000_000
"""Ticks after which the guest is interrupted in any case: how long Ctrl-C, keys and --timeout may wait."""
TYPING_SLICE = 2_000_000
"""The same while somebody may type: some hundredths of a second."""
LONGEST_SLEEP = 1.0
NEVER = 1 << 62
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


def machine_memory(guest: int, paging: PagingMode = PagingMode.EPT) -> int:
    """Bytes that the machine needs for a guest of that size: tables, and 2 MiB to align its memory."""
    tables = guest // 256 if paging is PagingMode.EPT else guest // 16
    # On 1 GiB if it is as large, so that pages of 1 GiB fit.
    tables += HUGE if guest >= HUGE and paging is PagingMode.EPT else 0
    return (guest + tables + HYPERVISOR_MEMORY + PAGE - 1) // PAGE * PAGE


class VirtualMachine:
    """One guest with one processor, alone on a host of its own or one of several; `inbox` takes calls from other threads."""

    def __init__(
        self,
        model: Model,
        memory_size: int,
        *,
        serial: Callable[[int], None],
        debug_console: Callable[[int], None],
        drives: Sequence[IdeDrive | None] = (),
        pace: Pace | None = None,
        batched: bool = True,
        host: Host | None = None,
        paging: PagingMode = PagingMode.EPT,
    ) -> None:
        self.pace = pace or Pace()
        self.host = host = host or Host(model, machine_memory(memory_size, paging), batched=batched)
        self.root, self.pages = host.root, host.pages
        root = self.root
        self.time = GuestTime(root)
        window = host.windows.open(
            DEVICES_END - DEVICES,
            self._load_device,
            self._store_device,
        )
        self.memory = GuestMemory(root, self.pages, memory_size, window)
        self.bitmaps = bitmaps = new_bitmaps(root, self.pages)
        host.vacate()
        self.vmcs = new_vmcs(root, self.pages)
        self.vpid = host.new_vpid()
        self.paging_mode = paging
        self._write_controls()
        write_host_state(root)
        write_guest_state(root)
        self.live = LiveState.new(root, self.pages)
        host.settle(self)
        self.registers = GuestRegisters(root)
        present = fields_of(root)
        self._has_timer = Field.VMX_PREEMPTION_TIMER_VALUE in present
        self._exit_fields = tuple(field if field in present else Field.GUEST_LINEAR_ADDRESS for field in EXIT_FIELDS)
        self.devices = GuestDevices(
            root,
            self.memory,
            self.registers,
            bitmaps=bitmaps,
            pace=self.pace,
            serial=serial,
            debug_console=debug_console,
            leave=self.end,
            reset=self._want_reset,
            paging=lambda user: self.paging.paging(user),  # noqa: PLW0108 - `paging` is made later, from the injector of these devices
            time=self.time,
            alarm=root.interrupt,
            drives=drives,
        )
        self.injector = Injector(root, self.devices.apic)
        self.paging: VirtualMemory
        if paging is PagingMode.EPT:
            self.paging = ExtendedPaging(root, self.pages, self.memory, self.registers, self.injector)
        else:
            self.paging = ShadowPaging(root, self.memory, self.registers, self.injector, ShadowTables(root, self.pages, self.memory))
        self._loader = Loader(
            root, self.memory, self.registers, firmware=self.devices.firmware, enter_long_mode=self.paging.enter_long_mode
        )
        self.dispatcher = Dispatcher(
            root,
            self.memory,
            self.registers,
            paging=self.paging,
            devices=self.devices,
            injector=self.injector,
            cpuid=CpuidPolicy(root, self.pace.rate // 1000, self.paging.hidden),
            msrs=MsrPolicy(root, bitmaps, self.time, self.paging.msrs),
            hypercall=Hypercall(
                self.memory,
                self.registers,
                put=debug_console,
                leave=self.end,
                now=lambda: self.pace.time_of(self.time.now),
            ),
            halt=self._halt,
        )
        self.accounting = Accounting()
        self.inbox = Inbox()
        self.interactive = False
        """Somebody may type: idle time passes at the pace of the wall clock."""
        self.no_reboot = False
        """A reset ends the run with status 0."""
        self._start: Callable[[], None] | None = None
        self.exit_value: int | None = None
        self.asleep = False
        """It has executed HLT, and no interrupt has come yet."""
        self._launched = self._reset_wanted = False
        self._deadline = 0
        self._blocking = 0
        self.next_rip: int | None = None
        """Where the guest goes on after an instruction that was done for it."""
        self._started = 0.0
        self._limit: float | None = None

    def load(self, image: BootImage) -> None:
        """Put a program into memory; each reset puts it there again.

        Raises:
            ConfigurationError: it starts in real mode, which this guest cannot.
        """
        self._begin(lambda: self._loader.load(image))

    def boot(self) -> None:
        """Start the firmware, which starts a disk's boot sector; each reset does it again.

        Raises:
            ConfigurationError: this guest cannot start in real mode.
        """
        self._begin(self._loader.start_firmware)

    def _begin(self, start: Callable[[], None]) -> None:
        self._start = start
        self.devices.place_tables()
        start()

    def _load_device(self, offset: int, size: int) -> int:
        return self.devices.load(offset, size)

    def _store_device(self, offset: int, size: int, value: int) -> None:
        self.devices.store(offset, size, value)

    def _write_controls(self) -> None:
        if self.paging_mode is PagingMode.EPT:
            write_controls(self.root, self.bitmaps, self.memory.address_space.pointer, self.vpid)
        else:
            write_shadow_controls(self.root, self.bitmaps, self.vpid)

    def reset(self) -> None:
        """RESET: the processor and the devices start over, memory keeps its content, and the program is loaded again."""
        self.host.vacate()
        self.live.reset()
        self.host.give_to(self)
        self._write_controls()
        self.live.install()
        write_guest_state(self.root)
        self.registers.clear()
        self.devices.reset()
        self.injector.reset()
        self.paging.reset()
        self.time.set_counter(0)
        self.asleep, self.next_rip, self._blocking, self._deadline, self._reset_wanted = False, None, 0, 0, False
        if self._start is not None:
            self._begin(self._start)

    def _want_reset(self) -> None:
        if self.no_reboot:
            self.end(0)
        self._reset_wanted = True

    def end(self, value: int) -> None:
        """The guest's run ends with this status, at the next VM entry at the latest."""
        self.exit_value = value & 0xFF

    def run(self, seconds: float | None = None) -> int:
        """Run the guest to its end; the status that it gave, by hypercall or isa-debug-exit.

        Raises:
            TimedOut: it took longer than `seconds`.
            GuestStopped: triple fault, a halt that nothing ends, an exit that nobody serves.
        """
        self._started, self._limit = time.monotonic(), seconds
        while self.exit_value is None:
            self.run_slice(TYPING_SLICE if self.interactive else SLICE)
        return self.exit_value

    def run_slice(self, ticks: int) -> None:
        """Give it the processor for so much of its own time, or until it ends; the preemption timer takes it back.

        Raises:
            GuestStopped: as `run`.
        """
        self.host.give_to(self)
        end = self.time.now + ticks
        while self.exit_value is None and self.time.now < end and self.wake(end):
            raw = self.enter(end)
            left = time.perf_counter()
            self.serve(raw)
            self.accounting.add(raw.reason, time.perf_counter() - left)

    def enter(self, end: int) -> RawExit:
        """One VM entry, and the exit that follows at tick `end` or earlier; the guest has the processor, nobody has served the exit."""
        self._prepare_entry(end)
        self.registers.restore()
        failed = self._enter()
        self.time.leave()
        self.registers.save()
        if failed is not None:
            raise EntryStopped(self.root, 0, failed)
        return self._exit()

    def _enter(self) -> Outcome | None:
        if self._launched:
            return self.root.enter()
        self._launched = True
        return self.root.enter("VMLAUNCH", b"\x0f\x01\xc2")

    def _prepare_entry(self, end: int) -> None:
        """Bring the devices up to date, inject what they ask for, set the timer for what they want next, or for the end."""
        if self.inbox:
            self.inbox.serve()
        injector = self.injector
        now = self.time.now
        if now >= self._deadline:
            self.devices.advance(now)
        if injector.wanted:
            injector.offer_interrupt()
        deadline = self.devices.next_deadline()
        self._deadline = NEVER if deadline is None else deadline
        self.paging.prepare_entry()
        end = min(self._deadline, end)
        timer = self.time.timer(end)
        offset = self.time.enter()
        if not self._has_timer:
            self.root.alarm = self.root.time + max(1, end - self.time.now)
            self.root.set_fields(Field.TSC_OFFSET, offset)
        else:
            self.root.set_fields(Field.VMX_PREEMPTION_TIMER_VALUE, timer, Field.TSC_OFFSET, offset)
        if self.next_rip is not None:
            self.root.set_fields(Field.GUEST_RIP, self.next_rip)
            self.next_rip = None

    def _exit(self) -> RawExit:
        """What the VMCS says of the exit; an event that it interrupted is delivered again."""
        values = self.root.fields(self._exit_fields)
        self._blocking, vectoring = values.pop(), values.pop()
        raw = RawExit._make(values)
        if raw.reason & 1 << 31:
            raise EntryStopped(self.root, raw.reason)
        self.devices.clock.now = max(self.devices.clock.now, self.pace.time_of(self.time.now))
        if vectoring >> 31:
            (code,) = self.root.fields((Field.IDT_VECTORING_ERROR_CODE,))
            self.injector.repeat(vectoring, code, raw.length)
        return raw

    def serve(self, raw: RawExit) -> None:
        """Act on the exit that `enter` gave."""
        if self.dispatcher.act(raw):
            self.finish(raw)
        if self._reset_wanted and self.exit_value is None:
            self.reset()
        self._check_time(raw.rip)

    def finish(self, raw: RawExit) -> None:
        """The instruction that exited has been done: the guest goes on behind it."""
        self.next_rip = raw.rip + raw.length
        if self._blocking & BLOCKED_BY_STI_OR_MOV_SS:
            self.root.set_fields(Field.GUEST_INTERRUPTIBILITY_STATE, self._blocking & ~BLOCKED_BY_STI_OR_MOV_SS)

    def _halt(self) -> None:
        """HLT: from now on it sleeps, until `wake` finds an interrupt."""
        (flags,) = self.root.fields((Field.GUEST_RFLAGS,))
        if not flags & Rflags.if_.mask:
            raise GuestStopped("the guest halted with interrupts off")
        self.asleep = True

    def wake(self, end: int) -> bool:
        """Let a sleeping guest's time pass to an interrupt, to tick `end` at most; False where it sleeps on.

        Raises:
            GuestStopped: nothing will ever wake it.
        """
        apic = self.devices.apic
        while self.asleep and not (apic.line or apic.nmi):
            if self.inbox:
                self.inbox.serve()
                continue
            if self.time.now >= end:
                return False
            deadline = self.devices.clock.next_deadline()
            if self.interactive:
                self._sleep(deadline)
            elif deadline is None or self.devices.deaf:
                raise GuestStopped("the guest halted and no device will wake it")
            else:
                self.time.idle_until(min(end, self.pace.ticks_at(deadline)))
            self.devices.advance(self.time.now)
            self._check_time(self.root.fields((Field.GUEST_RIP,))[0])
        self.asleep = False
        return True

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
        self.time.idle_until(self.pace.ticks_at(now + max(passed, 1)))
