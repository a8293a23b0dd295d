"""A guest's local APIC: the machine's own device, whose requests become injected events and whose page is a window on the bus."""

from __future__ import annotations

from collections.abc import Callable

from vmxon.devices.apic import LocalApic
from vmxon.devices.clock import VirtualClock
from vmxon.machine.local_apic import VIRTUAL_WIRE, load_register, store_register

PAGE_ADDRESS = 0xFEE0_0000


class GuestApic:
    """What the guest's processor hears: `line` is INTR, `nmi` waits until it is injected. There is no TSC deadline and no x2APIC."""

    def __init__(
        self, clock: VirtualClock, external: Callable[[], int], broadcast: Callable[[int], None], initialize: Callable[[], None]
    ) -> None:
        self.line = self.nmi = False
        self._initialize = initialize
        self.device = LocalApic(clock, self, external, broadcast)

    def program(self) -> None:
        """Let the 8259 through, as a BIOS does."""
        for register, value in VIRTUAL_WIRE:
            self.device.write(register, value)

    def reset(self) -> None:
        """RESET."""
        self.nmi = False
        self.device.reset()

    # What the device drives.
    def set_interrupt(self, level: bool) -> None:
        """INTR."""
        self.line = level

    def signal_nmi(self) -> None:
        """NMI."""
        self.nmi = True

    def signal_init(self) -> None:
        """INIT of the only processor starts the machine over."""
        self._initialize()

    def set_task_priority(self, level: int) -> None:
        """CR8 is read from the device."""

    def read_deadline(self) -> int | None:
        """There is no IA32_TSC_DEADLINE."""
        return None

    def clear_deadline(self) -> None:
        """Nothing to clear."""

    # What the processor asks.
    def acknowledge(self) -> int:
        """The vector to inject."""
        return self.device.acknowledge()

    @property
    def priority_class(self) -> int:
        """CR8."""
        return self.device.task_priority >> 4

    @priority_class.setter
    def priority_class(self, value: int) -> None:
        self.device.task_priority = value << 4
        self.device.update()

    def read(self, address: int, size: int) -> int:
        """A load from the APIC page."""
        return load_register(self.device, address, size)

    def write(self, address: int, size: int, value: int) -> None:
        """A store to the APIC page."""
        store_register(self.device, address, size, value)
