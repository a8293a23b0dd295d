"""INT 11h and INT 12h: what is installed, and how much memory lies below 640 KiB.

Source: IBM PS/2 and PC BIOS Interface Technical Reference, “Interrupt 11H”, “Interrupt 12H”.
"""

from __future__ import annotations

from vmxon.arch.bits import Word, field, flag
from vmxon.machine.firmware.areas import Bda
from vmxon.machine.firmware.call import Call
from vmxon.machine.firmware.memory import BiosMemory


class Equipment(Word, width=16):
    """The word at 40:10."""

    floppy = flag(0, "a diskette drive is installed")
    coprocessor = flag(1, "an x87 is installed")
    pointing_device = flag(2, "a PS/2 mouse is installed")
    video = field(5, 4, "initial video mode: 2 is 80 × 25 in colour")
    floppies = field(7, 6, "diskette drives minus one")
    serial_ports = field(11, 9, "serial ports")
    printers = field(15, 14, "parallel ports")


EQUIPMENT = Equipment.make(coprocessor=1, video=2, serial_ports=1)


class EquipmentServices:
    """Two words of the data area."""

    def __init__(self, memory: BiosMemory) -> None:
        self.memory = memory

    def list_equipment(self, call: Call) -> None:
        """INT 11h."""
        call.ax = self.memory.word(Bda.EQUIPMENT)

    def memory_size(self, call: Call) -> None:
        """INT 12h: KiB in AX."""
        call.ax = self.memory.word(Bda.MEMORY_KIB)
