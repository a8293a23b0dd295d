"""A PCI bus for tests, driven through its ports."""

from __future__ import annotations

from vmxon.devices.bus import MEMORY_SPACE, Bus
from vmxon.devices.interrupt import Line
from vmxon.devices.pci import BaseAddress, Identity, IsaBridge, PciBus, PciFunction, PciHost, Space
from vmxon.devices.pci.isa import ROUTABLE


class Echo:
    """A window that answers with its offset and remembers what is written."""

    def __init__(self, value: int = 0) -> None:
        self.value, self.written = value, []

    def read(self, offset: int, size: int) -> int:
        return self.value + offset

    def write(self, offset: int, size: int, value: int) -> None:
        self.written.append((offset, size, value))


def card(io: int = 16, memory: int = 0x1000, pin: int = 1, value: int = 0) -> PciFunction:
    """A function with an I/O and a memory window."""
    windows = (BaseAddress(0, Space.IO, io, Echo(value)), BaseAddress(1, Space.MEMORY, memory, Echo(value)))
    return PciFunction(Identity(0x1AF4, 0x1000, 0x02_00_00, revision=7, subsystem_vendor=0x1234, subsystem=0x5678), windows, pin)


class Machine:
    def __init__(self) -> None:
        self.ports, self.memory = Bus("port"), Bus("memory", MEMORY_SPACE)
        self.bus = PciBus(self.ports, self.memory)
        self.lines = {number: Line() for number in ROUTABLE}
        self.isa = IsaBridge(self.lines)
        self.bus.router = self.isa
        self.bus.plug(1, self.isa)
        self.host = PciHost(self.bus)
        self.host.connect(self.ports)

    def select(self, slot: int, register: int, function: int = 0, bus: int = 0) -> None:
        self.ports.write(0xCF8, 4, 0x8000_0000 | bus << 16 | slot << 11 | function << 8 | register & 0xFC)

    def read(self, slot: int, register: int, size: int = 4, function: int = 0) -> int:
        self.select(slot, register, function)
        return self.ports.read(0xCFC + register % 4, size)

    def write(self, slot: int, register: int, value: int, size: int = 4, function: int = 0) -> None:
        self.select(slot, register, function)
        self.ports.write(0xCFC + register % 4, size, value)
