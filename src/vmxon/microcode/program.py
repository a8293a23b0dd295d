"""A program: the out-of-line functions reached from some roots, each translated once for each set of static arguments."""

from __future__ import annotations

import ast
import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from vmxon.microcode.golden import PythonEmitter
from vmxon.microcode.language import IMPLEMENTATIONS, role_of
from vmxon.microcode.layout import State
from vmxon.microcode.llvm import LlvmEmitter
from vmxon.microcode.types import BOOL, IntType
from vmxon.microcode.values import MicrocodeError, Signature, StateRef, Value, Variable

Function = Callable[..., object]


@dataclass(frozen=True, slots=True)
class Source:
    """A function's syntax tree with what is needed to evaluate it."""

    function: Function
    tree: ast.FunctionDef
    file: str
    assigned_often: frozenset[str]
    """Names assigned more than once, or changed in a loop."""
    defaults: dict[str, object]

    @property
    def namespace(self) -> dict[str, object]:
        """The globals of the module."""
        return self.function.__globals__


@cache
def functions_of(file: str) -> dict[int, ast.FunctionDef]:
    """The functions of a source file by the line on which they start, decorators included."""
    tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    found = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    return {min([node.lineno, *(d.lineno for d in node.decorator_list)]): node for node in found}


@cache
def source_of(function: Function) -> Source:
    """The syntax tree of a function, from its file.

    Raises:
        MicrocodeError: it is no plain function of a file, or the file has changed since it was imported.
    """
    code = getattr(function, "__code__", None)
    file = inspect.getsourcefile(function) if code is not None else None
    tree = functions_of(file).get(code.co_firstlineno) if file is not None and code is not None else None
    if tree is None or file is None or tree.name != function.__name__:
        raise MicrocodeError(f"{function} is not a plain function of a source file")
    if tree.args.vararg or tree.args.kwarg or tree.args.kwonlyargs or tree.args.posonlyargs:
        raise MicrocodeError(f"{file}:{tree.lineno}: {tree.name}: only plain parameters have a place in microcode")
    counts: dict[str, int] = {}
    _count(tree.body, counts, 1)
    signature = inspect.signature(function)
    defaults = {n: p.default for n, p in signature.parameters.items() if p.default is not inspect.Parameter.empty}
    often = frozenset(name for name, n in counts.items() if n > 1) | (frozenset(counts) & frozenset(signature.parameters))
    return Source(function, tree, file, often, defaults)


