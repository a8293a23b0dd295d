"""A processor with descriptor tables, a TSS and handlers that stop: what tests of faults and transfers stand on.

Every vector's handler is one HLT at HANDLERS + 16 × vector, so that an instruction that faults ends with HostRequest.HALT and
`Outcome.vector` tells which. Levels 0–2 and the ISTs have stacks of their own.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from tests.harness import CODE, STACK, Bench, assemble
from vmxon.arch.segments import SystemType
from vmxon.machine.modes import set_segment
from vmxon.processor.state import HostRequest, Segment

GDT, IDT, TSS, LDT, TSS2, HANDLERS = 0x6000, 0x8000, 0xA000, 0xB000, 0xC000, 0x50000
RING_STACKS = (0x60000, 0x62000, 0x64000)
IST_STACK = 0x68000
CODE0, DATA0, CODE3, DATA3, TSS_SELECTOR, LDT_SELECTOR = 0x08, 0x10, 0x1B, 0x23, 0x28, 0x38
CODE1, DATA1 = 0x49, 0x51
FREE = 0x60
"""The first selector that tests may fill; two entries' room each from here on."""
SELECTOR_LIMIT = 0xFF
COMPLETE = (HostRequest.PORT_WRITE, HostRequest.MSR_WRITE)
"""Requests of instructions that are complete: a device would hear of them now."""
VM, IOPL3 = 1 << 17, 3 << 12
READ_WRITE, READ_ONLY, EXPAND_DOWN, EXECUTE_ONLY, CODE_TYPE, CONFORMING = 0x12, 0x10, 0x16, 0x18, 0x1A, 0x1E
"""S and type of data and code."""


def descriptor(base: int, limit: int, kind: int, dpl: int = 0, present: bool = True, flags: int = 0) -> int:
    """Eight bytes; `kind` is S and type, `flags` AVL, L, D/B, G from bit 0; the limit is in the units that G says."""
    return (
        limit & 0xFFFF
        | (base & 0xFF_FFFF) << 16
        | kind << 40
        | dpl << 45
        | present << 47
        | (limit >> 16 & 0xF) << 48
        | flags << 52
        | (base >> 24 & 0xFF) << 56
    )


def gate(selector: int, offset: int, kind: int = SystemType.INTERRUPT_GATE, dpl: int = 0, present: bool = True, count: int = 0) -> int:
    """Eight bytes of a gate, or the low eight of sixteen."""
    low = offset & 0xFFFF | selector << 16 | count << 32 | kind << 40 | dpl << 45 | present << 47
    return low | (offset >> 16 & 0xFFFF) << 48


@dataclass(frozen=True)
class Outcome:
    """How a run ended: the vector whose handler stopped it, None where it went to its end, -1 for shutdown."""

    vector: int | None
    error: int | None = None

    def __repr__(self) -> str:
        return f"#{self.vector}({self.error})" if self.vector is not None else "fine"


FINE = Outcome(None)
SHUTDOWN = Outcome(-1)


def fault(vector: int, error: int | None = 0) -> Outcome:
    """The outcome of an exception."""
    return Outcome(vector, error)


