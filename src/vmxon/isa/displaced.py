"""A memory operand some distance away: bit strings, and POP after it moved the stack pointer."""

from __future__ import annotations

from typing import cast

from vmxon.isa.operands import MemoryOperand, Operand
from vmxon.microcode import inline, u64


class DisplacedOperand(MemoryOperand):
    """The operand `distance` bytes (u64, two's complement) above another, within the same address size."""

    def __init__(self, original: Operand, distance: int) -> None:
        memory = cast(MemoryOperand, original)
        super().__init__(memory.cpu, memory.record, memory.kind, memory.variant, memory.modifies, memory.aligned)
        self.original, self.distance = memory, distance

    @inline
    def address(self) -> int:
        """Effective address."""
        address = self.original.address() + self.distance
        if self.variant == "s":
            return address & (u64(0xFFFFFFFFFFFFFFFF) >> self.record.address_shift)
        return address
