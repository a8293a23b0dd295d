"""The IDE controller of the chip set as a PCI function, slot 1 function 1.

Source: Intel 82371SB (PIIX3) data sheet (290550), “IDE Configuration Registers”. The channels keep their ISA ports and interrupts
whatever the registers say: the timing registers are kept, without effect.
"""

from __future__ import annotations

from vmxon.devices.bus import Bus
from vmxon.devices.ide.bus_master import BusMaster
from vmxon.devices.pci import BaseAddress, PciFunction, Space
from vmxon.devices.pci.function import chip

TIMING = 0x40
PORTS = 16
SECONDARY = 8


class IdeFunction(PciFunction):
    """82371SB function 1; base address 4 has the registers of both bus masters."""

    def __init__(self, masters: tuple[BusMaster, BusMaster]) -> None:
        registers = Bus("bus master", PORTS)
        for base, master in zip((0, SECONDARY), masters, strict=True):
            registers.attach(base, master)
        identity = chip(0x7010, 0x01_01_80, status=0x0280)
        super().__init__(identity, (BaseAddress(4, Space.IO, PORTS, registers),))
        self.allow(TIMING, 0xFFFF_FFFF, 4)