class SystemBench(Bench):
    """Mode 16 (real), 86 (virtual-8086), 32, 33 (compatibility) or 64, at a privilege level."""

    def __init__(self, mode: int = 32, cpl: int = 0) -> None:
        self.mode = mode
        super().__init__({16: 16, 86: 32, 32: 32, 33: 64, 64: 64}[mode])
        self.long = mode in (33, 64)
        self._tables()
        self.set_level(cpl)

    def _tables(self) -> None:
        state, wide = self.state, self.long
        flat, code = 0xC, 0xA if wide else 0xC
        entries = {
            CODE0: descriptor(0, 0xFFFFF, CODE_TYPE | 1, 0, flags=code),
            DATA0: descriptor(0, 0xFFFFF, READ_WRITE | 1, 0, flags=flat),
            CODE3 & 0xF8: descriptor(0, 0xFFFFF, CODE_TYPE | 1, 3, flags=0xC if self.mode == 33 else code),
            DATA3 & 0xF8: descriptor(0, 0xFFFFF, READ_WRITE | 1, 3, flags=flat),
            TSS_SELECTOR: descriptor(TSS, 0x6F, SystemType.BUSY_TSS),
            LDT_SELECTOR: descriptor(LDT, 0x3F, SystemType.LDT),
            CODE1 & 0xF8: descriptor(0, 0xFFFFF, CODE_TYPE | 1, 1, flags=code),
            DATA1 & 0xF8: descriptor(0, 0xFFFFF, READ_WRITE | 1, 1, flags=flat),
        }
        self.engine.write_physical(GDT, bytes(SELECTOR_LIMIT + 1))
        for selector, value in entries.items():
            self.put_descriptor(selector, value)
        for vector in range(256):
            self.put_gate(vector)
            self.engine.write_physical(HANDLERS + 16 * vector, b"\xf4")
        state.gdt_base, state.gdt_limit = GDT, SELECTOR_LIMIT
        state.idt_base, state.idt_limit = IDT, 0xFFF if wide else 0x7FF
        if self.mode == 16:
            state.idt_limit = 0x3FF
        self._task_state()
        set_segment(state, Segment.TR, TSS_SELECTOR, TSS, 0x6F, 0x8B)
        set_segment(state, Segment.LDTR, LDT_SELECTOR, LDT, 0x3F, 0x82)

    def _task_state(self) -> None:
        if self.long:
            image = bytearray(0x70)
            struct.pack_into("<3Q", image, 4, *RING_STACKS)
            struct.pack_into("<7Q", image, 36, *(IST_STACK + 0x1000 * n for n in range(7)))
        else:
            image = bytearray(0x70)
            for level, (stack, selector) in enumerate(zip(RING_STACKS, (DATA0, DATA1, 0), strict=True)):
                struct.pack_into("<II", image, 4 + 8 * level, stack, selector)
        struct.pack_into("<H", image, 0x66, 0x6F)
        self.engine.write_physical(TSS, bytes(image))

    def put_descriptor(self, selector: int, value: int, high: int | None = None) -> None:
        """Fill an entry of the GDT, or of the LDT where TI is set; `high` adds eight bytes."""
        data = value.to_bytes(8, "little") + (b"" if high is None else high.to_bytes(8, "little"))
        self.engine.write_physical((LDT if selector & 4 else GDT) + (selector & ~7), data)

    def get_descriptor(self, selector: int) -> int:
        """Eight bytes of the GDT or LDT."""
        place = (LDT if selector & 4 else GDT) + (selector & ~7)
        return int.from_bytes(self.engine.read_physical(place, 8), "little")

    def put_gate(self, vector: int, value: int | None = None) -> None:
        """Fill an entry of the interrupt table; by default an interrupt gate to the vector's HLT."""
        target = HANDLERS + 16 * vector
        if self.mode == 16:
            self.engine.write_physical(IDT + 4 * vector, struct.pack("<HH", 16 * vector, HANDLERS >> 4))
        elif self.long:
            low = gate(CODE0, target) if value is None else value
            self.engine.write_physical(IDT + 16 * vector, low.to_bytes(8, "little") + bytes(8))
        else:
            low = gate(CODE0, target) if value is None else value
            self.engine.write_physical(IDT + 8 * vector, low.to_bytes(8, "little"))

    def set_level(self, cpl: int) -> None:
        """Give the segment registers the flat segments of a level, or the 8086's."""
        state = self.state
        if self.mode == 86:
            state.rflags_other |= VM
            for segment in range(6):
                base = CODE if segment == Segment.CS else 0x20000 if segment != Segment.SS else STACK & ~0xFFFF
                set_segment(state, Segment(segment), base >> 4, base, 0xFFFF, 0xF3)
            state.gpr[4] = 0x8000
        elif self.mode != 16:
            rights = 0xA09B if self.mode == 64 else 0xC09B
            set_segment(state, Segment.CS, (CODE0, CODE1, 0, CODE3)[cpl], 0, 0xFFFFFFFF, rights | cpl << 5)
            for segment in (Segment.ES, Segment.SS, Segment.DS, Segment.FS, Segment.GS):
                set_segment(state, segment, (DATA0, DATA1, 0, DATA3)[cpl], 0, 0xFFFFFFFF, 0xC093 | cpl << 5)
        self.processor.refresh()

    def run(self, code: str | bytes, count: int = 1, bits: int | None = None) -> Outcome:
        """Run `count` instructions from CODE on, and say how that ended."""
        bits = bits or {16: 16, 86: 16, 32: 32, 33: 32, 64: 64}[self.mode]
        self.engine.write_physical(CODE, assemble(code, bits) if isinstance(code, str) else code)
        self.state.rip = 0 if self.mode in (16, 86) else CODE
        self.state.activity = 0
        return self.go_on(count)

    def go_on(self, count: int = 1) -> Outcome:
        """Run `count` instructions from where it stands."""
        request = self.processor.run(count)
        while request in COMPLETE and count > 1:
            count -= 1
            request = self.processor.run(count)
        for _ in range(3):
            # A delivery takes one instruction's time, so the budget may end at the first instruction of a handler.
            if request is HostRequest.BUDGET and HANDLERS <= self.linear_rip < HANDLERS + 4096 and self.linear_rip & 15 == 0:
                request = self.processor.run(1)
        if request is HostRequest.TRIPLE_FAULT:
            return SHUTDOWN
        at = self.linear_rip
        if request is not HostRequest.HALT or not HANDLERS <= at < HANDLERS + 4096:
            assert request in (HostRequest.BUDGET, HostRequest.HALT, *COMPLETE), request
            return FINE
        vector = (at - 1 - HANDLERS) >> 4
        return Outcome(vector, self.pushed(0) if vector in ERROR_CODES and self.mode != 16 else None)

    @property
    def linear_rip(self) -> int:
        """RIP, with the base of CS in real mode."""
        return self.state.rip + (self.state.segments[Segment.CS].base if self.mode == 16 else 0)

    def pushed(self, index: int) -> int:
        """The value at `index` places above the top of the stack, in the width of the mode."""
        width = 8 if self.long else 2 if self.mode == 16 else 4
        return self.stacked(index, width)

    def stacked(self, index: int, width: int) -> int:
        """The same in a given width."""
        state = self.state
        pointer = state.gpr[4] if state.stack_shift != 48 else state.gpr[4] & 0xFFFF
        base = 0 if state.code_size == 2 else state.segments[Segment.SS].base
        return int.from_bytes(self.engine.read_physical(base + pointer + index * width, width), "little")

    @property
    def selectors(self) -> tuple[int, ...]:
        """ES, CS, SS, DS, FS, GS."""
        return tuple(self.state.segments[n].selector for n in range(6))


ERROR_CODES = frozenset({8, 10, 11, 12, 13, 14, 17})
DE, DB, NMI, BP, OF, BR, UD, NM, DF, TS, NP, SS, GP, PF = 0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14
