"""Random instructions, made from the forms of the table, in random surroundings."""

from __future__ import annotations

import random
from dataclasses import dataclass
from importlib import import_module

from vmxon.isa.form import Form, Immediate, Mandatory, Map, Opcode, parse_opcode
from vmxon.isa.table import TABLE, Instruction

GENERAL = [
    "arithmetic",
    "bcd",
    "bits",
    "bmi",
    "control",
    "exchange",
    "flags",
    "hints",
    "logic",
    "moves",
    "multiply",
    "repeat",
    "shifts",
    "stack",
    "strings",
]
for _name in GENERAL:
    import_module(f"vmxon.isa.{_name}")

CODE, CODE_SIZE = 0x1000, 0x1000
DATA, DATA_SIZE = 0x20000, 0x10000
START = CODE + 0x800
"""Linear address of the instruction."""
SELECTOR_OF_CODE, SELECTOR_OF_DATA = CODE >> 4, DATA >> 4
"""Real mode: segments start where the areas do."""

EDGES = (0, 1, 2, 3, 7, 8, 15, 16, 31, 32, 33, 63, 64, 65, 0x7F, 0x80, 0x81, 0xFF, 0x7FFF, 0x8000, 0xFFFF)
WIDE_EDGES = (0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, (1 << 64) - 2)
STATUS_AND_DF = 0xCD5
SEGMENT_PREFIXES = (0x26, 0x36, 0x3E, 0x64, 0x65)
PREFIX_OF_MANDATORY = {Mandatory.P66: b"\x66", Mandatory.F3: b"\xf3", Mandatory.F2: b"\xf2"}
VEX_PREFIX = {Mandatory.P66: 1, Mandatory.F3: 2, Mandatory.F2: 3}
VEX_MAP = {Map.VEX_TWO_BYTE: 1, Map.VEX_38: 2, Map.VEX_3A: 3}
ESCAPE = {Map.ONE_BYTE: b"", Map.TWO_BYTE: b"\x0f", Map.MAP_38: b"\x0f\x38", Map.MAP_3A: b"\x0f\x3a"}
RSP, RCX = 4, 1


@dataclass(frozen=True, slots=True)
class Case:
    """One instruction and everything it depends on."""

    instruction: Instruction
    form: Form
    mode: int
    """16, 32 or 64."""
    code: bytes
    registers: tuple[int, ...]
    """RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8–R15."""
    rflags: int
    memory: bytes
    """The data area."""

    @property
    def page(self) -> bytes:
        """The code area: the instruction among NOPs at START, zeros elsewhere, as an access may come here too."""
        return (bytes(START - CODE) + self.code.ljust(16, b"\x90")).ljust(CODE_SIZE, b"\0")

    @property
    def undefined(self) -> str:
        """Flags that the instruction leaves undefined; a shift by the constant 1 defines OF and CF."""
        if self.form.tokens[-1:] == ("1",):
            return "af" if "zf" in self.instruction.writes else ""
        return self.instruction.undefined


def general_instructions() -> list[Instruction]:
    """The rows of the general-purpose modules."""
    return [row for row in TABLE.values() if row.source.removeprefix("vmxon.isa.") in GENERAL]


