"""The ISA bridge of the chip set, slot 1: which ISA interrupt each PCI interrupt becomes.

Source: Intel 82371SB (PIIX3) data sheet (290550), “PIRQRC[A:D]—PIRQx Route Control Registers”. The edge/level registers are in
`pic`, the reset register in `power`.
"""

from __future__ import annotations

from collections.abc import Mapping

from vmxon.devices.interrupt import SharedLine, Signal
from vmxon.devices.pci.function import QEMU_MACHINE, QEMU_VENDOR, Identity, PciFunction

ROUTES = 0x60
NOT_ROUTED = 0x80
PINS = 4
ROUTABLE = (3, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15)
"""Interrupts that a route may name."""


class IsaBridge(PciFunction, saves=("requests",)):
    """82371SB function 0: four PCI interrupts, each ORed from the pins of the slots, drive the ISA lines that their routes name.

    Pin p (0 is INTA#) of slot s is on PCI interrupt (s - 1 + p) mod 4.
    """

    def __init__(self, lines: Mapping[int, Signal]) -> None:
        super().__init__(Identity(0x8086, 0x7000, 0x06_01_00, multifunction=True, subsystem_vendor=QEMU_VENDOR, subsystem=QEMU_MACHINE))
        self.lines = lines
        self.requests = [SharedLine(_Follower(self)) for _ in range(PINS)]
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
