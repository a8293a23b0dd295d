"""The interrupt mode configuration register, which leads the 8259's output past the local APIC.

Source: Intel MultiProcessor Specification 1.4, §3.6.2.1 “PIC Mode”.
"""

from __future__ import annotations

from collections.abc import Callable

from vmxon.devices.bus import Device, PortSpace, reads, writes

SELECT = 0x70
"""The register's number."""
THROUGH_APIC = 1


class InterruptMode(Device, span=2, saves=("index", "value")):
    """Ports 0x22 and 0x23; `past_apic` hears True where the 8259 goes straight to the processor.

    The machine starts in virtual wire mode, so the register starts with its bit 0 set, as a BIOS leaves it.
    """

    def __init__(self, past_apic: Callable[[bool], None]) -> None:
        self.past_apic = past_apic
        self.index = 0
        self.value = THROUGH_APIC

    def connect(self, ports: PortSpace) -> None:
        """Attach at 0x22."""
        ports.attach(0x22, self)

    @writes(0)
    def select(self, value: int) -> None:
        self.index = value

    @reads(1)
    def read(self) -> int:
        return self.value if self.index == SELECT else 0xFF

    @writes(1)
    def write(self, value: int) -> None:
        if self.index == SELECT:
            self.value = value & THROUGH_APIC
            self.past_apic(not self.value)

    def restored(self) -> None:
        self.past_apic(not self.value)
