"""The compiled engine as the subject of instruction tests: one instruction in a small flat world."""

from __future__ import annotations

from tests.isa.cases import CODE, CODE_SIZE, DATA, DATA_SIZE, SELECTOR_OF_CODE, SELECTOR_OF_DATA, START, Case
from tests.isa.outcome import Outcome
from vmxon.arch.control import Cr0
from vmxon.arch.models import MAX
from vmxon.engine.golden_model import GoldenModel
from vmxon.engine.native import Engine, Library
from vmxon.machine.modes import enter_flat_32, enter_long, enter_real, set_segment
from vmxon.machine.processor import Processor
from vmxon.processor.state import HostRequest, Segment

MEMORY_SIZE = 2 << 20
TABLES = 0x100000
PRESENT_WRITABLE = 3
RFLAGS_MASK = 0xCD5
NOWHERE = 0xDEAD << 48
"""An address that no jump can reach."""
MOST_ROUNDS = 100
"""Budgets of 1 that a repeated instruction may take."""
GENERAL_PROTECTION, IN_IDT = 13, 2


def first_fault(recorded: int) -> int:
    """The vector of the exception that could not be delivered: there is no IDT, which a #GP(index * 8 + 2) reports."""
    vector, error = recorded >> 32, recorded & 0xFFFFFFFF
    return error >> 3 if vector == GENERAL_PROTECTION and error & IN_IDT else vector


def map_areas(engine: Engine, table: int, size: int) -> None:
    """Fill a page table with the code and data areas, each at its own address."""
    for start, length in ((CODE, CODE_SIZE), (DATA, DATA_SIZE)):
        for page in range(start, start + length, 0x1000):
            entry = (page | PRESENT_WRITABLE).to_bytes(size, "little")
            engine.write_physical(table + page // 0x1000 * size, entry)


class Native:
    """One processor for each mode, reused for every case."""

    def __init__(self, library: Library | None = None, golden: bool = False) -> None:
        self.processors = {mode: self._processor(mode, library) for mode in (16, 32, 64)}
        self.clean: dict[int, bytes] = {}
        if golden:
            for processor in self.processors.values():
                engine = processor.engine
                engine.run = GoldenModel(engine).run  # type: ignore[method-assign]  # the same engine, run in Python

    def _processor(self, mode: int, library: Library | None) -> Processor:
        processor = Processor(MAX, MEMORY_SIZE, library)
        engine, state = processor.engine, processor.state
        if mode == 16:
            enter_real(state, SELECTOR_OF_CODE, START - CODE)
            for segment in (Segment.ES, Segment.SS, Segment.DS, Segment.FS, Segment.GS):
                set_segment(state, segment, SELECTOR_OF_DATA, DATA, 0xFFFF, state.segments[segment].rights)
        elif mode == 32:
            enter_flat_32(state, START)
            engine.write_physical(TABLES, (TABLES + 0x1000 | PRESENT_WRITABLE).to_bytes(4, "little"))
            map_areas(engine, TABLES + 0x1000, 4)
            state.cr0, state.cr3 = state.cr0 | Cr0.pg.mask, TABLES
        else:
            enter_long(state, START, TABLES)
            for level in range(3):
                entry = TABLES + (level + 1) * 0x1000 | PRESENT_WRITABLE
                engine.write_physical(TABLES + level * 0x1000, entry.to_bytes(8, "little"))
            map_areas(engine, TABLES + 3 * 0x1000, 8)
        state.idt_limit = 0
        state.python_rip = NOWHERE
        for word in range(len(state.features)):
            state.features[word] = (1 << 64) - 1
        processor.refresh()
        return processor

    def run(self, case: Case) -> Outcome:
        """The state after the case's instruction."""
        processor = self.processors[case.mode]
        engine, state = processor.engine, processor.state
        if self.clean.get(case.mode) != case.memory:
            engine.write_physical(DATA, case.memory)
        engine.write_physical(CODE, case.page)
        for number, value in enumerate(case.registers):
            state.gpr[number] = value
        engine.call("write_rflags", case.rflags, RFLAGS_MASK)
        begin = START - CODE if case.mode == 16 else START
        state.rip, state.activity, vector = begin, 0, None
        for _ in range(MOST_ROUNDS):
            stopped = processor.run(1)
            if stopped == HostRequest.TRIPLE_FAULT:
                vector = first_fault(state.shutdown_faults[0])
                state.rip = state.shutdown_faults[1]
                break
            assert stopped == HostRequest.BUDGET, f"stopped for {stopped.name}"
            if state.rip != begin or case.instruction.flow != "system":
                break
        memory = engine.read_physical(DATA, DATA_SIZE)
        self.clean[case.mode] = memory
        registers = tuple(state.gpr)[: 16 if case.mode == 64 else 8]
        if case.mode != 64:
            registers = tuple(value & 0xFFFFFFFF for value in registers)
        return Outcome(vector, registers, state.rip, processor.rflags & RFLAGS_MASK, memory)
