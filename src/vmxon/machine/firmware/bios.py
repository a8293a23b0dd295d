"""The firmware of the PC: the device behind the private port, which serves what the stubs in ROM hand over."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from vmxon.devices.bus import Device, PortSpace, writes
from vmxon.machine.board import Board
from vmxon.machine.configuration import BootDevice
from vmxon.machine.firmware import rom
from vmxon.machine.firmware.areas import (
    DATA_AREA,
    DATA_AREA_SIZE,
    DISK_TABLES,
    DISKETTE_PARAMETERS,
    EBDA,
    EBDA_SEGMENT,
    EBDA_USED,
    Bda,
)
from vmxon.machine.firmware.call import LAYOUT, Call
from vmxon.machine.firmware.memory import BiosMemory
from vmxon.machine.firmware.services import printer
from vmxon.machine.firmware.services.boot import AbsentDiskette, Bootable, BootDisk, BootServices, LoadedProgram
from vmxon.machine.firmware.services.clock import ClockServices
from vmxon.machine.firmware.services.disk import FIRST_DISC, FIRST_FIXED, DiskServices
from vmxon.machine.firmware.services.disk_packets import DiskPackets
from vmxon.machine.firmware.services.el_torito import DISKETTE_NUMBER, BootDisc
from vmxon.machine.firmware.services.equipment import EQUIPMENT, EquipmentServices
from vmxon.machine.firmware.services.keyboard import KeyboardServices
from vmxon.machine.firmware.services.serial import SerialServices
from vmxon.machine.firmware.services.system import SystemServices
from vmxon.machine.firmware.services.units import Disc, FixedDisk, Geometry, Unit
from vmxon.machine.firmware.services.video import VideoServices
from vmxon.machine.loader.image import RealStart
from vmxon.machine.loader.information import CONVENTIONAL_END, KIB, memory_map

RESET_PULSE = 0xFE
OUTPUT_FULL, LONGEST_QUEUE = 1, 32
PIC_PROGRAM = (
    *((0x20, 0x11), (0x21, 0x08), (0x21, 0x04), (0x21, 0x01), (0x21, 0xB8)),
    *((0xA0, 0x11), (0xA1, 0x70), (0xA1, 0x02), (0xA1, 0x01), (0xA1, 0x8E)),
)
"""Vectors 08h and 70h; open are the timer, the keyboard, the slave, the diskette's line, the clock chip and the disks."""
SERIAL_PORTS = (0x3F8,)
DISKETTE = bytes((0xAF, 0x02, 0x25, 0x02, 0x12, 0x1B, 0xFF, 0x6C, 0xF6, 0x0F, 0x08))
"""The parameter table of a 1.44 MB diskette (IBM PS/2 and PC BIOS Interface Technical Reference, “Diskette Parameter Table”)."""


