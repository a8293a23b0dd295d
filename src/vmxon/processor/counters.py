"""Performance-monitoring counters (Vol. 3B §20.2 “Architectural Performance Monitoring”).

The machine retires one instruction in one cycle, so every event that is counted passes once for each retired instruction, and a processor
that waits in HLT counts nothing. Counts are brought up to date when something asks for them, or changes what counts. An overflow ends a
stretch of native code exactly where it happens.
"""

from __future__ import annotations

from vmxon.arch.performance import (
    COUNTERS,
    FIXED_ENABLES,
    FREEZE_ON_INTERRUPT,
    GENERAL,
    WIDTH,
    Event,
    EventSelect,
    FixedControl,
)
from vmxon.microcode import i64, inline, microcode, u8, u32, u64
from vmxon.processor.state import HostRequest
from vmxon.processor.state import ProcessorState as Cpu

NEVER = (1 << 64) - 1
"""cpu.counter_deadline where no counter runs."""
LARGEST = (1 << WIDTH) - 1
SYSTEM, USER = 0, 1
"""Places in cpu.counters_at."""


@inline
def retired(cpu: Cpu) -> int:
    """Instructions retired so far, as u64; exact where `ticks` is."""
    return cpu.instructions + cpu.budget_granted - cpu.budget


@inline
def global_bit(number: int) -> int:
    """The bit of a (static) counter in the global registers."""
    return 1 << number if number < GENERAL else 1 << (number - GENERAL + FIXED_ENABLES)


@inline
def fixed_control(cpu: Cpu, number: int) -> int:
    """The four bits of a (static) fixed counter."""
    return cpu.counter_fixed_control >> (4 * (number - GENERAL)) & 0xF


@microcode
def event_passes(cpu: Cpu, select: u64) -> bool:
    """A general counter that is set up so counts each instruction, privilege aside."""
    event = select & EventSelect.event.mask
    known = event == Event.CORE_CYCLES or event == Event.REFERENCE_CYCLES or event == Event.INSTRUCTIONS_RETIRED
    # One event passes in each cycle, without a pause: the condition begins once and for all.
    threshold = select >> EventSelect.mask.low & 0xFF
    if threshold == 1:
        known = known and select & EventSelect.invert.mask == 0
    elif threshold > 1:
        known = known and select & EventSelect.invert.mask != 0
    return known and select & EventSelect.edge.mask == 0 and select & EventSelect.enabled.mask != 0


@microcode
def counts(cpu: Cpu, number: int, user: bool) -> bool:
    """A (static) counter counts at this privilege."""
    if cpu.counter_global_control & global_bit(number) == 0:
        return False
    if number >= GENERAL:
        control = fixed_control(cpu, number)
        return control & FixedControl.user.mask != 0 if user else control & FixedControl.system.mask != 0
    select = cpu.counter_select[number]
    wanted = select & EventSelect.user.mask != 0 if user else select & EventSelect.system.mask != 0
    return wanted and event_passes(cpu, select)


@microcode
def settle_counters(cpu: Cpu) -> None:
    """Bring the counters up to date, and note overflows; to be followed by `arrange_counters` where what counts may change."""
    now = retired(cpu)
    passed = now - cpu.counter_mark
    cpu.counter_mark = now
    for number in range(COUNTERS):
        if cpu.counters_running >> number & 1 != 0:
            value = cpu.counters[number] + passed
            cpu.counters[number] = value & LARGEST
            if value >> WIDTH != 0:
                overflow(cpu, number)


@inline
def overflow(cpu: Cpu, number: int) -> None:
    """Note the overflow of a (static) counter, and its interrupt."""
    cpu.counter_global_status = cpu.counter_global_status | global_bit(number)
    wanted = False
    if number >= GENERAL:
        wanted = fixed_control(cpu, number) & FixedControl.interrupt.mask != 0
    else:
        wanted = cpu.counter_select[number] & EventSelect.interrupt.mask != 0
    if wanted:
        cpu.counter_interrupt = u8(1)
        cpu.attention = u8(1)
        if cpu.debugctl & FREEZE_ON_INTERRUPT != 0:
            cpu.counter_global_control = u64(0)


@microcode
def arrange_counters(cpu: Cpu) -> None:
    """Work out which counters run, and when the first of them overflows; after `settle_counters`."""
    system = u64(0)
    user = u64(0)
    for number in range(COUNTERS):
        if counts(cpu, number, False):
            system = system | 1 << number
        if counts(cpu, number, True):
            user = user | 1 << number
    cpu.counters_at[SYSTEM] = system
    cpu.counters_at[USER] = user
    cpu.counters_used = u8(system | user != 0)
    start_counters(cpu, user if cpu.cpl == 3 else system)


@microcode
def start_counters(cpu: Cpu, running: u64) -> None:
    """Let these run from now on."""
    left = u64(NEVER)
    for number in range(COUNTERS):
        if running >> number & 1 != 0 and u64(LARGEST + 1) - cpu.counters[number] < left:
            left = u64(LARGEST + 1) - cpu.counters[number]
    cpu.counters_running = running
    cpu.counter_deadline = u64(NEVER)
    if running != 0:
        cpu.counter_deadline = cpu.counter_mark + left
        cpu.attention = u8(1)


@microcode
def change_privilege(cpu: Cpu) -> None:
    """CPL may have changed: which counters run follows it."""
    running = cpu.counters_at[USER] if cpu.cpl == 3 else cpu.counters_at[SYSTEM]
    if running != cpu.counters_running:
        settle_counters(cpu)
        start_counters(cpu, running)


@microcode
def counter_event(cpu: Cpu) -> bool:
    """At an instruction boundary: take an overflow that is due, end native code at the next; True where Python must signal the APIC."""
    if cpu.counter_deadline != NEVER:
        if retired(cpu) >= cpu.counter_deadline:
            settle_counters(cpu)
            arrange_counters(cpu)
        left = cpu.counter_deadline - retired(cpu)
        if cpu.counter_deadline != NEVER and i64(cpu.budget) > i64(left) and i64(left) > 0:
            cpu.budget_granted = cpu.budget_granted - (cpu.budget - left)
            cpu.budget = left
    if cpu.counter_interrupt == 0:
        return False
    cpu.counter_interrupt = u8(0)
    cpu.request = u32(HostRequest.COUNTER_OVERFLOW)
    return True


# MSRs


@microcode
def load_global_control(cpu: Cpu, value: u64) -> None:
    """Load IA32_PERF_GLOBAL_CTRL: what ran until now has counted."""
    settle_counters(cpu)
    cpu.counter_global_control = value
    arrange_counters(cpu)


@microcode
def write_counter(cpu: Cpu, number: u64, value: u64) -> None:
    """WRMSR of IA32_PMCn: bits 31:0, sign-extended."""
    wide = value & 0xFFFF_FFFF
    if wide >> 31 != 0:
        wide = wide | 0xFFFF_0000_0000
    cpu.counters[number] = wide
