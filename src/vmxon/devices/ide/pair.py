"""The two ATA channels of a PC.

A channel without drives is not on the bus at all, so that it reads as all ones: SWEB polls an absent drive 1.8 million
times if its status reads as 0.
"""

from __future__ import annotations

from collections.abc import Sequence

from vmxon.devices.bus import PortSpace
from vmxon.devices.clock import VirtualClock
from vmxon.devices.disk.drive import AtaDrive
from vmxon.devices.ide.channel import IdeChannel
from vmxon.devices.interrupt import Signal
from vmxon.devices.state import Saved


class Ide(Saved, saves=("primary", "secondary", "drives")):
    """Drives 0 and 1 on the primary channel (IRQ 14), drives 2 and 3 on the secondary (IRQ 15)."""

    def __init__(
        self,
        clock: VirtualClock,
        interrupts: tuple[Signal, Signal],
        drives: Sequence[AtaDrive | None],
        latency: int = 0,
    ) -> None:
        self.primary = IdeChannel(clock, interrupts[0], drives[:2], latency)
        self.secondary = IdeChannel(clock, interrupts[1], drives[2:4], latency)
        self.drives = [drive for drive in drives[:4] if drive is not None]

    def connect(self, ports: PortSpace) -> None:
        """Attach each channel that has a drive."""
        for channel, base in ((self.primary, 0x1F0), (self.secondary, 0x170)):
            if any(channel.drives):
                channel.connect(ports, base)
