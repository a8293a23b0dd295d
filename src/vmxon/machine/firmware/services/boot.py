"""INT 19h and INT 18h: which disk starts, and what happens when none can.

Source: Compaq, Phoenix, Intel “BIOS Boot Specification” version 1.01, §6 “Boot process”.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from vmxon.arch.flags import Rflags
from vmxon.devices.disk import SECTOR
from vmxon.errors import GuestStopped
from vmxon.machine.firmware.areas import BOOT_ADDRESS
from vmxon.machine.firmware.call import Call
from vmxon.machine.firmware.memory import BiosMemory
from vmxon.machine.firmware.services.units import FixedDisk
from vmxon.machine.loader.image import RealStart

SIGNATURE = b"\x55\xaa"


class Bootable(Protocol):
    """Something that INT 19h can start."""

    def start(self) -> RealStart | str:
        """Put its first sectors into memory and say how to start them; or why they cannot be started."""
        ...


class LoadedProgram:
    """Something that a loader put into memory."""

    def __init__(self, how: RealStart) -> None:
        self.how = how

    def start(self) -> RealStart | str:
        """Nothing is left to do."""
        return self.how


class AbsentDiskette:
    """The diskette drive that no machine of ours has."""

    def start(self) -> RealStart | str:
        """Nothing."""
        return "there is no diskette drive"


class BootDisk:
    """A fixed disk's master boot record."""

    def __init__(self, memory: BiosMemory, number: int, disk: FixedDisk) -> None:
        self.memory, self.number, self.disk = memory, number, disk

    def start(self) -> RealStart | str:
        """Sector 0 at 7C00h, if it ends in 55 AA."""
        name = f"disk {self.number:02X}h"
        sector = self.disk.drive.read(0, 1)
        if sector is None:
            return f"{name}: {self.disk.drive.failure}"
        if sector[SECTOR - 2 :] != SIGNATURE:
            return f"{name}: its first sector ends in {sector[SECTOR - 2 :].hex(' ')}, not 55 aa"
        self.memory.write(BOOT_ADDRESS, sector)
        return RealStart(0, BOOT_ADDRESS, drive=self.number)


class BootServices:
    """The devices in the order in which they are tried; `put` shows a line on the screen."""

    def __init__(self, devices: Callable[[], Iterator[Bootable]], put: Callable[[str], None]) -> None:
        self.devices, self.put = devices, put

    def bootstrap(self, call: Call) -> None:
        """INT 19h: IRET goes to the first sector of the first device that has one.

        Raises:
            GuestStopped: none has.
        """
        reasons = []
        for device in self.devices():
            start = device.start()
            if isinstance(start, RealStart):
                call.eax = call.ebx = call.ecx = call.esi = call.edi = call.ebp = 0
                call.edx, call.ds, call.es = start.drive, start.data_segment, start.data_segment
                call.cs, call.ip = start.segment, start.offset
                call.set_flag(Rflags.if_.mask, on=start.interrupts)
                return
            reasons.append(start)
        self.put("No bootable device.\r\n")
        what = "no device can be booted: " + ("; ".join(reasons) or "the machine has no disk")
        raise GuestStopped(what, advice="give --drive a disk with a boot sector, or --kernel")

    def give_up(self, _: Call) -> None:
        """INT 18h: the boot sector found nothing to start.

        Raises:
            GuestStopped: always; a PC would start BASIC here.
        """
        self.put("The boot sector found no system.\r\n")
        raise GuestStopped("the boot sector gave up (INT 18h)", advice="the disk has no active partition or no system")
