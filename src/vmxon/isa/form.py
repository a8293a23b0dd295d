"""The notation of encodings: `Form("81 /2 iz", "r/m, imm")` says bytes and operands as the manual does."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum


class Map(IntEnum):
    """Opcode maps."""

    ONE_BYTE, TWO_BYTE, MAP_38, MAP_3A, VEX_TWO_BYTE, VEX_38, VEX_3A = range(7)


class Mandatory(IntEnum):
    """Prefixes that take part in the opcode."""

    ANY, NONE, P66, F3, F2, NOT_REPEATED = range(6)
    """NOT_REPEATED: with or without 66, but neither F2 nor F3 (“NFx”)."""


class Immediate(IntEnum):
    """What follows ModRM and displacement."""

    NONE, BYTE, WORD, Z, V, D, MOFFS, FAR, WORD_BYTE, RELATIVE_BYTE, RELATIVE_Z = range(11)


class SizeRule(IntEnum):
    """How the operand size of 16/32/64 bits is found."""

    PREFIX = 0
    DEFAULT_64 = 1
    """64 in 64-bit mode, 16 with the prefix; no 32."""
    FORCED_64 = 2
    """64 in 64-bit mode whatever the prefix."""
    W = 3
    """32, or 64 with REX.W; the 66 prefix does not count."""
    ALWAYS_32 = 4
    ALWAYS_64 = 5
    """64 in 64-bit mode, 32 elsewhere (MOV CR, VMREAD)."""
    ALWAYS_16 = 6


@dataclass(frozen=True, slots=True)
class Form:
    """One encoding with its operands; see the notes at `parse_opcode` and `isa.operands`."""

    opcode: str
    operands: str = ""
    modes: str = "16 32 64"
    default64: bool = False
    force64: bool = False
    size: str = ""
    """'w' for W rule, '16', '32', 'native' (64 in 64-bit mode, else 32); default by prefix."""
    unaligned: bool = False
    """A 16-byte memory operand without alignment check."""

    @property
    def tokens(self) -> tuple[str, ...]:
        """The operands, one by one."""
        return tuple(part.strip() for part in self.operands.split(",") if part.strip())


@dataclass(frozen=True, slots=True)
class Opcode:
    """The parsed opcode column."""

    map: Map
    byte: int
    mandatory: Mandatory
    digit: int | None
    """The ModRM.reg value of `/0`–`/7`."""
    modrm_byte: int | None
    """A whole ModRM byte that belongs to the opcode."""
    has_modrm: bool
    in_opcode: bool
    """The register number is in the low three bits (+r): eight opcodes."""
    immediate: Immediate
    w: int | None
    """Required REX.W / VEX.W."""
    vex_length: int | None


_IMMEDIATES = {
    "ib": Immediate.BYTE, "iw": Immediate.WORD, "iz": Immediate.Z, "iv": Immediate.V, "id": Immediate.D, "cb": Immediate.RELATIVE_BYTE,
    "cz": Immediate.RELATIVE_Z, "moffs": Immediate.MOFFS, "cp": Immediate.FAR,
}  # fmt: skip
_MANDATORY = {"NP": Mandatory.NONE, "66": Mandatory.P66, "F3": Mandatory.F3, "F2": Mandatory.F2, "NFx": Mandatory.NOT_REPEATED}
_VEX_MAPS = {"0F": Map.VEX_TWO_BYTE, "0F38": Map.VEX_38, "0F3A": Map.VEX_3A}
_HEX = re.compile(r"^[0-9A-F]{2}$")


def parse_opcode(text: str) -> Opcode:
    """Parse the opcode notation; raises ValueError for what it does not know."""
    words = text.split()
    mandatory, w, vex_map, vex_length = Mandatory.ANY, None, None, None
    if words[0].startswith("VEX."):
        parts = words.pop(0).split(".")[1:]
        vex_map = next(_VEX_MAPS[p] for p in parts if p in _VEX_MAPS)
        mandatory = next((_MANDATORY[p] for p in parts if p in _MANDATORY), Mandatory.NONE)
        w = {"W0": 0, "W1": 1}.get(parts[-1])
        vex_length = {"LZ": 0, "L0": 0, "L1": 1}.get(parts[0])
    elif words[0] in _MANDATORY and len(words) > 1 and (_HEX.match(words[1]) or words[1].startswith("REX")):
        mandatory = _MANDATORY[words.pop(0)]
    while words and words[0].startswith("REX"):
        if words.pop(0) == "REX.W":
            w = 1
    numbers = []
    while words and _HEX.match(words[0]):
        numbers.append(int(words.pop(0), 16))
    if vex_map is None:
        opcode_map = Map.ONE_BYTE
        for prefix, found in (((0x0F, 0x38), Map.MAP_38), ((0x0F, 0x3A), Map.MAP_3A), ((0x0F,), Map.TWO_BYTE)):
            if tuple(numbers[: len(prefix)]) == prefix and len(numbers) > len(prefix):
                opcode_map, numbers = found, numbers[len(prefix) :]
                break
    else:
        opcode_map = vex_map
    byte = numbers.pop(0)
    modrm_byte = numbers.pop(0) if numbers else None
    digit, has_modrm, in_opcode, immediates = None, modrm_byte is not None, False, []
    for word in words:
        if re.match(r"^/[0-7]$", word):
            digit, has_modrm = int(word[1]), True
        elif word == "/r":
            has_modrm = True
        elif word in ("+r", "+rb", "+rw", "+rd", "+i"):
            in_opcode = True
        elif word in _IMMEDIATES:
            immediates.append(_IMMEDIATES[word])
        else:
            raise ValueError(f"opcode {text!r}: unknown {word!r}")
    if immediates == [Immediate.WORD, Immediate.BYTE]:
        immediate = Immediate.WORD_BYTE
    elif len(immediates) > 1:
        raise ValueError(f"opcode {text!r}: too many immediates")
    else:
        immediate = immediates[0] if immediates else Immediate.NONE
    return Opcode(opcode_map, byte, mandatory, digit, modrm_byte, has_modrm, in_opcode, immediate, w, vex_length)
