"""The wire from the processor's FERR# to IRQ 13, and the ports that take it back.

Source: Intel 82371SB data sheet (290550), “Coprocessor Error Function” and “CERR—Coprocessor Error Register”.

Not there: nothing.
"""

from __future__ import annotations

from vmxon.devices.bus import Device, PortSpace, writes
from vmxon.devices.interrupt import Signal


class NumericError(Device, span=2):
    """Ports 0xF0 and 0xF1: a write of anything ends the request."""

    def __init__(self, interrupt: Signal) -> None:
        self.interrupt = interrupt

    def connect(self, ports: PortSpace) -> None:
        """Attach at 0xF0."""
        ports.attach(0xF0, self)

    def report(self) -> None:
        """FERR#: an unmasked x87 exception, and CR0.NE is 0."""
        self.interrupt.set(True)

    @writes(0)
    @writes(1)
    def clear(self, value: int) -> None:
        self.interrupt.set(False)