def _count(statements: list[ast.stmt], counts: dict[str, int], weight: int) -> None:
    for statement in statements:
        if isinstance(statement, ast.Assign | ast.AugAssign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target in targets:
                for node in ast.walk(target):
                    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                        counts[node.id] = counts.get(node.id, 0) + (2 if isinstance(statement, ast.AugAssign) else 1)
        for name in ("body", "orelse"):
            _count(getattr(statement, name, []), counts, weight)


@dataclass(slots=True)
class Program:
    """The functions of one target; `emitter` makes an emitter for a body."""

    emitter: Callable[[], LlvmEmitter | PythonEmitter]
    signatures: dict[tuple[object, ...], Signature] = field(default_factory=dict)
    functions: dict[str, object] = field(default_factory=dict)
    """Text by name, in the order of completion: callees before callers."""
    files: dict[str, str] = field(default_factory=dict)
    in_progress: list[str] = field(default_factory=list)

    def require(self, function: Function, statics: tuple[object, ...] = ()) -> Signature:
        """Translate an out-of-line function for these static arguments (in the order of its static parameters)."""
        if role_of(function) == "slot" and function in IMPLEMENTATIONS:
            target, function = function, IMPLEMENTATIONS[function].body
            if interface(source_of(target)) != interface(source_of(function)):
                raise error_in(source_of(function), f"differs from its slot {target.__qualname__} in parameters or results")
        key = (function, *((type(s), s) for s in statics))
        known = self.signatures.get(key)
        if known is not None:
            return known
        name = function_name(function, statics)
        if name in self.in_progress:
            raise TypeError(f"{name} calls itself through {' -> '.join(self.in_progress)}")
        self.in_progress.append(name)
        try:
            signature = self._translate(function, statics, name)
        finally:
            self.in_progress.pop()
        self.signatures[key] = signature
        return signature

    def _translate(self, function: Function, statics: tuple[object, ...], name: str) -> Signature:
        from vmxon.microcode.translator import Translator

        source = source_of(function)
        emitter = self.emitter()
        parameters: list[IntType | type[State]] = []
        environment: dict[str, object] = {}
        rest = list(statics)
        python = isinstance(emitter, PythonEmitter)
        for argument in source.tree.args.args:
            kind = annotation_of(source, argument.annotation)
            if isinstance(kind, IntType):
                environment[argument.arg] = Value(kind, f"{'' if python else '%'}p{len(parameters)}")
                parameters.append(kind)
            elif kind is not None:
                base = f"{'' if python else '%'}{f'p{len(parameters)}' if parameters else 'cpu'}"
                environment[argument.arg] = StateRef(kind, base, is_cpu=kind.resident)
                parameters.append(kind)
            else:
                environment[argument.arg] = rest.pop(0)
        results, never = result_kinds(source)
        signature = Signature(name, tuple(parameters), results, never_returns=never)
        translator = Translator(self, emitter, signature)
        variables = [emitter.declare(kind, "result") for kind in results]
        translator.function_body(source, environment, variables)
        signature.can_fault = translator.faults
        if never and not translator.faults:
            raise error_in(source, "is NoReturn but never faults")
        self._finish(name, source, emitter, signature, variables, translator.dead)
        return signature

    def _finish(
        self, name: str, source: Source, emitter: LlvmEmitter | PythonEmitter, signature: Signature, results: list[Variable], dead: bool
    ) -> None:
        if isinstance(emitter, PythonEmitter):
            emitter.line = source.tree.lineno
        self.functions[name] = emitter.function(signature, results, dead)
        self.files[name] = source.file


def error_in(source: Source, message: str) -> MicrocodeError:
    """An error about a function as a whole."""
    return MicrocodeError(f"{source.file}:{source.tree.lineno}: {source.tree.name}: {message}")


def interface(source: Source) -> tuple[object, ...]:
    """What callers must know of a function: its parameters' types (None for static ones) and its results."""
    return (*(annotation_of(source, argument.annotation) for argument in source.tree.args.args), *result_kinds(source))


def function_name(function: Function, statics: tuple[object, ...]) -> str:
    """A name that is equal in every process: module, function, and a digest of the static arguments."""
    name = f"{function.__module__.removeprefix('vmxon.')}.{function.__qualname__}"
    if statics:
        text = ",".join(f"{type(s).__name__}:{s!r}" for s in statics)
        name += "." + (text.replace('"', "'") if len(text) < 40 else hashlib.sha256(text.encode()).hexdigest()[:12])
    return name


def annotation_of(source: Source, node: ast.expr | None) -> IntType | type[State] | None:
    """The runtime type that an annotation names; None for a static parameter."""
    if isinstance(node, ast.Name):
        if node.id == "bool":
            return BOOL
        kind = source.namespace.get(node.id)
        if isinstance(kind, IntType) or (isinstance(kind, type) and issubclass(kind, State)):
            return kind
    return None


def result_kinds(source: Source) -> tuple[tuple[IntType, ...], bool]:
    """The result types of a function, and whether it never returns."""
    node = source.tree.returns
    if node is None or (isinstance(node, ast.Constant) and node.value is None):
        return (), False
    if isinstance(node, ast.Name) and node.id == "NoReturn":
        return (), True
    nodes = [node]
    if isinstance(node, ast.Subscript):
        nodes = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
    kinds = []
    for part in nodes:
        kind = annotation_of(source, part)
        if not isinstance(kind, IntType):
            raise error_in(source, f"result type {ast.unparse(part)} is no runtime type")
        kinds.append(kind)
    return tuple(kinds), False
