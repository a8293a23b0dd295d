"""INT 15h: memory sizes and maps, address line 20, block moves, waits, and what kind of PC this is.

Sources: IBM PS/2 and PC BIOS Interface Technical Reference, “Interrupt 15H, System Services”; ACPI 6.5 §15 “System Address
Map Interfaces” for E820h; Ralf Brown's Interrupt List for E801h and 24xxh.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from vmxon.machine.firmware import rom
from vmxon.machine.firmware.areas import EBDA_SEGMENT
from vmxon.machine.firmware.call import Call
from vmxon.machine.firmware.memory import BiosMemory, linear
from vmxon.machine.firmware.services.clock import ClockServices
from vmxon.machine.loader.information import AVAILABLE, KIB, LOWEST, MemoryRange

SMAP = 0x534D_4150
ROW = struct.Struct("<QQI")
UNSUPPORTED, NOT_ALLOWED = 0x86, 0x80
BELOW_16_MIB = 0x3C00
"""KiB between 1 MiB and 16 MiB, as much as E801h reports in AX."""
MOST_88 = 63 << 10
MOST_MOVED = 0x8000
"""Words of the largest block move."""
DESCRIPTORS = 48


class SystemServices:
    """INT 15h; `address_line` reads and sets line 20, `memory_map` is what E820h tells row by row."""

    def __init__(
        self,
        memory: BiosMemory,
        clock: ClockServices,
        memory_map: Sequence[MemoryRange],
        get_address_line: Callable[[], bool],
        set_address_line: Callable[[bool], None],
    ) -> None:
        self.memory, self.clock, self.memory_map = memory, clock, memory_map
        self.get_address_line, self.set_address_line = get_address_line, set_address_line
        end = next((row.end for row in memory_map if row.start == LOWEST and row.kind == AVAILABLE), LOWEST)
        self.extended_kib = (end - LOWEST) // KIB
        self.functions: dict[int, Callable[[Call], None]] = {
            0x24: self._address_line,
            0x4F: self._keyboard_intercept,
            0x83: self._event_wait,
            0x86: self._wait,
            0x87: self._block_move,
            0x88: self._extended_size,
            0x90: self._nothing_to_do,
            0x91: self._nothing_to_do,
            0xC0: self._configuration,
            0xC1: self._extended_data_area,
            0xE8: self._memory_map,
        }

    def serve(self, call: Call) -> None:
        """INT 15h; APM (53h), the pointing device (C2h) and the rest are not there."""
        function = self.functions.get(call.ah)
        if function is None:
            call.fail(UNSUPPORTED)
        else:
            call.succeed()
            function(call)

    def _address_line(self, call: Call) -> None:
        match call.al:
            case 0 | 1:
                self.set_address_line(bool(call.al))
            case 2:
                call.al = self.get_address_line()
            case 3:
                call.bx = 3  # keyboard controller and port 92h
            case _:
                call.fail(UNSUPPORTED)
                return
        call.ah = 0

    def _keyboard_intercept(self, call: Call) -> None:
        """Nobody takes the key: CF = 1 with AL as it was."""
        call.set_flag(1, on=True)

    def _nothing_to_do(self, call: Call) -> None:
        call.ah = 0

    # Waits.
    def _event_wait(self, call: Call) -> None:
        if call.al == 1:
            self.clock.end_wait()
        elif call.al != 0 or self.clock.waiting:
            call.fail(NOT_ALLOWED)
        else:
            self.clock.start_wait(call.cx << 16 | call.dx, call.es, call.bx)

    def _wait(self, call: Call) -> None:
        if call.waiting:
            if self.clock.waiting:
                call.wait()
            else:
                call.waiting = 0
            return
        if self.clock.waiting:
            call.fail(NOT_ALLOWED)
            return
        self.clock.start_wait(call.cx << 16 | call.dx, EBDA_SEGMENT, 0xFF)
        call.wait()

    # Memory.
    def _block_move(self, call: Call) -> None:
        """Descriptors 2 and 3 of the table at ES:SI are source and destination; CX counts words."""
        if call.cx > MOST_MOVED:
            call.fail(2)
            return
        table = self.memory.read(linear(call.es, call.si), DESCRIPTORS)
        source, destination = (_base(table[at : at + 8]) for at in (16, 24))
        self.memory.write(destination, self.memory.read(source, 2 * call.cx))
        call.ah = 0

    def _extended_size(self, call: Call) -> None:
        call.ax = min(self.extended_kib, MOST_88)

    def _memory_map(self, call: Call) -> None:
        match call.al:
            case 0x01:
                call.ax = call.cx = min(self.extended_kib, BELOW_16_MIB)
                call.bx = call.dx = max(0, self.extended_kib - BELOW_16_MIB) * KIB >> 16
            case 0x20:
                self._address_map(call)
            case _:
                call.fail(UNSUPPORTED)

    def _address_map(self, call: Call) -> None:
        if call.edx != SMAP or call.ecx < ROW.size or call.ebx >= len(self.memory_map):
            call.fail(UNSUPPORTED)
            return
        row = self.memory_map[call.ebx]
        self.memory.write(linear(call.es, call.di), ROW.pack(row.start, row.end - row.start, row.kind))
        call.eax, call.ecx = SMAP, ROW.size
        call.ebx = (call.ebx + 1) % len(self.memory_map)

    # Descriptions.
    def _configuration(self, call: Call) -> None:
        call.es, call.bx, call.ah = rom.SEGMENT, rom.CONFIGURATION, 0

    def _extended_data_area(self, call: Call) -> None:
        call.es = EBDA_SEGMENT


def _base(descriptor: bytes) -> int:
    """The base of a segment descriptor, 32 bits of it."""
    return int.from_bytes(descriptor[2:5], "little") | descriptor[7] << 24
