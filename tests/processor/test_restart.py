"""Every page that a many-step operation touches is taken away in turn: the fault leaves no trace, and a second try succeeds.

The interrupt table ends before #DF and #PF, so a page fault ends in shutdown at once, with the state that it found.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from tests.harness import CODE
from tests.processor.system_bench import (
    CODE0,
    CODE1,
    CODE3,
    DATA3,
    FINE,
    FREE,
    HANDLERS,
    PF,
    SHUTDOWN,
    TSS,
    TSS2,
    VM,
    SystemBench,
    descriptor,
    gate,
)
from vmxon.arch.segments import SystemType

ROOT = 0x30_0000
"""Page tables: out of the way of everything else."""
PAGES = 0x400
TARGET = 0x18000
POINTER = 0x20FFE
"""A far pointer across two pages."""
BP = 3
ACCESSED, DIRTY = 0x20, 0x40


def page_in(bench: SystemBench) -> None:
    """Map the 4 MiB of RAM one to one with 4-KiB pages."""
    write = bench.engine.write_physical
    entries = [n << 12 | 7 for n in range(PAGES)]
    if bench.long:
        for level in range(3):
            write(ROOT + 0x1000 * level, struct.pack("<Q", ROOT + 0x1000 * (level + 1) | 7))
        write(ROOT + 0x2000, struct.pack("<2Q", ROOT + 0x3000 | 7, ROOT + 0x4000 | 7))
        write(ROOT + 0x3000, struct.pack(f"<{PAGES}Q", *entries))
    else:
        write(ROOT, struct.pack("<I", ROOT + 0x3000 | 7))
        write(ROOT + 0x3000, struct.pack(f"<{PAGES}I", *entries))
    bench.state.cr3 = ROOT
    bench.state.cr0 |= 1 << 31 | 1 << 16
    bench.processor.refresh()


def entry_place(bench: SystemBench, page: int) -> int:
    return ROOT + 0x3000 + page * (8 if bench.long else 4)


def touched(bench: SystemBench) -> list[int]:
    """Pages whose accessed bit is set."""
    read = bench.engine.read_physical
    return [n for n in range(PAGES) if read(entry_place(bench, n), 1)[0] & ACCESSED]


def snapshot(bench: SystemBench) -> tuple[object, ...]:
    """Registers and all of memory but the page tables."""
    state = bench.state
    segments = [(s.selector, s.base, s.limit, s.rights) for s in state.segments]
    memory = bench.engine.read_physical(0, ROOT)
    registers = list(state.gpr), state.rip, bench.processor.rflags, state.cr0, state.cr3, state.cpl
    return *registers, segments, memory


def far_pointer(bench: SystemBench, selector: int) -> None:
    bench.engine.write_physical(POINTER, struct.pack("<QH" if bench.mode == 64 else "<IH", TARGET, selector))


def push(bench: SystemBench, *words: int) -> None:
    width, code = (8, "Q") if bench.mode == 64 else (4, "I")
    bench.state.gpr[4] -= width * len(words)
    bench.engine.write_physical(bench.state.gpr[4], struct.pack(f"<{len(words)}{code}", *words))


def cross_page(bench: SystemBench) -> None:
    """Leave room for one word below the stack pointer before the page ends."""
    bench.state.gpr[4] = 0x37004 if bench.mode != 64 else 0x37008


def call_far(mode: int) -> tuple[SystemBench, bytes]:
    bench = SystemBench(mode)
    far_pointer(bench, CODE0)
    cross_page(bench)
    return bench, (b"\x48\xff\x1c\x25" if mode == 64 else b"\xff\x1d") + struct.pack("<I", POINTER)


def call_gate(mode: int) -> tuple[SystemBench, bytes]:
    bench = SystemBench(mode, 3)
    target = CODE0 if mode == 64 else CODE1 & 0xF8
    bench.put_descriptor(FREE, gate(target, TARGET, SystemType.CALL_GATE, 3, count=0 if mode == 64 else 4), 0)
    # The inner stack begins just above a page.
    bench.engine.write_physical(TSS + (4 if mode == 64 else 12), struct.pack("<I", 0x61010))
    push(bench, 1, 2, 3, 4)
    far_pointer(bench, FREE | 3)
    return bench, (b"\x48\xff\x1c\x25" if mode == 64 else b"\xff\x1d") + struct.pack("<I", POINTER)


def return_far(mode: int) -> tuple[SystemBench, bytes]:
    bench = SystemBench(mode)
    bench.state.gpr[4] = 0x37010
    push(bench, TARGET, CODE3, 0x30000, DATA3)
    return bench, b"\x48\xcb" if mode == 64 else b"\xcb"


def iret(mode: int) -> tuple[SystemBench, bytes]:
    bench = SystemBench(mode)
    bench.state.gpr[4] = 0x37010
    push(bench, TARGET, CODE3, 0x3202, 0x30000, DATA3)
    return bench, b"\x48\xcf" if mode == 64 else b"\xcf"


def iret_to_virtual_8086(mode: int) -> tuple[SystemBench, bytes]:
    bench = SystemBench(mode)
    bench.state.gpr[4] = 0x37010
    push(bench, 0x10, TARGET >> 4, VM | 0x3002, 0x7000, 0x2000, 1, 2, 3, 4)
    return bench, b"\xcf"


def interrupt_from(cpl: int) -> Callable[[int], tuple[SystemBench, bytes]]:
    def prepare(mode: int) -> tuple[SystemBench, bytes]:
        bench = SystemBench(mode, cpl)
        bench.put_gate(BP, gate(CODE0, TARGET, dpl=3))
        bench.engine.write_physical(TSS + 4, struct.pack("<I", 0x61010))
        if mode != 86:
            bench.state.gpr[4] = 0x37010
        return bench, b"\xcc"

    return prepare


def task(code: bytes) -> Callable[[int], tuple[SystemBench, bytes]]:
    def prepare(mode: int) -> tuple[SystemBench, bytes]:
        bench = SystemBench(mode)
        # The new TSS lies across two pages.
        bench.put_descriptor(FREE, descriptor(TSS2 + 0xFC0, 0x67, SystemType.AVAILABLE_TSS))
        words = [ROOT, TARGET, 2, *range(4), 0x3A000, *range(3), 0x10, CODE0, 0x10, 0x10, 0x10, 0x10, 0]
        bench.engine.write_physical(TSS2 + 0xFC0 + 0x1C, struct.pack("<18I", *words))
        return bench, code + struct.pack("<IH", 0, FREE)

    return prepare


def load_segment(mode: int) -> tuple[SystemBench, bytes]:
    bench = SystemBench(mode)
    bench.put_descriptor(FREE, descriptor(0x1000, 0xFFFF, 0x12))
    bench.state.gpr[0] = FREE
    return bench, b"\x8e\xd8"


def pop_segment(mode: int) -> tuple[SystemBench, bytes]:
    bench = SystemBench(mode)
    bench.put_descriptor(FREE, descriptor(0x1000, 0xFFFF, 0x12))
    bench.state.gpr[4] = 0x37002
    bench.engine.write_physical(bench.state.gpr[4], struct.pack("<I", FREE))
    return bench, b"\x0f\xa1"


OPERATIONS: dict[str, tuple[Callable[[int], tuple[SystemBench, bytes]], tuple[int, ...]]] = {
    "far call": (call_far, (32, 64)),
    "call gate": (call_gate, (32, 64)),
    "far return": (return_far, (32, 64)),
    "IRET": (iret, (32, 64)),
    "IRET to virtual-8086": (iret_to_virtual_8086, (32,)),
    "interrupt, same level": (interrupt_from(0), (32, 64)),
    "interrupt from level 3": (interrupt_from(3), (32, 33, 64, 86)),
    "task by JMP": (task(b"\xea"), (32,)),
    "task by CALL": (task(b"\x9a"), (32,)),
    "segment load": (load_segment, (32, 64)),
    "segment pop": (pop_segment, (32, 64)),
}
CASES = [(name, mode) for name, (_, modes) in OPERATIONS.items() for mode in modes]


def prepared(name: str, mode: int) -> tuple[SystemBench, bytes]:
    bench, code = OPERATIONS[name][0](mode)
    bench.state.idt_limit = (BP + 1) * (16 if bench.long else 8) - 1
    bench.engine.write_physical(TARGET, b"\x90" * 16)
    bench.engine.write_physical(CODE, code)
    bench.state.rip = 0 if mode == 86 else CODE
    page_in(bench)
    return bench, code


@pytest.mark.parametrize(("name", "mode"), CASES)
def test_faults_leave_no_trace(name: str, mode: int) -> None:
    bench, _ = prepared(name, mode)
    assert bench.go_on() == FINE
    assert bench.state.rip != CODE
    reference, pages = snapshot(bench), touched(bench)
    assert len(pages) >= 2
    for page in pages:
        bench, _ = prepared(name, mode)
        write, read = bench.engine.write_physical, bench.engine.read_physical
        before = snapshot(bench)
        entry = read(entry_place(bench, page), 4)
        write(entry_place(bench, page), bytes([entry[0] & ~1]))
        bench.engine.call("invalidate_everything")
        assert bench.go_on() == SHUTDOWN, hex(page)
        assert bench.state.shutdown_faults[0] >> 32 == PF
        assert bench.state.cr2 >> 12 == page
        after = snapshot(bench)
        assert after[:-1] == before[:-1], hex(page)
        # Memory below the stack pointer of an inner level may hold part of a frame; the rest is as it was.
        assert without_stacks(after[-1]) == without_stacks(before[-1]), hex(page)
        write(entry_place(bench, page), entry)
        bench.engine.call("invalidate_everything")
        bench.state.activity = 0
        assert bench.go_on() == FINE
        assert snapshot(bench) == reference, hex(page)


def without_stacks(memory: object) -> bytes:
    assert isinstance(memory, bytes)
    return memory[:0x60000] + memory[0x62000:]


@pytest.mark.parametrize("mode", [16, 32, 64])
def test_stack_beside_the_code(mode: int) -> None:
    """Frames that overwrite cached code: the handler's bytes must be seen as they are now."""
    bench = SystemBench(mode)
    bench.run("nop\nnop\nnop", 3)
    if mode == 16:
        bench.state.segments[2].base, bench.state.gpr[4] = CODE, 0x40
    else:
        bench.state.gpr[4] = CODE + 0x40
    outcome = bench.run("ud2")
    assert outcome.vector == 6
    # An IRET in the code page pops what was pushed there.
    bench.engine.write_physical(HANDLERS + 16 * 6, b"\x48\xcf" if mode == 64 else b"\xcf")
    bench.state.gpr[4] = 0x40 if mode == 16 else CODE + 0x40
    if mode == 16:
        bench.state.segments[1].selector, bench.state.segments[1].base = CODE >> 4, CODE
    bench.run("ud2", 1)
    assert bench.state.rip == (0 if mode == 16 else CODE)
    assert bench.state.gpr[4] == (0x40 if mode == 16 else CODE + 0x40)
