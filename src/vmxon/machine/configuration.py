"""What a PC is made of: one value from which the bare machine and the hypervisor build their boards."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum

from vmxon.arch.cpuid import Model
from vmxon.arch.models import MAX
from vmxon.devices.ide import IdeDrive
from vmxon.engine.memory_layout import PAGE, MemoryLayout
from vmxon.errors import ConfigurationError
from vmxon.machine.loader.boot_files import BootFiles
from vmxon.machine.loader.image import BootImage
from vmxon.machine.pace import Pace
from vmxon.machine.translations import parse_policy

DRIVE_SLOTS = 4
"""Primary master and slave, secondary master and slave."""
ROM_UNIT, LARGEST_ROM = 64 << 10, 16 << 20
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""What the clock chip shows at virtual time 0 unless told otherwise: runs must be equal from day to day."""
SERIAL_PORTS = (0x3F8, 0x2F8, 0x3E8, 0x2E8)
"""COM1 to COM4; odd ones request IRQ 4, even ones IRQ 3."""


class Firmware(Enum):
    """What runs before an operating system, where it is no ROM file."""

    NONE = "nothing: the kernel starts in the state that its boot protocol promises"
    OWN = "the firmware of vmxon"


class BootDevice(Enum):
    """Where the firmware looks for a boot sector, by QEMU's letter."""

    FLOPPY = "a"
    DISK = "c"
    CDROM = "d"


@dataclass(frozen=True, slots=True)
class DebugExitPorts:
    """Where isa-debug-exit answers."""

    base: int = 0xF4
    size: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class PcConfiguration:
    """A PC. Two machines of equal configuration and equal input run the same instructions.

    Raises:
        ConfigurationError: no such machine can be built.
    """

    model: Model = MAX
    memory_size: int = 128 << 20
    """Bytes of RAM."""
    drives: tuple[IdeDrive | None, ...] = ()
    """What is in the IDE slots, from the primary master on."""
    kernel: BootImage | None = None
    """What starts instead of a boot sector."""
    firmware: Firmware | bytes = Firmware.NONE
    """Bytes: the content of a ROM that ends at 4 GiB."""
    video_rom: bytes = b""
    """A VGA BIOS, which a ROM finds through the firmware configuration device."""
    boot_files: BootFiles | None = None
    """What a firmware in the ROM is to start instead of a boot sector."""
    boot_order: tuple[BootDevice, ...] = (BootDevice.DISK, BootDevice.CDROM)
    test_device: bool = False
    """QEMU's pc-testdev."""
    debug_exit: DebugExitPorts | None = field(default_factory=DebugExitPorts)
    serial_ports: int = 1
    """How many of COM1 to COM4 there are."""
    debug_console: int | None = 0xE9
    """The port whose bytes go to the debug console."""
    pci: bool = True
    """Host bridge, ISA bridge and the IDE controller as PCI functions."""
    acpi: bool = True
    """ACPI tables, power button, power-management timer."""
    graphics: bool = True
    """Somebody sees the display; otherwise SeaBIOS uses COM1 as well."""
    base_time: datetime = EPOCH
    pace: Pace = field(default_factory=Pace)
    tlb: str = "keep"
    """Which translations the processor keeps of those that it may keep: keep, nothing, random or random:SEED."""
    no_reboot: bool = False
    """A reset ends the run instead."""
    triple_fault_resets: bool = False
    """As on hardware; otherwise a triple fault stops the machine and is explained."""

    @property
    def rom(self) -> bytes:
        """The ROM's content; empty where there is none."""
        return self.firmware if isinstance(self.firmware, bytes) else b""

    @property
    def layout(self) -> MemoryLayout:
        """Where memory is."""
        return MemoryLayout.of_pc(self.memory_size, len(self.rom))

    def __post_init__(self) -> None:
        parse_policy(self.tlb)
        if self.memory_size <= 0 or self.memory_size % PAGE:
            raise ConfigurationError(f"{self.memory_size:#x} bytes of memory", expected="whole pages of 4096 bytes")
        if len(self.rom) % ROM_UNIT or len(self.rom) > LARGEST_ROM:
            raise ConfigurationError(f"a ROM of {len(self.rom):#x} bytes", expected="a multiple of 64 KiB, at most 16 MiB")
        if len(self.drives) > DRIVE_SLOTS:
            raise ConfigurationError(f"{len(self.drives)} drives", expected=f"at most {DRIVE_SLOTS}")
        if not 0 <= self.serial_ports <= len(SERIAL_PORTS):
            raise ConfigurationError(f"{self.serial_ports} serial ports", expected=f"at most {len(SERIAL_PORTS)}")
