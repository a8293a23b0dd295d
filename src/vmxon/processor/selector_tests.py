"""Looking at a descriptor without loading it: LAR, LSL, VERR, VERW; what may not be seen clears ZF instead of faulting."""

from __future__ import annotations

from vmxon.arch.segments import SegmentType, SystemType
from vmxon.microcode import inline, load, microcode, u8, u32, u64
from vmxon.processor.descriptors import (
    CODE_KIND,
    KIND,
    NOT_SYSTEM,
    NOWHERE,
    descriptor_limit,
    descriptor_rights,
    dpl_of,
    is_conforming,
    is_writable_data,
    locate_descriptor,
)
from vmxon.processor.memory import readable_system
from vmxon.processor.segmentation import is_null
from vmxon.processor.state import ProcessorState as Cpu

LAR_MASK = 0x00F0_FF00
WITH_LIMIT_LEGACY = (
    1 << SystemType.AVAILABLE_TSS_16
    | 1 << SystemType.LDT
    | 1 << SystemType.BUSY_TSS_16
    | 1 << SystemType.AVAILABLE_TSS
    | 1 << SystemType.BUSY_TSS
)
WITH_LIMIT_LONG = 1 << SystemType.LDT | 1 << SystemType.AVAILABLE_TSS | 1 << SystemType.BUSY_TSS
"""System types, one bit each, that LSL knows."""
WITH_RIGHTS_LEGACY = WITH_LIMIT_LEGACY | 1 << SystemType.CALL_GATE_16 | 1 << SystemType.TASK_GATE | 1 << SystemType.CALL_GATE
WITH_RIGHTS_LONG = WITH_LIMIT_LONG | 1 << SystemType.CALL_GATE
"""The same for LAR (Vol. 2A “LAR—Load Access Rights Byte”)."""


@microcode
def visible_descriptor(cpu: Cpu, selector: u64, legacy: u32, long: u32) -> tuple[bool, u64]:
    """The descriptor, where it exists, its system type is in the set, and CPL and RPL reach it."""
    found = False
    descriptor = u64(0)
    if not is_null(selector):
        linear = locate_descriptor(cpu, selector, u64(8))
        if linear != NOWHERE:
            descriptor = load(u64, readable_system(cpu, linear, 8))
            rights = descriptor_rights(descriptor)
            known = long if cpu.long_mode != 0 else legacy
            if is_conforming(rights):
                found = True
            elif rights & NOT_SYSTEM != 0 or (known >> (rights & KIND)) & 1 != 0:
                found = dpl_of(rights) >= cpu.cpl and dpl_of(rights) >= u8(selector) & 3
    return found, descriptor


@microcode
def readable_rights(cpu: Cpu, selector: u64) -> tuple[bool, u64]:
    """LAR: bits 23:20 and 15:8 of the descriptor's second doubleword."""
    found, descriptor = visible_descriptor(cpu, selector, u32(WITH_RIGHTS_LEGACY), u32(WITH_RIGHTS_LONG))
    return found, descriptor >> 32 & LAR_MASK


@microcode
def readable_limit(cpu: Cpu, selector: u64) -> tuple[bool, u64]:
    """LSL: the limit in bytes."""
    found, descriptor = visible_descriptor(cpu, selector, u32(WITH_LIMIT_LEGACY), u32(WITH_LIMIT_LONG))
    return found, u64(descriptor_limit(descriptor))


@microcode
def verify(cpu: Cpu, selector: u64, write: bool) -> bool:
    """VERR and VERW: code or data that may be read, or written."""
    found, descriptor = visible_descriptor(cpu, selector, u32(0), u32(0))
    rights = descriptor_rights(descriptor)
    if not found or rights & NOT_SYSTEM == 0:
        return False
    if write:
        return is_writable_data(rights)
    return is_readable(rights)


@inline
def is_readable(rights: int) -> bool:
    """Data, or code that can be read."""
    return rights & (CODE_KIND | SegmentType.writable_or_readable.mask) != CODE_KIND
