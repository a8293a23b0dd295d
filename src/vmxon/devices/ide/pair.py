"""The two ATA channels of a PC.

A drive that is not there reads as 7Fh, not busy and not 0: with 0 SWEB polls an absent drive 1.8 million times, with FFh EDK II waits
for BSY to clear for 31 s of virtual time.
"""

from __future__ import annotations

from collections.abc import Sequence

from vmxon.devices.bus import PortSpace
from vmxon.devices.clock import VirtualClock
from vmxon.devices.disk.cdrom import CdromDrive
from vmxon.devices.disk.drive import AtaDrive
from vmxon.devices.dma import DmaMemory
from vmxon.devices.ide.ata import AtaCommands
from vmxon.devices.ide.bus_master import BusMaster
from vmxon.devices.ide.channel import IdeChannel
from vmxon.devices.ide.packet import PacketCommands
from vmxon.devices.interrupt import Signal
from vmxon.devices.state import Saved

IdeDrive = AtaDrive | CdromDrive
"""What can be in a slot."""
BASES = (0x1F0, 0x170)


class Ide(Saved, saves=("primary", "secondary", "drives", "cdroms")):
    """Drives 0 and 1 on the primary channel (IRQ 14), drives 2 and 3 on the secondary (IRQ 15)."""

    def __init__(
        self,
        clock: VirtualClock,
        interrupts: tuple[Signal, Signal],
        drives: Sequence[IdeDrive | None],
        latency: int = 0,
    ) -> None:
        self.primary, self.secondary = (IdeChannel(clock, interrupt, latency) for interrupt in interrupts)
        self.channels = (self.primary, self.secondary)
        self.drives: list[AtaDrive] = []
        self.cdroms: list[CdromDrive] = []
        for number, drive in enumerate(drives[:4]):
            channel = self.channels[number // 2]
            if isinstance(drive, AtaDrive):
                self.drives.append(drive)
                channel.plug(number % 2, AtaCommands(channel, drive))
            elif drive is not None:
                self.cdroms.append(drive)
                channel.plug(number % 2, PacketCommands(channel, drive))

    def connect(self, ports: PortSpace) -> None:
        """Attach both channels; one without drives answers as an empty cable."""
        for channel, base in zip(self.channels, BASES, strict=True):
            channel.connect(ports, base)

    def master(self, memory: DmaMemory) -> tuple[BusMaster, BusMaster]:
        """Give each channel a bus master, by which its drives can use DMA."""
        for modes in (*(drive.modes for drive in self.drives), *(drive.modes for drive in self.cdroms)):
            modes.dma = True
        return BusMaster(self.primary, memory), BusMaster(self.secondary, memory)
