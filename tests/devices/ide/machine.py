"""Two ATA channels with bus masters, driven through their ports."""

from __future__ import annotations

import struct
from pathlib import Path

from vmxon.devices.bus import MEMORY_SPACE, Bus
from vmxon.devices.clock import VirtualClock
from vmxon.devices.disk import AtaDrive, CdromDrive, DiskImageError, SnapshotOverlay
from vmxon.devices.ide import Ide, IdeFunction
from vmxon.devices.interrupt import Line
from vmxon.devices.pci import PciBus

DISK, CDROM = 0x1F0, 0x170
MASTERS = 0xC000
RAM = 1 << 20
BLOCKS = 40


class Pattern:
    """A disk whose sector n is the number n, 64 times."""

    def __init__(self, sectors: int, broken: frozenset[int] = frozenset()) -> None:
        self.sectors, self.broken = sectors, broken

    def read(self, lba: int, count: int) -> bytes:
        assert 0 <= lba <= lba + count <= self.sectors
        if self.broken & set(range(lba, lba + count)):
            raise DiskImageError(Path("disk.img"), lba * 512, "is broken", "better", "Mend it.")
        return b"".join(sector(lba + n) for n in range(count))

    def write(self, lba: int, data: bytes) -> None:
        raise AssertionError("the overlay keeps writes")

    def close(self) -> None:
        pass


def sector(lba: int) -> bytes:
    return struct.pack("<Q", lba) * 64


def block(number: int) -> bytes:
    return b"".join(sector(4 * number + n) for n in range(4))


class Ram:
    """Memory from 0 on; outside it are ones."""

    def __init__(self) -> None:
        self.bytes = bytearray(RAM)
        self.reads = 0

    def read(self, address: int, size: int) -> bytes:
        self.reads += 1
        return bytes(self.bytes[address : address + size]).ljust(size, b"\xff")

    def write(self, address: int, data: bytes) -> None:
        inside = data[: max(0, RAM - address)]
        self.bytes[address : address + len(inside)] = inside


class Machine:
    """A disk as primary master and a CD-ROM drive as secondary master."""

    def __init__(self, sectors: int = 3000, broken: frozenset[int] = frozenset(), disc: bool = True, dma: bool = True) -> None:
        self.clock, self.lines, self.bus, self.ram = VirtualClock(), (Line(), Line()), Bus("port"), Ram()
        self.disk = AtaDrive(SnapshotOverlay(Pattern(sectors, broken)))
        self.cdrom = CdromDrive(Pattern(4 * BLOCKS - 1, broken) if disc else None)
        self.ide = Ide(self.clock, self.lines, [self.disk, None, self.cdrom])
        self.ide.connect(self.bus)
        self.pci = PciBus(self.bus, Bus("memory", MEMORY_SPACE))
        if dma:
            self.masters = self.ide.master(self.ram)
            self.pci.plug(1, IdeFunction(self.masters), 1)
            function = self.pci.functions[1, 1]
            function.write(0x20, 4, MASTERS)
            function.write(0x04, 2, 5)

    def out(self, base: int, register: int, value: int) -> None:
        self.bus.write(base + register, 1, value)

    def read(self, base: int, register: int) -> int:
        return self.bus.read(base + register, 1)

    def command(self, base: int, command: int, lba: int = 0, count: int = 0, feature: int = 0) -> int:
        """Give a 28-bit command; the status after it."""
        values = (feature, count & 0xFF, lba & 0xFF, lba >> 8 & 0xFF, lba >> 16 & 0xFF, 0xE0 | lba >> 24, command)
        for register, value in enumerate(values, 1):
            self.out(base, register, value)
        return self.bus.read(base + 0x206, 1)

    def wide(self, base: int, command: int, lba: int, count: int) -> int:
        """Give a 48-bit command; the status after it."""
        for high in (8, 0):
            self.out(base, 2, count >> high & 0xFF)
            for place in range(3):
                self.out(base, 3 + place, lba >> 8 * place + (24 if high else 0) & 0xFF)
        self.out(base, 6, 0x40)
        self.out(base, 7, command)
        return self.bus.read(base + 0x206, 1)

    def words(self, base: int, count: int) -> bytes:
        return b"".join(self.bus.read(base, 2).to_bytes(2, "little") for _ in range(count))

    # -- bus master ----------------------------------------------------------------------------------------------------

    def table(self, *regions: tuple[int, int], at: int = 0x1000, last: bool = True) -> int:
        """A region table in memory; a count of 0x10000 is written as 0."""
        for number, (address, count) in enumerate(regions):
            flags = 0x8000 if last and number == len(regions) - 1 else 0
            self.ram.write(at + 8 * number, struct.pack("<IHH", address, count & 0xFFFF, flags))
        return at

    def start(self, channel: int, table: int, *, to_memory: bool = True) -> None:
        base = MASTERS + 8 * channel
        self.bus.write(base + 4, 4, table)
        self.bus.write(base, 1, 8 * to_memory)
        self.bus.write(base + 2, 1, 6)
        self.bus.write(base, 1, 8 * to_memory | 1)

    def master_status(self, channel: int) -> int:
        return self.bus.read(MASTERS + 8 * channel + 2, 1) & 7

    # -- packets -------------------------------------------------------------------------------------------------------

    def packet(self, packet: bytes, limit: int = 0xFFFE, feature: int = 0) -> int:
        """Send a command packet to the CD-ROM drive; the status after it."""
        self.command(CDROM, 0xA0, limit << 8, feature=feature)
        assert (self.read(CDROM, 7), self.read(CDROM, 2)) == (0x58, 1)
        self.bus.write_string(CDROM, 2, packet.ljust(12, b"\0"))
        return self.bus.read(CDROM + 0x206, 1)

    def chunks(self) -> list[bytes]:
        """Read the answer, chunk by chunk, to its end."""
        found = []
        while self.read(CDROM, 7) & 0x08:
            assert self.read(CDROM, 2) == 2
            size = self.read(CDROM, 4) | self.read(CDROM, 5) << 8
            found.append(self.bus.read_string(CDROM, 2, (size + 1) // 2)[:size])
        return found

    def ask(self, *packet: int) -> bytes:
        """The whole answer to a packet, which must end well."""
        self.packet(bytes(packet))
        data = b"".join(self.chunks())
        assert (self.read(CDROM, 7), self.read(CDROM, 2)) == (0x50, 3)
        return data

    def refusal(self, *packet: int) -> tuple[int, int, int]:
        """Key, code and qualifier of a packet that must fail."""
        assert self.packet(bytes(packet)) == 0x51
        error = self.read(CDROM, 1)
        assert self.read(CDROM, 2) == 3
        sense = self.ask(0x03, 0, 0, 0, 18)
        assert error == sense[2] << 4 | 4
        return sense[2], sense[12], sense[13]
