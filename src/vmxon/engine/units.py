"""From the instruction table to LLVM modules: translation, and how the functions are spread over units that compile side by side."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from vmxon.engine.convention import CONVENTION
from vmxon.engine.dispatch import dispatch
from vmxon.engine.encoding import Tables, build_tables
from vmxon.engine.glue import EXTERNALS, glue
from vmxon.engine.groups import group_of
from vmxon.engine.handlers import PARAMETERS, Handler, HandlerTranslator
from vmxon.engine.hot import COLD, is_cold
from vmxon.engine.pseudo import PENDING, PSEUDO
from vmxon.engine.sources import load_all
from vmxon.microcode.llvm import PRELUDE, LlvmEmitter, declaration
from vmxon.microcode.program import Program, function_name
from vmxon.microcode.values import Signature

HANDLERS_IN_UNIT = 160
FUNCTIONS_IN_UNIT = 90
_REFERENCE = re.compile(r'@"([^"]+)"\(')
SPECIAL = ("run", "stop", "stale")


@dataclass(frozen=True, slots=True)
class Unit:
    """One LLVM module."""

    name: str
    text: str
    cold: bool = False
    """Compiled fast rather than well."""


@cache
def tables_of_sources() -> Tables:
    """The decode tables, with every module of the instruction table loaded."""
    load_all()
    return build_tables()


class Translation:
    """The whole engine as LLVM IR; `units()` yields modules while it translates, so that compilers can start early."""

    def __init__(self, exports: tuple[Callable[..., object], ...]) -> None:
        self.program = Program(LlvmEmitter)
        self.tables: Tables = tables_of_sources()
        self.exports = exports
        self.roots = [dispatch, *exports]
        self.dispatch = dispatch
        self.written: set[str] = set()

    @property
    def total(self) -> int:
        """How many handlers there are to translate at the first start, for progress."""
        return len(self.members(""))

    def units(self) -> Iterator[Unit]:
        """The modules, in an order that is equal in every run."""
        for function in self.roots:
            self.program.require(function)
        yield from self._functions(final=False)
        handlers = [*PSEUDO, *(handler for handler in self.tables.handlers if not group_of(handler.instruction))]
        for cold in (False, True):
            chosen = [handler for handler in handlers if is_cold(handler.instruction) is cold]
            for start in range(0, len(chosen), HANDLERS_IN_UNIT):
                texts = [self._handler(handler) for handler in chosen[start : start + HANDLERS_IN_UNIT]]
                yield self._unit(f"handlers-{'cold' if cold else 'hot'}{start // HANDLERS_IN_UNIT:02}", texts, EXTERNALS, cold)
                yield from self._functions(final=False)
        yield from self._functions(final=True)
        yield Unit("glue", self._glue())

    def members(self, group: str) -> list[int]:
        """The numbers of a group's handlers."""
        return [number for number, handler in enumerate(self.tables.handlers) if group_of(handler.instruction) == group]

    def group(self, name: str, known: frozenset[str]) -> Unit:
        """One module with the handlers of a group, and with the functions that they need beyond those that the engine has (`known`)."""
        for function in self.roots:
            self.program.require(function)
        handlers = [self.tables.handlers[number] for number in self.members(name)]
        texts = [self._handler(handler) for handler in handlers]
        bodies = [str(text) for function, text in self.program.functions.items() if function not in known]
        # Another group may have the same function: both keep their own.
        texts += [body.replace("define ", "define internal ", 1) for body in bodies]
        table = _table(f"group_{name}", [f'@"{handler.name}"' for handler in handlers])
        return self._unit(name, [*texts, table], EXTERNALS, all(is_cold(handler.instruction) for handler in handlers))

    def _handler(self, handler: Handler) -> str:
        text = HandlerTranslator(self.program, LlvmEmitter(), handler).translate()
        if not isinstance(text, str):
            raise TypeError(f"{handler.name} gave no text")
        return text

    def _functions(self, final: bool) -> Iterator[Unit]:
        for cold in (False, True):
            names = [n for n in self.program.functions if n not in self.written and n.startswith(COLD) is cold]
            while len(names) >= FUNCTIONS_IN_UNIT or (final and names):
                part, names = names[:FUNCTIONS_IN_UNIT], names[FUNCTIONS_IN_UNIT:]
                self.written.update(part)
                texts = [str(self.program.functions[name]) for name in part]
                yield self._unit(f"functions-{'cold' if cold else 'hot'}{len(self.written):04}", texts, "", cold)

    def _unit(self, name: str, texts: list[str], extra: str, cold: bool) -> Unit:
        body = "\n".join(texts)
        defined = set(re.findall(r'^define [^@]*@"([^"]+)"', body, re.MULTILINE))
        wanted = sorted(set(_REFERENCE.findall(body)) - defined)
        signatures = {s.name: s for s in self.program.signatures.values()}
        declarations = "\n".join(declaration(signatures[w]) for w in wanted)
        return Unit(name, f"{extra}\n{declarations}\n{body}\n{PRELUDE}", cold)

    def _glue(self) -> str:
        loaded = [*PSEUDO, *(PENDING if group_of(handler.instruction) else handler for handler in self.tables.handlers)]
        names = [f'@"{handler.name}"' for handler in loaded]
        dispatch = function_name(self.dispatch, ())
        declared = "\n".join(f"declare {CONVENTION} void {name}{PARAMETERS}" for name in dict.fromkeys(names))
        exported = [self.signature(function) for function in self.exports]
        outside = {s.name: declaration(s) for s in [*exported, self.signature(self.dispatch)]}
        tables = [
            _table("handler_table", names),
            _table("special_table", [f"@{name}" for name in SPECIAL]),
            _table("export_table", [f'@"{s.name}"' for s in exported]),
        ]
        return "\n".join([glue(dispatch), *outside.values(), declared, *tables, PRELUDE])

    def signature(self, function: Callable[..., object]) -> Signature:
        """The signature of a root."""
        return self.program.require(function)


def _table(name: str, symbols: list[str]) -> str:
    """A constant array of addresses."""
    return f"@{name} = constant [{len(symbols)} x ptr] [{', '.join(f'ptr {symbol}' for symbol in symbols)}]"
