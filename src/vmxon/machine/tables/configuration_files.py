"""What the firmware configuration device tells: sizes, the memory map, the ACPI tables, where to boot from.

Source: QEMU documentation, “QEMU Firmware Configuration (fw_cfg) Device”; SeaBIOS documentation, “Runtime config” and “Boot order”.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import replace

from vmxon.devices.disk import AtaDrive
from vmxon.devices.firmware_configuration import Entry, File
from vmxon.engine.memory_layout import HIGH
from vmxon.machine.configuration import BootDevice, PcConfiguration
from vmxon.machine.loader.information import AVAILABLE
from vmxon.machine.tables.acpi import acpi_tables
from vmxon.machine.tables.direct_boot import boot_entries
from vmxon.machine.tables.hardware import Hardware
from vmxon.machine.tables.linux_rom import FILE as LINUX_ROM
from vmxon.machine.tables.linux_rom import linux_rom
from vmxon.machine.tables.loader_script import TABLES_FILE, loader_files

SYSTEM_STATES = bytes((0x80, 0, 0, 0, 0, 0x80))
"""For S0 to S5: bit 7 where there is such a state."""
IDE_FUNCTION = "/pci@i0cf8/ide@1,1"
"""The IDE controller as an Open Firmware path."""
CONSOLE_PORT = 0x3F8


def configuration_entries(configuration: PcConfiguration) -> dict[int, bytes]:
    """The entries that are no files.

    Raises:
        ImageError: the kernel for the firmware does not fit into memory.
    """
    files = configuration.boot_files
    return {
        Entry.RAM_SIZE: struct.pack("<Q", configuration.memory_size),
        Entry.NO_GRAPHIC: struct.pack("<H", not configuration.graphics),
        Entry.PROCESSORS: struct.pack("<H", 1),
        Entry.MOST_PROCESSORS: struct.pack("<H", 1),
        Entry.BOOT_MENU: struct.pack("<H", 0),
        Entry.KERNEL_SIZE: struct.pack("<I", 0),
        Entry.INITRD_SIZE: struct.pack("<I", 0),
        **({} if files is None else boot_entries(files, configuration.layout.low)),
    }


def configuration_files(configuration: PcConfiguration, power_ports: Callable[[], int]) -> dict[str, File]:
    """The files. The ACPI tables follow power management to where the firmware has put it: `power_ports`, 0 for nowhere yet."""
    layout = configuration.layout
    ranges = [(0, layout.low), *([(HIGH, layout.high)] if layout.high else [])]
    files: dict[str, File] = {
        "etc/e820": b"".join(struct.pack("<QQI", first, size, AVAILABLE) for first, size in ranges),
        "etc/system-states": SYSTEM_STATES,
        "bootorder": "\n".join(_boot_paths(configuration)).encode() + b"\0",
    }
    if not configuration.graphics:
        files["etc/sercon-port"] = struct.pack("<Q", CONSOLE_PORT)
    if configuration.boot_files is not None:
        files[LINUX_ROM] = linux_rom()
    if configuration.video_rom:
        files["vgaroms/vgabios.bin"] = configuration.video_rom
    if configuration.acpi:
        hardware = Hardware.of(configuration)
        files |= loader_files(acpi_tables(hardware))
        files[TABLES_FILE] = lambda: bytes(acpi_tables(replace(hardware, power_ports=power_ports() or hardware.power_ports)).data)
    return files


def _boot_paths(configuration: PcConfiguration) -> Iterator[str]:
    if configuration.boot_files is not None:
        yield f"/rom@{LINUX_ROM}"
    for device in configuration.boot_order:
        for number, drive in enumerate(configuration.drives):
            kind = BootDevice.DISK if isinstance(drive, AtaDrive) else BootDevice.CDROM
            if drive is not None and kind == device:
                yield f"{IDE_FUNCTION}/drive@{number // 2}/disk@{number % 2}"
