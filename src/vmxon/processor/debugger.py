"""Where the debugger stops the processor: breakpoints and watchpoints that are state of the machine, not of the guest.

No byte of guest memory changes and no register that a guest can read. An instruction with a breakpoint always begins a block, which
nothing links to, so that the dispatcher comes by and asks `breakpoint_reached`; everything else runs at full speed. Paging keeps the low
12 bits of an address, so “may have a breakpoint” is a question of the offset within the page, in every mode and address space.
"""

from __future__ import annotations

from vmxon.microcode import fault, inline, microcode, u32, u64
from vmxon.processor.state import CodeSize, FaultKind, Segment
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.time import ticks


@inline
def begins_block(cpu: Cpu, address: int) -> bool:
    """Whether an instruction at this address (linear or physical) must be the first of its block, and the block unlinked."""
    return cpu.debugger_offsets[(address >> 6) & 63] >> (address & 63) & 1 != 0


@microcode
def breakpoint_reached(cpu: Cpu) -> bool:
    """Whether a breakpoint is on the instruction at RIP, and execution has not just been told to go on over it."""
    linear = cpu.rip
    if cpu.code_size != CodeSize.BITS64:
        linear = (cpu.segments[Segment.CS].base + cpu.rip) & 0xFFFF_FFFF
    if not begins_block(cpu, linear) or cpu.debugger_passed == ticks(cpu):
        return False
    index = u64(0)
    while index < cpu.debugger_breakpoint_count:
        if cpu.debugger_breakpoints[index] == linear:
            return True
        index = index + 1
    return False


@microcode
def watch_for_debugger(cpu: Cpu, linear: u64, size: u64, kinds: u64) -> None:
    """A data access: where it meets a watchpoint, the instruction runs alone and stops behind it."""
    met = u64(0)
    index = u64(0)
    while index < cpu.debugger_watch_count:
        wanted = cpu.debugger_watch_kinds[index] & kinds != 0
        if wanted and linear <= cpu.debugger_watch_last[index] and linear + (size - 1) >= cpu.debugger_watch_first[index]:
            met = met | u64(1) << index
        index = index + 1
    if met != 0:
        if cpu.alone == 0:
            cpu.fault_kind = u32(FaultKind.ALONE)
            fault()
        cpu.debugger_watch_met = cpu.debugger_watch_met | met


@microcode
def page_has_watchpoint(cpu: Cpu, linear: u64) -> bool:
    """Whether a watchpoint covers part of the 4-KiB page of an address."""
    page = linear >> 12
    index = u64(0)
    while index < cpu.debugger_watch_count:
        if page >= cpu.debugger_watch_first[index] >> 12 and page <= cpu.debugger_watch_last[index] >> 12:
            return True
        index = index + 1
    return False
