"""Performance-monitoring counters, version 2 (Vol. 3B §20.2.2 “Architectural Performance Monitoring Version 2”)."""

from __future__ import annotations

from enum import IntEnum

from vmxon.arch.bits import Word, field, flag

VERSION = 2
GENERAL, FIXED = 4, 3
"""How many counters of each kind there are."""
COUNTERS = GENERAL + FIXED
WIDTH = 48
"""Bits of every counter."""
FIXED_ENABLES = 32
"""The first fixed counter's bit in the global registers."""
GLOBAL_BITS = (1 << GENERAL) - 1 | ((1 << FIXED) - 1) << FIXED_ENABLES
UNAVAILABLE = 0b111_1000
"""CPUID.0AH:EBX: cache references, cache misses, branches and mispredicted branches are not counted."""
FIXED_ENUMERATION = 1 << 30
"""ECX of RDPMC for fixed counter 0."""


class Event(IntEnum):
    """Unit mask and event number of the architectural events that are counted."""

    CORE_CYCLES = 0x003C
    REFERENCE_CYCLES = 0x013C
    INSTRUCTIONS_RETIRED = 0x00C0


class EventSelect(Word, width=64):
    """IA32_PERFEVTSELn: what a general counter counts."""

    event = field(15, 0, "unit mask and event number")
    user = flag(16, "counts at CPL 1 to 3")
    system = flag(17, "counts at CPL 0")
    edge = flag(18, "counts the beginnings of the condition")
    pin_control = flag(19, "without effect")
    interrupt = flag(20, "overflow raises the performance-monitoring interrupt")
    enabled = flag(22, "counts")
    invert = flag(23, "the comparison with the mask is inverted")
    mask = field(31, 24, "0, or the number of events in one cycle from which on the cycle counts")


class FixedControl(Word, width=64):
    """One fixed counter's four bits of IA32_FIXED_CTR_CTRL."""

    system = flag(0, "counts at CPL 0")
    user = flag(1, "counts at CPL 1 to 3")
    interrupt = flag(3, "overflow raises the performance-monitoring interrupt")


class GlobalStatus(Word, width=64):
    """IA32_PERF_GLOBAL_STATUS: which counters have overflowed."""

    general = field(GENERAL - 1, 0, "general counters")
    fixed = field(FIXED_ENABLES + FIXED - 1, FIXED_ENABLES, "fixed counters")
    buffer = flag(62, "the debug-store buffer is full")
    changed = flag(63, "the state of the counters has changed")


FIXED_CONTROL_BITS = sum(0b1011 << 4 * n for n in range(FIXED))
"""Bits of IA32_FIXED_CTR_CTRL that exist."""
FREEZE_ON_INTERRUPT = 1 << 12
"""IA32_DEBUGCTL: the performance-monitoring interrupt stops all counters."""
