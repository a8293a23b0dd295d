"""Expressions of microcode: folded where static, emitted where not."""

from __future__ import annotations

import ast
import builtins
import operator
from collections.abc import Callable
from functools import partial
from types import MethodType
from typing import TYPE_CHECKING, cast

from vmxon.microcode import language
from vmxon.microcode.language import role_of
from vmxon.microcode.layout import State
from vmxon.microcode.program import source_of
from vmxon.microcode.types import BOOL, IntType
from vmxon.microcode.values import ArrayRef, StateRef, StructsRef, Value, Variable

if TYPE_CHECKING:
    from vmxon.microcode.translator import Translator

_STATIC_BINARY: dict[type[ast.operator], Callable[..., object]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.BitAnd: operator.and_, ast.BitOr: operator.or_,
    ast.BitXor: operator.xor, ast.LShift: operator.lshift, ast.RShift: operator.rshift, ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}  # fmt: skip
_BINARY = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "xor",
    ast.LShift: "shl", ast.RShift: "lshr", ast.FloorDiv: "udiv", ast.Mod: "urem",
}  # fmt: skip
_STATIC_COMPARE: dict[type[ast.cmpop], Callable[..., object]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Is: operator.is_, ast.IsNot: operator.is_not, ast.In: lambda a, b: a in b, ast.NotIn: lambda a, b: a not in b,
}  # fmt: skip
_COMPARE = {ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge"}
_FOLD: dict[str, Callable[[int, int], int]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "and": operator.and_, "or": operator.or_, "xor": operator.xor,
    "shl": operator.lshift, "lshr": operator.rshift, "ashr": operator.rshift, "udiv": operator.floordiv, "urem": operator.mod,
}  # fmt: skip
_STATIC_UNARY: dict[type[ast.unaryop], Callable[..., object]] = {
    ast.Not: operator.not_, ast.Invert: operator.invert, ast.USub: operator.neg, ast.UAdd: operator.pos,
}  # fmt: skip
_SHIFTS = ("shl", "lshr", "ashr")


class Expressions:
    """Evaluates expression trees for a translator."""

    def __init__(self, translator: Translator) -> None:
        self.translator = translator
        self.primitives: dict[object, Callable[[ast.Call, list[object]], object]] = {
            language.load: self._load,
            language.store: self._store,
            language.fault: self._fault,
            language.attempt: self._attempt,
            language.select: self._select,
            **{
                function: partial(self._intrinsic, function.__name__)
                for function in (language.popcount, language.leading_zeros, language.trailing_zeros, language.byte_swap)
            },
        }

    def evaluate(self, node: ast.expr) -> object:
        """A static object, a Value, or a reference into state."""
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            raise self.translator.error(node, f"{type(node).__name__} has no place in microcode")
        return method(node)

    # Leaves.
    def _constant(self, node: ast.Constant) -> object:
        return node.value

    def _name(self, node: ast.Name) -> object:
        frame = self.translator.frame
        if node.id in frame.unset:
            raise self.translator.error(node, f"{node.id} has no value on some way here")
        if node.id in frame.names:
            value = frame.names[node.id]
            return self.translator.emitter.read(value) if isinstance(value, Variable) else value
        namespace = frame.source.namespace
        if node.id in namespace:
            return namespace[node.id]
        if hasattr(builtins, node.id):
            return getattr(builtins, node.id)
        raise self.translator.error(node, f"{node.id} is not known here (bound only under a condition?)")

    def _tuple(self, node: ast.Tuple) -> object:
        return tuple(self.evaluate(part) for part in node.elts)

    def _list(self, node: ast.List) -> object:
        return [self.evaluate(part) for part in node.elts]

    def _generatorexp(self, node: ast.GeneratorExp | ast.ListComp) -> object:
        generator = node.generators[0]
        if len(node.generators) != 1 or not isinstance(generator.target, ast.Name):
            raise self.translator.error(node, "one loop over one name")
        names, items = self.translator.frame.names, []
        hidden = names.get(generator.target.id, self)
        for item in cast(tuple[object, ...], self.evaluate(generator.iter)):
            names[generator.target.id] = item
            if all(self.truth(test, self.evaluate(test)) for test in generator.ifs):
                items.append(self.evaluate(node.elt))
        names.pop(generator.target.id, None)
        if hidden is not self:
            names[generator.target.id] = hidden
        return items

    _listcomp = _generatorexp

    def _joinedstr(self, node: ast.JoinedStr) -> object:
        parts = (self.evaluate(v.value) if isinstance(v, ast.FormattedValue) else cast(ast.Constant, v).value for v in node.values)
        return "".join(map(str, parts))

    def _attribute(self, node: ast.Attribute) -> object:
        owner = self.evaluate(node.value)
        if isinstance(owner, StateRef):
            return self.translator.member(node, owner, node.attr)
        if isinstance(owner, Value):
            raise self.translator.error(node, f"a runtime {owner.kind} has no attribute {node.attr}")
        raw = getattr(type(owner), node.attr, None) if not isinstance(owner, type) else None
        if isinstance(raw, property) and role_of(raw.fget) == "inline":
            return self.translator.expand(cast(Callable[..., object], raw.fget), [owner], {})
        try:
            return getattr(owner, node.attr)
        except AttributeError as missing:
            raise self.translator.error(node, str(missing)) from None

    def _subscript(self, node: ast.Subscript) -> object:
        owner, index = self.evaluate(node.value), self.evaluate(node.slice)
        t = self.translator
        if isinstance(owner, ArrayRef):
            element = owner.array.element
            offset, dynamic = t.element(node, owner.place, owner.array, element.size, owner.array.count, index)
            return t.emitter.load_field(owner.place.base, offset, dynamic, element.kind, owner.place.is_cpu)
        if isinstance(owner, StructsRef):
            layout = owner.structs.layout
            offset, dynamic = t.element(node, owner.place, owner.structs, layout.size, owner.structs.count, index)
            return StateRef(layout, owner.place.base, offset, dynamic, owner.place.is_cpu)
        if isinstance(index, Value):
            raise t.error(node, "a static container needs a static index")
        return owner[index]  # type: ignore[index]  # any static container

    def _slice(self, node: ast.Slice) -> object:
        parts = (self.evaluate(p) if p is not None else None for p in (node.lower, node.upper, node.step))
        return slice(*parts)

    # Operators.
    def _binop(self, node: ast.BinOp) -> object:
        return self.binary(node, node.op, self.evaluate(node.left), self.evaluate(node.right))

    def binary(self, node: ast.AST, op: ast.operator, left: object, right: object) -> object:
        """left op right."""
        name = _BINARY.get(type(op))
        if name is None:
            raise self.translator.error(node, f"{type(op).__name__} has no place in microcode")
        if not isinstance(left, Value) and not isinstance(right, Value):
            return _STATIC_BINARY[type(op)](left, right)
        emitter = self.translator.emitter
        if name in _SHIFTS:
            if not isinstance(left, Value):
                raise self.translator.error(node, "a shifted constant needs a type")
            if name == "lshr" and left.kind.is_signed:
                name = "ashr"
            count = emitter.const(left.kind.unsigned if left.kind.bits > 1 else left.kind, right) if isinstance(right, int) else right
            if not isinstance(count, Value):
                raise self.translator.error(node, f"{right!r} is no shift count")
            if isinstance(right, int) and not 0 <= right < left.kind.bits:
                raise self.translator.error(node, f"shift by {right} of {left.kind}")
            if count.number is not None:
                right = emitter.const(left.kind, count.number & (left.kind.bits - 1))
            elif count.kind.bits == left.kind.bits:
                right = Value(left.kind, count.text)
            else:
                right = self.convert(count, left.kind)
        elif not isinstance(left, Value):
            left = self.translator.typed(node, left, cast(Value, right).kind)
        elif not isinstance(right, Value):
            right = self.translator.typed(node, right, left.kind)
        right = cast(Value, right)
        if left.kind != right.kind:
            raise self.translator.error(node, f"{left.kind} {name} {right.kind}: convert one side")
        if name in ("udiv", "urem") and (left.kind.is_signed or left.kind.bits > 64):
            raise self.translator.error(node, f"division of {left.kind} has no runtime form")
        if name in ("udiv", "urem") and right.number == 0:
            raise self.translator.error(node, "division by zero")
        if left.kind is BOOL and name not in ("and", "or", "xor"):
            raise self.translator.error(node, f"{name} of bool: convert it")
        return self._simplified(name, left, right)

    def _simplified(self, name: str, left: Value, right: Value) -> Value:
        emitter = self.translator.emitter
        if left.number is not None and right.number is not None:
            return emitter.const(left.kind, _FOLD[name](left.number, right.number))
        if right.number == 0:
            if name in ("add", "sub", "or", "xor", *_SHIFTS):
                return left
            if name in ("and", "mul"):
                return right
        if left.number == 0 and name in ("add", "or", "xor"):
            return right
        if left.number == 0 and name in ("and", "mul", *_SHIFTS):
            return left
        return emitter.binary(name, left, right)

    def _unaryop(self, node: ast.UnaryOp) -> object:
        value = self.evaluate(node.operand)
        emitter = self.translator.emitter
        if not isinstance(value, Value):
            return _STATIC_UNARY[type(node.op)](value)
        if isinstance(node.op, ast.Not):
            if value.kind is not BOOL:
                raise self.translator.error(node, f"not of {value.kind}: compare with 0")
            if value.number is not None:
                return emitter.const(BOOL, 1 - value.number)
            return emitter.compare("eq", value, emitter.const(BOOL, 0))
        if isinstance(node.op, ast.UAdd):
            return value
        if isinstance(node.op, ast.Invert):
            return self._simplified("xor", value, emitter.const(value.kind, -1))
        return self._simplified("sub", emitter.const(value.kind, 0), value)

    def _compare(self, node: ast.Compare) -> object:
        left = self.evaluate(node.left)
        result: object = None
        for op, right_node in zip(node.ops, node.comparators, strict=True):
            right = self.evaluate(right_node)
            one = self._compare_two(node, op, left, right)
            result = one if result is None else self.binary(node, ast.BitAnd(), result, one)
            left = right
        return result

    def _compare_two(self, node: ast.AST, op: ast.cmpop, left: object, right: object) -> object:
        t = self.translator
        if isinstance(op, ast.Is | ast.IsNot):
            return _STATIC_COMPARE[type(op)](left, right)
        if isinstance(left, _REFERENCES) or isinstance(right, _REFERENCES):
            raise t.error(node, "a reference into state cannot be compared")
        if isinstance(op, ast.In | ast.NotIn) and (isinstance(left, Value) or _holds_values(right)):
            result: object = False
            for item in cast(tuple[object, ...], right):
                one = self._compare_two(node, ast.Eq(), left, item)
                if one is not False:
                    result = one if result is False else self.binary(node, ast.BitOr(), result, one)
            if isinstance(op, ast.In):
                return result
            return t.emitter.compare("eq", result, t.emitter.const(BOOL, 0)) if isinstance(result, Value) else not result
        if not isinstance(left, Value) and not isinstance(right, Value):
            if _holds_values(left) or _holds_values(right):
                raise t.error(node, "tuples of runtime values cannot be compared")
            return _STATIC_COMPARE[type(op)](left, right)
        name = _COMPARE[type(op)]
        if not isinstance(left, Value):
            left = t.typed(node, left, cast(Value, right).kind)
        right = t.typed(node, right, left.kind)
        if left.number is not None and right.number is not None:
            return t.emitter.const(BOOL, int(bool(_STATIC_COMPARE[type(op)](left.number, right.number))))
        return t.emitter.compare(name, left, right)

    def _boolop(self, node: ast.BoolOp) -> object:
        is_and = isinstance(node.op, ast.And)
        t = self.translator
        value: object = None
        for index, part in enumerate(node.values):
            if index == 0:
                value = self.evaluate(part)
                if isinstance(value, Value) and value.kind is not BOOL:
                    raise t.error(node, f"and/or of {value.kind}: compare with 0")
            elif isinstance(value, Value) and value.number is None:
                if _cheap(part):
                    right = self.evaluate(part)
                    if not isinstance(right, Value):
                        value = value if self.truth(part, right) == is_and else not is_and
                    elif right.kind is not BOOL:
                        raise t.error(node, f"and/or of {right.kind}: compare with 0")
                    else:
                        value = self.binary(node, ast.BitAnd() if is_and else ast.BitOr(), value, right)
                else:
                    value = self._short_circuit(node, value, part, is_and)
            else:
                known = bool(value.number) if isinstance(value, Value) else self.truth(node, value)
                if known != is_and:
                    return t.emitter.const(BOOL, int(known)) if isinstance(value, Value) else value
                value = self.evaluate(part)
        return value

    def _short_circuit(self, node: ast.expr, left: Value, part: ast.expr, is_and: bool) -> Value:
        t = self.translator
        variable = t.emitter.declare(BOOL, "both")
        t.emitter.assign(variable, left)
        condition = left if is_and else t.emitter.compare("eq", left, t.emitter.const(BOOL, 0))
        frame = t.emitter.begin_if(condition, False)
        t.frame.depth += 1
        right = self.evaluate(part)
        if not t.dead:
            t.emitter.assign(variable, t.typed(node, right, BOOL))
        dead = t.dead
        t.emitter.begin_else(frame, dead)
        t.emitter.end_if(frame, False, False)
        t.dead = False
        t.frame.depth -= 1
        return t.emitter.read(variable)

    def _ifexp(self, node: ast.IfExp) -> object:
        t = self.translator
        test = self.evaluate(node.test)
        if isinstance(test, Value) and test.number is not None:
            test = bool(test.number)
        if not isinstance(test, Value):
            return self.evaluate(node.body if self.truth(node, test) else node.orelse)
        if test.kind is not BOOL:
            raise t.error(node, f"a condition must be bool, not {test.kind}: compare with != 0")
        if _cheap(node.body) and _cheap(node.orelse):
            yes, no = self._same(node, self.evaluate(node.body), self.evaluate(node.orelse))
            return t.emitter.select(test, yes, no)
        frame = t.emitter.begin_if(test, True)
        t.frame.depth += 1
        variable: Variable | None = None
        dead: list[bool] = []
        for part in (node.body, node.orelse):
            value = self.evaluate(part)
            if not t.dead:  # else this alternative faults
                if variable is None:
                    if not isinstance(value, Value):
                        raise t.error(node, "give the first alternative a type")
                    variable = t.emitter.declare(value.kind, "chosen")
                t.emitter.assign(variable, t.typed(node, value, variable.kind))
            dead.append(t.dead)
            t.dead = False
            if len(dead) == 1:
                t.emitter.begin_else(frame, dead[0])
        t.emitter.end_if(frame, dead[1], all(dead))
        t.frame.depth -= 1
        t.dead = all(dead)
        return None if variable is None else t.emitter.read(variable)

    def truth(self, node: ast.AST, value: object) -> bool:
        """The truth value of something static; references into state have none."""
        if isinstance(value, _REFERENCES):
            raise self.translator.error(node, "a reference into state is no condition")
        return bool(value)

    def _same(self, node: ast.AST, left: object, right: object) -> tuple[Value, Value]:
        t = self.translator
        if isinstance(left, Value):
            return left, t.typed(node, right, left.kind)
        if isinstance(right, Value):
            return t.typed(node, left, right.kind), right
        if isinstance(left, bool) and isinstance(right, bool):
            return t.typed(node, left, BOOL), t.typed(node, right, BOOL)
        raise t.error(node, "two static alternatives of a dynamic choice need a type")

    # Calls.
    def _call(self, node: ast.Call) -> object:
        t = self.translator
        function = self.evaluate(node.func)
        arguments: list[object] = []
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                arguments.extend(cast(tuple[object, ...], self.evaluate(argument.value)))
            else:
                arguments.append(self.evaluate(argument))
        keywords = {cast(str, k.arg): self.evaluate(k.value) for k in node.keywords}
        if t.dead:
            return None
        if isinstance(function, IntType):
            if len(arguments) != 1 or keywords:
                raise t.error(node, f"{function}() takes one value")
            return self.convert(arguments[0], function)
        if not callable(function):
            raise t.error(node, f"{function!r} cannot be called")
        primitive = self.primitives.get(function)
        if primitive is not None:
            return primitive(node, arguments)
        return self.apply(node, function, arguments, keywords)

    def apply(
        self, node: ast.AST, function: Callable[..., object], arguments: list[object], keywords: dict[str, object]
    ) -> object:
        """Call a function by its role."""
        t = self.translator
        plain = function
        if isinstance(function, MethodType):
            plain = function.__func__
            arguments = [function.__self__, *arguments]
        role = role_of(plain)
        if role == "inline":
            return t.expand(plain, arguments, keywords)
        if role in ("microcode", "slot"):
            return t.call(node, plain, [*arguments, *self._by_name(node, plain, len(arguments), keywords)])
        if role == "staged":
            return plain(t, *arguments, **keywords)
        if isinstance(function, type) and issubclass(function, State):
            base = t.emitter.pointer(t.typed(node, arguments[0], IntType(64, False)))
            return StateRef(function, base)
        everything = [*arguments, *keywords.values()]
        if any(isinstance(a, Value | StateRef | ArrayRef | StructsRef) for a in everything):
            if function is bool:
                return t.emitter.compare("ne", cast(Value, arguments[0]), t.emitter.const(cast(Value, arguments[0]).kind, 0))
            if not isinstance(function, type) or function is int:
                raise t.error(node, f"{function!r} is no microcode; mark it @inline or @microcode")
        return plain(*arguments, **keywords)

    def _by_name(self, node: ast.AST, function: Callable[..., object], given: int, keywords: dict[str, object]) -> list[object]:
        """The arguments after the `given` positional ones, up to the last that is named."""
        source = source_of(function)
        names = [argument.arg for argument in source.tree.args.args][given:]
        for name in keywords:
            if name not in names:
                raise self.translator.error(node, f"{function.__qualname__}: argument {name} is unknown, or given twice")
        last = max((names.index(name) + 1 for name in keywords), default=0)
        values = {**source.defaults, **keywords}
        for name in names[:last]:
            if name not in values:
                raise self.translator.error(node, f"{function.__qualname__}: argument {name} is missing")
        return [values[name] for name in names[:last]]

    def convert(self, value: object, kind: IntType) -> Value:
        """A value converted to `kind`."""
        emitter = self.translator.emitter
        if not isinstance(value, Value):
            return emitter.const(kind, int(cast(int, value)))
        if value.number is not None:
            return emitter.const(kind, value.number)
        if value.kind == kind:
            return value
        return emitter.convert(value, kind)

    def _load(self, node: ast.Call, arguments: list[object]) -> object:
        kind, pointer = arguments
        if not isinstance(kind, IntType):
            raise self.translator.error(node, "load() takes a type and a pointer")
        return self.translator.emitter.load(kind, self.translator.typed(node, pointer, IntType(64, False)))

    def _store(self, node: ast.Call, arguments: list[object]) -> object:
        kind, pointer, value = arguments
        if not isinstance(kind, IntType):
            raise self.translator.error(node, "store() takes a type, a pointer and a value")
        t = self.translator
        t.emitter.store(t.typed(node, pointer, IntType(64, False)), t.typed(node, value, kind))
        return None

    def _fault(self, node: ast.Call, arguments: list[object]) -> object:
        self.translator.fault()
        return None

    def _attempt(self, node: ast.Call, arguments: list[object]) -> object:
        function = cast(Callable[..., object], arguments[0])
        if role_of(function) not in ("microcode", "slot"):
            raise self.translator.error(node, "attempt() takes an out-of-line function")
        return self.translator.call(node, function, arguments[1:], attempt=True)

    def _select(self, node: ast.Call, arguments: list[object]) -> object:
        condition, yes, no = arguments
        if isinstance(condition, Value) and condition.number is not None:
            condition = bool(condition.number)
        if not isinstance(condition, Value):
            return yes if self.truth(node, condition) else no
        if condition.kind is not BOOL:
            raise self.translator.error(node, f"a condition must be bool, not {condition.kind}: compare with != 0")
        left, right = self._same(node, yes, no)
        return self.translator.emitter.select(condition, left, right)

    def _intrinsic(self, name: str, node: ast.Call, arguments: list[object]) -> object:
        value = arguments[0]
        if not isinstance(value, Value):
            raise self.translator.error(node, f"{name} of a static value")
        if value.kind is BOOL:
            raise self.translator.error(node, f"{name} of bool: convert it")
        return self.convert(self.translator.emitter.intrinsic(name, self.convert(value, value.kind.unsigned)), value.kind)


_REFERENCES = (StateRef, ArrayRef, StructsRef)


def _holds_values(item: object) -> bool:
    return isinstance(item, tuple | list) and any(isinstance(part, Value) or _holds_values(part) for part in item)


def _cheap(node: ast.expr) -> bool:
    """Whether evaluating early is harmless and costs little: no calls but conversions, no division."""
    for part in ast.walk(node):
        if isinstance(part, ast.Call) and not (isinstance(part.func, ast.Name) and part.func.id in _CONVERSIONS):
            return False
        if isinstance(part, ast.FloorDiv | ast.Mod | ast.Subscript):
            return False
    return True


_CONVERSIONS = frozenset(f"{sign}{bits}" for sign in "ui" for bits in (8, 16, 32, 64, 128))
