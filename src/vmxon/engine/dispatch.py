"""The dispatcher: between blocks. Settles what ended the last one, takes events, finds or makes the next block."""

from __future__ import annotations

from vmxon.arch.exceptions import Vector
from vmxon.engine.blocks import (
    RECORD_SIZE,
    build_block,
    build_crossing,
    build_given,
    build_outside,
    code_linear,
    fetch_place,
    find_block,
    jump_slot,
    stop_record,
)
from vmxon.isa.record import Prefix, Record
from vmxon.microcode import attempt, i64, inline, load, microcode, store, u8, u32, u64
from vmxon.processor.breakpoints import code_breakpoints_met
from vmxon.processor.counters import NEVER
from vmxon.processor.debugger import begins_block, breakpoint_reached
from vmxon.processor.events import NON_ROOT, record_event, service_events
from vmxon.processor.exceptions import HARDWARE_EXCEPTION, general_protection
from vmxon.processor.interrupts import deliver
from vmxon.processor.memory import commit_stores
from vmxon.processor.memory_map import NOWHERE
from vmxon.processor.segmentation import canonical
from vmxon.processor.slots import second_stage_exit
from vmxon.processor.state import CodeSize, FaultKind, HostRequest, Segment
from vmxon.processor.state import ProcessorState as Cpu

TO_PYTHON = 0


@microcode
def dispatch(cpu: Cpu) -> u64:
    """Host address of the record to run next, or TO_PYTHON with cpu.request set."""
    if cpu.alone != 0:
        finish_alone(cpu)
    if cpu.fault_kind != FaultKind.NONE:
        settle(cpu)
    while True:
        if cpu.request != HostRequest.NONE or (cpu.store_count != 0 and not commit_stores(cpu)):
            if cpu.counter_deadline != NEVER or cpu.vmx_operation == NON_ROOT:
                # The budget of the next run does not know of an overflow, or of the timers of a guest.
                cpu.attention = u8(1)
            return u64(TO_PYTHON)
        if cpu.debugger_watch_met != 0:
            return stop_for_debugger(cpu)
        if cpu.attention != 0 and not half_done(cpu):
            cpu.link_slot = u64(0)
            if not service_events(cpu):
                return u64(TO_PYTHON)
        if cpu.rip == cpu.python_rip and cpu.python_code == 0:
            cpu.request = u32(HostRequest.ROOT)
            return u64(TO_PYTHON)
        if i64(cpu.budget) <= 0:
            # The next run asks for events first: the preemption timer may have ended this one early.
            cpu.attention = u8(1)
            cpu.request = u32(HostRequest.BUDGET)
            return u64(TO_PYTHON)
        if cpu.debugger_breakpoint_count != 0 and cpu.python_code == 0 and breakpoint_reached(cpu):
            return stop_for_debugger(cpu)
        if cpu.code_breakpoints != 0 and cpu.python_code == 0 and code_breakpoint_taken(cpu):
            continue
        record = u64(0)
        if attempt(locate, cpu):
            record = cpu.located
            if cpu.single_step != 0 or cpu.run_alone != 0 or cpu.code_breakpoints != 0 or i64(cpu.budget) < i64(Record(record).count):
                cpu.run_alone = u64(0)
                return prepare_alone(cpu, record)
            cpu.budget = cpu.budget - u64(Record(record).count)
            return record
        cpu.link_slot = u64(0)
        settle_event(cpu)


@inline
def stop_for_debugger(cpu: Cpu) -> int:
    """Leave native code between two instructions; what the debugger changes meanwhile is found by looking afresh."""
    cpu.link_slot = u64(0)
    cpu.attention = u8(1)
    cpu.request = u32(HostRequest.BREAK)
    return u64(TO_PYTHON)


@inline
def half_done(cpu: Cpu) -> bool:
    """An instruction has read from a device and waits to complete; no event may come in between, or it would read twice."""
    return (cpu.run_alone != 0) & ((cpu.memory_latch_count != 0) | (cpu.latch_valid != 0))


@microcode
def code_breakpoint_taken(cpu: Cpu) -> bool:
    """#DB as a fault before the instruction at RIP, where a code breakpoint is on it."""
    met = code_breakpoints_met(cpu)
    if met == 0:
        return False
    cpu.link_slot = u64(0)
    record_event(cpu, u32(Vector.DB), u8(HARDWARE_EXCEPTION))
    cpu.fault_qualification = met
    settle_event(cpu)
    return True


@microcode
def locate(cpu: Cpu) -> None:
    """Find or build the block at cpu.rip; its first record goes to cpu.located."""
    rip = cpu.rip
    if cpu.python_code != 0:
        given = cpu.python_code
        cpu.python_code = u64(0)
        cpu.located = build_given(cpu, given, rip)
        return
    slot = jump_slot(cpu, rip)
    if load(u64, slot) == rip and load(u64, slot + 8) == cpu.context:
        record = load(u64, slot + 16)
        if load(u64, record) != cpu.stale_handler:
            cpu.located = record
            link(cpu, record, rip)
            return
    check_limit(cpu, rip)
    linear = code_linear(cpu, rip)
    start = fetch_place(cpu, linear)
    if start == NOWHERE:
        cpu.link_slot = u64(0)
        cpu.located = build_outside(cpu, rip)
        return
    record = find_block(cpu, start, rip)
    if record == 0:
        record = build_block(cpu, start, rip)
    if record == 0:
        cpu.link_slot = u64(0)
        cpu.located = build_crossing(cpu, start, rip, linear)
        return
    cpu.located = record
    if begins_block(cpu, linear):
        cpu.link_slot = u64(0)
        return
    store(u64, slot, rip)
    store(u64, slot + 8, cpu.context)
    store(u64, slot + 16, record)
    link(cpu, record, rip)