class Generator:
    """Cases from a seed."""

    def __init__(self, seed: int, only: str = "") -> None:
        self.random = random.Random(seed)
        self.rows = [(row, form) for row in general_instructions() for form in row.forms if only in ("", row.mnemonic)]
        self.memory = self.random.randbytes(DATA_SIZE)

    def case(self) -> Case:
        """The next case."""
        while True:
            row, form = self.random.choice(self.rows)
            mode = self.random.choice((16, 32, 64, 64))
            if str(mode) in form.modes.split() and not (mode == 16 and form.opcode.startswith("VEX")):
                break
        registers = [self.value(mode) for _ in range(16 if mode == 64 else 8)] + [0] * (0 if mode == 64 else 8)
        if self.random.random() < 0.95:
            registers[RSP] = self.pointer(mode)
        if "REP" in row.mnemonic:
            registers[RCX] = self.random.randrange(40)
        rflags = 2 | self.random.getrandbits(12) & STATUS_AND_DF
        return Case(row, form, mode, self.encode(row, form, mode), tuple(registers), rflags, self.memory)

    def pointer(self, mode: int) -> int:
        """An address in the data area, sometimes at the edge of a page or of the area."""
        offset = self.random.randrange(0x100, DATA_SIZE - 0x200)
        if self.random.random() < 0.1:
            offset = (offset & ~0xFFF) + 0x1000 - self.random.randrange(20)
        return offset if mode == 16 else DATA + offset

    def value(self, mode: int) -> int:
        """A register: an address, an edge, or noise."""
        wide = mode == 64
        kind = self.random.random()
        if kind < 0.7:
            return self.pointer(mode)
        if kind < 0.85:
            return self.random.choice(EDGES)
        if mode == 16 and kind < 0.97:
            return self.random.getrandbits(16)
        if kind < 0.91:
            return self.random.choice(WIDE_EDGES) & ((1 << 64 if wide else 1 << 32) - 1)
        return self.random.getrandbits(64 if wide else 32)

    # Encoding.
    def encode(self, row: Instruction, form: Form, mode: int) -> bytes:
        """Bytes of one form with random prefixes, registers, addresses and immediates."""
        opcode = parse_opcode(form.opcode)
        address = self.random.random() < 0.08
        address_bits = {16: 32, 32: 16, 64: 32}[mode] if address else mode
        legacy = bytes([0x67]) if address else b""
        if self.random.random() < 0.08 and not (mode == 64 and row.flow == "branch"):
            legacy += bytes([self.random.choice(SEGMENT_PREFIXES[: 3 if mode == 64 else 5])])
        vex = opcode.map in VEX_MAP
        takes_66 = opcode.mandatory not in (Mandatory.NONE, Mandatory.P66) and not vex and row.flow != "branch"
        if takes_66 and self.random.random() < 0.25:
            legacy += b"\x66"
        tail, is_memory, high = self.modrm(form, opcode, mode, address_bits)
        if row.lockable and is_memory and form.tokens[0][0:3] in ("r/m", "m64", "m12") and self.random.random() < 0.1:
            legacy += b"\xf0"
        tail += self.immediate(form, opcode, mode, address_bits, 16 if b"\x66" in legacy else 32, high)
        byte = opcode.byte + (self.random.randrange(8) if opcode.in_opcode else 0)
        if vex:
            return legacy + self.vex(form, opcode, mode) + bytes([byte]) + tail
        legacy += PREFIX_OF_MANDATORY.get(opcode.mandatory, b"")
        rex = b""
        if mode == 64 and (opcode.w == 1 or self.random.random() < 0.6):
            bits = self.random.getrandbits(4)
            rex = bytes([0x40 | (bits | 8 if opcode.w == 1 else bits)])
            if high is not None:
                rex = bytes([rex[0] & ~3])
        if opcode.modrm_byte is not None:
            tail = bytes([opcode.modrm_byte]) + tail
        return legacy + rex + ESCAPE[opcode.map] + bytes([byte]) + tail

    def vex(self, form: Form, opcode: Opcode, mode: int) -> bytes:
        """A three-byte VEX prefix."""
        extended = 0xE0 if mode != 64 else self.random.getrandbits(3) << 5
        used = any(token.endswith("v") for token in form.tokens)
        vvvv = self.random.getrandbits(4) | (0 if mode == 64 else 8) if used else 15
        pp = VEX_PREFIX.get(opcode.mandatory, 0)
        w = self.random.getrandbits(1) if mode == 64 else 0
        if opcode.w is not None:
            w = opcode.w
        return bytes([0xC4, extended | VEX_MAP[opcode.map], w << 7 | vvvv << 3 | pp])

    def modrm(self, form: Form, opcode: Opcode, mode: int, address_bits: int) -> tuple[bytes, bool, int | None]:
        """ModRM, SIB and displacement; whether memory is addressed; not None where the base must not be extended."""
        if not opcode.has_modrm or opcode.modrm_byte is not None:
            return b"", False, None
        tokens = form.tokens
        only_memory = any(t.startswith("m") and t[1:2] in ("", "8", "1", "3", "6", "e") for t in tokens)
        both = any(t.startswith("r/m") for t in tokens)
        memory = only_memory or (both and self.random.random() < 0.6)
        reg = opcode.digit if opcode.digit is not None else self.random.randrange(8)
        if not memory:
            return bytes([0xC0 | reg << 3 | self.random.randrange(8)]), False, None
        mod, rm = self.random.randrange(3), self.random.randrange(8)
        head = bytes([mod << 6 | reg << 3 | rm])
        if address_bits == 16:
            size = {0: 2 if rm == 6 else 0, 1: 1, 2: 2}[mod]
            return head + self.random.randbytes(size), True, None
        fixed, size, limited = None, {0: 0, 1: 1, 2: 4}[mod], True
        if rm == 4:
            sib = self.random.getrandbits(8)
            if self.random.random() < 0.5:
                sib = sib & 0x3F | 0
            head += bytes([sib])
            if sib & 7 == 5 and mod == 0:
                size, limited = 4, False
        elif rm == 5 and mod == 0:
            size, limited = 4, False
            if mode == 64:
                return head + (DATA + self.random.randrange(0x100, 0xF000) - START).to_bytes(4, "little"), True, fixed
        if size != 4:
            return head + self.random.randbytes(size), True, fixed
        displacement = self.random.randrange(-0x400, 0x400) if limited else self.pointer(mode)
        return head + (displacement & 0xFFFFFFFF).to_bytes(4, "little"), True, fixed

    def immediate(self, form: Form, opcode: Opcode, mode: int, address_bits: int, size: int, high: int | None) -> bytes:
        """Immediate bytes; relative targets stay near, absolute offsets point into the data area."""
        if mode == 16:
            size = 48 - size
        match opcode.immediate:
            case Immediate.NONE:
                return b""
            case Immediate.BYTE | Immediate.RELATIVE_BYTE:
                return self.random.randbytes(1)
            case Immediate.WORD:
                return self.random.randbytes(2)
            case Immediate.D:
                return self.random.randbytes(4)
            case Immediate.RELATIVE_Z:
                width = 2 if mode == 16 else 4
                return (self.random.randrange(-0x400, 0x400) & ((1 << width * 8) - 1)).to_bytes(width, "little")
            case Immediate.WORD_BYTE:
                return self.random.randrange(0x100).to_bytes(2, "little") + self.random.randbytes(1)
            case Immediate.MOFFS:
                return self.pointer(mode).to_bytes(8, "little")[: address_bits // 8]
            case Immediate.Z:
                return self.random.randbytes(size // 8)
            case _:
                return self.random.randbytes(8)  # as long as the longest; the rest is never reached
