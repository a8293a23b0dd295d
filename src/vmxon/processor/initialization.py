"""INIT: the registers of Vol. 3A Table 10-1, column INIT; caches, MSRs, x87 and SSE state stay as they are."""

from __future__ import annotations

from vmxon.arch.control import DR6_RESET, DR7_RESET, Cr0, Efer
from vmxon.arch.segments import SystemType
from vmxon.microcode import load, microcode, u8, u16, u32, u64
from vmxon.processor.breakpoints import debug_registers_changed
from vmxon.processor.descriptors import PRESENT, REAL_RIGHTS
from vmxon.processor.flags import write_rflags
from vmxon.processor.identification import find_row
from vmxon.processor.segmentation import refresh_mode, refresh_segments
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.state import Segment
from vmxon.processor.tlb import invalidate_all

RDX = 2
FIRST_SELECTOR, FIRST_BASE, FIRST_OFFSET = 0xF000, 0xFFFF_0000, 0xFFF0
"""Where execution begins: 16 bytes below 4 GiB."""
CODE_RIGHTS = REAL_RIGHTS | 8


@microcode
def initialize(cpu: Cpu) -> None:
    """Take the state after INIT; CR0 keeps CD and NW."""
    index = u64(0)
    while index < 16:
        cpu.gpr[index] = u64(0)
        index += 1
    row = find_row(cpu, u32(1), u32(0))
    if row != 0:
        cpu.gpr[RDX] = u64(load(u32, row))
    cpu.rip = u64(FIRST_OFFSET)
    cpu.cr0 = (cpu.cr0 & (Cr0.cd.mask | Cr0.nw.mask)) | Cr0.et.mask
    cpu.cr2 = u64(0)
    cpu.cr3 = u64(0)
    cpu.cr4 = u64(0)
    cpu.cr8 = u64(0)
    cpu.efer = cpu.efer & ~u64(Efer.layout.named)
    for number in range(4):
        cpu.dr[number] = u64(0)
    cpu.dr[6] = u64(DR6_RESET)
    cpu.dr[7] = u64(DR7_RESET)
    debug_registers_changed(cpu)
    cpu.gdt_base = u64(0)
    cpu.idt_base = u64(0)
    cpu.gdt_limit = u32(0xFFFF)
    cpu.idt_limit = u32(0xFFFF)
    initialize_segments(cpu)
    cpu.activity = u8(0)
    cpu.interruptibility = u8(0)
    cpu.pending_debug = u64(0)
    cpu.step_armed = u8(0)
    cpu.deferred = u8(0)
    write_rflags(cpu, u64(2), ~u64(0))
    refresh_mode(cpu)
    refresh_segments(cpu)
    invalidate_all(cpu)


@microcode
def initialize_segments(cpu: Cpu) -> None:
    """Every segment register at base 0 with 64 KiB, but CS, which begins below 4 GiB."""
    index = u64(0)
    while index < 8:
        cpu.segments[index].selector = u16(0)
        cpu.segments[index].base = u64(0)
        cpu.segments[index].limit = u32(0xFFFF)
        cpu.segments[index].rights = u32(REAL_RIGHTS)
        index += 1
    cpu.segments[Segment.CS].selector = u16(FIRST_SELECTOR)
    cpu.segments[Segment.CS].base = u64(FIRST_BASE)
    cpu.segments[Segment.CS].rights = u32(CODE_RIGHTS)
    cpu.segments[Segment.LDTR].rights = u32(PRESENT | SystemType.LDT)
    cpu.segments[Segment.TR].rights = u32(PRESENT | SystemType.BUSY_TSS)
