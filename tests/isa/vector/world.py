"""One instruction of x87 or SSE with everything that it reads and writes; addresses are [rsi]."""

from __future__ import annotations

from dataclasses import dataclass, replace

MEMORY = 64
"""Bytes at [rsi], aligned to 16."""
STATUS_FLAGS = 0x8D5
X87_CLEAN = 0x037F


@dataclass(frozen=True, slots=True)
class World:
    """State before or after."""

    xmm: tuple[int, ...] = (0, 0, 0, 0)
    """XMM0–XMM3, 128 bits each."""
    mxcsr: int = 0x1F80
    control: int = X87_CLEAN
    status: int = 0
    """With TOP."""
    present: int = 0
    """A bit for each physical register that is not empty."""
    stack: tuple[tuple[int, int], ...] = ((0, 0),) * 8
    """ST(0)–ST(7): head (sign and biased exponent) and significand."""
    rax: int = 0
    rcx: int = 0
    rdx: int = 0
    rflags: int = 2
    memory: bytes = bytes(MEMORY)

    @property
    def visible(self) -> World:
        """Without what empty registers hold."""
        top = self.status >> 11 & 7
        kept = tuple(number if self.present >> ((top + index) & 7) & 1 else (0, 0) for index, number in enumerate(self.stack))
        return replace(self, stack=kept, rflags=self.rflags & STATUS_FLAGS)


def differences(ours: World, theirs: World) -> list[str]:
    """One line for each field that differs."""
    lines = []
    for name in World.__slots__:
        mine, other = getattr(ours, name), getattr(theirs, name)
        if mine != other:
            lines.append(f"{name} {shown(mine)}, not {shown(other)}")
    return lines


def shown(value: object) -> str:
    """A field in hexadecimal."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return "(" + ", ".join(shown(part) for part in value) + ")"
    return f"{value:#x}"
