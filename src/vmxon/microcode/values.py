"""What the translator computes with: runtime values, and references into state."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn

from vmxon.microcode.layout import Array, State, Structs
from vmxon.microcode.types import IntType


class MicrocodeError(Exception):
    """A microcode function leaves the restricted language; the message starts with file and line."""


@dataclass(frozen=True, slots=True)
class Value:
    """A runtime value: its type, its text in the target, and its number where it is known at compile time."""

    kind: IntType
    text: str
    number: int | None = None

    def __bool__(self) -> NoReturn:
        raise TypeError("a runtime value has no truth value at compile time")


@dataclass(slots=True)
class Variable:
    """A local that is assigned more than once."""

    kind: IntType
    text: str


@dataclass(frozen=True, slots=True)
class StateRef:
    """A structure in memory: base pointer, constant offset, and a runtime offset for elements of arrays."""

    layout: type[State]
    base: str
    offset: int = 0
    dynamic: Value | None = None
    is_cpu: bool = False


@dataclass(frozen=True, slots=True)
class ArrayRef:
    """An array member of a structure."""

    array: Array
    place: StateRef


@dataclass(frozen=True, slots=True)
class StructsRef:
    """An array of structures."""

    structs: Structs[State]
    place: StateRef


@dataclass(slots=True)
class Signature:
    """A compiled out-of-line function as its callers see it."""

    name: str
    parameters: tuple[IntType | type[State], ...]
    results: tuple[IntType, ...]
    can_fault: bool = False
    never_returns: bool = False
    reads: set[str] = field(default_factory=set)
    """Register-cached fields that it, or what it calls, reads."""
    writes: set[str] = field(default_factory=set)


HOT = ("flag_result", "flag_auxiliary", "budget")
"""Fields of the processor that interpreter handlers keep in machine registers."""
