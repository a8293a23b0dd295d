"""What one instruction did, and how two answers differ."""

from __future__ import annotations

from dataclasses import dataclass

NAMES = ("RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", *(f"R{n}" for n in range(8, 16)))
FLAGS = {"cf": 1, "pf": 4, "af": 16, "zf": 64, "sf": 128, "df": 1024, "of": 2048}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The state after one instruction."""

    vector: int | None
    """The exception that it raised."""
    registers: tuple[int, ...]
    rip: int
    """In real mode, IP."""
    rflags: int
    """Status flags and DF."""
    memory: bytes


def differences(ours: Outcome, theirs: Outcome, undefined: str) -> list[str]:
    """One line for each thing that differs, undefined flags aside."""
    lines = []
    if ours.vector != theirs.vector:
        lines.append(f"exception {ours.vector}, not {theirs.vector}")
    if ours.rip != theirs.rip:
        lines.append(f"RIP {ours.rip:#x}, not {theirs.rip:#x}")
    for name, mine, other in zip(NAMES, ours.registers, theirs.registers, strict=False):
        if mine != other:
            lines.append(f"{name} {mine:#x}, not {other:#x}")
    for name, bit in FLAGS.items():
        if (ours.rflags ^ theirs.rflags) & bit and name not in undefined.split():
            lines.append(f"{name.upper()} {int(ours.rflags & bit != 0)}, not {int(theirs.rflags & bit != 0)}")
    if ours.memory != theirs.memory:
        place = next(i for i, (a, b) in enumerate(zip(ours.memory, theirs.memory, strict=True)) if a != b)
        mine, other = ours.memory[place : place + 16].hex(), theirs.memory[place : place + 16].hex()
        lines.append(f"memory at {place:#x}: {mine}, not {other}")
    return lines
