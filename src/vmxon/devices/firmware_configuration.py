"""QEMU's firmware configuration device (fw_cfg): what a ROM asks of the machine that it runs on.

Source: QEMU documentation, “QEMU Firmware Configuration (fw_cfg) Device”.

Not there: entries that can be written.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import ClassVar

from vmxon.arch.bits import Word, field, flag
from vmxon.devices.bus import Device, PortSpace, reads, reads_string, writes
from vmxon.devices.dma import DmaMemory

SIGNATURE = b"QEMU"
DMA_SIGNATURE = b"QEMU CFG"
TRADITIONAL, DMA = 1, 2
"""Features in the ID entry."""
FIRST_FILE, MOST_FILES = 0x20, 0x4000 - 0x20
NAME_SIZE = 56
DIRECTORY_ENTRY = struct.Struct(f">IHH{NAME_SIZE}s")
DMA_ACCESS = struct.Struct(">IIQ")
File = bytes | Callable[[], bytes]
ZEROS = bytes(1 << 20)
"""What is behind every entry: a guest may ask for 4 GiB of it by one instruction."""


class Entry(IntEnum):
    """Selectors that are not files."""

    SIGNATURE = 0x00
    ID = 0x01
    RAM_SIZE = 0x03
    NO_GRAPHIC = 0x04
    PROCESSORS = 0x05
    KERNEL_ADDRESS = 0x07
    KERNEL_SIZE = 0x08
    INITRD_ADDRESS = 0x0A
    INITRD_SIZE = 0x0B
    BOOT_MENU = 0x0E
    MOST_PROCESSORS = 0x0F
    KERNEL_ENTRY = 0x10
    KERNEL_DATA = 0x11
    INITRD_DATA = 0x12
    COMMAND_LINE_ADDRESS = 0x13
    COMMAND_LINE_SIZE = 0x14
    COMMAND_LINE_DATA = 0x15
    SETUP_ADDRESS = 0x16
    SETUP_SIZE = 0x17
    SETUP_DATA = 0x18
    DIRECTORY = 0x19


class DmaControl(Word, width=32):
    """What a DMA access asks for; what remains of it afterwards is 0 or `error`."""

    error = flag(0, "it did not work")
    read = flag(1, "bytes of the entry go to memory")
    skip = flag(2, "bytes of the entry are passed over")
    select = flag(3, "the selector is set first")
    write = flag(4, "memory goes to the entry, which here is an error")
    selector = field(31, 16, "which entry")


class FirmwareConfiguration(Device, span=12):
    """Ports 0x510 (selector), 0x511 (data) and 0x514 (address of a DMA access, high half first; big-endian).

    `entries` are those without a name; `files` get selectors in the order of their names, and a directory. A file that is a
    function is made when it is selected; its size must not change.
    """

    saves: ClassVar[tuple[str, ...]] = ("selector", "position", "dma_address")

    def __init__(self, memory: DmaMemory, entries: Mapping[int, bytes], files: Mapping[str, File]) -> None:
        if len(files) > MOST_FILES:
            raise ValueError(f"{len(files)} files must be at most {MOST_FILES}")
        self.memory = memory
        self.made: dict[int, Callable[[], bytes]] = {}
        """Files that are made when they are selected."""
        self.entries: dict[int, bytes] = {
            Entry.SIGNATURE: SIGNATURE,
            Entry.ID: (TRADITIONAL | DMA).to_bytes(4, "little"),
            **entries,
        }
        rows = []
        for selector, (name, file) in enumerate(sorted(files.items()), FIRST_FILE):
            if not 0 < len(name.encode()) < NAME_SIZE:
                raise ValueError(f"the name {name!r} must have 1 to {NAME_SIZE - 1} bytes")
            if not isinstance(file, bytes):
                self.made[selector] = file
            content = self.entries[selector] = file if isinstance(file, bytes) else file()
            rows.append(DIRECTORY_ENTRY.pack(len(content), selector, 0, name.encode()))
        self.entries[Entry.DIRECTORY] = struct.pack(">I", len(rows)) + b"".join(rows)
        self.selector = 0
        self.position = 0
        self.dma_address = 0

    def connect(self, ports: PortSpace, base: int = 0x510) -> None:
        """Attach at `base`."""
        ports.attach(base, self)

    def take(self, size: int) -> bytes:
        """The next bytes of the selected entry; behind its end are zeros."""
        data = self.entries.get(self.selector, b"")[self.position : self.position + size]
        self.position += size
        return data.ljust(size, b"\0")

    # -- registers -----------------------------------------------------------------------------------------------------

    @writes(0, 2)
    def select(self, selector: int) -> None:
        self.selector, self.position = selector, 0
        make = self.made.get(selector)
        if make is not None:
            self.entries[selector] = make()

    @reads(1)
    def read_data(self) -> int:
        return self.take(1)[0]

    @reads_string(1)
    def read_string(self, size: int, count: int) -> bytes:
        """`count` reads of `size` bytes; only bytes are data."""
        return self.take(count) if size == 1 else b"\xff" * size * count

    @writes(1)
    def write_data(self, value: int) -> None:
        """Entries cannot be written."""

    @reads(4, 4)
    def read_dma_high(self) -> int:
        return int.from_bytes(DMA_SIGNATURE[:4], "little")

    @reads(8, 4)
    def read_dma_low(self) -> int:
        return int.from_bytes(DMA_SIGNATURE[4:], "little")

    @writes(4, 4)
    def write_dma_high(self, value: int) -> None:
        self.dma_address = _swapped(value) << 32

    @writes(8, 4)
    def write_dma_low(self, value: int) -> None:
        address, self.dma_address = self.dma_address | _swapped(value), 0
        self._access(address)

    def _access(self, address: int) -> None:
        word, length, place = DMA_ACCESS.unpack(self.memory.read(address, DMA_ACCESS.size))
        control = DmaControl(word)
        if control.select:
            self.select(control.selector)
        failed = False
        if control.read:
            self._move(place, length)
        elif control.write:
            failed = True
        elif control.skip:
            self.position += length
        self.memory.write(address, DmaControl.make(error=failed).to_bytes(4, "big"))

    def _move(self, place: int, length: int) -> None:
        inside = min(length, max(0, len(self.entries.get(self.selector, b"")) - self.position))
        self.memory.write(place, self.take(inside))
        self.position += length - inside
        for done in range(inside, length, len(ZEROS)):
            self.memory.write(place + done, ZEROS[: length - done])


def _swapped(value: int) -> int:
    """A port's value as the big-endian register holds it."""
    return int.from_bytes(value.to_bytes(4, "little"), "big")