@microcode
def link(cpu: Cpu, record: u64, rip: u64) -> None:
    """Let the branch that came here go straight to the block, within one page of linear addresses."""
    slot = cpu.link_slot
    cpu.link_slot = u64(0)
    if slot != 0:
        source = Record(slot & ~u64(RECORD_SIZE - 1))
        # The record behind the last instruction of a page has no length, and belongs to that page.
        last = source.next_rip - 1
        if code_linear(cpu, last) >> 12 == code_linear(cpu, rip) >> 12:
            store(u64, slot, record)


@microcode
def check_limit(cpu: Cpu, rip: u64) -> None:
    """#GP(0) where RIP is outside the code segment or not canonical."""
    if cpu.code_size == CodeSize.BITS64:
        if not canonical(cpu, rip):
            general_protection(cpu, 0)
    elif rip > u64(cpu.segments[Segment.CS].limit):
        general_protection(cpu, 0)


@microcode
def prepare_alone(cpu: Cpu, record_address: u64) -> u64:
    """Copy one record into a block of its own that cannot chain on, and set the rest of the budget aside."""
    target = cpu.alone_record
    offset = u64(0)
    while offset < RECORD_SIZE:
        store(u64, target + offset, load(u64, record_address + offset))
        offset = offset + 8
    cpu.bounce_next = u64(64)
    record = Record(target)
    record.link_taken = u64(0)
    record.link_next = u64(0)
    record.position = u8(0)
    record.count = u8(1)
    stop_record(cpu, target + RECORD_SIZE, record.next_rip, u64(1))
    cpu.alone = u8(1)
    cpu.breakpoints_met = u64(0)
    cpu.debugger_watch_met = u64(0)
    held = cpu.budget - 1
    cpu.budget_held = held
    cpu.budget_granted = cpu.budget_granted - held
    cpu.budget = u64(0)
    cpu.link_slot = u64(0)
    return target


@microcode
def finish_alone(cpu: Cpu) -> None:
    """After an instruction that ran alone: give the budget back, forget the latch where it completed."""
    cpu.alone = u8(0)
    cpu.budget = cpu.budget + cpu.budget_held
    cpu.budget_granted = cpu.budget_granted + cpu.budget_held
    cpu.budget_held = u64(0)
    cpu.link_slot = u64(0)
    if cpu.fault_kind == FaultKind.NONE:
        cpu.memory_latch_count = u64(0)
        cpu.branched = u8(is_elsewhere(cpu))
        if cpu.breakpoints_met != 0:
            cpu.pending_debug = cpu.pending_debug | cpu.breakpoints_met
            cpu.attention = u8(1)
    else:
        cpu.store_count = u32(0)
        cpu.store_done = u32(0)
        cpu.debugger_watch_met = u64(0)


@inline
def is_elsewhere(cpu: Cpu) -> bool:
    """RIP is not behind the instruction that ran alone, nor at it for another iteration of REP."""
    record = Record(cpu.alone_record)
    repeats = record.prefixes & (Prefix.REP | Prefix.REPNE) != 0 and cpu.rip == record.next_rip - u64(record.length)
    return cpu.rip != record.next_rip and not repeats


@microcode
def settle(cpu: Cpu) -> None:
    """An instruction was abandoned at cpu.exit_record: restore RIP and the budget, then act."""
    cpu.link_slot = u64(0)
    if cpu.fault_kind == FaultKind.ABANDON:
        cpu.fault_kind = u32(FaultKind.NONE)
        cpu.memory_latch_count = u64(0)
        return
    record = Record(cpu.exit_record)
    first = Record(cpu.exit_record - u64(record.position) * RECORD_SIZE)
    cpu.budget = cpu.budget + u64(first.count) - u64(record.position)
    cpu.rip = record.next_rip - u64(record.length)
    if cpu.code_size != CodeSize.BITS64:
        cpu.rip = cpu.rip & 0xFFFF_FFFF
    settle_event(cpu)


@microcode
def settle_event(cpu: Cpu) -> None:
    """Act on cpu.fault_kind with cpu.rip at the instruction."""
    kind = cpu.fault_kind
    cpu.fault_kind = u32(FaultKind.NONE)
    if kind == FaultKind.EXCEPTION:
        cpu.fault_kind = kind
        deliver_fault(cpu)
    elif kind == FaultKind.ALONE:
        cpu.run_alone = u64(1)
    elif kind == FaultKind.HOST:
        cpu.run_alone = u64(1)
    elif kind == FaultKind.SECOND_STAGE:
        cpu.memory_latch_count = u64(0)
        if not attempt(second_stage_exit, cpu):
            if cpu.fault_kind == FaultKind.EXCEPTION:
                deliver_fault(cpu)
            cpu.fault_kind = u32(FaultKind.NONE)


@microcode
def deliver_fault(cpu: Cpu) -> None:
    """Deliver the exception in cpu.fault_*; where Python must read a device first, the instruction comes again alone."""
    # A delivery takes time too: a handler whose first instruction faults must not hold native code for ever.
    cpu.budget = cpu.budget - 1
    deliver(cpu)
    if cpu.fault_kind == FaultKind.HOST:
        # What is latched stays: the instruction faults again, and the delivery goes on where it had to wait.
        cpu.run_alone = u64(1)
    else:
        cpu.memory_latch_count = u64(0)
    cpu.fault_kind = u32(FaultKind.NONE)
