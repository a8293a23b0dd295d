"""A PCI bus and the two ports by which a PC reaches configuration registers.

Source: PCI Local Bus Specification 3.0, §3.2.2.3.2 “Software Generation of Configuration Transactions” (mechanism 1).
"""

from __future__ import annotations

from typing import Protocol

from vmxon.arch.bits import Word, field, flag
from vmxon.devices.bus import Bus, BusOverlap, Device, Window, reads, writes
from vmxon.devices.interrupt import Signal
from vmxon.devices.pci.function import INTERRUPT_PIN, Mapping, PciFunction, Space

FULL = {1: 0xFF, 2: 0xFFFF, 4: 0xFFFF_FFFF}
ADDRESS_PORT, DATA_PORT = 0xCF8, 0xCFC
SLOTS, FUNCTIONS = 32, 8


class InterruptRouter(Protocol):
    """Who gets the interrupt pins of the slots."""

    def pin(self, slot: int, number: int) -> Signal:
        """An input for pin `number` (1 is INTA#) of a slot."""
        ...


class ConfigurationAddress(Word, width=32):
    """What port 0xCF8 holds."""

    register = field(7, 2, "which four bytes")
    function = field(10, 8, "of which function")
    slot = field(15, 11, "in which slot")
    bus = field(23, 16, "on which bus; here is only bus 0")
    enabled = flag(31, "the data port reaches configuration registers")


CONFIGURATION_BITS = ~ConfigurationAddress.layout.reserved


class PciBus:
    """Bus 0: the functions in its slots, whose windows it keeps on the buses for ports and memory.

    Where two windows want the same address, the function in the lower slot answers.
    """

    def __init__(self, ports: Bus, memory: Bus) -> None:
        self.spaces = {Space.IO: ports, Space.MEMORY: memory}
        self.functions: dict[tuple[int, int], PciFunction] = {}
        self.router: InterruptRouter | None = None
        self._open: list[Mapping] = []

    def plug(self, slot: int, function: PciFunction, number: int = 0) -> None:
        """Put a function into a slot, its interrupt pin on the router's input.

        Raises:
            BusOverlap: there is one already.
        """
        if (slot, number) in self.functions:
            raise BusOverlap(f"PCI slot {slot}, function {number} ({type(function).__name__}) is taken")
        self.functions[slot, number] = function
        function.moved = self.map
        pin = function.get(INTERRUPT_PIN, 1)
        if pin and self.router is not None:
            function.interrupt = self.router.pin(slot, pin)
        self.map()

    def map(self) -> None:
        """Open every window where its function wants it."""
        wanted = [mapping for _, function in sorted(self.functions.items()) for mapping in function.mappings()]
        if wanted == self._open:
            return
        for mapping in self._open:
            self.spaces[mapping.space].close(mapping.base, mapping.window)
        self._open = []
        for mapping in wanted:
            if self._fits(mapping):
                self.spaces[mapping.space].open(mapping.base, mapping.size, mapping.window)
                self._open.append(mapping)

    def _fits(self, mapping: Mapping) -> bool:
        space = self.spaces[mapping.space]
        return mapping.base + mapping.size - 1 <= space.last and space.free(mapping.base, mapping.size)

    def read(self, address: ConfigurationAddress, offset: int, size: int) -> int:
        """A configuration register; all ones where nothing is."""
        function = None if address.bus else self.functions.get((address.slot, address.function))
        return FULL[size] if function is None else function.read(4 * address.register + offset, size)

    def write(self, address: ConfigurationAddress, offset: int, size: int, value: int) -> None:
        """Store into a configuration register."""
        function = None if address.bus else self.functions.get((address.slot, address.function))
        if function is not None:
            function.write(4 * address.register + offset, size, value)


class PciHost(Device, span=4, saves=("address",)):
    """Ports 0xCF8 (32-bit accesses only) and 0xCFC to 0xCFF, which reach the registers that 0xCF8 names."""

    def __init__(self, bus: PciBus) -> None:
        self.bus = bus
        self.address = ConfigurationAddress(0)
        self.data: Window = ConfigurationData(self)

    def connect(self, ports: Bus) -> None:
        """Attach at 0xCF8 and open 0xCFC."""
        ports.attach(ADDRESS_PORT, self)
        ports.open(DATA_PORT, 4, self.data)

    @reads(0, 4)
    def read_address(self) -> int:
        return self.address

    @writes(0, 4)
    def write_address(self, value: int) -> None:
        self.address = ConfigurationAddress(value & CONFIGURATION_BITS)

    @reads(0, 2)
    def read_half(self) -> int:
        return FULL[2]

    @writes(0, 2)
    def write_half(self, value: int) -> None:
        """A narrow access is none of PCI's, and no access to port 0xCF9 either."""


class ConfigurationData:
    """Ports 0xCFC to 0xCFF."""

    def __init__(self, host: PciHost) -> None:
        self.host = host

    def read(self, offset: int, size: int) -> int:
        """As `Window`."""
        address = self.host.address
        return self.host.bus.read(address, offset, size) if address.enabled else FULL[size]

    def write(self, offset: int, size: int, value: int) -> None:
        """As `Window`."""
        address = self.host.address
        if address.enabled:
            self.host.bus.write(address, offset, size, value)
