"""Task switches: by JMP, CALL, IRET and task gates, of 32 and 16 bits, and what can go wrong."""

from __future__ import annotations

import struct

import pytest

from tests.harness import CODE
from tests.processor.system_bench import (
    CODE0,
    CODE3,
    CODE_TYPE,
    DATA0,
    DATA3,
    DB,
    FINE,
    FREE,
    GP,
    HANDLERS,
    LDT_SELECTOR,
    NP,
    READ_WRITE,
    SS,
    TS,
    TSS,
    TSS2,
    TSS_SELECTOR,
    UD,
    VM,
    Outcome,
    SystemBench,
    descriptor,
    fault,
    gate,
)
from vmxon.arch.segments import SystemType
from vmxon.processor.state import Segment

TARGET, NEW_STACK = 0x18000, 0x3A000
NT, TASK_SWITCHED = 1 << 14, 8
AVAILABLE, BUSY = SystemType.AVAILABLE_TSS, SystemType.BUSY_TSS
NAMES = ("eip", "eflags", "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "es", "cs", "ss", "ds", "fs", "gs", "ldt")


def image_32(**changes: int) -> bytes:
    """A 32-bit TSS with flat segments of level 0, CR3 unused."""
    values = dict.fromkeys(NAMES, 0) | {"eip": TARGET, "eflags": 2, "esp": NEW_STACK, "cs": CODE0}
    values |= dict.fromkeys(("es", "ss", "ds", "fs", "gs"), DATA0) | {n: 0x100 + i for i, n in enumerate(NAMES[2:6])}
    values |= changes
    image = bytearray(0x68)
    struct.pack_into("<18I", image, 0x1C, values.get("cr3", 0), *(values[n] for n in NAMES))
    struct.pack_into("<H", image, 0x64, values.get("trap", 0))
    return bytes(image)


def prepare(kind: int = AVAILABLE, present: bool = True, limit: int = 0x67, dpl: int = 0, **changes: int) -> SystemBench:
    bench = SystemBench(32)
    bench.put_descriptor(FREE, descriptor(TSS2, limit, kind, dpl, present))
    bench.engine.write_physical(TSS2, image_32(**changes))
    bench.engine.write_physical(TARGET, b"\x90" * 8)
    return bench


def jump(selector: int = FREE) -> bytes:
    return b"\xea" + struct.pack("<IH", 0, selector)


def call(selector: int = FREE) -> bytes:
    return b"\x9a" + struct.pack("<IH", 0, selector)


def saved(bench: SystemBench, base: int = TSS) -> dict[str, int]:
    """What a 32-bit TSS holds."""
    return dict(zip(NAMES, struct.unpack("<17I", bench.engine.read_physical(base + 0x20, 68)), strict=True))


def kinds(bench: SystemBench) -> tuple[int, int]:
    """Types of the old and the new TSS descriptor."""
    return tuple(bench.get_descriptor(s) >> 40 & 0xF for s in (TSS_SELECTOR, FREE))  # type: ignore[return-value]


def test_jump_to_a_task() -> None:
    bench = prepare()
    bench.state.gpr[1] = 0xC0FFEE
    assert bench.run(jump()) == FINE
    old = saved(bench)
    assert (old["eip"], old["ecx"], old["cs"], old["ss"], old["eflags"]) == (CODE + 7, 0xC0FFEE, CODE0, DATA0, 2)
    state = bench.state
    assert (state.rip, state.gpr[4], state.gpr[0], state.gpr[3]) == (TARGET, NEW_STACK, 0x100, 0x103)
    assert kinds(bench) == (AVAILABLE, BUSY)
    assert state.segments[Segment.TR].selector == FREE
    assert state.segments[Segment.TR].rights & 0xF == BUSY
    assert state.cr0 & TASK_SWITCHED
    assert not state.rflags_other & NT
    assert bench.engine.read_physical(TSS2, 2) == b"\0\0"


def test_call_links_and_iret_returns() -> None:
    bench = prepare()
    bench.engine.write_physical(TARGET, b"\xcf")
    before = [bench.state.gpr[n] for n in range(8)]
    assert bench.run(call()) == FINE
    assert kinds(bench) == (BUSY, BUSY)
    assert bench.engine.read_physical(TSS2, 2) == struct.pack("<H", TSS_SELECTOR)
    assert bench.state.rflags_other & NT
    assert bench.go_on() == FINE
    assert (bench.state.rip, [bench.state.gpr[n] for n in range(8)]) == (CODE + 7, before)
    assert kinds(bench) == (BUSY, AVAILABLE)
    assert not bench.state.rflags_other & NT
    # IRET saves the inner task with NT clear, to go on behind the IRET.
    assert saved(bench, TSS2)["eip"] == TARGET + 1
    assert not saved(bench, TSS2)["eflags"] & NT


@pytest.mark.parametrize("vector", [UD, 0x70])
def test_task_gate(vector: int) -> None:
    bench = prepare()
    bench.put_gate(vector, gate(FREE, 0, SystemType.TASK_GATE))
    assert bench.run("ud2" if vector == UD else "int 0x70") == FINE
    assert bench.state.rflags_other & NT
    assert saved(bench)["eip"] == CODE + (0 if vector == UD else 2)
    assert kinds(bench) == (BUSY, BUSY)
    assert bench.state.gpr[4] == NEW_STACK


def test_task_gate_pushes_the_error_code_on_the_new_stack() -> None:
    bench = prepare()
    bench.put_gate(GP, gate(FREE, 0, SystemType.TASK_GATE))
    bench.engine.write_physical(TARGET, b"\xeb\xfe")
    bench.run("mov eax, 0x1234\nmov ds, ax", 2)
    assert (bench.state.rip, bench.state.gpr[4], bench.pushed(0)) == (TARGET, NEW_STACK - 4, 0x1234)


def test_far_jump_through_a_task_gate() -> None:
    bench = prepare()
    bench.put_descriptor(FREE + 16, gate(FREE, 0, SystemType.TASK_GATE))
    assert bench.run(jump(FREE + 16)) == FINE
    assert bench.state.rip == TARGET


# TSS kind, present, limit, how, outcome: the old task is still the present one.
REFUSED = [
    (BUSY, True, 0x67, jump(), fault(GP, FREE)),
    (BUSY, True, 0x67, call(), fault(GP, FREE)),
    (AVAILABLE, False, 0x67, jump(), fault(NP, FREE)),
    (AVAILABLE, True, 0x66, jump(), fault(TS, FREE)),
    (SystemType.AVAILABLE_TSS_16, True, 0x2A, jump(), fault(TS, FREE)),
    (SystemType.LDT, True, 0x67, jump(), fault(GP, FREE)),
    (AVAILABLE, True, 0x67, jump(FREE | 4), fault(GP, FREE | 4)),
    (AVAILABLE, True, 0x67, jump(FREE | 1), fault(GP, FREE)),
]


@pytest.mark.parametrize(("kind", "present", "limit", "code", "expected"), REFUSED)
def test_refused_switches(kind: int, present: bool, limit: int, code: bytes, expected: Outcome) -> None:
    bench = prepare(kind, present, limit)
    if expected.error == FREE | 4:
        bench.put_descriptor(FREE | 4, descriptor(TSS2, 0x67, kind))
        bench.state.segments[Segment.LDTR].limit = 0xFF
    assert bench.run(code) == expected
    assert (bench.pushed(1), bench.state.segments[Segment.TR].selector) == (CODE, TSS_SELECTOR)


def test_privilege_of_a_tss() -> None:
    bench = SystemBench(32, 3)
    bench.put_descriptor(FREE, descriptor(TSS2, 0x67, AVAILABLE, 0))
    assert bench.run(jump(FREE)) == fault(GP, FREE)
    bench = SystemBench(32, 3)
    bench.put_descriptor(FREE, descriptor(TSS2, 0x67, AVAILABLE, 3))
    bench.engine.write_physical(TSS2, image_32())
    assert bench.run(jump(FREE)) == FINE
    assert bench.state.cpl == 0


@pytest.mark.parametrize(("link", "kind", "expected"), [
    (FREE | 4, BUSY, fault(TS, FREE | 4)), (0x100, BUSY, fault(TS, 0x100)), (FREE, AVAILABLE, fault(TS, FREE)),
    (FREE, SystemType.LDT, fault(TS, FREE)), (FREE, BUSY, FINE),
])  # fmt: skip
def test_iret_to_a_linked_task(link: int, kind: int, expected: Outcome) -> None:
    bench = prepare(kind)
    bench.engine.write_physical(TSS, struct.pack("<H", link))
    bench.state.rflags_other |= NT
    assert bench.run(b"\xcf") == expected
    if expected == FINE:
        assert (bench.state.rip, kinds(bench)) == (TARGET, (AVAILABLE, BUSY))


BAD_DESCRIPTOR = FREE + 24
# A segment of the new task, the descriptor at BAD_DESCRIPTOR, outcome in the new task.
SEGMENTS = [
    ({"cs": 0}, None, fault(TS, 0)),
    ({"cs": DATA0}, None, fault(TS, DATA0)),
    ({"cs": 0x100}, None, fault(TS, 0x100)),
    ({"cs": BAD_DESCRIPTOR}, descriptor(0, 0xFFFFF, CODE_TYPE, 0, False, 0xC), fault(NP, BAD_DESCRIPTOR)),
    ({"cs": BAD_DESCRIPTOR}, descriptor(0, 0xFFF, CODE_TYPE, 0, flags=4), fault(GP, 0)),
    ({"ss": 0}, None, fault(TS, 0)),
    ({"ss": DATA3}, None, fault(TS, DATA3 & ~3)),
    ({"ss": BAD_DESCRIPTOR}, descriptor(0, 0xFFFFF, READ_WRITE, 0, False, 0xC), fault(SS, BAD_DESCRIPTOR)),
    ({"ds": CODE0 | 3}, None, fault(TS, CODE0)),
    ({"es": 0x100}, None, fault(TS, 0x100)),
    ({"gs": BAD_DESCRIPTOR}, descriptor(0, 0xFFFFF, READ_WRITE, 0, False, 0xC), fault(NP, BAD_DESCRIPTOR)),
    ({"ldt": BAD_DESCRIPTOR | 4}, None, fault(TS, BAD_DESCRIPTOR | 4)),
    ({"ldt": DATA0}, None, fault(TS, DATA0)),
    ({"ldt": BAD_DESCRIPTOR}, descriptor(0, 7, SystemType.LDT, 0, False), fault(TS, BAD_DESCRIPTOR)),
]


@pytest.mark.parametrize(("changes", "value", "expected"), SEGMENTS)
def test_faults_of_the_new_task(changes: dict[str, int], value: int | None, expected: Outcome) -> None:
    bench = prepare(**changes)
    # Its own SS may not be loaded yet, so the handler is a task too: a third TSS with everything in order.
    handler = FREE + 8
    bench.put_descriptor(handler, descriptor(0xD000, 0x67, AVAILABLE))
    vector = expected.vector or 0
    bench.engine.write_physical(0xD000, image_32(eip=HANDLERS + 16 * vector, esp=0x3C000))
    bench.put_gate(vector, gate(handler, 0, SystemType.TASK_GATE))
    if value is not None:
        bench.put_descriptor(BAD_DESCRIPTOR, value)
    assert bench.run(jump(), 2) == expected
    assert saved(bench, TSS2)["eip"] == TARGET
    assert bench.engine.read_physical(0xD000, 2) == struct.pack("<H", FREE)


def test_null_data_segments_and_ldt_are_fine() -> None:
    bench = prepare(ds=0, es=3, fs=0, gs=0, ldt=0)
    assert bench.run(jump()) == FINE
    assert [bench.selectors[n] for n in (0, 3, 4, 5)] == [3, 0, 0, 0]


def test_switch_to_level_3_and_its_ldt() -> None:
    bench = prepare(cs=CODE3, ss=DATA3, ds=DATA3, es=DATA3, fs=0x0F, gs=0, ldt=LDT_SELECTOR)
    bench.put_descriptor(0x0C, descriptor(0x9000, 0xFF, READ_WRITE, 3))
    assert bench.run(jump()) == FINE
    assert (bench.state.cpl, bench.state.segments[Segment.FS].base) == (3, 0x9000)


def test_switch_to_virtual_8086_mode() -> None:
    segments = {"cs": 0x1800, "ss": 0x3000, "ds": 0x2000, "es": 0x2001, "fs": 0x2002, "gs": 0x2003}
    bench = prepare(eflags=VM | 2, eip=0, **segments)
    assert bench.run(jump()) == FINE
    assert (bench.selectors, bench.state.cpl, bench.state.code_size) == (
        (0x2001, 0x1800, 0x3000, 0x2000, 0x2002, 0x2003), 3, 0,
    )  # fmt: skip
    assert bench.state.segments[Segment.CS].base == 0x18000


def test_trap_bit() -> None:
    bench = prepare(trap=1)
    assert bench.run(jump(), 2) == fault(DB, None)
    assert bench.state.dr[6] & 0x8000
    assert bench.pushed(0) == TARGET


def test_local_breakpoints_are_disarmed() -> None:
    bench = prepare()
    bench.state.dr[7] = 0x7FF
    assert bench.run(jump()) == FINE
    assert bench.state.dr[7] == 0x6AA


def test_16_bit_task() -> None:
    bench = prepare(SystemType.AVAILABLE_TSS_16, limit=0x2B)
    words = [TARGET & 0xFFFF, 2, *range(0x200, 0x204), 0xA000, *range(0x205, 0x208), DATA0, CODE0, DATA0, DATA0, 0]
    image = bytes(0x0E) + struct.pack("<15H", *words)
    bench.engine.write_physical(TSS2, image)
    bench.engine.write_physical(TARGET & 0xFFFF, b"\x90\xcf")
    assert bench.run(call(), 2) == FINE
    assert bench.state.rip == (TARGET & 0xFFFF) + 1
    assert [bench.state.gpr[n] for n in (0, 1, 4, 7)] == [0x200, 0x201, 0xA000, 0x207]
    assert bench.go_on() == FINE
    assert bench.state.rip == CODE + 7
    assert struct.unpack("<H", bench.engine.read_physical(TSS2 + 0x0E, 2))[0] == (TARGET & 0xFFFF) + 2


def test_task_switch_loads_cr3() -> None:
    bench = prepare(cr3=0x100000)
    write = bench.engine.write_physical
    for root, offset in ((0x100000, 0), (0x102000, 0x1000)):
        write(root, struct.pack("<I", root + 0x1000 | 7))
        write(root + 0x1000, b"".join(struct.pack("<I", (n << 12) | 7) for n in range(1024)))
        write(root + 0x1000 + 4 * 0x20, struct.pack("<I", 0x20000 + offset | 7))
    write(0x20000, b"\x11")
    write(0x21000, b"\x22")
    bench.state.cr3 = 0x102000
    bench.state.cr0 |= 1 << 31
    bench.processor.refresh()
    write(TARGET, bytes.fromhex("a000000200"))  # mov al, [0x20000]
    assert bench.run(b"\xa0\0\0\2\0" + jump(), 1) == FINE
    assert bench.state.gpr[0] & 0xFF == 0x22
    assert bench.go_on(2) == FINE
    assert (bench.state.cr3, bench.state.gpr[0] & 0xFF) == (0x100000, 0x11)


def test_long_mode_has_no_tasks() -> None:
    bench = SystemBench(64)
    bench.put_descriptor(FREE, descriptor(TSS2, 0x67, AVAILABLE), 0)
    bench.engine.write_physical(0x20000, struct.pack("<IH", 0, FREE))
    assert bench.run(b"\xff\x2c\x25\0\0\2\0") == fault(GP, FREE)
    bench = SystemBench(64)
    bench.state.rflags_other |= NT
    assert bench.run(b"\x48\xcf") == fault(GP)
