"""The firmware without a processor: a board, some memory, and calls as the stubs would make them."""

from __future__ import annotations

from collections.abc import Sequence

from vmxon.devices.disk import AtaDrive
from vmxon.devices.disk.cdrom import CdromDrive
from vmxon.devices.ide import IdeDrive
from vmxon.machine.board import Board, Sinks
from vmxon.machine.configuration import PcConfiguration
from vmxon.machine.firmware import Bios, BiosMemory, rom
from vmxon.machine.firmware.call import LAYOUT, Call

MEMORY = 4 << 20
FRAME = 0x7000
CF, ZF = 1, 0x40


class RamDisk:
    """A disk of bytes."""

    def __init__(self, data: bytes, sectors: int | None = None) -> None:
        self.data = bytearray(data.ljust(512 * (sectors or 0), b"\0"))

    @property
    def sectors(self) -> int:
        return len(self.data) // 512

    def read(self, lba: int, count: int) -> bytes:
        if lba < 0 or lba + count > self.sectors:
            raise ValueError("outside the disk")
        return bytes(self.data[512 * lba : 512 * (lba + count)])

    def write(self, lba: int, data: bytes) -> None:
        if lba < 0 or 512 * lba + len(data) > len(self.data):
            raise ValueError("outside the disk")
        self.data[512 * lba : 512 * lba + len(data)] = data

    def close(self) -> None:
        """Nothing to let go."""


class Caller:
    """Calls interrupts on a machine with these disks, and with a CD-ROM drive that holds `disc` or, with `cdrom`, nothing."""

    def __init__(
        self, *disks: RamDisk, disc: RamDisk | None = None, cdrom: bool = False, size: int = MEMORY, **configuration: object
    ) -> None:
        self.memory = bytearray(size)
        drives: Sequence[IdeDrive | None] = tuple(AtaDrive(disk) for disk in disks)
        if disc is not None or cdrom:
            drives = (*drives, CdromDrive(disc))
        self.output = bytearray()
        self.resets = 0
        sinks = Sinks((self.output.append,), leave=lambda value: None, reset=self._reset)
        self.board = Board(PcConfiguration(memory_size=size, drives=drives, **configuration), memoryview(self.memory), sinks)
        self.bios = Bios(self.board, BiosMemory(size, self.read, self.write))
        self.bios.connect(self.board.bus)
        self.bios.place_code()
        self.call(rom.POWER_ON)

    def _reset(self) -> None:
        self.resets += 1

    def read(self, address: int, size: int) -> bytes:
        """Bytes, ones outside."""
        return bytes(self.memory[address : address + size]).ljust(size, b"\xff")

    def write(self, address: int, data: bytes) -> None:
        """Bytes, lost outside."""
        inside = max(0, min(len(data), len(self.memory) - address))
        self.memory[address : address + inside] = data[:inside]

    def call(self, vector: int, *, flags: int = 0, waiting: int = 0, **registers: int) -> Call:
        """INT `vector` with these registers, the others 0; 16-bit names are fine."""
        call = Call(bytes(LAYOUT.size))
        call.vector, call.flags, call.waiting = vector, flags, waiting
        for name, value in registers.items():
            setattr(call, name, value)
        self.write(FRAME, call.to_bytes())
        self.board.bus.write(rom.PORT, 4, FRAME)
        return Call(self.read(FRAME, LAYOUT.size))

    def screen(self) -> list[str]:
        """The rows of the screen that have text."""
        rows = self.board.vga.text(self.memory[0xB8000:0xC0000]).splitlines()
        return [row for row in rows if row]
