"""The random-number generator behind RDRAND and RDSEED: a fixed sequence, so that every run gives the same numbers.

SplitMix64 (Steele, Lea, Flood: “Fast splittable pseudorandom number generators”, OOPSLA 2014) over `cpu.random`, which RESET sets to 0.
It is no source of secrets.
"""

from __future__ import annotations

from vmxon.microcode import microcode, u64
from vmxon.processor.state import ProcessorState as Cpu

STEP = 0x9E37_79B9_7F4A_7C15
FIRST, SECOND = 0xBF58_476D_1CE4_E5B9, 0x94D0_49BB_1331_11EB


@microcode
def next_random(cpu: Cpu) -> u64:
    """The next 64 bits."""
    cpu.random = cpu.random + STEP
    return mixed(cpu.random)


@microcode
def mixed(place: u64) -> u64:
    """The number at a place of the sequence."""
    value = place
    value = (value ^ (value >> 30)) * FIRST
    value = (value ^ (value >> 27)) * SECOND
    return value ^ (value >> 31)
