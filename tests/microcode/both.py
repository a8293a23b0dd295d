"""One microcode function run both ways: through LLVM, called by ctypes, and as Python; on a small state of its own."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from dataclasses import dataclass

import llvmlite.binding as llvm

from vmxon.engine.compiler import target_machine
from vmxon.microcode import u8, u16, u32, u64, u128
from vmxon.microcode.golden import GuestFault, PythonEmitter
from vmxon.microcode.layout import Memory, State, array, scalar, structs
from vmxon.microcode.llvm import PRELUDE, LlvmEmitter
from vmxon.microcode.program import Program
from vmxon.microcode.types import IntType
from vmxon.microcode.values import Signature

SLOT = 16
SIZE = 4096


class Point(State):
    """A structure inside the state."""

    x = scalar(u32)
    y = scalar(u32)
    tag = scalar(u8)


class Cell(State):
    """A state for tests: scalars of each width, an array, an array of structures, room to load and store."""

    resident = True

    byte = scalar(u8)
    word = scalar(u16)
    double = scalar(u32)
    quad = scalar(u64)
    wide = scalar(u128)
    kind = scalar(u32)
    numbers = array(u32, 8)
    bytes = array(u8, 4)
    points = structs(Point, 4)
    scratch = array(u64, 16)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call left behind: `results` is None where it faulted."""

    results: tuple[int, ...] | None
    state: bytes


def placed() -> tuple[ctypes.Array[ctypes.c_char], Memory]:
    """A zeroed state, and its memory."""
    block = ctypes.create_string_buffer(SIZE)
    return block, Memory(memoryview(block).cast("B"), ctypes.addressof(block))


class Compiled:
    """A function through LLVM."""

    def __init__(self, function: Callable[..., object], statics: tuple[object, ...]) -> None:
        program = Program(LlvmEmitter)
        self.signature = program.require(function, statics)
        text = "\n".join([*map(str, program.functions.values()), wrapper(self.signature), PRELUDE])
        self.module = llvm.parse_assembly(text)
        self.module.verify()
        self.machine = target_machine()
        self.jit = llvm.create_mcjit_compiler(self.module, self.machine)
        self.jit.finalize_object()
        address = self.jit.get_function_address("entry")
        self.entry = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(address)

    def __call__(self, state: bytes, *arguments: int) -> Outcome:
        block, _ = placed()
        block[: len(state)] = state
        given = b"".join((a & (1 << 128) - 1).to_bytes(SLOT, "little") for a in arguments)
        results = ctypes.create_string_buffer(max(1, len(self.signature.results)) * SLOT)
        if self.entry(block, given, results):
            return Outcome(None, block.raw)
        found = [
            kind.wrap(int.from_bytes(results.raw[SLOT * n : SLOT * n + SLOT], "little"))
            for n, kind in enumerate(self.signature.results)
        ]
        return Outcome(tuple(found), block.raw)


def wrapper(signature: Signature) -> str:
    """`entry(state, arguments, results)`: every argument and result in a slot of 16 bytes; true for a fault."""
    lines, texts, number = [], [], 0
    for kind in signature.parameters:
        if isinstance(kind, IntType):
            lines += [f"%q{number} = getelementptr i8, ptr %given, i64 {SLOT * number}"]
            lines += [f"%a{number} = load i{kind.bits}, ptr %q{number}, align 1"]
            texts.append(f"i{kind.bits} %a{number}")
            number += 1
        else:
            texts.append("ptr %state")
    parts = [*(["i1"] if signature.can_fault else []), *(f"i{kind.bits}" for kind in signature.results)]
    whole = "void" if not parts else parts[0] if len(parts) == 1 else "{ " + ", ".join(parts) + " }"
    call = f'call {whole} @"{signature.name}"({", ".join(texts)})'
    lines.append(call if whole == "void" else f"%whole = {call}")
    status = "false"
    for index, part in enumerate(parts):
        value = "%whole"
        if len(parts) > 1:
            value = f"%r{index}"
            lines.append(f"{value} = extractvalue {whole} %whole, {index}")
        if index == 0 and signature.can_fault:
            status = value
            continue
        place = index - signature.can_fault
        lines.append(f"%o{place} = getelementptr i8, ptr %results, i64 {SLOT * place}")
        lines.append(f"%z{place} = {'bitcast' if part == 'i128' else 'zext'} {part} {value} to i128")
        lines.append(f"store i128 %z{place}, ptr %o{place}, align 1")
    return "\n".join(
        ["define i1 @entry(ptr %state, ptr %given, ptr %results) {", *lines, f"ret i1 {status}", "}", ""]
    )


class Interpreted:
    """The same function as Python."""

    def __init__(self, function: Callable[..., object], statics: tuple[object, ...]) -> None:
        self.program = Program(PythonEmitter)
        self.signature = self.program.require(function, statics)

    def __call__(self, state: bytes, *arguments: int) -> Outcome:
        block, memory = placed()
        block[: len(state)] = state
        base = memory.address

        def load(address: int, size: int) -> int:
            assert base <= address <= base + SIZE - size
            return int.from_bytes(memory.block[address - base : address - base + size], "little")

        def store(address: int, value: int, size: int) -> None:
            assert base <= address <= base + SIZE - size
            memory.block[address - base : address - base + size] = value.to_bytes(size, "little")

        def attempt(function: Callable[..., object], *given: object) -> bool:
            try:
                function(*given)
            except GuestFault:
                return False
            return True

        functions: dict[str, Callable[..., object]] = {}
        space = {f"W{n}": memory.words[n] for n in (1, 2, 4, 8)}
        space |= {"LOAD": load, "STORE": store, "ATTEMPT": attempt, "GuestFault": GuestFault, "F": functions}
        for name, (text, _) in self.program.functions.items():
            scope = dict(space)
            exec(text, scope)
            functions[name] = scope["function"]
        rest = iter(arguments)
        given = [kind.wrap(next(rest)) if isinstance(kind, IntType) else base for kind in self.signature.parameters]
        try:
            value = functions[self.signature.name](*given)
        except GuestFault:
            return Outcome(None, block.raw)
        results = value if isinstance(value, tuple) else () if value is None else (value,)
        return Outcome(tuple(int(r) for r in results), block.raw)


class Both:
    """Runs a function both ways and gives the outcome, which must be the same."""

    def __init__(self, function: Callable[..., object], *statics: object) -> None:
        self.compiled, self.interpreted = Compiled(function, statics), Interpreted(function, statics)
        self.name = function.__name__

    def outcome(self, state: bytes, *arguments: int) -> Outcome:
        """Both outcomes, which are one."""
        native, python = self.compiled(state, *arguments), self.interpreted(state, *arguments)
        assert native.results == python.results, f"{self.name}{arguments}: LLVM {native.results}, Python {python.results}"
        assert native.state == python.state, f"{self.name}{arguments}: states differ"
        return native

    def __call__(self, *arguments: int) -> int | tuple[int, ...] | None:
        """The result on a zeroed state; None for a fault."""
        results = self.outcome(b"", *arguments).results
        return results[0] if results is not None and len(results) == 1 else results


def location(message: str) -> re.Match[str] | None:
    """The file and line that an error begins with."""
    return re.match(r"(\S+\.py):(\d+): ", message)
