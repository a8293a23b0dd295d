"""The guest-physical mappings that the processor holds: what EPT makes of pages (Vol. 3C §29.4.1 “Information That May Be Cached”).

They hang on the EPT root alone, so that VM entries and exits without VPID keep them, and only INVEPT, an EPT violation or chance ends one.
"""

from __future__ import annotations

from vmxon.microcode import inline, microcode, u64
from vmxon.processor.state import GUEST_MAPPINGS
from vmxon.processor.state import ProcessorState as Cpu

HELD = 1
"""Mark of a place in use, in the low bits of cpu.guest_pages."""
PAGE = ~0xFFF & (1 << 64) - 1
EPT_ROOT = 0x000F_FFFF_FFFF_F000


@inline
def place_of(physical: int) -> int:
    """Where the mapping of a guest-physical address would be."""
    return physical >> 12 & (GUEST_MAPPINGS - 1)


@inline
def holds_mapping(cpu: Cpu, physical: int) -> bool:
    """There is one for the present EPT root."""
    place = place_of(physical)
    return cpu.guest_pages[place] == physical & PAGE | HELD and cpu.guest_roots[place] == cpu.ept_pointer & EPT_ROOT


@inline
def hold_mapping(cpu: Cpu, physical: int, mapping: int) -> None:
    """Hold `mapping`, a host-physical page with permissions in the low bits."""
    place = place_of(physical)
    cpu.guest_pages[place] = physical & PAGE | HELD
    cpu.guest_roots[place] = cpu.ept_pointer & EPT_ROOT
    cpu.guest_mappings[place] = mapping


@microcode
def forget_mapping(cpu: Cpu, physical: u64) -> None:
    """End the mapping of an address, under whatever root."""
    place = place_of(physical)
    if cpu.guest_pages[place] == physical & PAGE | HELD:
        cpu.guest_pages[place] = u64(0)


@microcode
def forget_mappings_of(cpu: Cpu, ept_pointer: u64) -> None:
    """End all mappings of one EPT root."""
    place = u64(0)
    while place < GUEST_MAPPINGS:
        if cpu.guest_roots[place] == ept_pointer & EPT_ROOT:
            cpu.guest_pages[place] = u64(0)
        place = place + 1


@microcode
def forget_mappings(cpu: Cpu) -> None:
    """End all mappings."""
    place = u64(0)
    while place < GUEST_MAPPINGS:
        cpu.guest_pages[place] = u64(0)
        place = place + 1
