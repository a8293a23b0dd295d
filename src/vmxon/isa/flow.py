"""Ways out of a block, for `branch` instructions. The engine's handlers and the golden model each give them their own body."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from vmxon.microcode import staged

if TYPE_CHECKING:
    from vmxon.microcode.translator import Translator
    from vmxon.microcode.values import StateRef, Value


@staged
def jump_relative(t: Translator, cpu: StateRef, record: StateRef, taken: Value | bool) -> None:
    """Go to the record's target (`displacement`) where `taken`, else to the next instruction; ends the handler."""
    cast(BranchTarget, t).jump_relative(cpu, record, taken)


@staged
def jump_indirect(t: Translator, cpu: StateRef, target: Value) -> None:
    """Go to an address computed at run time; ends the handler."""
    cast(BranchTarget, t).jump_indirect(cpu, target)


class BranchTarget:
    """What a translator of handlers offers."""

    def jump_relative(self, cpu: StateRef, record: StateRef, taken: Value | bool) -> None:
        """See the function of this name."""
        raise NotImplementedError

    def jump_indirect(self, cpu: StateRef, target: Value) -> None:
        """See the function of this name."""
        raise NotImplementedError
