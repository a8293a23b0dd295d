"""Interpreter handlers: one for each instruction, operand classes, operand size and kind of address."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import cached_property

from vmxon.engine.convention import CONVENTION
from vmxon.isa.flow import BranchTarget
from vmxon.isa.form import Form, parse_opcode
from vmxon.isa.operands import (
    FIXED,
    ConstantOperand,
    FixedRegister,
    FormVariant,
    ImmediateOperand,
    MemoryOperand,
    MmxOperand,
    NumberOperand,
    Operand,
    RegisterOperand,
    SecondImmediate,
    TargetOperand,
    XmmOperand,
)
from vmxon.isa.record import Record
from vmxon.isa.table import Instruction
from vmxon.microcode.golden import PythonEmitter
from vmxon.microcode.language import inline
from vmxon.microcode.llvm import LlvmEmitter
from vmxon.microcode.program import Program
from vmxon.microcode.translator import Translator
from vmxon.microcode.types import TYPES, IntType, unsigned
from vmxon.microcode.values import HOT, Signature, StateRef, Value
from vmxon.processor.exceptions import general_protection
from vmxon.processor.state import ProcessorState

U64, U8 = TYPES["u64"], TYPES["u8"]
ARGUMENTS = "ptr %cpu, ptr %record, i64 %budget0, i64 %result0, i64 %auxiliary0"
PARAMETERS = "(ptr, ptr, i64, i64, i64)"


@dataclass(frozen=True, slots=False)
class Handler:
    """What one handler is made for."""

    instruction: Instruction
    form: Form
    tokens: tuple[str, ...]
    """Operand classes, normalized so that forms with equal work share a handler."""
    operand_bits: int
    memory: str

    @cached_property
    def name(self) -> str:
        """The symbol, equal in every process."""
        tokens = ".".join(t.replace("/", "") for t in self.tokens)
        suffix = ".u" if self.form.unaligned else ""
        if self.instruction.mnemonic.endswith("cc"):
            suffix += f".{parse_opcode(self.form.opcode).byte & 15:x}"
        mnemonic = self.instruction.mnemonic.replace(" ", "_")
        return f"h.{mnemonic}.{tokens}.{self.operand_bits}{'.' + self.memory if self.memory else ''}{suffix}"


class HandlerTranslator(Translator, BranchTarget):
    """Translates a meaning in the frame of a handler."""

    def __init__(self, program: Program, emitter: LlvmEmitter | PythonEmitter, handler: Handler) -> None:
        super().__init__(program, emitter, Signature(handler.name, (), ()))
        self.handler = handler
        python = isinstance(emitter, PythonEmitter)
        self.cpu = StateRef(ProcessorState, "cpu" if python else "%cpu", is_cpu=True)
        self.record = StateRef(Record, "record" if python else "%record")

    def translate(self) -> object:
        """The text of the handler."""
        emitter, flow = self.emitter, self.handler.instruction.flow
        llvm = isinstance(emitter, LlvmEmitter)
        if llvm and flow != "system":
            for field, argument in zip(HOT, ("%result0", "%auxiliary0", "%budget0"), strict=True):
                variable = emitter.declare(U64, field)
                emitter.assign(variable, Value(U64, argument))
                self.hot[field] = variable
                self.hot_offset[field] = ProcessorState.members[field].offset
        elif flow == "system":
            if isinstance(emitter, LlvmEmitter):
                for field, argument in zip(HOT, ("%result0", "%auxiliary0", "%budget0"), strict=True):
                    emitter.store_field("%cpu", ProcessorState.members[field].offset, None, Value(U64, argument), True)
            following = emitter.load_field(self.record.base, Record.members["next_rip"].offset, None, U64, False)
            length = emitter.convert(emitter.load_field(self.record.base, Record.members["length"].offset, None, U8, False), U64)
            emitter.store_field(self.cpu.base, ProcessorState.members["next_rip"].offset, None, following, True)
            emitter.store_field(self.cpu.base, ProcessorState.members["rip"].offset, None, emitter.binary("sub", following, length), True)
        if self.handler.instruction.cpl0:
            self.expand(_check_cpl0, [self.cpu], {})
        self._meaning()
        if isinstance(emitter, LlvmEmitter):
            if not self.dead:
                self._finish(emitter, flow)
            return self._text(emitter, flow)
        return emitter

    def _meaning(self) -> None:
        meaning = self.handler.instruction.meaning
        variant = FormVariant(self.handler.form, self.handler.operand_bits, self.handler.memory)
        operands: list[object] = [
            make_operand(token, self.handler, self.cpu, self.record, first=index == 0) for index, token in enumerate(self.handler.tokens)
        ]
        names = list(inspect.signature(meaning).parameters)[1:]
        extra: dict[str, object] = {"record": self.record, "form": variant}
        keywords = {name: extra[name] for name in names if name in extra}
        positional = [n for n in names if n not in extra]
        keywords.update(dict(zip(positional, operands, strict=False)))
        if len(operands) > len(positional) and self.handler.tokens[-1].startswith("j:"):
            operands.pop()  # a meaning that needs no more than the record of its branch
        if len(operands) > len(positional):
            raise TypeError(f"{self.handler.name}: {len(operands)} operands, meaning takes {positional}")
        self.expand(inline(meaning), [self.cpu], keywords)

    # Ways out.
    def _hot_values(self, emitter: LlvmEmitter) -> str:
        order = ("budget", "flag_result", "flag_auxiliary")
        values = [emitter.read(self.hot[name]).text if name in self.hot else "undef" for name in order]
        return f"i64 {values[0]}, i64 {values[1]}, i64 {values[2]}"

    def _finish(self, emitter: LlvmEmitter, flow: str) -> None:
        if flow == "system":
            following = emitter.load_field("%cpu", ProcessorState.members["next_rip"].offset, None, U64, True)
            emitter.store_field("%cpu", ProcessorState.members["rip"].offset, None, following, True)
            emitter.emit("ret void")
            return
        record = emitter.fresh()
        emitter.emit(f"{record} = getelementptr i8, ptr %record, i64 64")
        self._tail(emitter, record, self._hot_values(emitter))

    def _tail(self, emitter: LlvmEmitter, record: str, hot: str) -> None:
        function = emitter.fresh()
        emitter.emit(f"{function} = load ptr, ptr {record}, align 8")
        emitter.emit(f"musttail call {CONVENTION} void {function}(ptr %cpu, ptr {record}, {hot})")
        emitter.emit("ret void")

    def jump_relative(self, cpu: StateRef, record: StateRef, taken: Value | bool) -> None:
        emitter = self.emitter
        target = emitter.load_field(self.record.base, Record.members["displacement"].offset, None, U64, False)
        following = emitter.load_field(self.record.base, Record.members["next_rip"].offset, None, U64, False)
        if isinstance(taken, Value) and taken.number is not None:
            taken = bool(taken.number)
        if isinstance(emitter, PythonEmitter):
            chosen = emitter.select(taken, target, following) if isinstance(taken, Value) else target if taken else following
            emitter.store_field(cpu.base, ProcessorState.members["rip"].offset, None, chosen, True)
            return
        if not isinstance(taken, Value):
            self._chain(emitter, target if taken else following, "link_taken" if taken else "link_next")
        else:
            yes, no = emitter.label(), emitter.label()
            emitter.emit(f"br i1 {taken.text}, label %{yes}, label %{no}")
            emitter.emit(f"{yes}:")
            self._chain(emitter, target, "link_taken")
            emitter.emit(f"{no}:")
            self._chain(emitter, following, "link_next")
        self.dead = True

    def _chain(self, emitter: LlvmEmitter, target: Value, link: str) -> None:
        slot = emitter._address("%record", Record.members[link].offset, None)
        linked, count, rest = emitter.fresh(), emitter.fresh(), emitter.fresh()
        go_on, slow = emitter.label(), emitter.label()
        emitter.emit(f"{linked} = load ptr, ptr {slot}, align 8")
        missing = emitter.fresh()
        emitter.emit(f"{missing} = icmp eq ptr {linked}, null")
        first = emitter.label()
        emitter.emit(f"br i1 {missing}, label %{slow}, label %{first}, !prof !0")
        emitter.emit(f"{first}:")
        byte = emitter._address(linked, Record.members["count"].offset, None)
        emitter.emit(f"{count} = load i8, ptr {byte}, align 1")
        wide = emitter.fresh()
        emitter.emit(f"{wide} = zext i8 {count} to i64")
        budget = emitter.read(self.hot["budget"])
        emitter.emit(f"{rest} = sub i64 {budget.text}, {wide}")
        over = emitter.fresh()
        emitter.emit(f"{over} = icmp slt i64 {rest}, 0")
        emitter.emit(f"br i1 {over}, label %{slow}, label %{go_on}, !prof !0")
        emitter.emit(f"{go_on}:")
        result, auxiliary = emitter.read(self.hot["flag_result"]), emitter.read(self.hot["flag_auxiliary"])
        self._tail(emitter, linked, f"i64 {rest}, i64 {result.text}, i64 {auxiliary.text}")
        emitter.emit(f"{slow}:")
        emitter.store_field("%cpu", ProcessorState.members["rip"].offset, None, target, True)
        emitter.emit(f"store ptr {slot}, ptr {emitter._address('%cpu', ProcessorState.members['link_slot'].offset, None)}, align 8")
        hot = self._hot_values(emitter)
        emitter.emit(f"musttail call {CONVENTION} void @jump_cached(ptr %cpu, ptr %record, {hot})")
        emitter.emit("ret void")

    def jump_indirect(self, cpu: StateRef, target: Value) -> None:
        emitter = self.emitter
        emitter.store_field(cpu.base, ProcessorState.members["rip"].offset, None, target, True)
        if isinstance(emitter, LlvmEmitter):
            emitter.store_field("%cpu", ProcessorState.members["link_slot"].offset, None, emitter.const(U64, 0), True)
            emitter.emit(f"musttail call {CONVENTION} void @jump_cached(ptr %cpu, ptr %record, {self._hot_values(emitter)})")
            emitter.emit("ret void")
            self.dead = True

    def _text(self, emitter: LlvmEmitter, flow: str) -> str:
        lines = [f'define {CONVENTION} void @"{self.handler.name}"({ARGUMENTS}) nounwind {{', "entry:", *emitter.allocas]
        lines += ["br label %body", "body:", *emitter.lines]
        if emitter.fault_used:
            exit_function = "system_fault" if flow == "system" else "side_exit"
            lines.append("fault:")
            lines.append(
                f"musttail call {CONVENTION} void @{exit_function}(ptr %cpu, ptr %record, i64 %budget0, i64 %result0, i64 %auxiliary0)"
            )
            lines.append("ret void")
        return "\n".join([*lines, "}", ""])


def _check_cpl0(cpu: ProcessorState) -> None:
    if cpu.cpl != 0:
        general_protection(cpu, 0)


def make_operand(token: str, handler: Handler, cpu: StateRef, record: StateRef, first: bool) -> Operand:
    """The operand object of a normalized token such as `d:r32`, `s:rm`, `imm`, `m:64`."""
    role, _, rest = token.partition(":")
    sized = unsigned(handler.operand_bits)
    field = {"d": "destination", "s": "source", "t": "third"}.get(role, "destination")
    modifies = handler.instruction.modifies and first
    if role == "i":
        return ImmediateOperand(cpu, record, unsigned(int(rest)) if rest else sized)
    if role == "k":
        return SecondImmediate(cpu, record, unsigned(int(rest)))
    if role == "j":
        return TargetOperand(cpu, record, sized, rest == "far")
    if role == "c":
        return ConstantOperand(cpu, record, TYPES["u8"], int(rest))
    if role == "f":
        bits, offset = FIXED[rest]
        return FixedRegister(cpu, record, unsigned(bits) if bits else sized, offset)
    if role == "n":
        return NumberOperand(cpu, record, {"d": "destination", "s": "source"}[rest.rpartition(".")[2]])
    if rest == "mm":
        return MmxOperand(cpu, record, field)
    if rest.startswith("x"):
        kind_bits = int(rest[1:])
        if handler.memory and role == "m":
            aligned = kind_bits == 128 and not handler.form.unaligned
            return MemoryOperand(cpu, record, unsigned(kind_bits), handler.memory, modifies, aligned)
        return XmmOperand(cpu, record, unsigned(min(kind_bits, 128)), field)
    width: IntType = unsigned(int(rest)) if rest else sized
    if role == "m":
        return MemoryOperand(cpu, record, width, handler.memory, modifies, False)
    return RegisterOperand(cpu, record, width, field)

