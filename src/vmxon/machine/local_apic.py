"""The wires between a processor and its local APIC: the APIC page, the MSRs, CR8, and what the APIC asks of the processor."""

from __future__ import annotations

from collections.abc import Callable

from vmxon.arch.apic import X2APIC_FIRST, X2APIC_LAST, ApicMode, ApicRegister
from vmxon.devices.apic import LocalApic
from vmxon.devices.clock import VirtualClock
from vmxon.machine.processor import Processor
from vmxon.processor.apic import MSR_LATCH
from vmxon.processor.state import HostRequest
from vmxon.processor.time import MULTIPLIER_FRACTION

APIC_BASE = 0x1B
VIRTUAL_WIRE = ((ApicRegister.SPURIOUS_VECTOR, 0x1FF), (ApicRegister.LVT_LINT0, 0x700), (ApicRegister.LVT_LINT1, 0x400))
"""The 8259 as ExtINT on LINT0, NMI on LINT1: what a BIOS leaves behind (MultiProcessor Specification §3.6.2.2 “Virtual Wire Mode”)."""
REGISTER_STRIDE, REGISTER_BYTES = 16, 4


def load_register(apic: LocalApic, address: int, size: int) -> int:
    """A load from the APIC page; registers answer in the low four bytes of sixteen, the rest is 0."""
    number, offset = divmod(address & 0xFFF, REGISTER_STRIDE)
    if offset >= REGISTER_BYTES:
        return 0
    return apic.read(number) >> 8 * offset & (1 << 8 * size) - 1


def store_register(apic: LocalApic, address: int, size: int, value: int) -> None:
    """A store to the APIC page; what is not 32 bits wide and aligned is lost."""
    number, offset = divmod(address & 0xFFF, REGISTER_STRIDE)
    if not offset and size >= REGISTER_BYTES:
        apic.write(number, value & 0xFFFF_FFFF)


class ApicWires:
    """Makes a `LocalApic` of its own for `processor`; `external` acknowledges at the 8259, `broadcast` tells I/O APICs of an EOI."""

    def __init__(
        self,
        processor: Processor,
        clock: VirtualClock,
        time_of_tick: Callable[[int], int],
        external: Callable[[], int] | None = None,
        broadcast: Callable[[int], None] = lambda vector: None,
    ) -> None:
        self.state = processor.state
        self.time_of_tick = time_of_tick
        self.apic = LocalApic(clock, self, external, broadcast)
        self.apic.set_mode(ApicMode(self.state.apic_mode))
        self.services: dict[int, Callable[[], None]] = {
            HostRequest.MSR_READ: self.read_msr,
            HostRequest.MSR_WRITE: self.write_msr,
            HostRequest.ACKNOWLEDGE: self.acknowledge,
            HostRequest.COUNTER_OVERFLOW: self.apic.signal_counters,
            HostRequest.NOTIFY: self.notify,
        }

    def reset(self) -> None:
        """RESET, after the processor's own."""
        self.apic.mode = ApicMode(self.state.apic_mode)
        self.apic.reset()

    def program_virtual_wire(self) -> None:
        """Let the 8259 through, as a BIOS does."""
        if self.apic.mode != ApicMode.DISABLED:
            for register, value in VIRTUAL_WIRE:
                self.apic.write(register, value)

    # What the APIC drives.
    def set_interrupt(self, level: bool) -> None:
        """INTR."""
        self.state.interrupt_line = int(level)
        self.state.attention = 1

    def signal_nmi(self) -> None:
        """NMI."""
        self.state.nmi_pending = self.state.attention = 1

    def signal_init(self) -> None:
        """INIT."""
        self.state.init_pending = self.state.attention = 1

    def set_task_priority(self, level: int) -> None:
        """CR8."""
        self.state.cr8 = level

    def read_deadline(self) -> int | None:
        """IA32_TSC_DEADLINE as virtual time."""
        state = self.state
        if not state.tsc_deadline:
            return None
        counts = max(0, state.tsc_deadline - state.tsc_adjust)
        return self.time_of_tick(-(-(counts << MULTIPLIER_FRACTION) // state.tsc_multiplier))

    def clear_deadline(self) -> None:
        """IA32_TSC_DEADLINE := 0."""
        self.state.tsc_deadline = 0

    # What the processor asks.
    def claims(self, address: int) -> bool:
        """The physical address lies in the APIC page."""
        return address & ~0xFFF == self.state.apic_page

    def read(self, address: int, size: int) -> int:
        """A load from the APIC page."""
        return load_register(self.apic, address, size)

    def write(self, address: int, size: int, value: int) -> None:
        """A store to the APIC page."""
        store_register(self.apic, address, size, value)

    def read_msr(self) -> None:
        """HostRequest.MSR_READ: the answer goes into the latch."""
        state = self.state
        state.latch_value = self.apic.read(state.request_address - X2APIC_FIRST)
        state.latch_address, state.latch_valid = state.request_address | MSR_LATCH, 1

    def write_msr(self) -> None:
        """HostRequest.MSR_WRITE: an x2APIC register, IA32_APIC_BASE, or what moves the TSC deadline."""
        state, index = self.state, self.state.request_address
        if X2APIC_FIRST <= index <= X2APIC_LAST:
            self.apic.write(index - X2APIC_FIRST, state.request_value)
        elif index == APIC_BASE:
            self.apic.set_mode(ApicMode(state.apic_mode))
        else:
            self.apic.follow_deadline()

    def notify(self) -> None:
        """HostRequest.NOTIFY: an interrupt to a physical destination; bits 15:8 of it in xAPIC mode."""
        target = self.state.request_value
        self.apic.send_fixed(self.state.request_address, target if self.apic.mode == ApicMode.X2APIC else target >> 8 & 0xFF)

    def acknowledge(self) -> None:
        """HostRequest.ACKNOWLEDGE: the vector of the interrupt."""
        self.state.acknowledged_vector = self.apic.acknowledge()
        self.state.acknowledged = self.state.attention = 1
