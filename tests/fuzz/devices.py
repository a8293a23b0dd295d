"""The device campaign: what a hostile guest does to IDE, its bus master, PCI configuration and fw_cfg never raises, and ends."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable
from random import Random

from tests.devices.ide.machine import CDROM, DISK, MASTERS, RAM, Machine
from tests.fuzz.campaign import Outcome, Report
from vmxon.devices.disk.cdrom import CdromDrive
from vmxon.devices.firmware_configuration import FirmwareConfiguration
from vmxon.devices.interrupt import Line
from vmxon.devices.pci import HostBridge, IsaBridge, PciHost, PowerFunction
from vmxon.devices.power import PowerManagement

STEPS = 200
"""Of one guest."""
ADDRESSES = (0, 0x1000, RAM - 0x100, RAM, 0xFFFF_FFF8, 0xFFFF_FFFF)
COMMANDS = (0x20, 0x24, 0x30, 0x34, 0xC4, 0xC5, 0xC6, 0xC8, 0xCA, 0x25, 0x35, 0xEC, 0xA1, 0xA0, 0x08, 0x90, 0x91, 0xEF, 0x27, 0xF8)


class Guest:
    """A machine, and what its guest tries next."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.machine = m = Machine(sectors=chance.choice((1, 3000, 1 << 34)), disc=chance.random() < 0.9)
        isa = IsaBridge({10: Line()})
        power = PowerManagement(m.clock, Line(), lambda: None)
        for slot, number, function in ((0, 0, HostBridge()), (1, 0, isa), (1, 3, PowerFunction(power))):
            m.pci.plug(slot, function, number)
        PciHost(m.pci).connect(m.bus)
        FirmwareConfiguration(m.ram, {}, {"etc/file": b"content"}).connect(m.bus)
        self.acts: tuple[Callable[[], None], ...] = (
            self.packet, self.packet, self.command, self.transfer, self.transfer, self.configure, self.firmware, self.data, self.poke,
            self.change_disc,
        )  # fmt: skip

    def number(self, bits: int) -> int:
        """Any number, often one near an edge."""
        chance = self.chance
        if chance.random() < 0.4:
            return chance.choice((0, 1, 2, 0x1000, (1 << bits) - 1, (1 << bits) - 2)) & (1 << bits) - 1
        return chance.getrandbits(chance.randint(1, bits))

    def address(self) -> int:
        """A place in memory or beside it."""
        return self.chance.choice(ADDRESSES) if self.chance.random() < 0.3 else self.chance.randrange(RAM)

    def packet(self) -> None:
        """A command packet, a known command more often than not; its answer is read, or not to its end."""
        chance, m = self.chance, self.machine
        known = chance.random() < 0.9
        packet = bytearray(chance.choice(list(CdromDrive.COMMANDS)) if known and not n else self.number(8) for n in range(12))
        if chance.random() < 0.5:
            packet[2:5] = bytes(3)
            packet[7] &= 0x03
        m.command(CDROM, 0xA0, self.number(16) << 8, feature=chance.choice((0, 0, 1, 2)))
        m.bus.write_string(CDROM, 2, bytes(packet))
        for _ in range(chance.choice((0, 1, 40))):
            if not m.read(CDROM, 7) & 8:
                break
            size = m.read(CDROM, 4) | m.read(CDROM, 5) << 8
            m.bus.read_string(CDROM, 2, size // 2 + 1)

    def command(self) -> None:
        """An ATA command to either drive."""
        base, command = self.chance.choice((DISK, CDROM)), self.chance.choice(COMMANDS)
        if self.chance.random() < 0.5:
            self.machine.command(base, command, self.number(28), self.number(8), self.number(8))
        else:
            self.machine.wide(base, command, self.number(48), min(self.number(16), 0x400))

    def transfer(self) -> None:
        """A DMA command and a table, in either order, with regions anywhere."""
        chance, m = self.chance, self.machine
        at = self.address()
        for n in range(chance.choice((1, 2, 20))):
            flags = chance.choice((0, 0, 0x8000, 0xFFFF))
            m.ram.write(at + 8 * n, struct.pack("<IHH", self.address(), self.number(16), flags))
        channel = chance.randrange(2)
        if chance.random() < 0.5:
            m.start(channel, at & 0xFFFF_FFFF)
        m.command(DISK, chance.choice((0xC8, 0xCA)), self.number(12), self.number(6))
        m.start(channel, at & 0xFFFF_FFFF)
        m.bus.write(MASTERS + 8 * channel, 1, self.number(8))

    def configure(self) -> None:
        """A PCI configuration write and read."""
        chance, bus = self.chance, self.machine.bus
        register, size = self.number(8), chance.choice((1, 2, 4))
        where = chance.choice((0, 1, 1, 1, 2)) << 11 | chance.choice((0, 1, 3, 7)) << 8
        bus.write(0xCF8, 4, 0x8000_0000 | where | register & 0xFC)
        bus.write(0xCFC + chance.randrange(4), size, self.number(32))
        bus.read(0xCFC + chance.randrange(4), size)

    def firmware(self) -> None:
        """An access to the firmware configuration device."""
        chance, m = self.chance, self.machine
        at = self.address()
        control = chance.getrandbits(5) | chance.choice((0, 0x19, 0x20, 0x21, self.number(16))) << 16
        m.ram.write(at, struct.pack(">IIQ", control, min(self.number(32), 1 << 20), self.number(64)))
        if chance.random() < 0.2:
            m.bus.write(0x514, 4, self.number(32))
        m.bus.write(0x518, 4, int.from_bytes((at & 0xFFFF_FFFF).to_bytes(4, "big"), "little"))
        m.bus.write(0x510, 2, self.number(16))
        m.bus.read_string(0x511, chance.choice((1, 1, 2)), chance.choice((0, 1, 200)))

    def data(self) -> None:
        """Data moved by the guest itself."""
        base, size = self.chance.choice((DISK, CDROM)), self.chance.choice((1, 2, 4))
        if self.chance.random() < 0.5:
            self.machine.bus.read_string(base, size, self.chance.choice((1, 300)))
        else:
            self.machine.bus.write_string(base, size, self.chance.randbytes(size * self.chance.choice((1, 300))))

    def poke(self) -> None:
        """A write to any register of these devices, and a read of it."""
        port = self.chance.choice((DISK, CDROM, DISK + 0x200, CDROM + 0x200, MASTERS, 0x510, 0xCF8, 0x600)) + self.chance.randrange(16)
        size = self.chance.choice((1, 2, 4))
        self.machine.bus.write(port, size, self.number(32))
        self.machine.bus.read(port, size)

    def change_disc(self) -> None:
        """A reset of a channel, sometimes; another disc, rarely."""
        if self.chance.random() < 0.1:
            self.machine.cdrom.insert(self.machine.cdrom.disk if self.chance.random() < 0.5 else None)
        else:
            for value in (4, 0):
                self.machine.bus.write(self.chance.choice((DISK, CDROM)) + 0x206, 1, value)


def check(machine: Machine) -> str:
    """What is wrong with a machine; empty where nothing is."""
    for number, channel in enumerate(machine.ide.channels):
        if not 0 <= channel.status <= 0xFF or not 0 <= channel.dma_left <= 0x10000 * 2048:
            return f"channel {number} has status {channel.status:#x} and {channel.dma_left:#x} bytes to move"
        if len(channel.data.buffer) > 0x10000:
            return f"channel {number} has a block of {len(channel.data.buffer):#x} bytes"
    copy = Machine(sectors=machine.disk.sectors, disc=machine.cdrom.disk is not None)
    saved = machine.ide.state()
    copy.ide.restore(saved)
    return "" if copy.ide.state() == saved else "a restored machine differs"


def run(count: int, seed: int, report: Report) -> Outcome:
    """`count` steps, a guest after the other; a guest is repeated by its seed."""
    outcome = Outcome(0)
    acts: Counter[str] = Counter()
    while outcome.cases < count:
        chance = Random(seed)
        guest = Guest(chance)
        failures = []
        for step in range(min(STEPS, count - outcome.cases)):
            act = chance.choice(guest.acts)
            outcome.cases += 1
            acts[act.__name__] += 1
            try:
                act()
            except Exception as error:  # noqa: BLE001 - whatever it is, a guest must not cause it
                failures.append(f"devices, seed {seed}, step {step} ({act.__name__}): {type(error).__name__}: {error}")
                break
        wrong = check(guest.machine)
        if wrong:
            failures.append(f"devices, seed {seed}: {wrong}")
        outcome.failures += failures
        report(outcome.cases, failures)
        seed += 1
    outcome.notes.append(", ".join(f"{number:,} {name}" for name, number in acts.most_common()))
    return outcome
