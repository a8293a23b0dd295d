"""Failed VM entries of a program in Python: the VMCS as it was then, explained when somebody looks."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import PurePath
from types import CodeType
from typing import TYPE_CHECKING

from vmxon.machine.processor import Processor
from vmxon.microcode.layout import Memory
from vmxon.vmx.state import VmcsCache

if TYPE_CHECKING:
    from vmxon.explain import EntryRecord, Explanation, Writer

VMWRITE = 3
"""Bytes of the instruction that `RootProcessor.vmwrite` runs."""


class PythonLines:
    """Which line of the program in Python wrote a field last; a code object and a number each, so that noting costs little."""

    def __init__(self, own: str, rip: int) -> None:
        self.own, self.rip = own, rip
        """File whose frames are not the program's, and where its instructions end."""
        self._lines: dict[tuple[int, int], tuple[int, CodeType, int]] = {}

    def note(self, pointer: int, encodings: Iterable[int], number: int) -> None:
        """The caller wrote these fields of the VMCS at `pointer`; `number` is how many instructions ran by then."""
        frame = sys._getframe(1)
        while frame.f_code.co_filename == self.own and frame.f_back is not None:
            frame = frame.f_back
        place = number, frame.f_code, frame.f_lineno
        for encoding in encodings:
            self._lines[pointer, encoding & ~1] = place

    def writer(self, pointer: int, encoding: int, writer: Writer) -> Writer:
        """The same writer, with the line where it is known."""
        if writer.rip not in (self.rip, self.rip - VMWRITE):
            return writer
        known = self._lines.get((pointer, encoding))
        if known is None or known[0] != writer.number:
            return replace(writer, program="the Python program")
        _, code, line = known
        return replace(writer, program=f"the Python program at {PurePath(code.co_filename).name}:{line}")


class FailedEntry:
    """What an outcome remembers of an entry that a rule stopped."""

    def __init__(self, processor: Processor, lines: PythonLines) -> None:
        state = processor.state
        self.processor, self.lines = processor, lines
        self.pointer, self.efer = state.vmcs_pointer, state.efer
        start = state.vmcs - state.vmx_memory
        self._cache = bytes(processor.engine.vmx_memory.block[start : start + VmcsCache.size])

    @cached_property
    def explanation(self) -> Explanation:
        """Every broken rule, with the fields' values and who wrote them."""
        from vmxon.explain import explain_entry  # noqa: PLC0415 - a tenth of a second that only a failed entry needs

        return explain_entry(self.record())

    def record(self) -> EntryRecord:
        """The entry as plain data; memory is as it is now."""
        from vmxon.explain import record_of_cache  # noqa: PLC0415 - as above

        record = record_of_cache(
            VmcsCache(Memory(memoryview(self._cache), 0)),
            self.processor.model,
            efer=self.efer,
            pointer=self.pointer,
            read_quad=lambda address: int.from_bytes(self.processor.engine.read_physical(address, 8), "little"),
        )
        writers = record.writers or {}
        return replace(record, writers={which: self.lines.writer(self.pointer, which, writer) for which, writer in writers.items()})
