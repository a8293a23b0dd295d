"""The IDE slots of the PC; a module of its own, so that a command line knows them without importing the machine."""

from __future__ import annotations

DRIVE_SLOTS = 4
"""Primary master and slave, secondary master and slave."""
CDROM_SLOTS = (2, 3, 1, 0)
"""Where a CD-ROM drive goes whose slot nobody named, the first that is free; QEMU's -cdrom is the first."""
