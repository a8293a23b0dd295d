"""Guest programs for two machines: assembly text whose log on port 0xE9 must be the same on both."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from benchmarks.images import ORIGIN, multiboot_elf
from vmxon.machine.assembler import assemble

FOLDER = Path(__file__).parent
ENTRY = ORIGIN + 12
ZEROS = 0x80_0000
"""Bytes behind the text that start as zeros: more than zeros.s names, and the 2 MiB page `aligned`."""


class Program:
    """A program under construction; each line of its log begins with a label.

    A block of code may change any register. It must leave RSP as it was, except where it faults.
    """

    kernel: tuple[str, ...] = ("long.s",)
    pointer, accumulator, stack_pointer, source = "qword", "rax", "rsp", "rsi"

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._labels: dict[str, str] = {}
        self._count = 0

    def code(self, text: str) -> None:
        """Assembly that prints nothing by itself."""
        self._lines.append(text)

    def fresh(self, stem: str) -> str:
        """A symbol that nothing else has."""
        self._count += 1
        return f"{stem}_{self._count}"

    def say(self, text: str) -> None:
        """Print `text`."""
        name = self._labels.setdefault(text, f"text_{len(self._labels)}")
        self.code(f"push {self.source}\nmov esi, offset {name}\ncall print\npop {self.source}")

    def show(self, text: str, *expressions: str) -> None:
        """A line: `text:` and each expression (a register or memory operand) in hexadecimal."""
        self.say(f"{text}:")
        self.print_values(expressions)
        self.end_line()

    def print_values(self, expressions: Iterable[str]) -> None:
        """Print registers or memory operands in hexadecimal; no register changes."""
        for expression in expressions:
            self.code(f"push {self.accumulator}\nmov {self.accumulator}, {expression}\ncall print_hex\npop {self.accumulator}")

    def end_line(self) -> None:
        self.code("call new_line")

    def catch(self, text: str) -> None:
        """Run `text`; an exception goes on behind it, with its vector in fault_vector."""
        after = self.fresh("after")
        self.code(f"mov {self.pointer} ptr [resume_rip], offset {after}\nmov [resume_rsp], {self.stack_pointer}")
        self.code(f"mov {self.pointer} ptr [fault_vector], -1")
        self.code(f"{text}\n{after}:")

    def attempt(self, label: str, text: str, *expressions: str) -> None:
        """A line: `label:`, then “fine” or the exception with its error code, then each expression in hexadecimal."""
        self.say(f"{label}:")
        self.catch(text)
        self.code("call report")
        self.print_values(expressions)
        self.end_line()

    def attempts(self, rows: Iterable[tuple[str, str]]) -> None:
        """One `attempt` for each label and text."""
        for label, text in rows:
            self.attempt(label, text)

    def text(self) -> str:
        """The whole assembly text."""
        kernel = "\n".join((FOLDER / name).read_text() for name in self.kernel)
        strings = "\n".join(f'{name}: .asciz "{text}"' for text, name in self._labels.items())
        body = "\n".join(self._lines)
        zeros = (FOLDER / "zeros.s").read_text()
        return f".text 2\n{zeros}.text 0\n{kernel}.text 1\nprogram:\n{body}\nret\n{strings}\n"

    def build(self) -> bytes:
        """A multiboot ELF file."""
        return multiboot_elf(assemble(self.text(), 64, ORIGIN), ENTRY, ZEROS)
