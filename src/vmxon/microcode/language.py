"""The words of the language: decorators that mark functions, and the primitives that the compiler knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, TypeVar, cast

from vmxon.microcode.types import IntType

F = TypeVar("F", bound=Callable[..., object])


@dataclass(frozen=True, slots=True)
class Mark:
    """How the compiler treats a function: `microcode` out of line, `inline` expanded, `slot` replaceable, `staged` run by the compiler."""

    role: str


@dataclass(frozen=True, slots=True)
class Implementation:
    """A function that takes the place of a slot's default body."""

    slot: Callable[..., object]
    body: Callable[..., object]


IMPLEMENTATIONS: dict[Callable[..., object], Implementation] = {}


def microcode(function: F) -> F:
    """Mark an out-of-line function of the machine."""
    return _mark(function, "microcode")


def inline(function: F) -> F:
    """Mark a function that is expanded at each call."""
    return _mark(function, "inline")


def slot(function: F) -> F:
    """Mark a function whose body another layer may replace with `implements`."""
    return _mark(function, "slot")


def staged(function: Callable[..., object]) -> Callable[..., int]:
    """Mark a function that runs at compile time with the translator as its first argument and emits by itself.

    Its callers see it without the translator, with runtime values for arguments; to a type checker they are ints.
    """
    return cast(Callable[..., int], _mark(function, "staged"))


def implements(target: Callable[..., object]) -> Callable[[F], F]:
    """Mark the function that replaces the body of a slot; a slot has one implementation."""

    def mark(function: F) -> F:
        if role_of(target) != "slot":
            raise TypeError(f"{target.__name__} is no slot")
        known = IMPLEMENTATIONS.get(target)
        if known is not None and known.body.__qualname__ != function.__qualname__:
            raise TypeError(f"slot {target.__name__} is implemented twice: {known.body} and {function}")
        IMPLEMENTATIONS[target] = Implementation(target, function)
        return _mark(function, "microcode")

    return mark


def _mark(function: F, role: str) -> F:
    function.__vmxon__ = Mark(role)  # type: ignore[attr-defined]  # functions take attributes
    return function


def role_of(function: object) -> str | None:
    """The role of a marked function (or bound method), else None."""
    mark = getattr(function, "__vmxon__", None)
    return mark.role if isinstance(mark, Mark) else None


# Primitives. The bodies serve plain-Python execution, where every value is a non-negative int of known meaning.


def load(kind: object, pointer: int) -> int:
    """The integer of type `kind` at host address `pointer`."""
    raise _only_compiled("load")


def store(kind: object, pointer: int, value: int) -> None:
    """Write an integer of type `kind` at host address `pointer`."""
    raise _only_compiled("store")


def fault() -> NoReturn:
    """Abandon the instruction; cpu.fault_kind says why."""
    raise _only_compiled("fault")


def attempt(function: Callable[..., object], *arguments: object) -> bool:
    """Call `function`; False where it faulted."""
    raise _only_compiled("attempt")


def select(condition: bool, yes: int, no: int) -> int:
    """`yes` or `no`, both evaluated."""
    return yes if condition else no


def popcount(value: int) -> int:
    """The number of ones, in the type of the argument."""
    return value.bit_count()


def leading_zeros(value: int) -> int:
    """Zeros above the highest one; the width where there is none."""
    raise _only_compiled("leading_zeros")


def trailing_zeros(value: int) -> int:
    """Zeros below the lowest one; the width where there is none."""
    raise _only_compiled("trailing_zeros")


def byte_swap(value: int) -> int:
    """The bytes in reverse order."""
    raise _only_compiled("byte_swap")


def _only_compiled(name: str) -> RuntimeError:
    return RuntimeError(f"{name}() has a meaning only in compiled microcode")


PRIMITIVES = (load, store, fault, attempt, select, popcount, leading_zeros, trailing_zeros, byte_swap)

__all__ = ["IMPLEMENTATIONS", "PRIMITIVES", "Implementation", "IntType", "Mark", "role_of"]
