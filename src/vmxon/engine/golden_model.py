"""The golden model: the same microcode as plain Python on the same state and memory, some hundred thousand instructions a second.

It needs no LLVM for its own work; the decode tables come from the built engine so that both read the same bytes. pdb steps through it
in the sources of the meanings.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import cast

from vmxon.engine.dispatch import dispatch
from vmxon.engine.handlers import Handler, HandlerTranslator
from vmxon.engine.native import Engine
from vmxon.engine.pseudo import PSEUDO
from vmxon.engine.units import tables_of_sources
from vmxon.isa.record import Record
from vmxon.microcode.golden import GuestFault, PythonEmitter
from vmxon.microcode.layout import member_offset
from vmxon.microcode.program import Program, source_of
from vmxon.processor.state import HostRequest

Function = Callable[..., object]
Rendered = tuple[str, list[int]]
HANDLER, NEXT_RIP = member_offset(Record, "handler"), member_offset(Record, "next_rip")


class GoldenModel:
    """Runs an engine's processor in Python; `run` means what `Engine.run` means."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.program = Program(PythonEmitter)
        self.functions: dict[str, Function] = _Lazy(self)
        self.handlers = [*PSEUDO, *tables_of_sources().handlers]
        self.by_address: dict[int, int] = {}
        self.bodies: dict[int, Function] = {}
        arena = engine.arena
        view, base = arena.view, arena.base

        def load(address: int, size: int) -> int:
            at = address - base
            return int.from_bytes(view[at : at + size], "little")

        def store(address: int, value: int, size: int) -> None:
            at = address - base
            view[at : at + size] = value.to_bytes(size, "little")

        def attempt(function: Function, *arguments: object) -> bool:
            try:
                function(*arguments)
            except GuestFault:
                return False
            return True

        words = engine.state.bound_memory.words
        self.namespace: dict[str, object] = {
            **{f"W{size}": words[size] for size in (1, 2, 4, 8)},
            "LOAD": load,
            "STORE": store,
            "ATTEMPT": attempt,
            "GuestFault": GuestFault,
            "F": self.functions,
        }
        self.load = load
        self.dispatch = cast(Callable[[int], int], self.functions[self.program.require(dispatch).name])

    def compiled(self, rendered: Rendered, file: str) -> Function:
        """A Python function from its text, with the file and lines of the meaning that it came from."""
        text, numbers = rendered
        tree = ast.parse(text)
        for node in ast.walk(tree):
            line = getattr(node, "lineno", None)
            if line is not None:
                node.lineno = node.end_lineno = numbers[line - 1]  # type: ignore[attr-defined]  # nodes with positions
        scope = dict(self.namespace)
        exec(compile(tree, file, "exec"), scope)  # our own translation of our own sources
        return cast(Function, scope["function"])

    def run(self) -> None:
        """Run until state.request says why it stopped."""
        base = self.engine.arena.base
        while True:
            record = self.dispatch(base)
            if record != 0:
                self._block(base, record)
            elif self.engine.state.request == HostRequest.GROUP:
                self.engine.load_group()
            else:
                return

    def _block(self, base: int, record: int) -> None:
        state, library, load = self.engine.state, self.engine.library, self.load
        while True:
            address = load(record + HANDLER, 8)
            if address == library.stop_address:
                state.rip, state.link_slot = load(record + NEXT_RIP, 8), 0
                return
            if address == library.stale_address:
                first = Record(state.bound_memory, record - base)
                state.rip = first.next_rip - first.length & (1 << 64) - 1
                state.budget += first.count
                return
            number = self._number(address)
            flow = self.handlers[number].instruction.flow
            if flow == "system":
                state.next_rip = load(record + NEXT_RIP, 8)
                state.rip = state.next_rip - load(record + member_offset(Record, "length"), 1) & (1 << 64) - 1
            try:
                self._body(number)(base, record)
            except GuestFault:
                state.exit_record = record
                return
            if flow == "system":
                state.rip = state.next_rip
            if flow != "next":
                state.link_slot = 0
                return
            record += Record.size

    def _number(self, address: int) -> int:
        """The number of the handler at an address; groups that were loaded since have new ones."""
        if address not in self.by_address:
            # In reverse, so that the address of PENDING means PENDING.
            self.by_address = {known: number for number, known in reversed([*enumerate(self.engine.library.handlers)])}
        return self.by_address[address]

    def _body(self, number: int) -> Function:
        body = self.bodies.get(number)
        if body is None:
            body = self.bodies[number] = self._translate(self.handlers[number])
        return body

    def _translate(self, handler: Handler) -> Function:
        translator = HandlerTranslator(self.program, PythonEmitter(), handler)
        emitter = cast(PythonEmitter, translator.translate())
        file = source_of(handler.instruction.meaning).file
        return self.compiled(emitter.render(["cpu", "record"], "", translator.dead), file)


class _Lazy(dict[str, Function]):
    """Out-of-line functions by name, compiled when first called."""

    def __init__(self, model: GoldenModel) -> None:
        super().__init__()
        self.model = model

    def __missing__(self, name: str) -> Function:
        function = self[name] = self.model.compiled(cast(Rendered, self.model.program.functions[name]), self.model.program.files[name])
        return function
