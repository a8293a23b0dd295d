"""The shape of an MSR table row: where the value lives and what WRMSR may store (Vol. 4, Vol. 2B “WRMSR”)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from vmxon.arch.bits import Word, field
from vmxon.arch.features import Feature

W = TypeVar("W", bound=Word)
ALL = (1 << 64) - 1


class Storage(Enum):
    """Where the value of an MSR lives."""

    CELL = "a 64-bit cell of its own in the processor's state"
    REGISTER = "a processor register that other instructions use too; its own microcode reads and writes it"
    MODEL = "read-only, computed from the processor model"
    CONSTANT = "always the reset value, whatever was written"
    COMMAND = "write-only: a write does something and leaves nothing to read; RDMSR raises #GP(0)"


class Rule(Enum):
    """What WRMSR demands; a broken rule raises #GP(0)."""

    NEVER = "the register is read-only"
    MASK = "bits outside `writable` are 0"
    CANONICAL = "the value is a canonical linear address"
    PAT = "each byte is one of the memory types 0, 1, 4, 5, 6, 7"
    MEMORY_TYPES = "each byte is one of the memory types 0, 1, 4, 5, 6"
    LOW_TYPE = "bits outside `writable` are 0 and the low byte is one of the memory types 0, 1, 4, 5, 6"
    LOCK = "bits outside `writable` are 0 and the lock, bit 0 of the old value, is clear"


class Whole(Word, width=64):
    """An MSR without named parts."""

    value = field(63, 0, "the whole register")


class LinearAddress(Word, width=64):
    """An MSR that holds a canonical linear address."""

    address = field(63, 0, "a canonical linear address")


@dataclass(frozen=True, slots=True)
class Msr:
    """One row of the MSR table; the register exists on models that have `feature` (on all if None)."""

    address: int
    name: str
    layout: type[Word]
    reset: int
    storage: Storage
    rule: Rule
    writable: int
    feature: Feature | None

    def allows_write(self, old: int, new: int, linear_width: int = 48) -> bool:
        """False where WRMSR must raise #GP(0); `linear_width` is the processor's width of linear addresses in bits."""
        match self.rule:
            case Rule.NEVER:
                return False
            case Rule.CANONICAL:
                return new >> linear_width - 1 in (0, ALL >> linear_width - 1)
            case Rule.PAT:
                return all(byte in (0, 1, 4, 5, 6, 7) for byte in new.to_bytes(8, "little"))
            case Rule.MEMORY_TYPES:
                return all(byte in (0, 1, 4, 5, 6) for byte in new.to_bytes(8, "little"))
            case Rule.LOW_TYPE:
                return not new & ~self.writable and new & 0xFF in (0, 1, 4, 5, 6)
            case Rule.LOCK:
                return not new & ~self.writable and not old & 1
            case Rule.MASK:
                return not new & ~self.writable


MSRS: dict[int, Msr] = {}
"""Every MSR by address, filled by the declarations; import it from `vmxon.arch.msr`, where the table is complete."""


def declare(
    address: int,
    name: str,
    layout: type[Word] = Whole,
    *,
    reset: int = 0,
    storage: Storage = Storage.CELL,
    rule: Rule = Rule.MASK,
    writable: int | None = None,
    feature: Feature | None = None,
) -> Msr:
    """Enter a row into the table; by default software may write the bits that `layout` names."""
    if address in MSRS:
        raise ValueError(f"MSR {address:#x} is declared as {MSRS[address].name} and as {name}")
    if storage is Storage.MODEL:
        rule = Rule.NEVER
    writable = 0 if rule is Rule.NEVER else layout.layout.named if writable is None else writable
    row = MSRS[address] = Msr(address, name, layout, reset, storage, rule, writable, feature)
    return row


def msr(
    address: int,
    name: str,
    *,
    reset: int = 0,
    storage: Storage = Storage.CELL,
    rule: Rule = Rule.MASK,
    writable: int | None = None,
    feature: Feature | None = None,
) -> Callable[[type[W]], type[W]]:
    """Enter the decorated layout into the table."""

    def add(layout: type[W]) -> type[W]:
        declare(address, name, layout, reset=reset, storage=storage, rule=rule, writable=writable, feature=feature)
        return layout

    return add
