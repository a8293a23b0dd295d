"""The Python target: the same functions as plain Python with explicit masks; slow, simple, and steppable in pdb."""

from __future__ import annotations

from vmxon.microcode.types import BOOL, IntType
from vmxon.microcode.values import Signature, Value, Variable

Block = list["str | tuple[int, str] | Nested"]


class Nested:
    """An indented block under a header line."""

    def __init__(self, header: str, line: int) -> None:
        self.header, self.line = header, line
        self.body: Block = []


class GuestFault(Exception):
    """The implicit early return of microcode; never leaves the step function of the golden model."""


_INFIX = {"add": "+", "sub": "-", "mul": "*", "and": "&", "or": "|", "xor": "^", "udiv": "//", "urem": "%"}
_COMPARE = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


class PythonEmitter:
    """Writes the body of one function as Python statements, each with its line in the source."""

    def __init__(self) -> None:
        self.root: Block = []
        self.stack: list[Block] = [self.root]
        self.count = 0
        self.line = 1

    def fresh(self) -> str:
        self.count += 1
        return f"t{self.count}"

    def emit(self, text: str) -> None:
        self.stack[-1].append((self.line, text))

    def _open(self, header: str) -> None:
        nested = Nested(header, self.line)
        self.stack[-1].append(nested)
        self.stack.append(nested.body)

    def _value(self, kind: IntType, text: str) -> Value:
        name = self.fresh()
        self.emit(f"{name} = {text}")
        return Value(kind, name)

    def const(self, kind: IntType, number: int) -> Value:
        number = kind.wrap(number)
        return Value(kind, str(number) if number >= 0 else f"({number})", number)

    def binary(self, op: str, left: Value, right: Value) -> Value:
        kind = left.kind
        if op in ("shl", "lshr", "ashr"):
            count = str(right.number & (kind.bits - 1)) if right.number is not None else f"({right.text} & {kind.bits - 1})"
            text = f"({left.text} {'<<' if op == 'shl' else '>>'} {count})"
            return self._value(kind, self._wrapped(kind, text) if op == "shl" else text)
        text = f"({left.text} {_INFIX[op]} {right.text})"
        if op in ("add", "sub", "mul"):
            text = self._wrapped(kind, text)
        return self._value(kind, text)

    def _wrapped(self, kind: IntType, text: str) -> str:
        if kind.is_signed:
            sign = 1 << (kind.bits - 1)
            return f"(({text} & {kind.mask}) ^ {sign}) - {sign}"
        return f"{text} & {kind.mask}"

    def compare(self, op: str, left: Value, right: Value) -> Value:
        return self._value(BOOL, f"{left.text} {_COMPARE[op]} {right.text}")

    def convert(self, value: Value, kind: IntType) -> Value:
        if value.kind.bits == 1:
            return self._value(kind, f"-int({value.text})" if kind.is_signed and value.kind.is_signed else f"int({value.text})")
        if kind.bits == 1:
            return self._value(kind, f"({value.text} & 1) != 0")
        widens = kind.bits > value.kind.bits or (kind.bits == value.kind.bits and kind.is_signed == value.kind.is_signed)
        if widens and (not value.kind.is_signed or kind.is_signed):
            return Value(kind, value.text)
        return self._value(kind, self._wrapped(kind, value.text))

    def select(self, condition: Value, yes: Value, no: Value) -> Value:
        return self._value(yes.kind, f"{yes.text} if {condition.text} else {no.text}")

    def intrinsic(self, name: str, value: Value) -> Value:
        bits = value.kind.bits
        text = {
            "popcount": f"({value.text}).bit_count()",
            "leading_zeros": f"{bits} - ({value.text}).bit_length()",
            "trailing_zeros": f"((({value.text}) & -({value.text})).bit_length() - 1) if {value.text} else {bits}",
            "byte_swap": f"int.from_bytes({value.text}.to_bytes({bits // 8}, 'little'), 'big')",
        }[name]
        return self._value(value.kind, text)

    def declare(self, kind: IntType, name: str) -> Variable:
        self.count += 1
        return Variable(kind, f"{name}_{self.count}")

    def assign(self, variable: Variable, value: Value) -> None:
        self.emit(f"{variable.text} = {value.text}")

    def read(self, variable: Variable) -> Value:
        return self._value(variable.kind, variable.text)

    def bind(self, value: Value, name: str) -> Value:
        """A value under its source name, so that pdb shows it."""
        if value.number is not None:
            return value
        self.count += 1
        text = f"{name}_{self.count}"
        self.emit(f"{text} = {value.text}")
        return Value(value.kind, text)

    # Memory: the processor's own state through cast views, everything else through the arena.
    def load_field(self, base: str, offset: int, dynamic: Value | None, kind: IntType, is_cpu: bool) -> Value:
        size = kind.bytes
        if is_cpu and dynamic is None and size <= 8 and offset % size == 0:
            return self._value(kind, self._signed(kind, f"W{size}[{offset // size}]"))
        address = self._address(base, offset, dynamic)
        return self._value(kind, self._signed(kind, f"LOAD({address}, {size})"))

    def _signed(self, kind: IntType, text: str) -> str:
        return self._wrapped(kind, text) if kind.is_signed else text

    def store_field(self, base: str, offset: int, dynamic: Value | None, value: Value, is_cpu: bool) -> None:
        size = value.kind.bytes
        number = f"{value.text} & {value.kind.mask}" if value.kind.is_signed else value.text
        if is_cpu and dynamic is None and size <= 8 and offset % size == 0:
            self.emit(f"W{size}[{offset // size}] = {number}")
        else:
            self.emit(f"STORE({self._address(base, offset, dynamic)}, {number}, {size})")

    def _address(self, base: str, offset: int, dynamic: Value | None) -> str:
        text = base
        if dynamic is not None:
            text += f" + {dynamic.text}"
        return f"({text} + {offset}) & 0xFFFFFFFFFFFFFFFF" if dynamic is not None else f"{text} + {offset}"

    def pointer(self, value: Value) -> str:
        return value.text

    def pointer_value(self, base: str) -> Value:
        from vmxon.microcode.types import TYPES

        return Value(TYPES["u64"], base)

    def load(self, kind: IntType, pointer: Value) -> Value:
        return self._value(kind, self._signed(kind, f"LOAD({pointer.text}, {kind.bytes})"))

    def store(self, pointer: Value, value: Value) -> None:
        number = f"{value.text} & {value.kind.mask}" if value.kind.is_signed else value.text
        self.emit(f"STORE({pointer.text}, {number}, {value.kind.bytes})")

    # Control.
    def begin_if(self, condition: Value, has_else: bool, unlikely: bool = False) -> tuple[str, str]:
        self._open(f"if {condition.text}:")
        return "", ""

    def begin_else(self, frame: tuple[str, str], dead: bool) -> None:
        self.stack.pop()
        self._open("else:")

    def end_if(self, frame: tuple[str, str], dead: bool, all_dead: bool) -> None:
        self.stack.pop()

    def begin_loop(self) -> None:
        self._open("while True:")

    def exit_loop_unless(self, condition: Value) -> None:
        self.emit(f"if not {condition.text}: break")

    def break_loop(self) -> None:
        self.emit("break")

    def continue_loop(self) -> None:
        self.emit("continue")

    def end_loop(self, dead: bool, never_ends: bool) -> None:
        self.stack.pop()

    def begin_inline(self) -> str:
        self._open("while True:")
        return ""

    def leave_inline(self, frame: str) -> None:
        self.emit("break")

    def end_inline(self, frame: str, used: bool, dead: bool) -> None:
        body = self.stack.pop()
        if used:
            if not dead:
                body.append((self.line, "break"))
        else:  # nothing left early: the statements need no block of their own
            self.stack[-1].pop()
            self.stack[-1].extend(body)

    def call(self, signature: Signature, arguments: list[str]) -> list[Value]:
        call = f"F[{signature.name!r}]({', '.join(arguments)})"
        if not signature.results:
            self.emit(call)
            return []
        if len(signature.results) == 1:
            return [self._value(signature.results[0], call)]
        names = [self.fresh() for _ in signature.results]
        self.emit(f"{', '.join(names)} = {call}")
        return [Value(kind, name) for kind, name in zip(signature.results, names, strict=True)]

    def call_attempt(self, signature: Signature, arguments: list[str]) -> Value:
        return self._value(BOOL, f"ATTEMPT(F[{signature.name!r}], {', '.join(arguments)})")

    def fault(self) -> None:
        self.emit("raise GuestFault")

    def return_(self) -> None:
        self.emit("return RESULTS")

    def function(self, signature: Signature, results: list[Variable], dead: bool) -> tuple[str, list[int]]:
        """Source text of the function, and the source line of each line of it."""
        names = [
            "cpu" if not isinstance(kind, IntType) and index == 0 else f"p{index}" for index, kind in enumerate(signature.parameters)
        ]
        return self.render(names, ", ".join(v.text for v in results), dead)

    def render(self, parameters: list[str], value: str, dead: bool) -> tuple[str, list[int]]:
        """The same with the names of the parameters and what to return."""
        lines: list[str] = [f"def function({', '.join(parameters)}):"]
        numbers = [self.line]

        def write(block: Block, depth: int) -> None:
            indent = " " * depth
            if not block:
                lines.append(f"{indent}pass")
                numbers.append(self.line)
            for item in block:
                if isinstance(item, Nested):
                    lines.append(indent + item.header)
                    numbers.append(item.line)
                    write(item.body, depth + 1)
                elif isinstance(item, tuple):
                    lines.append(indent + item[1].replace("return RESULTS", f"return {value}"))
                    numbers.append(item[0])

        write(self.root, 1)
        if not dead:
            lines.append(f" return {value}")
            numbers.append(self.line)
        return "\n".join(lines) + "\n", numbers
