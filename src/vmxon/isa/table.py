"""The instruction table: each instruction's encodings and meaning, declared together; everything else is derived from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from vmxon.isa.form import Form

F = TypeVar("F", bound=Callable[..., None])
FLOWS = ("next", "branch", "system")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One row: mnemonic, encodings, meaning, and what the decoder and the engine must know of it."""

    mnemonic: str
    forms: tuple[Form, ...]
    meaning: Callable[..., None]
    writes: str
    """Status flags that it changes, as in `of sf zf af pf cf`."""
    undefined: str
    """Status flags that it leaves undefined."""
    modifies: bool
    """The first operand is read and written."""
    lockable: bool
    flow: str
    cpl0: bool
    feature: str
    stack: bool
    """Uses the stack implicitly: 64-bit mode and the others have handlers of their own."""

    @property
    def source(self) -> str:
        """The module that declares it."""
        return self.meaning.__module__


TABLE: dict[str, Instruction] = {}


def instruction(
    mnemonic: str,
    *forms: Form,
    writes: str = "",
    undefined: str = "",
    modifies: bool = False,
    lockable: bool = False,
    flow: str = "next",
    cpl0: bool = False,
    feature: str = "",
    stack: bool = False,
) -> Callable[[F], F]:
    """Enter the decorated meaning into the table.

    Raises:
        ValueError: the mnemonic is declared twice, or `flow` is unknown.
    """
    if flow not in FLOWS:
        raise ValueError(f"{mnemonic}: flow {flow!r} is none of {', '.join(FLOWS)}")

    def add(meaning: F) -> F:
        if mnemonic in TABLE:
            raise ValueError(f"{mnemonic} is declared in {TABLE[mnemonic].source} and in {meaning.__module__}")
        TABLE[mnemonic] = Instruction(
            mnemonic, forms, meaning, writes, undefined, modifies, lockable, flow, cpl0, feature, stack
        )
        return meaning

    return add


__all__ = ["TABLE", "Form", "Instruction", "instruction"]
