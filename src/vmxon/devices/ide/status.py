"""What the registers of an ATA channel hold.

Source: ATA/ATAPI-6 (T13 1410D), §7 “Parallel interface register definitions”, §9.8 “Packet command protocol” for the interrupt
reason.
"""

from __future__ import annotations

ERROR, REQUEST, SEEK_DONE, READY, BUSY = 0x01, 0x08, 0x10, 0x40, 0x80
IDLE = READY | SEEK_DONE
"""Status."""
ABORTED, NOT_FOUND, UNCORRECTABLE = 0x04, 0x10, 0x40
"""Error."""
ABSENT = 0x7F
"""No drive drives the bus, and DD7 is pulled down so that nothing looks busy: ATA/ATAPI-6 asks the host for a pull-down resistor there."""
NO_INTERRUPT, RESET, HIGH_ORDER = 0x02, 0x04, 0x80
"""Device control."""
USE_LBA, SECOND_DRIVE = 0x40, 0x10
"""Device."""
FEATURES, COUNT, LOW, MIDDLE, HIGH = range(5)
"""Positions in the task file, which is two bytes deep."""
COMMAND_PACKET, DATA_TO_HOST, COMPLETED = 1, 2, 3
"""Interrupt reason, which packet devices show in the count register."""
DEVICE_RESET, EXECUTE_DIAGNOSTIC = 0x08, 0x90
"""Commands that the channel itself knows."""
