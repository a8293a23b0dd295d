"""SYSCALL, SYSRET, SYSENTER, SYSEXIT: transfers between levels 3 and 0 without descriptors (Vol. 3A §5.8.7, §5.8.8)."""

from __future__ import annotations

from vmxon.arch.control import Cr0, Efer
from vmxon.arch.flags import Rflags
from vmxon.arch.segments import AccessRights
from vmxon.microcode import inline, microcode, u16, u32, u64
from vmxon.processor.exceptions import general_protection, undefined_opcode
from vmxon.processor.flags import read_rflags, write_rflags
from vmxon.processor.segmentation import BIG, LONG, canonical, is_null, refresh_privilege, refresh_segment
from vmxon.processor.state import CodeSize, Segment
from vmxon.processor.state import ProcessorState as Cpu

RCX, RDX, RSP, R11 = 1, 2, 4, 11
FLAT = AccessRights.s.mask | AccessRights.p.mask | AccessRights.g.mask
FLAT_CODE = FLAT | 0xB
"""Code, readable, accessed, 4 GiB."""
FLAT_DATA = FLAT | BIG | 0x3
"""Data, writable, accessed, 4 GiB, 32-bit stack pointer."""
SYSRET_FLAGS = 0x3C_7FD7


@inline
def set_flat_segment(cpu: Cpu, segment: int, selector: int, rights: int, level: int) -> None:
    """Load CS or SS with the fixed segment of these instructions; `rights` is u32, `level` static."""
    cpu.segments[segment].selector = u16(selector)
    cpu.segments[segment].base = u64(0)
    cpu.segments[segment].limit = u32(0xFFFF_FFFF)
    cpu.segments[segment].rights = rights | level << AccessRights.dpl.low
    refresh_segment(cpu, u64(segment))


@microcode
def system_call(cpu: Cpu) -> None:
    """SYSCALL: to IA32_LSTAR at level 0; RCX and R11 keep RIP and RFLAGS."""
    if cpu.code_size != CodeSize.BITS64 or cpu.efer & Efer.sce.mask == 0:
        undefined_opcode(cpu)
    selector = cpu.star >> 32 & 0xFFFC
    flags = read_rflags(cpu)
    cpu.gpr[RCX] = cpu.next_rip
    cpu.gpr[R11] = flags & ~u64(Rflags.rf.mask)
    cpu.next_rip = cpu.lstar
    write_rflags(cpu, flags & ~(cpu.fmask | Rflags.rf.mask), ~u64(0))
    set_flat_segment(cpu, Segment.CS, selector, u32(FLAT_CODE | LONG), 0)
    set_flat_segment(cpu, Segment.SS, selector + 8, u32(FLAT_DATA), 0)
    refresh_privilege(cpu)


@microcode
def system_return(cpu: Cpu, wide: int) -> None:
    """SYSRET: back to level 3 at RCX with flags from R11; to 64-bit code if `wide` (static), else to compatibility mode."""
    if cpu.code_size != CodeSize.BITS64 or cpu.efer & Efer.sce.mask == 0:
        undefined_opcode(cpu)
    if cpu.cpl != 0:
        general_protection(cpu, 0)
    target = cpu.gpr[RCX]
    selector = cpu.star >> 48
    if wide:
        if not canonical(cpu, target):
            general_protection(cpu, 0)
        set_flat_segment(cpu, Segment.CS, (selector + 16) | 3, u32(FLAT_CODE | LONG), 3)
    else:
        target = u64(u32(target))
        set_flat_segment(cpu, Segment.CS, selector | 3, u32(FLAT_CODE | BIG), 3)
    set_flat_segment(cpu, Segment.SS, (selector + 8) | 3, u32(FLAT_DATA), 3)
    cpu.next_rip = target
    write_rflags(cpu, (cpu.gpr[R11] & SYSRET_FLAGS) | 2, ~u64(0))
    refresh_privilege(cpu)


@microcode
def system_enter(cpu: Cpu) -> None:
    """SYSENTER: to IA32_SYSENTER_CS:EIP at level 0, from any protected or IA-32e mode."""
    if cpu.cr0 & Cr0.pe.mask == 0 or is_null(cpu.sysenter_cs):
        general_protection(cpu, 0)
    selector = cpu.sysenter_cs & 0xFFFC
    write_rflags(cpu, u64(0), u64(Rflags.vm.mask | Rflags.if_.mask))
    if cpu.long_mode != 0:
        cpu.gpr[RSP] = cpu.sysenter_esp
        cpu.next_rip = cpu.sysenter_eip
        set_flat_segment(cpu, Segment.CS, selector, u32(FLAT_CODE | LONG), 0)
    else:
        cpu.gpr[RSP] = u64(u32(cpu.sysenter_esp))
        cpu.next_rip = u64(u32(cpu.sysenter_eip))
        set_flat_segment(cpu, Segment.CS, selector, u32(FLAT_CODE | BIG), 0)
    set_flat_segment(cpu, Segment.SS, selector + 8, u32(FLAT_DATA), 0)
    refresh_privilege(cpu)


@microcode
def system_exit(cpu: Cpu, wide: int) -> None:
    """SYSEXIT: back to level 3 at rDX with stack rCX; to 64-bit code if `wide` (static)."""
    if cpu.cr0 & Cr0.pe.mask == 0 or cpu.cpl != 0 or is_null(cpu.sysenter_cs):
        general_protection(cpu, 0)
    selector = cpu.sysenter_cs & 0xFFFC
    if wide:
        if not canonical(cpu, cpu.gpr[RDX]) or not canonical(cpu, cpu.gpr[RCX]):
            general_protection(cpu, 0)
        cpu.gpr[RSP] = cpu.gpr[RCX]
        cpu.next_rip = cpu.gpr[RDX]
        set_flat_segment(cpu, Segment.CS, (selector + 32) | 3, u32(FLAT_CODE | LONG), 3)
        set_flat_segment(cpu, Segment.SS, (selector + 40) | 3, u32(FLAT_DATA), 3)
    else:
        cpu.gpr[RSP] = u64(u32(cpu.gpr[RCX]))
        cpu.next_rip = u64(u32(cpu.gpr[RDX]))
        set_flat_segment(cpu, Segment.CS, (selector + 16) | 3, u32(FLAT_CODE | BIG), 3)
        set_flat_segment(cpu, Segment.SS, (selector + 24) | 3, u32(FLAT_DATA), 3)
    refresh_privilege(cpu)
