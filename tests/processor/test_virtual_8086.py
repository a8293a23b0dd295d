"""CR4.VME: the virtual interrupt flag and redirected software interrupts."""

from __future__ import annotations

import struct

import pytest

from tests.harness import CODE
from tests.processor.system_bench import CODE0, FINE, GP, HANDLERS, IOPL3, TSS, VM, Outcome, SystemBench, fault, gate
from vmxon.arch.control import Cr4

CF, TF, IF, NT, VIF, VIP = 1, 1 << 8, 1 << 9, 1 << 14, 1 << 19, 1 << 20
VECTOR = 0x21
TARGET = (0x2345, 0x10)
BITMAP = TSS + 0x68


def make(iopl: int = 0, flags: int = 0, redirect: bool = True) -> SystemBench:
    bench = SystemBench(86, 3)
    bench.state.cr4 = Cr4.vme.mask
    bench.state.rflags_other |= iopl | flags
    bench.engine.write_physical(TSS + 0x66, struct.pack("<H", 0x88))
    bench.engine.write_physical(BITMAP, bytes(32) if redirect else b"\xff" * 32)
    bench.state.segments[7].limit = 0x2088
    bench.engine.write_physical(4 * VECTOR, struct.pack("<HH", TARGET[1], TARGET[0]))
    bench.put_gate(VECTOR, gate(CODE0, HANDLERS + 16 * VECTOR, dpl=3))
    return bench


def push(bench: SystemBench, *words: int) -> None:
    bench.state.gpr[4] -= 2 * len(words)
    image = struct.pack(f"<{len(words)}H", *words)
    bench.engine.write_physical(bench.state.segments[2].base + bench.state.gpr[4], image)


@pytest.mark.parametrize(
    ("iopl", "flags", "pushed", "after"),
    [
        (IOPL3, IF | CF, IOPL3 | IF | CF | 2, IOPL3 | CF),
        (0, VIF | IF, IOPL3 | IF | 2, IF),
        (0, IF, IOPL3 | 2, IF),
    ],
)
def test_redirected_interrupt(iopl: int, flags: int, pushed: int, after: int) -> None:
    bench = make(iopl, flags & ~CF)
    bench.processor.rflags |= flags & CF
    assert bench.run(f"int {VECTOR}") == FINE
    assert (bench.selectors[1], bench.state.rip, bench.state.cpl) == (*TARGET, 3)
    assert [bench.stacked(n, 2) for n in range(3)] == [2, CODE >> 4, pushed]
    assert bench.processor.rflags == after | VM | 2


@pytest.mark.parametrize(("iopl", "expected"), [(IOPL3, fault(VECTOR, None)), (0, fault(GP))])
def test_interrupt_for_the_monitor(iopl: int, expected: Outcome) -> None:
    assert make(iopl, redirect=False).run(f"int {VECTOR}") == expected


def test_bitmap_beyond_the_task_state() -> None:
    bench = make()
    bench.state.segments[7].limit = 0x67
    assert bench.run(f"int {VECTOR}") == fault(GP)


def test_pushf_shows_the_virtual_flag() -> None:
    for flags, seen in ((VIF, IF), (IF, 0)):
        bench = make(0, flags)
        assert bench.run(b"\x9c") == FINE
        assert bench.stacked(0, 2) == IOPL3 | seen | 2
    assert make().run(b"\x66\x9c") == fault(GP)


@pytest.mark.parametrize(
    ("flags", "image", "expected", "after"),
    [
        (IF, IF | CF, FINE, IF | VIF | CF),
        (IF | VIF, CF, FINE, IF | CF),
        (0, IOPL3 | NT, FINE, NT),
        (VIP, IF, fault(GP), 0),
        (VIP, CF, FINE, VIP | CF),
        (0, TF, fault(GP), 0),
    ],
)
@pytest.mark.parametrize("code", [b"\x9d", b"\xcf"])
def test_popf_and_iret(code: bytes, flags: int, image: int, expected: Outcome, after: int) -> None:
    bench = make(0, flags)
    push(bench, *((image,) if code == b"\x9d" else (0x40, CODE >> 4, image)))
    assert bench.run(code) == expected
    if expected == FINE:
        assert bench.processor.rflags == after | VM | 2
        assert bench.state.gpr[4] == 0x8000


@pytest.mark.parametrize("code", [b"\x66\x9d", b"\x66\xcf"])
def test_32_bit_forms_stay_forbidden(code: bytes) -> None:
    assert make().run(code) == fault(GP)
