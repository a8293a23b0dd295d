"""The ISA bridge of the chip set, slot 1: which ISA interrupt each PCI interrupt becomes.

Source: Intel 82371SB (PIIX3) data sheet (290550), “PIRQRC[A:D]—PIRQx Route Control Registers”, “PCI Configuration Registers
(Function 0)” for what the others are after RESET. The edge/level registers are in `pic`, the reset register in `power`.
"""

from __future__ import annotations

from collections.abc import Mapping

from vmxon.devices.interrupt import SharedLine, Signal
from vmxon.devices.pci.function import PciFunction, chip

ROUTES = 0x60
NOT_ROUTED = 0x80
PINS = 4
OTHER_REGISTERS = (
    (0x04, 2, 0x0007, 0x0100),
    (0x4C, 1, 0x4D, 0x7F),
    (0x4E, 2, 0x0003, 0x01FF),
    (0x69, 1, 0x02, 0xFE),
    (0x70, 1, 0x80, 0xEF),
    (0x76, 2, 0x0C0C, 0x8F8F),
    (0x78, 1, 0x02, 0xFF),
    (0x82, 1, 0x00, 0x0F),
    (0xA0, 1, 0x08, 0x1F),
    (0xA8, 1, 0x0F, 0xFF),
)
"""Offset, size, value after RESET and writable bits of what is kept, without effect: the function cannot be turned off, and timing,
chip selects, memory top, the motherboard's own devices, latency and SMI are for hardware that is not here."""
ROUTABLE = (3, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15)
"""Interrupts that a route may name."""


class IsaBridge(PciFunction, saves=("requests",)):
    """82371SB function 0: four PCI interrupts, each ORed from the pins of the slots, drive the ISA lines that their routes name.

    Pin p (0 is INTA#) of slot s is on PCI interrupt (s - 1 + p) mod 4.
    """

    def __init__(self, lines: Mapping[int, Signal]) -> None:
        super().__init__(chip(0x7000, 0x06_01_00, multifunction=True, status=0x0200))
        self.lines = lines
        self.requests = [SharedLine(_Follower(self)) for _ in range(PINS)]
        for offset, size, value, mask in OTHER_REGISTERS:
            self.preset(offset, value, size)
            self.allow(offset, mask, size)
        for offset in range(ROUTES, ROUTES + PINS):
            self.preset(offset, NOT_ROUTED, 1)
            self.allow(offset, 0x8F, 1)

    def pin(self, slot: int, number: int) -> Signal:
        """As `InterruptRouter`."""
        return self.requests[(slot - 1 + number - 1) % PINS].input()

    def written(self, places: range) -> None:
        if places.stop > ROUTES and places.start < ROUTES + PINS:
            self.drive()

    def drive(self) -> None:
        """Set each line by the requests that are routed to it."""
        routes = self.registers[ROUTES : ROUTES + PINS]
        for number, line in self.lines.items():
            line.set(any(routes[pin] == number and self.requests[pin].level for pin in range(PINS)))


class _Follower:
    """The output of a PCI interrupt."""

    def __init__(self, bridge: IsaBridge) -> None:
        self.bridge = bridge

    def set(self, level: bool) -> None:
        self.bridge.drive()

    def pulse(self) -> None:
        self.bridge.drive()
