"""Guests that do anything at all: the hypervisor answers with one of its own errors, and its memory stays its own."""

import random
import struct
from contextlib import suppress

import pytest

from tests.hypervisor.guests import MIB, Guest
from vmxon.errors import VmxonError

SYSTEM = tuple(
    map(
        bytes.fromhex,
        (
            *("0f01", "0fc7", "0f22", "0f20", "0f30", "0f32", "e6", "ee", "ec", "f36c", "f36f", "f36e", "0fa2", "f4", "fb", "cf"),
            *("0f78", "0f79", "8e", "0f00", "ea", "9a", "cd", "0f3880", "0f06", "b8110000800f22c0", "0f09", "0f08", "0f01c1"),
            *("0f01d1", "66ef", "f26d"),
        ),
    )
)
VALUES = (0x174, 0xC000_0080, 0x10, 1, 2, 0x1F0, 0xF4, 0x10_0000, 0x20_0000, 0x3F8, 0x4000_0000)


def program(seed: int) -> bytes:
    """Random system instructions, loads of interesting values, and noise."""
    choose = random.Random(seed)
    pieces = []
    for _ in range(60):
        load = bytes((0xB8 + choose.randint(0, 7),)) + choose.choice(VALUES).to_bytes(4, "little")
        system = choose.choice(SYSTEM) + choose.randbytes(choose.randint(0, 2))
        pieces.append(choose.choice((load, system, choose.randbytes(choose.randint(1, 4)))))
    header = struct.pack("<8I", 0x1BADB002, 0x10000, -(0x1BADB002 + 0x10000) & 0xFFFF_FFFF, 0x10_0000, 0x10_0000, 0, 0, 0x10_0020)
    return header + b"".join(pieces)


@pytest.mark.parametrize("seed", range(24))
def test_a_random_guest_ends_in_order(seed: int) -> None:
    guest = Guest(program(seed), 2 * MIB)
    machine = guest.machine
    memory, engine = machine.memory, machine.root.engine
    canary = b"\xa5" * 4096
    below, above = memory.base - 4096, memory.base + memory.size
    for address in (below, above):
        engine.write_physical(address, canary)
    with suppress(VmxonError):
        guest.run(0.05)
    for address in (below, above):
        assert engine.read_physical(address, 4096) == canary
