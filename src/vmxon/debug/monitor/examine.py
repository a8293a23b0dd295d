"""Memory and numbers as the monitor prints them: `x/FMT`, `xp/FMT`, `print/FMT`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from vmxon.debug.monitor.complaint import Complaint

SIZES = {"b": 1, "h": 2, "w": 4, "g": 8}
LETTERS = "xduoc"
MOST = 0x1_0000
"""Units of one command."""


@dataclass(frozen=True, slots=True)
class Format:
    """How many units, how they are written, and their size in bytes."""

    count: int = 1
    letter: str = "x"
    size: int = 4

    @classmethod
    def of(cls, text: str) -> Format:
        """The part behind the slash: a count, a letter of xduoc, a size of bhwg, each of which may be missing."""
        match = re.fullmatch(r"(\d*)([a-z]*)", text)
        letters = match[2] if match else text
        if match is None or any(letter not in LETTERS and letter not in SIZES and letter != "i" for letter in letters):
            raise Complaint(f"/{text} is no format: write a count, one of {', '.join(LETTERS)}, and a size of b, h, w, g, such as /8xg")
        if "i" in letters:
            raise Complaint("there is no disassembler here; ask gdb (-s, then x/i $pc)")
        count = int(match[1] or 1)
        if not 0 < count <= MOST:
            raise Complaint(f"{count} units are too many or none: 1 to {MOST}")
        written = next((letter for letter in reversed(letters) if letter in LETTERS), "x")
        size = next((SIZES[letter] for letter in reversed(letters) if letter in SIZES), 1 if written == "c" else 4)
        return cls(count, written, size)

    def text(self, value: int) -> str:
        """One unit, as wide as its size can need."""
        bits = 8 * self.size
        match self.letter:
            case "d":
                return f"{value - (value >> (bits - 1) << bits):>{len(str(-(1 << (bits - 1))))}}"
            case "u":
                return f"{value:>{len(str((1 << bits) - 1))}}"
            case "o":
                return f"0{value:0{(bits + 2) // 3}o}"
            case "c":
                return repr(chr(value & 0xFF)) if value & 0xFF < 0x80 else f"'\\x{value & 0xFF:02x}'"
        return f"0x{value:0{bits // 4}x}"


def dump(start: int, form: Format, read: Callable[[int, int], bytes]) -> str:
    """Lines of units; reading ends at the first that is not there."""
    row = max(1, (8 if form.size == 1 else 16) // form.size)
    lines = []
    for first in range(0, form.count, row):
        units = min(row, form.count - first)
        address = start + first * form.size & (1 << 64) - 1
        data = read(address, units * form.size)
        whole = len(data) // form.size
        cells = [form.text(int.from_bytes(data[form.size * n : form.size * (n + 1)], "little")) for n in range(whole)]
        if cells:
            lines.append(f"{address:016x}: {' '.join(cells)}\n")
        if whole < units:
            lines.append(f"Cannot access memory at {address + whole * form.size:#x}\n")
            break
    return "".join(lines)
