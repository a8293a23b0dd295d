"""Which ports a guest reaches: those that pass are in a table; every other access exits, to the guest's own board, or reads ones there."""

from __future__ import annotations

from vmxon.hypervisor.operation.vmcs import Bitmaps
from vmxon.machine.root import RootProcessor

PASSED = (0x80,)
"""Reached without an exit: nothing is behind them but a delay."""
SECOND_BITMAP = 0x8000


def open_ports(root: RootProcessor, bitmaps: Bitmaps) -> None:
    """Clear the bits of the ports that pass; all others are 1 (Vol. 3C §25.6.4 “I/O-Bitmap Addresses”)."""
    for port in PASSED:
        page = bitmaps.io_a if port < SECOND_BITMAP else bitmaps.io_b
        place = page + (port % SECOND_BITMAP >> 3)
        (byte,) = root.read(place, 1)
        root.write(place, bytes((byte & ~(1 << (port & 7)),)))
