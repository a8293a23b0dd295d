"""What a BIOS leaves in the chip set of a PC: where power management is, which interrupts PCI has, the BIOS area as RAM."""

from __future__ import annotations

from vmxon.devices.bus import Bus
from vmxon.devices.pci.bus import ADDRESS_PORT, DATA_PORT, ConfigurationAddress

POWER_PORTS = 0x600
"""Where the power-management registers are."""
EDGE_OR_LEVEL = 0x4D0
BUS_MASTER_PORTS = 0xC000
HOST_BRIDGE, ISA_BRIDGE, IDE, POWER = (0, 0), (1, 0), (1, 1), (1, 3)
"""Slot and function."""
SETTINGS = (
    (HOST_BRIDGE, 0x59, 1, 0x10),  # every segment of the BIOS area is RAM; the BIOS itself is read-only
    *((HOST_BRIDGE, register, 1, 0x33) for register in range(0x5A, 0x60)),
    *((ISA_BRIDGE, 0x60 + pin, 1, interrupt) for pin, interrupt in enumerate((10, 10, 11, 11))),
    (IDE, 0x40, 4, 0x8000_8000),  # both channels decode their ports
    (IDE, 0x20, 4, BUS_MASTER_PORTS),
    (IDE, 0x04, 2, 5),
    (POWER, 0x40, 4, POWER_PORTS | 1),
    (POWER, 0x80, 1, 1),
    (POWER, 0x3C, 1, 9),
    (POWER, 0x04, 2, 1),
)
LEVEL_TRIGGERED = 1 << 9 | 1 << 10 | 1 << 11


def program_chipset(ports: Bus) -> None:
    """Write the settings, through the ports that a BIOS uses."""
    for (slot, function), register, size, value in SETTINGS:
        address = ConfigurationAddress.make(enabled=1, slot=slot, function=function, register=register // 4)
        ports.write(ADDRESS_PORT, 4, address)
        ports.write(DATA_PORT + register % 4, size, value)
    ports.write(ADDRESS_PORT, 4, 0)
    ports.write(EDGE_OR_LEVEL, 1, LEVEL_TRIGGERED & 0xFF)
    ports.write(EDGE_OR_LEVEL + 1, 1, LEVEL_TRIGGERED >> 8)
