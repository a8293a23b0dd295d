"""The reset control register, port 0xCF9.

Source: Intel 82371SB (PIIX3) data sheet (290550), “RC—Reset Control Register”.
"""

from __future__ import annotations

from collections.abc import Callable

from vmxon.arch.bits import Word, flag
from vmxon.devices.bus import Device, PortSpace, reads, writes


class ResetControlWord(Word, width=8):
    """What is written to 0xCF9."""

    hard = flag(1, "the whole machine instead of the processor; here both are the same")
    reset = flag(2, "its rising edge resets")


class ResetControl(Device, span=1, saves=("value",)):
    """Port 0xCF9: calls `reset` when bit 2 rises. ACPI names it as the reset register.

    The port is a byte inside of PCI's 32-bit address register at 0xCF8, which only 32-bit accesses reach; without PCI such an
    access would reset the machine, so that a machine without PCI has no such port either.
    """

    def __init__(self, reset: Callable[[], None]) -> None:
        self.reset = reset
        self.value = ResetControlWord(0)

    def connect(self, ports: PortSpace) -> None:
        """Attach at 0xCF9."""
        ports.attach(0xCF9, self)

    @reads(0)
    def read(self) -> int:
        return self.value

    @writes(0)
    def write(self, value: int) -> None:
        before, self.value = self.value, ResetControlWord(value & ~ResetControlWord.layout.reserved)
        if self.value.reset and not before.reset:
            self.reset()
