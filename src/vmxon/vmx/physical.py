"""Structures at physical addresses: VMCS regions, bitmaps, MSR areas, EPT tables; outside memory they read as ones."""

from __future__ import annotations

from vmxon.microcode import IntType, inline, load, microcode, store, u64
from vmxon.processor.code_pages import invalidate_code
from vmxon.processor.memory_map import NOWHERE, TO_READ, TO_WRITE, place
from vmxon.processor.state import ProcessorState as Cpu


@inline
def read_physical(cpu: Cpu, kind: IntType, address: int) -> int:
    """A naturally aligned integer of (static) type `kind` at a physical address."""
    value = kind(~u64(0))
    at = place(cpu, address, TO_READ)
    if at != NOWHERE:
        value = load(kind, cpu.memory + at)
    return value


@microcode
def read_quad(cpu: Cpu, address: u64) -> u64:
    """64 bits at an aligned physical address."""
    return read_physical(cpu, u64, address)


@inline
def write_physical(cpu: Cpu, kind: IntType, address: int, value: int) -> None:
    """Write a naturally aligned integer; outside memory nothing happens."""
    at = place(cpu, address, TO_WRITE)
    if at != NOWHERE:
        invalidate_code(cpu, at, u64(kind.bytes))
        store(kind, cpu.memory + at, value)


@microcode
def fits_physical(cpu: Cpu, address: u64) -> bool:
    """A 4-KiB-aligned address within the physical-address width (and below 4 GiB where IA32_VMX_BASIC bit 48 demands)."""
    width = u64(cpu.physical_width)
    if cpu.vmx_capability[0] & 1 << 48 != 0:
        width = u64(32)
    return address & 0xFFF == 0 and address >> width == 0
