"""CPUID: the model's rows, and the bits that follow the processor's state (Vol. 2A “CPUID—CPU Identification”)."""

from __future__ import annotations

from vmxon.arch.control import Cr4, Xcr0
from vmxon.arch.cpuid import EXTENDED, LEAVES_WITH_SUBLEAVES, PKRU_PLACE, PKRU_SIZE, XSAVE_HEADER_END
from vmxon.arch.features import Feature, Register
from vmxon.arch.msr import ApicBase, MiscEnable
from vmxon.microcode import inline, load, microcode, select, u32, u64
from vmxon.processor.state import ProcessorState as Cpu

ROW = 24
"""Bytes of a row: leaf, subleaf, EAX, EBX, ECX, EDX."""
ANSWER = 8
"""Where EAX begins in a row."""
OSXSAVE, OSPKE = 1 << 27, 1 << 4
"""Leaf 1 ECX and leaf 7 ECX: CR4.OSXSAVE, CR4.PKE."""
HIGHEST_WHEN_LIMITED = 2
STATES, FEATURES, EXTENDED_FEATURES = 13, 1, 7


@microcode
def find_row(cpu: Cpu, leaf: u32, subleaf: u32) -> u64:
    """Host address of the answer's EAX, 0 where there is no such row."""
    row = cpu.cpuid_table
    end = row + cpu.cpuid_count * ROW
    while row < end:
        if load(u32, row) == leaf and load(u32, row + 4) == subleaf:
            return row + ANSWER
        row += ROW
    return u64(0)


@microcode
def highest_leaf(cpu: Cpu, first: u32) -> u32:
    """The highest basic (0) or extended (0x80000000) leaf; IA32_MISC_ENABLE can limit the basic ones."""
    row = find_row(cpu, first, u32(0))
    if row == 0:
        return u32(0)
    highest = load(u32, row)
    if first == 0 and cpu.misc_enable & MiscEnable.limit_cpuid.mask != 0:
        return u32(HIGHEST_WHEN_LIMITED)
    return highest


@microcode
def identify(cpu: Cpu, leaf: u32, subleaf: u32) -> tuple[u32, u32, u32, u32]:
    """EAX, EBX, ECX, EDX; a leaf beyond the highest answers as the highest basic leaf."""
    asked = leaf
    part = u32(0)
    if leaf > highest_leaf(cpu, leaf & EXTENDED):
        asked = highest_leaf(cpu, u32(0))
    for number in LEAVES_WITH_SUBLEAVES:
        if asked == number:
            part = subleaf
    row = find_row(cpu, asked, part)
    if row == 0:
        return u32(0), u32(0), u32(0), u32(0)
    eax = load(u32, row)
    ecx = load(u32, row + 4 * Register.ECX)
    edx = load(u32, row + 4 * Register.EDX)
    if asked == 0:
        eax = highest_leaf(cpu, u32(0))
    elif asked == FEATURES:
        if cpu.cr4 & Cr4.osxsave.mask != 0:
            ecx = ecx | OSXSAVE
        if cpu.apic_base & ApicBase.enabled.mask == 0:
            edx = edx & (~Feature.APIC.mask & 0xFFFF_FFFF)
    elif asked == EXTENDED_FEATURES and part == 0 and cpu.cr4 & Cr4.pke.mask != 0:
        ecx = ecx | OSPKE
    ebx = load(u32, row + 4 * Register.EBX)
    if asked == STATES and part < 2:
        ebx = standard_size(cpu.xcr0) if part == 0 else compacted_size(cpu.xcr0 | cpu.xss)
    return eax, ebx, ecx, edx


@inline
def standard_size(components: int) -> int:
    """Bytes of an XSAVE area in the standard form, as u32 (Vol. 1 §13.4.2)."""
    return select(components & Xcr0.pkru.mask != 0, u32(PKRU_PLACE + PKRU_SIZE), u32(XSAVE_HEADER_END))


@inline
def compacted_size(components: int) -> int:
    """The same in the compacted form, as u32 (Vol. 1 §13.4.3)."""
    return select(components & Xcr0.pkru.mask != 0, u32(XSAVE_HEADER_END + PKRU_SIZE), u32(XSAVE_HEADER_END))


@microcode
def extended_states(cpu: Cpu) -> u64:
    """The bits of XCR0 that the model supports."""
    row = find_row(cpu, u32(STATES), u32(0))
    if row == 0:
        return u64(0)
    return u64(load(u32, row)) | u64(load(u32, row + 4 * Register.EDX)) << 32


@microcode
def reports(cpu: Cpu, leaf: u32, register: u64, mask: u32) -> bool:
    """The model reports a feature: `mask` in the answer of `leaf`, subleaf 0."""
    row = find_row(cpu, leaf, u32(0))
    return row != 0 and load(u32, row + 4 * register) & mask != 0
