"""The one front end: walks a function's syntax tree, evaluates what is static and emits what is not."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, cast

from vmxon.microcode.expressions import Expressions
from vmxon.microcode.golden import PythonEmitter
from vmxon.microcode.language import role_of
from vmxon.microcode.layout import Array, Item, Scalar, State, Structs
from vmxon.microcode.llvm import LlvmEmitter
from vmxon.microcode.program import Source, source_of
from vmxon.microcode.types import BOOL, TYPES, IntType
from vmxon.microcode.values import ArrayRef, MicrocodeError, Signature, StateRef, StructsRef, Value, Variable

if TYPE_CHECKING:
    from vmxon.microcode.program import Program

U64 = TYPES["u64"]


class Frame:
    """One function being walked: its names, and how it returns."""

    def __init__(self, source: Source, names: dict[str, object], results: list[Variable] | None) -> None:
        self.source, self.names = source, names
        self.results = results
        """Where an out-of-line function puts its values; None for an inline one."""
        self.depth = 0
        """Dynamic conditions around the present statement."""
        self.loops = 0
        self.returned: object = None
        self.finished = False
        """An inline function has returned at depth 0."""
        self.escape = ""
        self.escaped = False
        self.inline_results: list[Variable] | None = None
        self.outer: set[str] = set()
        self.unset: set[str] = set()
        """Variables that some way to the present statement leaves without a value."""
        self.breaks: list[list[tuple[set[str], set[str]]]] = []
        """For each dynamic loop: what was unset, and which names were known, at each break."""
        self.unrolled = 0
        """Static loops around the present statement, inside the innermost dynamic one."""


class Translator:
    """Translates the body of one target function (or handler)."""

    def __init__(self, program: Program, emitter: LlvmEmitter | PythonEmitter, signature: Signature) -> None:
        self.program, self.emitter, self.signature = program, emitter, signature
        self.faults = False
        self.dead = False
        self.frames: list[Frame] = []
        self.hot: dict[str, Variable] = {}
        """Fields of the processor that live in variables (interpreter handlers only)."""
        self.hot_offset: dict[str, int] = {}
        self.expressions = Expressions(self)

    @property
    def frame(self) -> Frame:
        """The function being walked."""
        return self.frames[-1]

    def error(self, node: ast.AST, message: str) -> MicrocodeError:
        """An error with file and line."""
        return MicrocodeError(f"{self.frame.source.file}:{getattr(node, 'lineno', 0)}: {self.frame.source.tree.name}: {message}")

    # Functions.
    def function_body(self, source: Source, names: dict[str, object], results: list[Variable]) -> None:
        """Walk an out-of-line function."""
        self.frames.append(Frame(source, names, results))
        self._adopt_parameters()
        self.statements(source.tree.body)
        if not self.dead and (results or self.signature.never_returns):
            raise self.error(source.tree, "control reaches the end without a return")
        self.frames.pop()

    def _adopt_parameters(self) -> None:
        for name, value in self.frame.names.items():
            if name in self.frame.source.assigned_often and isinstance(value, Value):
                variable = self.emitter.declare(value.kind, name)
                self.emitter.assign(variable, value)
                self.frame.names[name] = variable

    def expand(self, function: Callable[..., object], arguments: list[object], keywords: dict[str, object]) -> object:
        """Expand an inline function; gives what it returns."""
        if len(self.frames) > 60:
            raise TypeError(f"inline functions nest too deeply at {function}")
        source = source_of(function)
        names = dict(source.defaults)
        parameters = [a.arg for a in source.tree.args.args]
        if len(arguments) > len(parameters):
            raise TypeError(f"{function.__qualname__} takes {len(parameters)} arguments, {len(arguments)} given")
        names.update(zip(parameters, arguments, strict=False))
        unknown = [k for k in keywords if k not in parameters[len(arguments) :]]
        if unknown:
            raise TypeError(f"{function.__qualname__}: argument {unknown[0]} is unknown, or given twice")
        names.update(keywords)
        missing = [p for p in parameters if p not in names]
        if missing:
            raise TypeError(f"{function.__qualname__}: argument {missing[0]} is missing")
        frame = Frame(source, names, None)
        line = getattr(self.emitter, "line", 0)
        self.frames.append(frame)
        frame.escape = self.emitter.begin_inline()
        self._adopt_parameters()
        self.statements(source.tree.body)
        if frame.escaped and not self.dead and (frame.finished or frame.inline_results):
            if not frame.finished:
                raise self.error(source.tree, "control reaches the end without a return")
            self._store_inline_result(frame, frame.returned, source.tree)
        dead = self.dead
        self.emitter.end_inline(frame.escape, frame.escaped, dead)
        self.frames.pop()
        if isinstance(self.emitter, PythonEmitter):
            self.emitter.line = line
        if frame.escaped:
            self.dead = False
            if not frame.inline_results:
                return None
            values = [self.emitter.read(v) for v in frame.inline_results]
            return values[0] if len(values) == 1 else tuple(values)
        return frame.returned

    # Statements.
    def statements(self, body: Iterable[ast.stmt]) -> None:
        """Walk statements until control cannot go on."""
        for statement in body:
            if self.dead or self.frame.finished:
                return
            if isinstance(self.emitter, PythonEmitter) and len(self.frames) == 1:
                self.emitter.line = statement.lineno
            method = getattr(self, f"_{type(statement).__name__.lower()}", None)
            if method is None:
                raise self.error(statement, f"{type(statement).__name__} has no place in microcode")
            try:
                method(statement)
            except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
                raise self.error(statement, str(error)) from error

    def _pass(self, node: ast.Pass) -> None:
        pass

    def _expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):
            self.expressions.evaluate(node.value)

    def _assert(self, node: ast.Assert) -> None:
        if not self.expressions.evaluate(node.test):
            raise self.error(node, f"static assertion failed: {ast.unparse(node.test)}")

    def _assign(self, node: ast.Assign) -> None:
        value = self.expressions.evaluate(node.value)
        if self.dead:
            return
        for target in node.targets:
            self.assign(target, value)

    def _annassign(self, node: ast.AnnAssign) -> None:
        if node.value is None:
            raise self.error(node, "a declaration needs a value")
        self.assign(node.target, self.expressions.evaluate(node.value))

    def _augassign(self, node: ast.AugAssign) -> None:
        load = ast.copy_location(ast.parse(ast.unparse(node.target), mode="eval").body, node)
        for child in ast.walk(load):
            ast.copy_location(child, node)
        left, right = self.expressions.evaluate(load), self.expressions.evaluate(node.value)
        self.assign(node.target, self.expressions.binary(node, node.op, left, right))

    def assign(self, target: ast.expr, value: object) -> None:
        """Assign to a name, a tuple of names, a field, an element, or an attribute of a static object."""
        if isinstance(target, ast.Name):
            self._assign_name(target, value)
        elif isinstance(target, ast.Tuple):
            if not isinstance(value, tuple) or len(value) != len(target.elts):
                raise self.error(target, f"cannot unpack {value!r} into {ast.unparse(target)}")
            for part, item in zip(target.elts, value, strict=True):
                self.assign(part, item)
        elif isinstance(target, ast.Attribute):
            owner = self.expressions.evaluate(target.value)
            if isinstance(owner, StateRef):
                self.store_member(target, owner, target.attr, value)
            elif self.frame.depth and isinstance(value, Value):
                raise self.error(target, "an attribute of a static object cannot be set under a dynamic condition")
            else:
                setattr(owner, target.attr, value)
        elif isinstance(target, ast.Subscript):
            place = self.expressions.evaluate(target.value)
            if not isinstance(place, ArrayRef):
                raise self.error(target, f"{ast.unparse(target.value)} is no array of the state")
            index = self.expressions.evaluate(target.slice)
            offset, dynamic = self.element(target, place.place, place.array, place.array.element.size, place.array.count, index)
            stored = self.typed(target, value, place.array.element.kind)
            self.emitter.store_field(place.place.base, offset, dynamic, stored, place.place.is_cpu)
        else:
            raise self.error(target, "cannot assign to this")

    def _assign_name(self, target: ast.Name, value: object) -> None:
        names, name = self.frame.names, target.id
        self.frame.unset.discard(name)
        known = names.get(name)
        if isinstance(value, bool) and known is None and name in self.frame.source.assigned_often:
            value = self.emitter.const(BOOL, int(value))  # a flag that changes later: its type is plain
        if isinstance(known, Variable):
            self.emitter.assign(known, self.typed(target, value, known.kind))
        elif isinstance(value, Value):
            if name not in self.frame.source.assigned_often:
                names[name] = self.emitter.bind(value, name)
                return
            if known is not None and self.frame.depth and name in self.frame.outer:
                raise self.error(target, f"{name} is static outside this condition; start it as a typed value")
            variable = self.emitter.declare(value.kind, name)
            self.emitter.assign(variable, value)
            names[name] = variable
        else:
            if self.frame.depth and name in self.frame.outer and known is not value and known != value:
                raise self.error(target, f"{name} changes under a dynamic condition; start it as a typed value, such as u64(0)")
            names[name] = value

    def _if(self, node: ast.If) -> None:
        test = self.expressions.evaluate(node.test)
        if self.dead:
            return
        if isinstance(test, Value) and test.number is not None:
            test = bool(test.number)
        if not isinstance(test, Value):
            self.statements(node.body if self.expressions.truth(node, test) else node.orelse)
            return
        if test.kind is not BOOL:
            raise self.error(node, f"a condition must be bool, not {test.kind}: compare with != 0")
        frame = self.frame
        outer, names, unset = frame.outer, dict(frame.names), frame.unset
        frame.outer = set(names)
        frame.depth += 1
        frame.unset = set(unset)
        both = self.emitter.begin_if(test, bool(node.orelse))
        dead_yes = self._branch(node.body)
        names_yes = dict(frame.names)
        unset_yes = frame.unset
        frame.names = self._scoped(names, names_yes)
        declared_yes = set(frame.names) - set(names)
        frame.unset = unset | declared_yes
        self.emitter.begin_else(both, dead_yes)
        dead_no = self._branch(node.orelse)
        declared_no = {n for n, v in frame.names.items() if isinstance(v, Variable)} - declared_yes - set(names)
        frame.unset = (set() if dead_yes else unset_yes | declared_no) | (set() if dead_no else frame.unset)
        merged = self._scoped(names, frame.names)
        for name, value in names_yes.items():
            if name not in merged and (dead_no or (name in frame.names and frame.names[name] is value) or isinstance(value, Variable)):
                merged[name] = value
        if dead_yes:
            merged = frame.names
        frame.names = merged
        self.emitter.end_if(both, dead_no, dead_yes and dead_no)
        self.dead = dead_yes and dead_no
        frame.depth -= 1
        frame.outer = outer

    def _branch(self, body: list[ast.stmt]) -> bool:
        """Walk one branch; True where control does not come out of it."""
        self.dead = False
        self.statements(body)
        return self.dead

    def _scoped(self, before: dict[str, object], after: dict[str, object]) -> dict[str, object]:
        """The names after a branch: old ones, and variables declared in it; values bound inside go out of scope."""
        return {name: value for name, value in after.items() if name in before or isinstance(value, Variable)}

    def _while(self, node: ast.While) -> None:
        frame = self.frame
        if node.orelse:
            raise self.error(node, "a loop with else has no place in microcode")
        outer, names, unrolled = frame.outer, dict(frame.names), frame.unrolled
        frame.outer = set(names)
        frame.depth += 1
        frame.loops += 1
        frame.unrolled = 0
        frame.breaks.append([])
        self.emitter.begin_loop()
        test = self.expressions.evaluate(node.test)
        endless = not isinstance(test, Value)
        if isinstance(test, Value):
            if test.kind is not BOOL:
                raise self.error(node, f"a condition must be bool, not {test.kind}")
            self.emitter.exit_loop_unless(test)
        elif not self.expressions.truth(node, test):
            raise self.error(node, "this loop never runs")
        exits = [] if endless else [(set(frame.unset), set(frame.names))]
        self.statements(node.body)
        exits += frame.breaks.pop()
        never_ends = not exits
        self.emitter.end_loop(self.dead, never_ends)
        self.dead = never_ends
        frame.names = self._scoped(names, frame.names)
        frame.unset = set().union(*(unset | (set(frame.names) - known) for unset, known in exits))
        frame.loops -= 1
        frame.depth -= 1
        frame.unrolled = unrolled
        frame.outer = outer

    def _for(self, node: ast.For) -> None:
        if node.orelse:
            raise self.error(node, "a loop with else has no place in microcode")
        self.frame.unrolled += 1
        for item in cast(Iterable[object], self.expressions.evaluate(node.iter)):
            if self.dead or self.frame.finished:
                break
            if isinstance(node.target, ast.Tuple):
                self.assign(node.target, tuple(cast(Iterable[object], item)))
            else:
                self.assign(node.target, item)
            self.statements(node.body)
        self.frame.unrolled -= 1

    def _break(self, node: ast.Break) -> None:
        if not self.frame.loops or self.frame.unrolled:
            raise self.error(node, "break outside a dynamic while")
        self.frame.breaks[-1].append((set(self.frame.unset), set(self.frame.names)))
        self.emitter.break_loop()
        self.dead = True

    def _continue(self, node: ast.Continue) -> None:
        if not self.frame.loops or self.frame.unrolled:
            raise self.error(node, "continue outside a dynamic while")
        self.emitter.continue_loop()
        self.dead = True

    def _return(self, node: ast.Return) -> None:
        value = self.expressions.evaluate(node.value) if node.value is not None else None
        if self.dead:
            return
        frame = self.frame
        if frame.results is not None:
            values = value if isinstance(value, tuple) else () if value is None else (value,)
            if len(values) != len(frame.results):
                raise self.error(node, f"{len(frame.results)} results declared, {len(values)} returned")
            for variable, part in zip(frame.results, values, strict=True):
                self.emitter.assign(variable, self.typed(node, part, variable.kind))
            self.emitter.return_()
            self.dead = True
        elif frame.depth == 0:
            frame.returned, frame.finished = value, True
        else:
            if frame.loops:
                raise self.error(node, "an inline function cannot return out of a dynamic while; make it @microcode")
            self._store_inline_result(frame, value, node)
            self.emitter.leave_inline(frame.escape)
            frame.escaped = True
            self.dead = True

    def _store_inline_result(self, frame: Frame, value: object, node: ast.AST) -> None:
        values = value if isinstance(value, tuple) else () if value is None else (value,)
        if frame.inline_results is None:
            kinds = []
            for given in values:
                part = self.emitter.const(BOOL, int(given)) if isinstance(given, bool) else given
                if not isinstance(part, Value):
                    raise self.error(node, "an early return of an inline function must give typed values")
                kinds.append(part.kind)
            frame.inline_results = [self.emitter.declare(kind, "inlined") for kind in kinds]
        if len(values) != len(frame.inline_results):
            raise self.error(node, "returns give different numbers of values")
        for variable, part in zip(frame.inline_results, values, strict=True):
            self.emitter.assign(variable, self.typed(node, part, variable.kind))

    # State.
    def typed(self, node: ast.AST, value: object, kind: IntType) -> Value:
        """A value of exactly this type; static ints adapt."""
        if isinstance(value, Value):
            if value.kind != kind:
                raise self.error(node, f"{value.kind} where {kind} is needed; convert it")
            return value
        if isinstance(value, bool) or (isinstance(value, int) and kind is not BOOL):
            return self.emitter.const(kind, int(value))
        raise self.error(node, f"{value!r} where {kind} is needed")

    def member(self, node: ast.AST, place: StateRef, name: str) -> object:
        """Read a scalar member, or refer to an array or a structure."""
        item = self._item(node, place, name)
        if isinstance(item, Scalar):
            if place.is_cpu and place.dynamic is None:
                if name in self.hot:
                    return self.emitter.read(self.hot[name])
                self.signature.reads.add(name)
            return self.emitter.load_field(place.base, place.offset + item.offset, place.dynamic, item.kind, place.is_cpu)
        inner = StateRef(place.layout, place.base, place.offset + item.offset, place.dynamic, place.is_cpu)
        return ArrayRef(item, inner) if isinstance(item, Array) else StructsRef(cast(Structs[State], item), inner)

    def store_member(self, node: ast.AST, place: StateRef, name: str, value: object) -> None:
        """Write a scalar member."""
        item = self._item(node, place, name)
        if not isinstance(item, Scalar):
            raise self.error(node, f"{name} is no scalar")
        stored = self.typed(node, value, item.kind)
        if place.is_cpu and place.dynamic is None:
            if name in self.hot:
                self.emitter.assign(self.hot[name], stored)
                return
            self.signature.writes.add(name)
        self.emitter.store_field(place.base, place.offset + item.offset, place.dynamic, stored, place.is_cpu)

    def _item(self, node: ast.AST, place: StateRef, name: str) -> Item:
        item = place.layout.members.get(name)
        if item is None:
            raise self.error(node, f"{place.layout.__name__} has no member {name}")
        return item

    def element(
        self, node: ast.AST, place: StateRef, item: Item, size: int, count: int, index: object
    ) -> tuple[int, Value | None]:
        """Constant and runtime offset of an element."""
        if isinstance(index, Value) and index.number is not None:
            index = index.number
        if isinstance(index, Value):
            wide = self.expressions.convert(index, U64)
            scaled = self.emitter.binary("mul", wide, self.emitter.const(U64, size))
            if place.dynamic is not None:
                scaled = self.emitter.binary("add", scaled, place.dynamic)
            return place.offset, scaled
        if not isinstance(index, int) or not 0 <= index < count:
            raise self.error(node, f"index {index!r} is outside 0..{count - 1}")
        return place.offset + index * size, place.dynamic

    # Calls out of line.
    def call(self, node: ast.AST, function: Callable[..., object], arguments: list[object], attempt: bool = False) -> object:
        """Call an out-of-line function; register-cached fields that it touches go through memory."""
        source = source_of(function)
        parameters = [a.arg for a in source.tree.args.args]
        for name in parameters[len(arguments) :]:
            if name not in source.defaults:
                raise self.error(node, f"{function.__qualname__}: argument {name} is missing")
            arguments = [*arguments, source.defaults[name]]
        runtime, statics = self._split(node, source, arguments)
        signature = self.program.require(function, tuple(statics))
        texts = []
        for kind, value in zip(signature.parameters, runtime, strict=True):
            if isinstance(kind, IntType):
                texts.append(self.typed(node, value, kind).text)
            elif isinstance(value, StateRef):
                texts.append(self._pointer_text(value))
            else:
                raise self.error(node, f"{function.__qualname__} wants a {kind.__name__}")
        touched = signature.reads | signature.writes
        for name, variable in self.hot.items():
            if name in touched:
                self.emitter.store_field(self.cpu_base, self.hot_offset[name], None, self.emitter.read(variable), True)
        self.signature.reads |= signature.reads
        self.signature.writes |= signature.writes
        if attempt:
            completed = self.emitter.call_attempt(signature, texts)
            self._reload(signature)
            return completed
        results = self.emitter.call(signature, texts)
        self.faults |= signature.can_fault
        if signature.never_returns:
            self.dead = True
            return None
        self._reload(signature)
        return None if not results else results[0] if len(results) == 1 else tuple(results)

    def _reload(self, signature: Signature) -> None:
        for name, variable in self.hot.items():
            if name in signature.writes:
                self.emitter.assign(variable, self.emitter.load_field(self.cpu_base, self.hot_offset[name], None, variable.kind, True))

    @property
    def cpu_base(self) -> str:
        """The text of the processor's base pointer."""
        return "cpu" if isinstance(self.emitter, PythonEmitter) else "%cpu"

    def _pointer_text(self, place: StateRef) -> str:
        if place.offset == 0 and place.dynamic is None:
            return place.base
        if isinstance(self.emitter, LlvmEmitter):
            return self.emitter._address(place.base, place.offset, place.dynamic)
        return f"{place.base} + {place.offset}" + (f" + {place.dynamic.text}" if place.dynamic is not None else "")

    def _split(self, node: ast.AST, source: Source, arguments: list[object]) -> tuple[list[object], list[object]]:
        from vmxon.microcode.program import annotation_of

        runtime: list[object] = []
        statics: list[object] = []
        if len(arguments) != len(source.tree.args.args):
            raise self.error(node, f"{source.tree.name} takes {len(source.tree.args.args)} arguments, {len(arguments)} given")
        for argument, value in zip(source.tree.args.args, arguments, strict=True):
            if annotation_of(source, argument.annotation) is not None:
                runtime.append(value)
            else:
                if isinstance(value, Value) and value.number is None:
                    raise self.error(node, f"{source.tree.name}: {argument.arg} must be known at compile time")
                statics.append(value.number if isinstance(value, Value) else value)
        return runtime, statics

    def fault(self) -> None:
        """Leave the function with a fault."""
        self.faults = True
        self.emitter.fault()
        self.dead = True


__all__ = ["Frame", "StructsRef", "Translator", "role_of"]
