"""What answers at a host-physical address: RAM, a ROM, or something that only Python reaches.

All memory lies in one run of the host's, the store: RAM first, then the firmware's ROM. A *place* is an offset in it. RAM is found
at its own address, but above the hole below 4 GiB, and in the windows from 640 KiB to 1 MiB, where a row for each page says what the
chipset lets through. Decoded code is known by its place, so that one ROM at two addresses is one piece of code.
"""

from __future__ import annotations

from vmxon.microcode import inline, microcode, u64
from vmxon.processor.state import WINDOW_PAGES
from vmxon.processor.state import ProcessorState as Cpu

NOWHERE = (1 << 64) - 1
"""No memory answers."""
WINDOWS, WINDOWS_SIZE = 0xA0000, WINDOW_PAGES << 12
TO_READ, TO_WRITE = 1, 2
"""Kinds of access, as in processor/paging.py, and marks of a row; an access without its mark goes to Python."""
HIGH = 1 << 32
"""Where RAM goes on that does not fit below the hole, and where the firmware's ROM ends."""


@inline
def place(cpu: Cpu, physical: int, access: int) -> int:
    """The place of a byte for accesses of these kinds, NOWHERE where no memory answers."""
    at = physical & cpu.address_lines
    if (at >= cpu.low_memory) | (at - WINDOWS < WINDOWS_SIZE) | (at & ~u64(0xFFF) == cpu.apic_page):
        at = place_elsewhere(cpu, at, u64(access & (TO_READ | TO_WRITE)))
    return at


@microcode
def place_elsewhere(cpu: Cpu, at: u64, access: u64) -> u64:
    """The same outside the plain part of low memory; the APIC page hides what there may be below it."""
    if at & ~u64(0xFFF) == cpu.apic_page:
        return u64(NOWHERE)
    if at - WINDOWS < WINDOWS_SIZE:
        row = cpu.windows[at - WINDOWS >> 12]
        return row & ~u64(0xFFF) | at & 0xFFF if row & access == access else u64(NOWHERE)
    if at - HIGH < cpu.high_memory:
        return at - HIGH + cpu.low_memory
    if at - (HIGH - cpu.rom_size) < cpu.rom_size and access & TO_WRITE == 0:
        return at - (HIGH - cpu.rom_size) + cpu.low_memory + cpu.high_memory
    return u64(NOWHERE)
