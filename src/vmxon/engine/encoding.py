"""Decode tables, derived from the instruction table: for each opcode byte of each map the candidates that may match it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field

from vmxon.engine.groups import group_of
from vmxon.engine.handlers import Handler
from vmxon.engine.hot import FLAT
from vmxon.engine.operand_classes import SOURCE_REG, SOURCE_RM, operand_classes
from vmxon.isa.form import Form, Immediate, Mandatory, Map, Opcode, SizeRule, parse_opcode
from vmxon.isa.table import TABLE, Instruction
from vmxon.microcode.layout import State, scalar
from vmxon.microcode.types import u8, u16

NO_HANDLER = 0xFFFF
SLOTS = 12
"""Handlers of a candidate: operand size 16/32/64 times address kind none/b/x/s."""
MEMORY_KINDS = ("", "b", "x", "s")
SIZES = (16, 32, 64)
MODES = {"16": 1, "32": 2, "64": 4}

# Candidate.flags
MODRM, MEMORY_ONLY, REGISTER_ONLY, LOCKABLE, STACK, BRANCH, MOD_IGNORED = 1, 2, 4, 8, 16, 32, 64
"""LOCKABLE: the destination is in memory. MOD_IGNORED: any ModRM byte names a register (MOV to and from CR and DR)."""


class Candidate(State):
    """One possible reading of an opcode byte."""

    modrm_mask = scalar(u8)
    modrm_value = scalar(u8)
    mandatory = scalar(u8)
    modes = scalar(u8)
    w = scalar(u8)
    """0 any, 1 W must be 0, 2 W must be 1."""
    immediate = scalar(u8)
    size_rule = scalar(u8)
    flags = scalar(u8)
    destination = scalar(u8)
    source = scalar(u8)
    third = scalar(u8)
    feature = scalar(u8)
    """Number of the CPUID feature that it needs, 0 for none."""
    instruction = scalar(u16)
    slots = scalar(u16)
    """Index of the first of its SLOTS handler numbers."""
    vex_length = scalar(u8)
    """0 any, 1 L must be 0, 2 L must be 1."""
    spare = scalar(u8)


@dataclass(slots=True)
class Tables:
    """Everything that the decoder reads, and the handlers that it may name."""

    starts: bytearray = field(default_factory=bytearray)
    """For each map and byte: index of the first candidate and their number, u16 each."""
    candidates: bytearray = field(default_factory=bytearray)
    slots: bytearray = field(default_factory=bytearray)
    handlers: list[Handler] = field(default_factory=list)
    features: list[str] = field(default_factory=lambda: [""])
    mnemonics: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    """The group of each instruction."""


def size_rule(form: Form) -> SizeRule:
    """The operand-size rule of a form."""
    if form.size in ("16", "32", "64"):
        return {"16": SizeRule.ALWAYS_16, "32": SizeRule.ALWAYS_32, "64": SizeRule.ALWAYS_64}[form.size]
    if form.size == "native":
        return SizeRule.ALWAYS_64
    if form.size == "w" or "32/64" in form.operands:
        return SizeRule.W
    if form.force64:
        return SizeRule.FORCED_64
    return SizeRule.DEFAULT_64 if form.default64 else SizeRule.PREFIX


def operand_sizes(form: Form, rule: SizeRule) -> tuple[int, ...]:
    """The operand sizes that a handler is needed for; one where the operands do not depend on it."""
    modes = form.modes.split()
    long, legacy = "64" in modes, "16" in modes or "32" in modes
    match rule:
        case SizeRule.ALWAYS_16:
            return (16,)
        case SizeRule.ALWAYS_32:
            return (32,)
        case SizeRule.ALWAYS_64:
            return ((32,) if legacy else ()) + ((64,) if long else ())
        case SizeRule.W:
            return (32, 64) if long else (32,)
        case SizeRule.DEFAULT_64 | SizeRule.FORCED_64:
            sizes = {16} if legacy or rule is SizeRule.DEFAULT_64 else set()
            return tuple(sorted(sizes | ({32} if legacy else set()) | ({64} if long else set())))
        case SizeRule.PREFIX:
            return (16, 32, 64) if long else (16, 32)
    raise ValueError(rule)


def is_sized(form: Form, instruction: Instruction, tokens: tuple[str, ...]) -> bool:
    """Whether the work depends on the operand size."""
    if any(t.endswith(":") or t == "f:rAX" for t in tokens):
        return True
    if "form" in inspect.signature(instruction.meaning).parameters or instruction.stack:
        return True
    return size_rule(form) is SizeRule.DEFAULT_64 or any(t.endswith(":far") for t in tokens)


Variants = tuple[tuple[str, ...] | None, tuple[str, ...] | None]
"""Operand classes of the register form and of the memory form."""


class Builder:
    """Makes the tables."""

    def __init__(self) -> None:
        self.tables = Tables()
        self.numbers: dict[str, int] = {}
        self.slot_index: dict[tuple[int, ...], int] = {}
        self.by_opcode: dict[tuple[Map, int], list[tuple[int, bytes]]] = {}

    def build(self, table: dict[str, Instruction]) -> Tables:
        """Tables for these instructions."""
        for number, instruction in enumerate(table.values()):
            self.tables.mnemonics.append(instruction.mnemonic)
            self.tables.groups.append(group_of(instruction))
            for form in instruction.forms:
                try:
                    self._form(number, instruction, form)
                except (ValueError, KeyError, IndexError, TypeError, StopIteration) as error:
                    raise ValueError(f"{instruction.mnemonic} {form.opcode!r} {form.operands!r}: {error!r}") from error
        count = 0
        for opcode_map in Map:
            for byte in range(256):
                rows = sorted(self.by_opcode.get((opcode_map, byte), []), key=lambda row: -row[0])
                self.tables.starts += count.to_bytes(2, "little") + len(rows).to_bytes(2, "little")
                for _, row in rows:
                    self.tables.candidates += row
                count += len(rows)
        return self.tables

    def _form(self, number: int, instruction: Instruction, form: Form) -> None:
        opcode = parse_opcode(form.opcode)
        classes = operand_classes(form, opcode)
        plain, memory = classes.variants
        registers = classes.registers
        if instruction.stack and plain is not None and memory is not None:
            # The mode decides the handler of the register form too, so the two forms need slots of their own.
            self._candidate(number, instruction, form, opcode, (plain, None), registers)
            self._candidate(number, instruction, form, opcode, (None, memory), registers)
        else:
            self._candidate(number, instruction, form, opcode, (plain, memory), registers)

    def _candidate(
        self, number: int, instruction: Instruction, form: Form, opcode: Opcode, variants: Variants, registers: list[int]
    ) -> None:
        plain, memory = variants
        rule = size_rule(form)
        slots = [NO_HANDLER] * SLOTS
        for bits in operand_sizes(form, rule):
            self._slots(slots, instruction, form, bits, variants)
        flags = LOCKABLE if instruction.lockable and memory is not None and memory[0].startswith("m:") else 0
        if opcode.has_modrm or any(r & 15 in (SOURCE_REG, SOURCE_RM) for r in registers):
            flags |= MODRM
        if plain is None and opcode.immediate is not Immediate.MOFFS:
            flags |= MEMORY_ONLY | MODRM
        if memory is None and flags & MODRM and opcode.modrm_byte is None:
            flags |= MOD_IGNORED if {"CR", "DR"} & set(form.tokens) else REGISTER_ONLY
        if instruction.stack:
            flags |= STACK
        if instruction.flow != "next":
            flags |= BRANCH
        mask = value = 0
        if opcode.digit is not None:
            mask, value = 0x38, opcode.digit << 3
        if opcode.modrm_byte is not None:
            mask, value = 0xFF, opcode.modrm_byte
        modes = sum(MODES[m] for m in form.modes.split())
        if instruction.feature and instruction.feature not in self.tables.features:
            self.tables.features.append(instruction.feature)
        feature = self.tables.features.index(instruction.feature)
        required = {None: 0, 0: 1, 1: 2}
        row = bytes(
            [mask, value, opcode.mandatory, modes, required[opcode.w], opcode.immediate, rule, flags, *registers, feature]
        )
        row += number.to_bytes(2, "little") + self._slot_group(slots).to_bytes(2, "little")
        row = (row + bytes([required[opcode.vex_length]])).ljust(Candidate.size, b"\0")
        weight = mask.bit_count() * 16 + (8 if opcode.mandatory > Mandatory.NONE else 4 if opcode.mandatory else 0) + (opcode.w is not None)
        for low in range(8 if opcode.in_opcode else 1):
            self.by_opcode.setdefault((opcode.map, opcode.byte + low), []).append((weight, row))

    def _slot_group(self, slots: list[int]) -> int:
        key = tuple(slots)
        if key not in self.slot_index:
            self.slot_index[key] = len(self.tables.slots) // 2
            for slot in slots:
                self.tables.slots += slot.to_bytes(2, "little")
        return self.slot_index[key]

    def _slots(self, slots: list[int], instruction: Instruction, form: Form, bits: int, variants: Variants) -> None:
        plain, memory = variants
        for kind_index, kind in enumerate(MEMORY_KINDS):
            if kind in ("b", "x") and ("64" not in form.modes or (instruction.stack and bits == 32)):
                continue
            if kind == "":
                tokens = None if instruction.stack else plain
            elif memory is not None:
                tokens = memory
            else:
                tokens = plain if instruction.stack and kind != "x" else None
            if tokens is None:
                continue
            shared = bits if is_sized(form, instruction, tokens) else 32
            flat = instruction.stack or instruction.mnemonic in FLAT
            used = kind if flat or kind == "" else "s"
            slots[SIZES.index(bits) * 4 + kind_index] = self._handler(Handler(instruction, form, tokens, shared, used))

    def _handler(self, handler: Handler) -> int:
        number = self.numbers.get(handler.name)
        if number is None:
            number = self.numbers[handler.name] = len(self.tables.handlers)
            self.tables.handlers.append(handler)
        return number


def build_tables() -> Tables:
    """Decode tables of the whole instruction table, equal in whatever order its modules were imported."""
    return Builder().build(dict(sorted(TABLE.items(), key=lambda row: row[1].source)))


def forms() -> Iterator[tuple[Instruction, Form]]:
    """Every encoding of the table."""
    for instruction in TABLE.values():
        for form in instruction.forms:
            yield instruction, form
