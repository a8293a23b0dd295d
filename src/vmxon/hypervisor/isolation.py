"""The checker of isolation: walks every guest's extended page tables and says what is mapped that should not be."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from vmxon.hypervisor.arch_memory import ADDRESS, LEVELS, PRESENT, Mapping
from vmxon.hypervisor.guest_memory import GuestMemory
from vmxon.hypervisor.page_manager import PAGE
from vmxon.machine.root import RootProcessor
from vmxon.vmx.ept_entries import EptTableEntry

LAST = len(LEVELS) - 1


class Guest(Protocol):
    """Who is checked."""

    memory: GuestMemory


@dataclass(frozen=True, slots=True)
class Trespass:
    """A leaf that reaches machine memory which is not the guest's."""

    guest: int
    """Place in the list of guests."""
    mapping: Mapping

    def __str__(self) -> str:
        leaf = self.mapping
        return f"guest {self.guest}: guest-physical {leaf.guest:#x} reaches {leaf.host:#x}, {leaf.size:#x} bytes that are not its own"


def leaves(root: RootProcessor, table: int, level: int = 0, guest: int = 0) -> Iterator[Mapping]:
    """Every mapping below an EPT table, read from the machine's memory as the processor would."""
    for index, entry in enumerate(struct.unpack("<512Q", root.read(table, PAGE))):
        if not entry & PRESENT:
            continue
        address, size = guest + (index << LEVELS[level]), 1 << LEVELS[level]
        if level == LAST or entry & EptTableEntry.page_size.mask:
            yield Mapping(address, entry & ADDRESS & -size, size, entry & PRESENT)
        else:
            yield from leaves(root, entry & ADDRESS, level + 1, address)


def trespasses(root: RootProcessor, guests: Iterable[Guest]) -> list[Trespass]:
    """What any guest could touch of the hypervisor's memory or of another's; empty where isolation holds.

    Addresses at which the machine has no memory are nobody's and allowed.
    """
    found = []
    for number, guest in enumerate(guests):
        memory = guest.memory
        own = range(memory.base, memory.base + memory.size)
        for leaf in leaves(root, memory.address_space.tables[0]):
            inside = leaf.host in own and leaf.host + leaf.size - 1 in own
            if leaf.host < root.engine.memory_size and not inside:
                found.append(Trespass(number, leaf))
    return found
