"""The I/O space: who may touch a port, and how Python completes the access (Vol. 1 §19.5 “Protected-Mode I/O”)."""

from __future__ import annotations

from vmxon.arch.flags import Rflags
from vmxon.arch.segments import SystemType
from vmxon.microcode import fault, load, microcode, u16, u32, u64
from vmxon.processor.breakpoints import watch_port
from vmxon.processor.descriptors import BUSY, KIND
from vmxon.processor.exceptions import general_protection
from vmxon.processor.memory import readable_system
from vmxon.processor.segmentation import UNUSABLE, SegmentRules
from vmxon.processor.state import FaultKind, HostRequest, Segment
from vmxon.processor.state import ProcessorState as Cpu

MAP_BASE = 0x66
"""Where a 32- or 64-bit TSS says at which offset its I/O permission bitmap begins."""
SMALLEST_LIMIT = 0x67


@microcode
def check_port(cpu: Cpu, port: u64, size: u64) -> None:
    """#GP(0) unless real-address mode, IOPL or the I/O permission bitmap allows `size` bytes at `port`."""
    if cpu.segment_rules == SegmentRules.REAL:
        return
    iopl = cpu.rflags_other >> Rflags.iopl.low & 3
    if cpu.segment_rules != SegmentRules.VIRTUAL_8086 and u64(cpu.cpl) <= iopl:
        return
    rights = cpu.segments[Segment.TR].rights
    limit = u64(cpu.segments[Segment.TR].limit)
    wide = rights & (KIND & ~BUSY) == SystemType.AVAILABLE_TSS
    if rights & UNUSABLE != 0 or not wide or limit < SMALLEST_LIMIT:
        general_protection(cpu, 0)
    base = cpu.segments[Segment.TR].base
    place = u64(load(u16, readable_system(cpu, base + MAP_BASE, 2))) + (port >> 3)
    if place + 1 > limit:
        general_protection(cpu, 0)
    bits = u64(load(u16, readable_system(cpu, base + place, 2))) >> (port & 7)
    if bits & ((u64(1) << size) - 1) != 0:
        general_protection(cpu, 0)


@microcode
def port_in(cpu: Cpu, port: u64, size: u64) -> u64:
    """The latch if it answers this read, or what Python read ahead; else asks Python, and the instruction runs again."""
    if cpu.latch_valid == 0 and cpu.stream_left != 0 and cpu.stream_port == port and cpu.stream_size == size:
        value = u64(load(u16, cpu.stream_next)) if size == 2 else u64(load(u32, cpu.stream_next))
        cpu.stream_next = cpu.stream_next + size
        cpu.stream_left = cpu.stream_left - 1
        if cpu.port_breakpoints != 0:
            watch_port(cpu, port, size)
        return value
    if cpu.latch_valid == 0 or cpu.latch_address != port or u64(cpu.latch_size) != size:
        cpu.request = u32(HostRequest.PORT_READ)
        cpu.request_address = port
        cpu.request_size = u32(size)
        cpu.fault_kind = u32(FaultKind.HOST)
        fault()
    cpu.latch_valid = u32(0)
    if cpu.port_breakpoints != 0:
        watch_port(cpu, port, size)
    return cpu.latch_value


@microcode
def port_out(cpu: Cpu, port: u64, size: u64, value: u64) -> None:
    """Ask Python for the write; the instruction is complete."""
    cpu.request = u32(HostRequest.PORT_WRITE)
    cpu.request_address = port
    cpu.request_size = u32(size)
    cpu.request_value = value
    if cpu.port_breakpoints != 0:
        watch_port(cpu, port, size)