class Bios(Device, span=1):
    """Real-mode services for one board; `memory` is the guest's, written through the door that knows of code.

    The linear address that a stub writes to the port is taken as physical: whoever calls the BIOS from virtual-8086 mode
    maps its first MiB onto itself.
    """

    def __init__(self, board: Board, memory: BiosMemory) -> None:
        self.board, self.memory = board, memory
        self.program: RealStart | None = None
        """What INT 19h starts before any disk: it is in memory already."""
        ports = board.bus
        self.video = VideoServices(self.memory, ports)
        self.clock = ClockServices(self.memory, ports)
        self.keyboard = KeyboardServices(self.memory, lambda: ports.write(0x64, 1, RESET_PULSE))
        self.fixed_disks = [FixedDisk(drive) for drive in board.ide.drives]
        self.discs = [Disc(drive) for drive in board.ide.cdroms]
        self.units: dict[int, Unit] = {
            **dict(enumerate(self.fixed_disks, FIRST_FIXED)),
            **dict(enumerate(self.discs, FIRST_DISC)),
        }
        self.packets = DiskPackets(self.memory)
        disks = DiskServices(self.memory, self.units, self.packets.serve)
        self.boot = BootServices(self._boot_devices, self.video.put)
        equipment = EquipmentServices(self.memory)
        controller = board.keyboard
        system = SystemServices(
            self.memory, self.clock, tuple(memory_map(memory.size)), lambda: controller.a20, controller.set_a20
        )
        self.services: dict[int, Callable[[Call], None]] = {
            0x08: self.clock.tick,
            0x09: lambda call: self.keyboard.scan_code(call.al),
            0x10: self.video.serve,
            0x11: equipment.list_equipment,
            0x12: equipment.memory_size,
            0x13: disks.serve,
            0x14: SerialServices(self.memory, ports).serve,
            0x15: system.serve,
            0x16: self.keyboard.serve,
            0x17: printer.serve,
            0x18: self.boot.give_up,
            0x19: self.boot.bootstrap,
            0x1A: self.clock.serve,
            0x70: self.clock.chip_interrupt,
            rom.POWER_ON: lambda call: self.power_on(),
        }

    def connect(self, ports: PortSpace) -> None:
        """Attach the private port."""
        ports.attach(rom.PORT, self)

    def place_code(self) -> None:
        """Put the stubs into the F segment, where RESET starts."""
        self.memory.write(rom.BASE + rom.CODE, rom.code())

    @writes(0, 4)
    def serve(self, frame: int) -> None:
        """A stub calls: its frame lies at this linear address."""
        call = Call(self.memory.read(frame, LAYOUT.size))
        service = self.services.get(call.vector)
        if service is not None:
            service(call)
            self.memory.write(frame, call.to_bytes())

    def power_on(self) -> None:
        """What a power-on self test leaves behind: vectors, data areas, devices that are ready."""
        memory, ports = self.memory, self.board.bus
        for port, value in PIC_PROGRAM:
            ports.write(port, 1, value)
        memory.write(0, rom.vector_table())
        memory.write(DATA_AREA, bytes(DATA_AREA_SIZE))
        memory.write(EBDA, bytes((1,)).ljust(EBDA_USED, b"\0"))
        for number, port in enumerate(SERIAL_PORTS):
            memory.set_word(Bda.SERIAL_PORTS + 2 * number, port)
        memory.set_word(Bda.EBDA_SEGMENT, EBDA_SEGMENT)
        memory.set_word(Bda.EQUIPMENT, EQUIPMENT)
        memory.set_word(Bda.MEMORY_KIB, CONVENTIONAL_END // KIB)
        memory.set_byte(Bda.FIXED_DISKS, len(self.fixed_disks))
        for number, disk in enumerate(self.fixed_disks[:2]):
            at = DISK_TABLES + 16 * number
            memory.write(at, _disk_table(Geometry.of(disk.sectors)))
            memory.set_double(4 * (0x41, 0x46)[number], EBDA_SEGMENT << 16 | at - EBDA)
        at = EBDA + DISKETTE_PARAMETERS
        memory.write(at, DISKETTE)
        memory.set_double(4 * 0x1E, EBDA_SEGMENT << 16 | DISKETTE_PARAMETERS)
        self.units.pop(DISKETTE_NUMBER, None)
        self.video.power_on()
        self.keyboard.power_on()
        self.clock.power_on()
        # A key that came before the 8259 was ready holds its line high: no edge would ever tell of it, nor of any later key.
        for _ in range(LONGEST_QUEUE):
            if not ports.read(0x64, 1) & OUTPUT_FULL:
                break
            self.keyboard.scan_code(ports.read(0x60, 1))

    def _boot_devices(self) -> Iterator[Bootable]:
        if self.program is not None:
            yield LoadedProgram(self.program)
        for kind in self.board.configuration.boot_order:
            match kind:
                case BootDevice.DISK:
                    yield from (BootDisk(self.memory, number, disk) for number, disk in enumerate(self.fixed_disks, FIRST_FIXED))
                case BootDevice.CDROM:
                    for number, disc in enumerate(self.discs, FIRST_DISC):
                        yield BootDisc(self.memory, number, disc, self.units, self.packets)
                case BootDevice.FLOPPY:
                    yield AbsentDiskette()


def _disk_table(geometry: Geometry) -> bytes:
    """The fixed disk parameter table (IBM PC AT Technical Reference, “Fixed Disk Parameters”)."""
    control = 0x08 if geometry.heads > 8 else 0
    cylinders = geometry.cylinders.to_bytes(2, "little")
    return (
        cylinders + bytes((geometry.heads, 0, 0)) + b"\xff\xff" + bytes((0, control, 0, 0, 0)) + cylinders + bytes((geometry.sectors, 0))
    )
