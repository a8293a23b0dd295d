"""Hardware breakpoints (Vol. 3B §18.2 “Debug Registers”): which are armed, and whether an access or an instruction meets one.

Nothing on a fast path asks. Pages that a data breakpoint watches never enter the TLB, so every access to them takes the slow path, where
`watch_data` looks; while a code breakpoint is armed, the dispatcher runs each instruction alone and asks `code_breakpoints_met` first.
"""

from __future__ import annotations

from vmxon.arch.control import Cr4
from vmxon.arch.flags import Rflags
from vmxon.microcode import fault, inline, microcode, u8, u32, u64
from vmxon.processor.state import CodeSize, FaultKind, Segment
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.tlb import invalidate_everything

EXECUTE, WRITE, PORT, READ_OR_WRITE = range(4)
"""Values of DR7.R/W."""
ENABLED_BREAKPOINT = 1 << 12
"""Bit of the pending debug exceptions (Vol. 3C §25.4.2 “Guest Non-Register State”)."""


@inline
def condition_of(cpu: Cpu, number: int) -> int:
    """R/W of a breakpoint, as u64."""
    return cpu.dr[7] >> (16 + 4 * number) & 3


@inline
def length_of(cpu: Cpu, number: int) -> int:
    """Bytes that a breakpoint covers, as u64: LEN 0 one, 1 two, 2 eight, 3 four."""
    code = cpu.dr[7] >> (18 + 4 * number) & 3
    return select_length(code)


@inline
def select_length(code: int) -> int:
    """Bytes by the code of LEN."""
    return u64(1) << (code ^ (code >> 1))


@inline
def first_byte(cpu: Cpu, number: int) -> int:
    """The first linear address (or port) that a breakpoint covers: LEN aligns it."""
    return cpu.dr[number] & ~(length_of(cpu, number) - 1)


@microcode
def refresh_breakpoints(cpu: Cpu) -> None:
    """Note which breakpoints are armed; call it after any change of DR0–DR3, DR7 or CR4.DE."""
    code = u64(0)
    data = u64(0)
    ports = u64(0)
    for number in range(4):
        if cpu.dr[7] >> (2 * number) & 3 != 0:
            condition = condition_of(cpu, number)
            if condition == EXECUTE:
                code = code | 1 << number
            elif condition != PORT:
                data = data | 1 << number
            elif cpu.cr4 & Cr4.de.mask != 0:
                ports = ports | 1 << number
    watched = data != 0 or cpu.data_breakpoints != 0
    cpu.code_breakpoints = u8(code)
    cpu.data_breakpoints = u8(data)
    cpu.port_breakpoints = u8(ports)
    if watched:
        invalidate_everything(cpu)


@inline
def debug_registers_changed(cpu: Cpu) -> None:
    """The same, at next to no cost where nothing was and nothing is armed."""
    if cpu.dr[7] & 0xFF != 0 or cpu.code_breakpoints | cpu.data_breakpoints | cpu.port_breakpoints != 0:
        refresh_breakpoints(cpu)


@microcode
def watch_data(cpu: Cpu, linear: u64, size: u64, write: bool) -> None:
    """A data access: where it meets a breakpoint, the instruction runs alone and a trap is pending behind it."""
    met = u64(0)
    for number in range(4):
        if u64(cpu.data_breakpoints) >> number & 1 != 0 and (write or condition_of(cpu, number) == READ_OR_WRITE):
            first = first_byte(cpu, number)
            if linear - first < length_of(cpu, number) or first - linear < size:
                met = met | 1 << number
    if met != 0:
        if cpu.alone == 0:
            cpu.fault_kind = u32(FaultKind.ALONE)
            fault()
        cpu.breakpoints_met = cpu.breakpoints_met | met | ENABLED_BREAKPOINT


@microcode
def page_is_watched(cpu: Cpu, linear: u64) -> bool:
    """Whether a data breakpoint lies in the 4-KiB page of an address."""
    for number in range(4):
        if u64(cpu.data_breakpoints) >> number & 1 != 0 and (cpu.dr[number] ^ linear) >> 12 == 0:
            return True
    return False


@microcode
def watch_port(cpu: Cpu, port: u64, size: u64) -> None:
    """A completed port access: where it meets a breakpoint, a trap is pending behind the instruction."""
    for number in range(4):
        if u64(cpu.port_breakpoints) >> number & 1 != 0:
            first = first_byte(cpu, number)
            if port - first < length_of(cpu, number) or first - port < size:
                cpu.pending_debug = cpu.pending_debug | 1 << number | ENABLED_BREAKPOINT
                cpu.attention = u8(1)


@microcode
def code_breakpoints_met(cpu: Cpu) -> u64:
    """DR6 bits of the code breakpoints at RIP; none while RFLAGS.RF is set."""
    if cpu.rflags_other & Rflags.rf.mask != 0:
        return u64(0)
    linear = cpu.rip
    if cpu.code_size != CodeSize.BITS64:
        linear = (cpu.segments[Segment.CS].base + cpu.rip) & 0xFFFF_FFFF
    met = u64(0)
    for number in range(4):
        if u64(cpu.code_breakpoints) >> number & 1 != 0 and cpu.dr[number] == linear:
            met = met | 1 << number
    return met
