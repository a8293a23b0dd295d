"""Which translations the processor keeps, of those that it may keep: what a program sees that forgets to invalidate.

A processor may forget a translation at any time, and may use one until it must forget it (Vol. 3A §4.10.4 “Invalidation of TLBs and
Paging-Structure Caches”, Vol. 3C §29.4 “Caching Translation Information”). Chances to forget are changes of privilege or mode, loads of
control registers, invalidations, VM entries and VM exits.
"""

from __future__ import annotations

from enum import IntEnum

from vmxon.microcode import microcode, u64
from vmxon.processor.state import ProcessorState as Cpu


class TlbPolicy(IntEnum):
    """Values of cpu.tlb_policy."""

    KEEP = 0
    """Everything that may be kept: a missing invalidation shows."""
    NOTHING = 1
    """Everything goes at each chance: a missing invalidation does not show."""
    RANDOM = 2
    """Chance decides, the same way in each run with the same seed."""


SEED = 0x9E37_79B9_7F4A_7C15
"""State of the generator for seed 0."""
ALL_ONES = (1 << 64) - 1


def generator(seed: int) -> int:
    """cpu.tlb_random of a seed: any number but 0."""
    return (SEED * (2 * seed + 1)) & ALL_ONES


@microcode
def next_random(cpu: Cpu) -> u64:
    """A step of the generator (xorshift, which never reaches 0)."""
    value = cpu.tlb_random
    value = value ^ value << 13
    value = value ^ value >> 7
    value = value ^ value << 17
    cpu.tlb_random = value
    return value
