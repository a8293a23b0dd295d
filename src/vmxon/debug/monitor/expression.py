"""Numbers in the monitor's language: literals, $registers, and C's operators on 64-bit integers."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable

from vmxon.debug.monitor.complaint import Complaint
from vmxon.debug.registers import BY_NAME
from vmxon.machine.processor import Processor

MASK = (1 << 64) - 1
DEEPEST = 64
TOKEN = re.compile(r"\s*(0[xX][0-9a-fA-F]+|[0-9]+|\$[A-Za-z_][A-Za-z0-9_]*|<<|>>|[-+*/%&|^~()])")
LEVELS: tuple[dict[str, Callable[[int, int], int]], ...] = (
    {"|": operator.or_, "&": operator.and_, "^": operator.xor},
    {"<<": lambda left, right: left << min(right, 64), ">>": operator.rshift},
    {"+": operator.add, "-": operator.sub},
    {"*": operator.mul, "/": operator.floordiv, "%": operator.mod},
)
"""Binary operators, the loosest first; bitwise ones share a level, as in QEMU."""
HALVES = {f"e{name}": f"r{name}" for name in ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp", "ip")}
HALVES |= {"pc": "rip", "sp": "rsp", "fp": "rbp"}


class Expression:
    """One expression; `value` is it as an unsigned 64-bit number."""

    def __init__(self, text: str, processor: Processor) -> None:
        self.text, self.processor = text, processor
        self.tokens = self._cut(text)
        self.place = self.depth = 0
        self.value = self._binary(0) & MASK
        if self.place < len(self.tokens):
            raise Complaint(f"{self.tokens[self.place]!r} is not expected in {text!r}")

    @staticmethod
    def _cut(text: str) -> list[str]:
        tokens, at = [], 0
        while text[at:].strip():
            match = TOKEN.match(text, at)
            if match is None:
                raise Complaint(f"{text[at:].strip()!r} is no number: write 0xb8000, $rip or $rsp+8")
            tokens.append(match[1])
            at = match.end()
        return tokens

    def _next(self) -> str:
        if self.place == len(self.tokens):
            raise Complaint(f"{self.text!r} ends where a number should be")
        self.place += 1
        return self.tokens[self.place - 1]

    def _binary(self, level: int) -> int:
        if level == len(LEVELS):
            return self._single()
        value = self._binary(level + 1)
        while self.place < len(self.tokens) and self.tokens[self.place] in LEVELS[level]:
            sign = self._next()
            right = self._binary(level + 1)
            if sign in {"/", "%"} and not right:
                raise Complaint(f"{self.text!r} divides by 0")
            value = LEVELS[level][sign](value, right) & MASK
        return value

    def _single(self) -> int:
        token = self._next()
        self.depth += 1
        if self.depth > DEEPEST:
            raise Complaint("the expression is nested too deeply")
        try:
            return self._of(token)
        finally:
            self.depth -= 1

    def _of(self, token: str) -> int:
        match token:
            case "-":
                return -self._single() & MASK
            case "+":
                return self._single()
            case "~":
                return ~self._single() & MASK
            case "(":
                value = self._binary(0)
                if self._next() != ")":
                    raise Complaint(f"a parenthesis is open in {self.text!r}")
                return value
        if token.startswith("$"):
            return self._register(token[1:].lower())
        if not token[0].isdigit():
            raise Complaint(f"{token!r} is not expected in {self.text!r}")
        try:
            return int(token, 0) & MASK
        except ValueError:
            return int(token, 8) & MASK if re.fullmatch("0[0-7]+", token) else int(token) & MASK

    def _register(self, name: str) -> int:
        register = BY_NAME.get(HALVES.get(name, name))
        if register is None:
            raise Complaint(f"no register is called ${name}")
        return register.read(self.processor) & (0xFFFF_FFFF if name.startswith("e") and name in HALVES else MASK)
