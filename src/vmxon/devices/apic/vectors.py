"""A set of interrupt vectors: IRR, ISR and TMR."""

from __future__ import annotations

from vmxon.devices.state import Saved, State

WORD = 0xFFFF_FFFF


class VectorSet(Saved):
    """256 bits, one for each vector."""

    def __init__(self) -> None:
        self.bits = 0

    def __contains__(self, vector: int) -> bool:
        return bool(self.bits >> vector & 1)

    def add(self, vector: int) -> None:
        """Set one bit."""
        self.bits |= 1 << vector

    def discard(self, vector: int) -> None:
        """Clear one bit."""
        self.bits &= ~(1 << vector)

    @property
    def highest(self) -> int:
        """The vector of highest priority; 0 where there is none (vectors below 16 are never in a set)."""
        return max(self.bits.bit_length() - 1, 0)

    def word(self, number: int) -> int:
        """One of the eight registers that show the set."""
        return self.bits >> 32 * number & WORD

    def clear(self) -> None:
        """Empty the set."""
        self.bits = 0

    def state(self) -> State:
        return {"bits": self.bits.to_bytes(32, "little")}

    def restore(self, state: State) -> None:
        bits = state["bits"]
        if not isinstance(bits, bytes):
            raise ValueError(f"state of VectorSet must be bytes, not {bits!r}")
        self.bits = int.from_bytes(bits, "little")
