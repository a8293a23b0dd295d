"""The one access that is too hot for a pointer: a field of a TLB entry at a fixed distance from the processor's state."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from vmxon.microcode import IntType, staged, u64
from vmxon.processor.tlb import TLB_OFFSET

if TYPE_CHECKING:
    from vmxon.microcode.translator import Translator
    from vmxon.microcode.values import StateRef, Value


@staged
def tlb_field(t: Translator, cpu: StateRef, entry: Value, field: int) -> Value:
    """A u64 of the TLB entry at byte offset `entry` of the table."""
    return t.emitter.load_field(cpu.base, TLB_OFFSET + field, entry, cast(IntType, u64), True)
