"""What the tables of a machine depend on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from vmxon.arch.features import Feature
from vmxon.machine.configuration import PcConfiguration

LOCAL_APIC, IO_APIC = 0xFEE0_0000, 0xFEC0_0000
IO_APIC_ID = 0
IO_APIC_VERSION = 0x20
TIMER_PIN = 2
"""The I/O APIC's input for ISA interrupt 0; the others have their own numbers."""
SCI = 9
"""The interrupt of power management."""
LEVEL_INTERRUPTS = (5, SCI, 10, 11)
"""Level triggered, active high: what the PCI interrupt router may choose, and power management."""


@dataclass(frozen=True, slots=True)
class Hardware:
    """Which parts the machine has, as far as a system cannot find out by itself."""

    memory_size: int
    """Bytes of RAM."""
    processors: int = 1
    io_apic: bool = False
    pci: bool = False
    configuration_device: bool = False
    """The firmware configuration device (fw_cfg) is at port 0x510."""
    power_ports: int = 0x600
    """The block of `PowerManagement`."""
    timer_bits: int = 24

    @classmethod
    def of(cls, configuration: PcConfiguration) -> Self:
        """What a machine built from `configuration` has."""
        apic = Feature.APIC in configuration.model.features
        return cls(configuration.memory_size, io_apic=apic, pci=configuration.pci, configuration_device=configuration.pci)
