"""Which translations the processor keeps, of those that it may keep: what a program sees that forgets to invalidate.

A processor may forget a translation at any time, and may use one until it must forget it (Vol. 3A §4.10.4 “Invalidation of TLBs and
Paging-Structure Caches”, Vol. 3C §29.4 “Caching Translation Information”). Chances to forget are changes of privilege or mode, loads of
control registers, invalidations, VM entries and VM exits.
"""

from __future__ import annotations

from enum import IntEnum

from vmxon.microcode import microcode, u64
from vmxon.processor.random import STEP, mixed
from vmxon.processor.state import ProcessorState as Cpu


class TlbPolicy(IntEnum):
    """Values of cpu.tlb_policy."""

    KEEP = 0
    """Everything that may be kept: a missing invalidation shows."""
    NOTHING = 1
    """Everything goes at each chance: a missing invalidation does not show."""
    RANDOM = 2
    """Chance decides, the same way in each run with the same seed."""


SEED_BITS = 32
"""A seed is the high half of the place in the sequence of numbers at which chance begins."""


@microcode
def next_chance(cpu: Cpu) -> u64:
    """The next 64 bits, from the sequence behind RDRAND but at a place of its own."""
    cpu.tlb_random = cpu.tlb_random + STEP
    return mixed(cpu.tlb_random)
