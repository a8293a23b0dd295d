"""From the operands of a form to operand classes, and to where the encoding names each register.

A class is a short text such as `d:32` (the record's destination register, 32 bits), `s:` (the source, by operand size), `m:64` (memory),
`i:8` (an immediate). Forms with equal classes share a handler. `engine.handlers.make_operand` reads them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from vmxon.isa.form import Form, Immediate, Map, Opcode
from vmxon.isa.operands import FIXED

# Where a register operand is named, in the low bits; its class above.
SOURCE_NONE, SOURCE_REG, SOURCE_RM, SOURCE_OPCODE, SOURCE_VVVV = range(5)
CLASS_WIDE, CLASS_BYTE, CLASS_NUMBER = 0, 16, 32

WIDTHS = ("8", "16", "32", "64")
NUMBERED = ("Sreg", "CR", "DR", "sti")
SIGN_EXTENDED = (0x83, 0x6B)
"""Opcodes whose immediate byte is the wider immediate of their neighbours in short: one handler serves both."""


@dataclass(slots=True)
class OperandClasses:
    """The classes of a form's register variant and of its memory variant."""

    opcode: Opcode
    plain: list[str] = field(default_factory=list)
    memory: list[str] = field(default_factory=list)
    registers: list[int] = field(default_factory=lambda: [0, 0, 0])
    """Where destination, source and third register are named."""
    has_memory: bool = False
    has_register: bool = False
    """ModRM.rm may name a register."""
    taken: int = 0
    """How many of destination and source are given away."""

    @property
    def variants(self) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
        """Register variant and memory variant; None where the form has no such."""
        plain = tuple(self.plain) if self.has_register or not self.has_memory else None
        return plain, tuple(self.memory) if self.has_memory else None

    def add(self, token: str) -> None:
        """Take the next operand of the form."""
        implied = self._implied(token)
        if implied is not None:
            self.plain.append(implied)
            self.memory.append(implied)
        elif token in ("moffs8", "moffs"):
            self._memory_only(token[5:])
        elif token.startswith("m") and not token.startswith("mm"):
            self._memory_only(token[1:] if token[1:] in (*WIDTHS, "128") else "")
        else:
            self._register(token)

    def _implied(self, token: str) -> str | None:
        """The class of an operand that names no register by a field and is no memory."""
        if token in ("imm8", "imm16", "imm32", "imm"):
            short = self.opcode.byte in SIGN_EXTENDED and self.opcode.map is Map.ONE_BYTE
            second = self.opcode.immediate is Immediate.WORD_BYTE and token == "imm8"
            return f"{'k' if second else 'i'}:{'' if short else token[3:]}"
        if token in FIXED:
            return f"f:{token}"
        return {"1": "c:1", "st": "c:0", "rel": "j:rel", "far": "j:far"}.get(token)

    def _memory_only(self, width: str) -> None:
        self.memory.append(f"m:{width}")
        self.has_memory = True

    def _register(self, token: str) -> None:
        third = token.endswith("v")
        stem = token.removesuffix("v")
        index = 2 if third else self.taken
        role = "dst"[index]
        self.taken += not third
        if stem.startswith(("r/m", "xmm/", "mm/")):
            self._register_or_memory(stem, role, index)
            return
        source = SOURCE_VVVV if third else self._place(stem)
        if stem in NUMBERED:
            self.registers[index] = source | CLASS_NUMBER
            operand = f"n:{stem}.{role}"
        elif stem.startswith("mm"):
            self.registers[index] = source | CLASS_NUMBER
            operand = f"{role}:mm"
        elif stem.startswith("xmm"):
            self.registers[index] = source | CLASS_NUMBER
            operand = f"{role}:x128"
        else:
            width = stem.removeprefix("rm" if stem.startswith("rm") else "r")
            self.registers[index] = source | (CLASS_BYTE if width == "8" else CLASS_WIDE)
            operand = f"{role}:{width if width in WIDTHS else ''}"
        self.has_register |= source == SOURCE_RM
        self.plain.append(operand)
        self.memory.append(operand)

    def _register_or_memory(self, stem: str, role: str, index: int) -> None:
        family, _, width = stem.partition("/m")
        general = family == "r"
        byte = CLASS_BYTE if width == "8" else CLASS_WIDE
        self.registers[index] = SOURCE_RM | (byte if general else CLASS_NUMBER)
        memory = f"x{width}" if family == "xmm" else width if width in WIDTHS else ""
        self.plain.append(f"{role}:{'mm' if family == 'mm' else memory}")
        self.memory.append(f"m:{memory}")
        self.has_memory = self.has_register = True

    def _place(self, stem: str) -> int:
        """The field that names a register operand; `rm`, `rm32`, `xmmrm` and `mmrm` are ModRM.rm in register-only forms."""
        if self.opcode.in_opcode and not stem.startswith("rm"):
            return SOURCE_OPCODE
        if stem.startswith("rm") or stem in ("xmmrm", "mmrm", "sti") or self.opcode.digit is not None:
            return SOURCE_RM
        return SOURCE_REG


def operand_classes(form: Form, opcode: Opcode) -> OperandClasses:
    """The classes of all operands of a form."""
    classes = OperandClasses(opcode)
    for token in form.tokens:
        classes.add(token)
    return classes
