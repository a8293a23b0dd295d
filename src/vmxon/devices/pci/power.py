"""The power-management function of the chip set, slot 1 function 3: where the registers of `PowerManagement` are.

Source: Intel 82371AB (PIIX4) data sheet (290562), “PMBA—Power Management Base Address”, “PMREGMISC”, “DEVACTB—Device Activity
B”. Its SMBus has registers for its address and nothing behind them.
"""

from __future__ import annotations

from collections.abc import Iterator

from vmxon.devices.bus import Bus
from vmxon.devices.pci.function import Mapping, PciFunction, Space, chip
from vmxon.devices.power import PowerManagement

BASE, ENABLE = 0x40, 0x80
BASE_BITS = 0xFFC0
WINDOW_SIZE = 64
ACTIVITY_B, SMI_ON_COMMAND = 0x58, 1 << 25
SMBUS_BASE, SMBUS_CONFIGURATION = 0x90, 0xD2
ON = 1


class PowerFunction(PciFunction):
    """82371AB function 3. `SMI_ON_COMMAND` is set from the start, by which SeaBIOS knows that system management mode is not for it."""

    def __init__(self, power: PowerManagement) -> None:
        super().__init__(chip(0x7113, 0x06_80_00, revision=3, status=0x0280), pin=1)
        self.window = Bus("power management", WINDOW_SIZE)
        self.window.attach(0, power)
        for offset, size, value, mask in (
            (BASE, 4, 1, BASE_BITS),
            (ENABLE, 1, 0, ON),
            (ACTIVITY_B, 4, SMI_ON_COMMAND, 0xFFFF_FFFF),
            (SMBUS_BASE, 4, 1, 0xFFF0),
            (SMBUS_CONFIGURATION, 1, 0, 0x0F),
        ):
            self.preset(offset, value, size)
            self.allow(offset, mask, size)

    @property
    def base(self) -> int:
        """Where the registers of power management are; 0 while they are nowhere."""
        return self.get(BASE, 4) & BASE_BITS if self.registers[ENABLE] & ON else 0

    def mappings(self) -> Iterator[Mapping]:
        if self.base:
            yield Mapping(Space.IO, self.base, WINDOW_SIZE, self.window)

    def written(self, places: range) -> None:
        if ENABLE in places or places.start in range(BASE, BASE + 4):
            self.moved()
