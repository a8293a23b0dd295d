"""Ports that exist for debugging: console 0xE9, exit 0xF4, power-on self test 0x80.

Source: Bochs user manual, “port_e9_hack”; QEMU documentation, “isa-debug-exit”; IBM PC AT Technical Reference, “POST”.

Not there: nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from vmxon.devices.bus import Bus, Device, PortSpace, reads, writes
from vmxon.devices.state import Saved


class DebugConsole(Device, span=1):
    """Port 0xE9: what is written goes to `sink`; it reads as 0xE9, by which a guest knows that it is there."""

    def __init__(self, sink: Callable[[int], None]) -> None:
        self.sink = sink

    def connect(self, ports: PortSpace, base: int = 0xE9) -> None:
        """Attach at `base`."""
        ports.attach(base, self)

    @reads(0)
    def present(self) -> int:
        return 0xE9

    @writes(0)
    def put(self, value: int) -> None:
        self.sink(value)


class DebugExit(Saved):
    """QEMU's isa-debug-exit: a write of `value`, in any width, asks for exit status (value << 1) | 1; it reads as 0."""

    def __init__(self, leave: Callable[[int], None]) -> None:
        self.leave = leave

    def connect(self, ports: Bus, base: int = 0xF4, size: int = 4) -> None:
        """Attach at `base`."""
        ports.open(base, size, self)

    def read(self, offset: int, size: int) -> int:
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        self.leave(value << 1 | 1)


class PostCode(Device, span=1, saves=("last",)):
    """Port 0x80: keeps the last code; Linux writes here to wait a microsecond."""

    def __init__(self) -> None:
        self.last = 0

    def connect(self, ports: PortSpace) -> None:
        """Attach at 0x80."""
        ports.attach(0x80, self)

    @reads(0)
    def read(self) -> int:
        return self.last

    @writes(0)
    def write(self, value: int) -> None:
        self.last = value
