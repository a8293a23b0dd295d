"""The front door: a hypervisor, its guests, and what one does with them.

>>> hypervisor = Hypervisor(memory="64M")
>>> guest = hypervisor.create(memory="2M")
>>> guest.memory.write(0x1000, b"\\xb8\\x07\\x00\\x00\\x00\\xf4")     # mov eax, 7; hlt
>>> guest.processor.rip = 0x1000
>>> guest.processor.run().reason.name, guest.processor.rax
('HLT', 7)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from vmxon.arch.models import MODELS
from vmxon.devices.ide import IdeDrive
from vmxon.errors import ConfigurationError
from vmxon.hypervisor.hooks import Hooks
from vmxon.hypervisor.memory.extended_paging import ExtendedPaging
from vmxon.hypervisor.memory.guest_memory import GuestMemory
from vmxon.hypervisor.memory.isolation import Leak, find_leaks
from vmxon.hypervisor.memory.page_manager import PAGE
from vmxon.hypervisor.memory.page_use import PageUse
from vmxon.hypervisor.memory.virtual_memory import PagingMode
from vmxon.hypervisor.operation.host import Host
from vmxon.hypervisor.scheduler import Condition, Job, Scheduler
from vmxon.hypervisor.virtual_machine import VirtualMachine
from vmxon.hypervisor.virtual_processor import VirtualProcessor
from vmxon.machine.loader import BootImage, load_files, load_multiboot
from vmxon.machine.sizes import parse_size


class Guest:
    """One guest: a PC of its own with memory, a processor and a board of devices."""

    def __init__(self, hypervisor: Hypervisor, machine: VirtualMachine, name: str, output: bytearray) -> None:
        self.hypervisor, self.machine, self.name, self.output = hypervisor, machine, name, output
        self.job: Job = hypervisor.scheduler.add(name, machine)
        self.processor = VirtualProcessor(machine)
        self.hooks = Hooks(machine)

    @property
    def memory(self) -> GuestMemory:
        """Guest-physical memory: `read(address, size)`, `write(address, data)`, `view`."""
        return self.machine.memory

    def load(self, image: bytes | str | Path | BootImage) -> None:
        """Put a kernel into memory: a multiboot image as bytes, or a file in any format that `vmxon run` takes.

        Raises:
            ImageError: it is none.
        """
        if isinstance(image, bytes):
            image = load_multiboot(image, self.name, self.memory.size)
        elif not isinstance(image, BootImage):
            image = load_files(Path(image), self.memory.size)
        self.machine.host.give_to(self.machine)
        self.machine.load(image)

    def boot(self) -> None:
        """Start from its first drive, through the firmware.

        Raises:
            ConfigurationError: under this paging or on this processor it cannot start in real mode.
        """
        self.machine.host.give_to(self.machine)
        self.machine.boot()

    def run(self, seconds: float | None = None) -> int:
        """Run this guest alone, to its end; the status that it gives.

        Raises:
            TimedOut: it took longer than `seconds`.
            GuestStopped: it cannot go on.
        """
        status = self.machine.run(seconds)
        self.job.condition = Condition.FINISHED
        return status

    @property
    def page_use(self) -> PageUse:
        """Which pages it uses and changes: `accessed()`; `start_log()`, `changed()`, `stop_log()`.

        Raises:
            ConfigurationError: it runs under shadow paging.
        """
        paging = self.machine.paging
        if not isinstance(paging, ExtendedPaging):
            raise ConfigurationError("shadow paging keeps no flags of guest-physical pages", advice="choose EPT paging")
        self.machine.host.give_to(self.machine)
        return paging.use

    def type(self, text: str) -> None:
        """Press the keys of a text on its keyboard; safe from any thread."""
        keyboard = self.machine.devices.board.keyboard
        self.machine.inbox.post(lambda: keyboard.type_text(text))

    def send(self, data: bytes) -> None:
        """Have bytes arrive at its serial port; safe from any thread."""
        uart = self.machine.devices.board.uart
        self.machine.inbox.post(lambda: uart.receive(data))

    @property
    def condition(self) -> Condition:
        """Ready, paused, finished, failed or killed."""
        return self.job.condition

    @property
    def status(self) -> int | None:
        """What the guest gave at its end; None before that, and where it did not end by itself."""
        return self.machine.exit_value

    def pause(self) -> None:
        """Keep it from the processor until `resume`."""
        self.hypervisor.scheduler.pause(self.job)

    def resume(self) -> None:
        """Let it go on."""
        self.hypervisor.scheduler.resume(self.job)

    def kill(self) -> None:
        """End it where it stands."""
        self.hypervisor.scheduler.kill(self.job)

    def close(self) -> None:
        """Give its frames back, cleared; it cannot be used any more."""
        self.hypervisor.close(self)


class Hypervisor:
    """One machine with VMX, and any number of guests on its one processor.

    Raises:
        ConfigurationError: no such model, or one that cannot run guests.
    """

    def __init__(self, memory: str | int = "256M", model: str = "max", *, batched: bool = True) -> None:
        if model not in MODELS:
            raise ConfigurationError(f"no processor model {model!r}", expected=", ".join(MODELS))
        self.host = Host(MODELS[model], parse_size(memory), batched=batched)
        self.scheduler = Scheduler()
        self.guests: list[Guest] = []
        self._created = 0

    def create(
        self,
        memory: str | int = "8M",
        name: str = "",
        *,
        paging: PagingMode | str = PagingMode.EPT,
        drives: Sequence[IdeDrive | None] = (),
        on_output: Callable[[int], None] = lambda value: None,
    ) -> Guest:
        """A guest that has not started.

        `output` collects what it writes to its serial port and to port 0xE9; `on_output` hears of each byte.

        Raises:
            ConfigurationError: the machine has too little memory left.
        """
        self._created += 1
        name, output = name or f"guest-{self._created}", bytearray()

        def put(value: int) -> None:
            output.append(value)
            on_output(value)

        machine = VirtualMachine(
            self.host.root.processor.model,
            parse_size(memory),
            serial=put,
            debug_console=put,
            drives=drives,
            host=self.host,
            paging=PagingMode(paging),
        )
        guest = Guest(self, machine, name, output)
        self.guests.append(guest)
        return guest

    def run(self, seconds: float | None = None) -> None:
        """Run all guests, in turns, until each has ended or is paused; a guest's failure is in its `job.error`.

        Raises:
            TimedOut: it took longer than `seconds`.
        """
        self.scheduler.run(seconds)

    def leaks(self) -> list[Leak]:
        """What a guest could reach of memory that is not its own: nothing, or the hypervisor is wrong."""
        return [leak for guest in self.guests for leak in find_leaks(guest.memory, guest.machine.paging)]

    def close(self, guest: Guest) -> None:
        """Give the frames of a guest back, cleared; ValueError where it is no guest any more."""
        self.guests.remove(guest)
        self.scheduler.jobs.remove(guest.job)
        machine, host = guest.machine, self.host
        host.evict(machine)
        memory, bitmaps = machine.memory, machine.bitmaps
        host.root.write(memory.base, bytes(memory.size))
        host.pages.release(memory.base, memory.size // PAGE)
        machine.paging.release()
        host.windows.close(memory.devices)
        for page in (*memory.address_space.tables, machine.vmcs, machine.live.page, bitmaps.io_a, bitmaps.io_b, bitmaps.msr):
            host.pages.release(page)
