"""The LLVM target: text of LLVM IR, one function at a time."""

from __future__ import annotations

from vmxon.microcode.types import BOOL, IntType
from vmxon.microcode.values import Signature, Value, Variable

UNLIKELY = ", !prof !0"
_BINARY = {"add": "add", "sub": "sub", "mul": "mul", "and": "and", "or": "or", "xor": "xor",
           "shl": "shl", "lshr": "lshr", "ashr": "ashr", "udiv": "udiv", "urem": "urem"}  # fmt: skip

PRELUDE = "\n".join(
    [
        *(f"declare i{n} @llvm.{name}.i{n}(i{n})" for name in ("ctpop", "bswap") for n in (8, 16, 32, 64, 128) if name != "bswap" or n > 8),
        *(f"declare i{n} @llvm.{name}.i{n}(i{n}, i1)" for name in ("ctlz", "cttz") for n in (8, 16, 32, 64, 128)),
        '!0 = !{!"branch_weights", i32 1, i32 2000}',
        "",
    ]
)


class LlvmEmitter:
    """Writes the body of one function."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.allocas: list[str] = []
        self.count = 0
        self.loops: list[tuple[str, str]] = []
        self.fault_used = False

    # Names.
    def fresh(self) -> str:
        self.count += 1
        return f"%t{self.count}"

    def label(self) -> str:
        self.count += 1
        return f"L{self.count}"

    def emit(self, line: str) -> None:
        self.lines.append(line)

    def _value(self, kind: IntType, text: str) -> Value:
        name = self.fresh()
        self.lines.append(f"{name} = {text}")
        return Value(kind, name)

    def const(self, kind: IntType, number: int) -> Value:
        number = kind.wrap(number)
        if kind.bits == 1:
            return Value(kind, "true" if number else "false", number)
        return Value(kind, str(number), number)

    # Arithmetic.
    def binary(self, op: str, left: Value, right: Value) -> Value:
        kind = left.kind
        if op in ("shl", "lshr", "ashr") and right.number is None:
            right = self._value(kind, f"and i{kind.bits} {right.text}, {kind.bits - 1}")
        return self._value(kind, f"{_BINARY[op]} i{kind.bits} {left.text}, {right.text}")

    def compare(self, op: str, left: Value, right: Value) -> Value:
        if op not in ("eq", "ne"):
            op = ("s" if left.kind.is_signed else "u") + op
        return self._value(BOOL, f"icmp {op} i{left.kind.bits} {left.text}, {right.text}")

    def convert(self, value: Value, kind: IntType) -> Value:
        if value.kind.bits == kind.bits:
            return Value(kind, value.text)
        if kind.bits < value.kind.bits:
            op = "trunc"
        else:
            op = "sext" if value.kind.is_signed else "zext"
        return self._value(kind, f"{op} i{value.kind.bits} {value.text} to i{kind.bits}")

    def select(self, condition: Value, yes: Value, no: Value) -> Value:
        bits = yes.kind.bits
        return self._value(yes.kind, f"select i1 {condition.text}, i{bits} {yes.text}, i{bits} {no.text}")

    def intrinsic(self, name: str, value: Value) -> Value:
        bits = value.kind.bits
        if name == "byte_swap":
            return value if bits == 8 else self._value(value.kind, f"call i{bits} @llvm.bswap.i{bits}(i{bits} {value.text})")
        if name == "popcount":
            return self._value(value.kind, f"call i{bits} @llvm.ctpop.i{bits}(i{bits} {value.text})")
        operation = "ctlz" if name == "leading_zeros" else "cttz"
        return self._value(value.kind, f"call i{bits} @llvm.{operation}.i{bits}(i{bits} {value.text}, i1 false)")

    # Locals.
    def declare(self, kind: IntType, name: str) -> Variable:
        self.count += 1
        text = f"%v{self.count}_{name}"
        self.allocas.append(f"{text} = alloca i{kind.bits}")
        return Variable(kind, text)

    def assign(self, variable: Variable, value: Value) -> None:
        self.emit(f"store i{value.kind.bits} {value.text}, ptr {variable.text}")

    def read(self, variable: Variable) -> Value:
        return self._value(variable.kind, f"load i{variable.kind.bits}, ptr {variable.text}")

    def bind(self, value: Value, name: str) -> Value:
        """A value under a name: nothing to do, values are names already."""
        return value

    # Memory.
    def _address(self, base: str, offset: int, dynamic: Value | None) -> str:
        pointer = base
        if dynamic is not None:
            pointer = self.fresh()
            self.emit(f"{pointer} = getelementptr i8, ptr {base}, i64 {dynamic.text}")
        if offset:
            base, pointer = pointer, self.fresh()
            self.emit(f"{pointer} = getelementptr i8, ptr {base}, i64 {offset}")
        return pointer

    def load_field(self, base: str, offset: int, dynamic: Value | None, kind: IntType, is_cpu: bool) -> Value:
        address = self._address(base, offset, dynamic)
        return self._value(kind, f"load i{kind.bits}, ptr {address}, align {min(kind.bytes, 8)}")

    def store_field(self, base: str, offset: int, dynamic: Value | None, value: Value, is_cpu: bool) -> None:
        address = self._address(base, offset, dynamic)
        self.emit(f"store i{value.kind.bits} {value.text}, ptr {address}, align {min(value.kind.bytes, 8)}")

    def pointer(self, value: Value) -> str:
        """The base text of a structure at a host address."""
        name = self.fresh()
        self.emit(f"{name} = inttoptr i64 {value.text} to ptr")
        return name

    def pointer_value(self, base: str) -> Value:
        from vmxon.microcode.types import TYPES

        return self._value(TYPES["u64"], f"ptrtoint ptr {base} to i64")

    def load(self, kind: IntType, pointer: Value) -> Value:
        return self._value(kind, f"load i{kind.bits}, ptr {self.pointer(pointer)}, align 1")

    def store(self, pointer: Value, value: Value) -> None:
        self.emit(f"store i{value.kind.bits} {value.text}, ptr {self.pointer(pointer)}, align 1")

    # Control.
    def begin_if(self, condition: Value, has_else: bool, unlikely: bool = False) -> tuple[str, str]:
        yes, no, end = self.label(), self.label(), self.label()
        self.emit(f"br i1 {condition.text}, label %{yes}, label %{no}{UNLIKELY if unlikely else ''}")
        self.emit(f"{yes}:")
        return no, end

    def begin_else(self, frame: tuple[str, str], dead: bool) -> None:
        if not dead:
            self.emit(f"br label %{frame[1]}")
        self.emit(f"{frame[0]}:")

    def end_if(self, frame: tuple[str, str], dead: bool, all_dead: bool) -> None:
        if not dead:
            self.emit(f"br label %{frame[1]}")
        if not all_dead:
            self.emit(f"{frame[1]}:")

    def begin_loop(self) -> None:
        head, end = self.label(), self.label()
        self.emit(f"br label %{head}")
        self.emit(f"{head}:")
        self.loops.append((head, end))

    def exit_loop_unless(self, condition: Value) -> None:
        body = self.label()
        self.emit(f"br i1 {condition.text}, label %{body}, label %{self.loops[-1][1]}")
        self.emit(f"{body}:")

    def break_loop(self) -> None:
        self.emit(f"br label %{self.loops[-1][1]}")

    def continue_loop(self) -> None:
        self.emit(f"br label %{self.loops[-1][0]}")

    def end_loop(self, dead: bool, never_ends: bool) -> None:
        head, end = self.loops.pop()
        if not dead:
            self.emit(f"br label %{head}")
        self.emit(f"{end}:")
        if never_ends:
            self.emit("unreachable")

    def begin_inline(self) -> str:
        return self.label()

    def leave_inline(self, frame: str) -> None:
        self.emit(f"br label %{frame}")

    def end_inline(self, frame: str, used: bool, dead: bool) -> None:
        if not used:
            return
        if not dead:
            self.emit(f"br label %{frame}")
        self.emit(f"{frame}:")

    def call(self, signature: Signature, arguments: list[str]) -> list[Value]:
        """Call an out-of-line function; on its fault go to the fault exit."""
        status, results = self._call(signature, arguments)
        if signature.never_returns:
            self.fault()
        elif status is not None:
            self.fault_used = True
            go_on = self.label()
            self.emit(f"br i1 {status}, label %fault, label %{go_on}{UNLIKELY}")
            self.emit(f"{go_on}:")
        return results

    def call_attempt(self, signature: Signature, arguments: list[str]) -> Value:
        """Call and give True where it did not fault."""
        status, _ = self._call(signature, arguments)
        if status is None:
            return self.const(BOOL, 1)
        return self._value(BOOL, f"xor i1 {status}, true")

    def _call(self, signature: Signature, arguments: list[str]) -> tuple[str | None, list[Value]]:
        parameters = [
            f"i{kind.bits} {text}" if isinstance(kind, IntType) else f"ptr {text}"
            for kind, text in zip(signature.parameters, arguments, strict=True)
        ]
        result = return_type(signature)
        call = f'call {result} @"{signature.name}"({", ".join(parameters)})'
        if result == "void":
            self.emit(call)
            return None, []
        whole = self.fresh()
        self.emit(f"{whole} = {call}")
        if not result.startswith("{"):
            if signature.can_fault:
                return whole, []
            return None, [Value(signature.results[0], whole)]
        status = None
        first = 0
        if signature.can_fault:
            status = self.fresh()
            self.emit(f"{status} = extractvalue {result} {whole}, 0")
            first = 1
        values = [
            self._value(kind, f"extractvalue {result} {whole}, {first + index}") for index, kind in enumerate(signature.results)
        ]
        return status, values

    def fault(self) -> None:
        self.fault_used = True
        self.emit("br label %fault")

    def return_(self) -> None:
        self.emit("br label %return")

    # Whole functions.
    def function(self, signature: Signature, results: list[Variable], dead: bool) -> str:
        """The text of an out-of-line function whose return values stand in `results`."""
        kinds = enumerate(signature.parameters)
        names = ["%cpu" if not isinstance(kind, IntType) and index == 0 else f"%p{index}" for index, kind in kinds]
        parameters = ", ".join(
            f"i{kind.bits} {name}" if isinstance(kind, IntType) else f"ptr {name}"
            for kind, name in zip(signature.parameters, names, strict=True)
        )
        kind = return_type(signature)
        head = f'define {kind} @"{signature.name}"({parameters}) nounwind noinline {{'
        lines = [head, "entry:", *self.allocas, "br label %body", "body:"]
        lines += self.lines
        if not dead:
            lines.append("br label %return")
        lines.append("return:")
        if kind == "void":
            lines.append("ret void")
        elif kind == "i1" and signature.can_fault:
            lines.append("ret i1 false")
        else:
            lines += self._aggregate(signature, kind, results)
        if self.fault_used:
            lines.append("fault:")
            if kind == "i1":
                lines.append("ret i1 true")
            else:
                lines += [f"%faulted = insertvalue {kind} zeroinitializer, i1 true, 0", f"ret {kind} %faulted"]
        return "\n".join([*lines, "}", ""])

    def _aggregate(self, signature: Signature, kind: str, results: list[Variable]) -> list[str]:
        lines = [f"%r{index} = load i{v.kind.bits}, ptr {v.text}" for index, v in enumerate(results)]
        if not kind.startswith("{"):
            return [*lines, f"ret {kind} %r0"]
        whole = "zeroinitializer"
        for index, variable in enumerate(results):
            position = index + (1 if signature.can_fault else 0)
            lines.append(f"%w{index} = insertvalue {kind} {whole}, i{variable.kind.bits} %r{index}, {position}")
            whole = f"%w{index}"
        return [*lines, f"ret {kind} {whole}"]


def return_type(signature: Signature) -> str:
    """The LLVM return type: an i1 in front says “faulted”."""
    parts = [f"i{kind.bits}" for kind in signature.results]
    if signature.can_fault:
        parts.insert(0, "i1")
    if not parts:
        return "void"
    return parts[0] if len(parts) == 1 else "{ " + ", ".join(parts) + " }"


def declaration(signature: Signature) -> str:
    """An external declaration of an out-of-line function."""
    parameters = ", ".join(f"i{kind.bits}" if isinstance(kind, IntType) else "ptr" for kind in signature.parameters)
    return f'declare {return_type(signature)} @"{signature.name}"({parameters}) nounwind'
