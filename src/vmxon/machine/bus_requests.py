"""What the processor asks of the buses: ports, and memory that it cannot reach by itself."""

from __future__ import annotations

from collections.abc import Callable

from vmxon.devices.bus import Bus
from vmxon.errors import GuestStopped
from vmxon.machine.local_apic import ApicWires
from vmxon.machine.memory_map import MemoryMap
from vmxon.machine.port_stream import PortStream
from vmxon.machine.processor import Processor
from vmxon.microcode.layout import member_offset
from vmxon.processor.state import HostRequest, ProcessorState

ADDRESS, VALUE, LATCH_ADDRESS, LATCH_VALUE, APIC_PAGE, ADDRESS_LINES, COUNT, ADDRESSES, VALUES = (
    member_offset(ProcessorState, name) // 8
    for name in (
        *("request_address", "request_value", "latch_address", "latch_value", "apic_page", "address_lines"),
        *("memory_latch_count", "memory_latch_address", "memory_latch_value"),
    )
)
SIZE, LATCH_SIZE, LATCH_VALID = (member_offset(ProcessorState, name) // 4 for name in ("request_size", "latch_size", "latch_valid"))
"""Places in the state as words: guests print byte by byte through here."""


class BusRequests:
    """Serves the requests of `processor` from the buses for ports and memory, its APIC page, and the memory map."""

    def __init__(
        self, processor: Processor, stream: PortStream, ports: Bus, memory: Bus, apic: ApicWires, memory_map: MemoryMap
    ) -> None:
        self.state = processor.state
        self.stream = stream
        self.ports, self.memory, self.apic, self.memory_map = ports, memory, apic, memory_map
        self._words, self._halves = (self.state.bound_memory.words[size] for size in (8, 4))
        self.services: dict[int, Callable[[], None]] = {
            HostRequest.PORT_READ: self._port_read,
            HostRequest.PORT_WRITE: self._port_write,
            HostRequest.MEMORY_READ: self._memory_read,
            HostRequest.MEMORY_WRITE: self._memory_write,
        }

    def _port_read(self) -> None:
        words, halves = self._words, self._halves
        address, size = words[ADDRESS], halves[SIZE]
        words[LATCH_VALUE] = self.ports.read(address, size)
        words[LATCH_ADDRESS], halves[LATCH_SIZE], halves[LATCH_VALID] = address, size, 1
        self.stream.give(address, size)

    def _port_write(self) -> None:
        words = self._words
        self.ports.write(words[ADDRESS], self._halves[SIZE], words[VALUE])

    def _memory_read(self) -> None:
        words = self._words
        count, address = words[COUNT], words[ADDRESS]
        if count >= len(self.state.memory_latch_address):
            raise GuestStopped("one instruction reads too much device memory", where=f"RIP {self.state.rip:#018x}")
        words[ADDRESSES + count], words[VALUES + count] = address, self.load(address, self._halves[SIZE])
        words[COUNT] = count + 1

    def _memory_write(self) -> None:
        words = self._words
        self.store(words[ADDRESS], self._halves[SIZE], words[VALUE])

    def load(self, address: int, size: int) -> int:
        """A load that the processor could not make by itself: from the APIC page, a ROM, a device, or of ones."""
        words = self._words
        address &= words[ADDRESS_LINES]
        if address & ~0xFFF == words[APIC_PAGE]:
            return self.apic.read(address, size)
        value = self.memory_map.read(address, size)
        return self.memory.read(address, size) if value is None else value

    def store(self, address: int, size: int, value: int) -> None:
        """A store that the processor could not make by itself."""
        words = self._words
        address &= words[ADDRESS_LINES]
        if address & ~0xFFF == words[APIC_PAGE]:
            self.apic.write(address, size, value)
        elif not self.memory_map.write(address, size, value):
            self.memory.write(address, size, value)
