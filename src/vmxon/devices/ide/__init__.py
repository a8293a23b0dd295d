"""ATA channels of a PC: `Ide` is both of them, `IdeChannel` is one.

Read in this order: `data` and `channel`, which know no commands; `ata` for disks, `packet` for CD-ROM drives; `bus_master` for DMA;
`pair` puts them together, `function` shows them on PCI.

A disk knows IDENTIFY, READ and WRITE by CHS, LBA28 and LBA48, in blocks of up to 16 sectors or by DMA, READ VERIFY, SEEK, SET FEATURES,
SET MULTIPLE MODE, INITIALIZE DEVICE PARAMETERS, READ NATIVE MAX ADDRESS, the cache flushes and the power modes. A CD-ROM drive takes
packets, by PIO or DMA: TEST UNIT READY, REQUEST SENSE, INQUIRY, MODE SENSE, START STOP UNIT, PREVENT ALLOW MEDIUM REMOVAL, READ CAPACITY,
READ (10, 12, CD), SEEK, READ TOC, READ SUB-CHANNEL, READ DISC INFORMATION, GET CONFIGURATION, GET EVENT STATUS NOTIFICATION, MECHANISM
STATUS.

Not there: SMART, security, host-protected areas, tagged queues, media-change notification; audio and writing on the CD-ROM drive.
A transfer takes no time, whatever the transfer mode.
"""

from vmxon.devices.ide.bus_master import BusMaster
from vmxon.devices.ide.channel import IdeChannel, IdeControl
from vmxon.devices.ide.data import DataPort
from vmxon.devices.ide.function import IdeFunction
from vmxon.devices.ide.pair import Ide, IdeDrive

__all__ = ["BusMaster", "DataPort", "Ide", "IdeChannel", "IdeControl", "IdeDrive", "IdeFunction"]
