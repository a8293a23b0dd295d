"""A Linux kernel for firmware that starts it itself: the entries of the firmware configuration device that carry it.

Sources: QEMU's documentation, “QEMU Firmware Configuration (fw_cfg) Device”; “The Linux/x86 Boot Protocol” (boot.rst). EDK II's
OVMF reads these entries; SeaBIOS leaves them to an option ROM, see `linux_rom`.
"""

from __future__ import annotations

import struct

from vmxon.devices.firmware_configuration import Entry
from vmxon.errors import ImageError
from vmxon.machine.loader.boot_files import SECTOR, BootFiles

PAGE = 4096
TYPE_OF_LOADER, LOAD_FLAGS, INITRD, HEAP_END, COMMAND_LINE, HIGHEST_INITRD = 0x210, 0x211, 0x218, 0x224, 0x228, 0x22C
QEMU_LOADER, CAN_USE_HEAP = 0xB0, 0x80
SETUP_ADDRESS, COMMAND_LINE_ADDRESS, KERNEL_ADDRESS = 0x1_0000, 0x2_0000, 0x10_0000
FOR_FIRMWARE = 0x4_0000
"""Bytes at the end of low memory that the firmware keeps."""


def boot_entries(files: BootFiles, low_memory: int) -> dict[int, bytes]:
    """The entries for a machine with so many bytes below the hole.

    Raises:
        ImageError: they do not fit into its memory.
    """
    setup, kernel = bytearray(files.kernel[: files.setup_size]), files.kernel[files.setup_size :]
    (highest,) = struct.unpack_from("<I", setup, HIGHEST_INITRD)
    end = min(highest + 1, low_memory - FOR_FIRMWARE)
    initrd_address = (end - len(files.initrd)) & -PAGE if files.initrd else 0
    if KERNEL_ADDRESS + len(kernel) > (initrd_address if files.initrd else end):
        raise ImageError(
            f"needs {KERNEL_ADDRESS + len(kernel) + len(files.initrd) + FOR_FIRMWARE:#x} bytes of memory, not {low_memory:#x}",
            where=files.name,
            advice="give a larger --memory",
        )
    line = files.command_line.encode() + b"\0"
    setup[TYPE_OF_LOADER] = QEMU_LOADER
    setup[LOAD_FLAGS] |= CAN_USE_HEAP
    struct.pack_into("<II", setup, INITRD, initrd_address, len(files.initrd))
    struct.pack_into("<H", setup, HEAP_END, COMMAND_LINE_ADDRESS - SETUP_ADDRESS - SECTOR)
    struct.pack_into("<I", setup, COMMAND_LINE, COMMAND_LINE_ADDRESS)
    numbers = {
        Entry.KERNEL_ADDRESS: KERNEL_ADDRESS,
        Entry.KERNEL_SIZE: len(kernel),
        Entry.INITRD_ADDRESS: initrd_address,
        Entry.INITRD_SIZE: len(files.initrd),
        Entry.COMMAND_LINE_ADDRESS: COMMAND_LINE_ADDRESS,
        Entry.COMMAND_LINE_SIZE: len(line),
        Entry.SETUP_ADDRESS: SETUP_ADDRESS,
        Entry.SETUP_SIZE: len(setup),
    }
    return {
        **{entry: struct.pack("<I", number) for entry, number in numbers.items()},
        Entry.KERNEL_DATA: kernel,
        Entry.INITRD_DATA: files.initrd,
        Entry.COMMAND_LINE_DATA: line,
        Entry.SETUP_DATA: bytes(setup),
    }
