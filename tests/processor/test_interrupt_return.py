"""IRET in every mode: flags by privilege, levels, checks, NMI blocking."""

from __future__ import annotations

import struct

import pytest

from tests.processor.system_bench import (
    CODE0,
    CODE3,
    CODE_TYPE,
    DATA0,
    DATA3,
    FINE,
    FREE,
    GP,
    IOPL3,
    NP,
    READ_WRITE,
    SS,
    VM,
    Outcome,
    SystemBench,
    descriptor,
    fault,
)
from vmxon.processor.state import Segment

TARGET, STACK3 = 0x18000, 0x3B008
ALL_32 = 0xFFFFFFFF
CF, TF, IF, NT, RF, AC, VIF, VIP, ID = (1 << n for n in (0, 8, 9, 14, 16, 18, 19, 20, 21))
STATUS_AND_DF = 0xCD5


def push(bench: SystemBench, width: int, *words: int) -> None:
    code = {2: "H", 4: "I", 8: "Q"}[width]
    mask = (1 << 8 * width) - 1
    bench.state.gpr[4] -= width * len(words)
    base = bench.state.segments[Segment.SS].base if bench.mode in (16, 86) else 0
    image = struct.pack(f"<{len(words)}{code}", *(w & mask for w in words))
    bench.engine.write_physical(base + (bench.state.gpr[4] & 0xFFFFFFFF), image)


IRET = {2: b"\x66\xcf", 4: b"\xcf", 8: b"\x48\xcf"}


@pytest.mark.parametrize(
    ("mode", "width", "code", "expected"),
    [
        (16, 2, b"\xcf", STATUS_AND_DF | TF | IF | IOPL3 | NT),
        (16, 4, b"\x66\xcf", STATUS_AND_DF | TF | IF | IOPL3 | NT | RF | AC | ID),
        (86, 2, b"\xcf", STATUS_AND_DF | TF | IF | NT),
        (86, 4, b"\x66\xcf", STATUS_AND_DF | TF | IF | NT | RF | AC | ID),
    ],
)
def test_8086_modes(mode: int, width: int, code: bytes, expected: int) -> None:
    bench = SystemBench(mode, 3)
    kept = VM | IOPL3 if mode == 86 else 0
    bench.state.rflags_other |= kept
    push(bench, width, 0x20, 0x3000, ALL_32)
    assert bench.run(code) == FINE
    assert (bench.state.rip, bench.selectors[1], bench.state.gpr[4] & 0xFFFF) == (0x20, 0x3000, 0x8000)
    assert bench.processor.rflags == expected | kept | 2


# Which flags IRET loads: CPL, IOPL, width, expected of an image of all ones (but VM and NT)
@pytest.mark.parametrize("width", [2, 4, 8])
@pytest.mark.parametrize(("cpl", "iopl", "gained"), [(0, 0, IF | IOPL3), (3, 3, IF | IOPL3), (3, 0, 0), (1, 1, IF | 1 << 12), (1, 0, 0)])
def test_flags_by_privilege(width: int, cpl: int, iopl: int, gained: int) -> None:
    bench = SystemBench(64, cpl)
    bench.state.rflags_other |= iopl << 12
    selectors = (CODE0, DATA0) if cpl == 0 else (0x49, 0x51) if cpl == 1 else (CODE3, DATA3)
    push(bench, width, TARGET if width > 2 else 0x8000, selectors[0], ALL_32 & ~VM, 0x3000, selectors[1])
    bench.engine.write_physical(0x8000, b"\x90")
    assert bench.run({2: b"\x66\xcf", 4: b"\xcf", 8: b"\x48\xcf"}[width]) == FINE
    wide = RF | AC | ID | (VIF | VIP if cpl == 0 else 0) if width > 2 else 0
    assert bench.processor.rflags == STATUS_AND_DF | TF | NT | wide | gained | 2


def test_flags_clear_as_well() -> None:
    bench = SystemBench(64)
    bench.processor.rflags = 0x240ED7
    push(bench, 8, TARGET, CODE0, 2, 0x3000, DATA0)
    assert bench.run(b"\x48\xcf") == FINE
    assert bench.processor.rflags == 2


# mode, CPL, frame from the instruction pointer up, outcome
FRAMES = [
    (32, 0, (TARGET, CODE0, 2), FINE),
    (32, 0, (TARGET, 0, 2), fault(GP)),
    (32, 0, (TARGET, DATA0, 2), fault(GP, DATA0)),
    (32, 0, (TARGET, 0x100, 2), fault(GP, 0x100)),
    (32, 3, (TARGET, CODE0, 2), fault(GP, CODE0)),
    (32, 0, (TARGET, FREE, 2), fault(NP, FREE)),
    (32, 0, (TARGET, CODE3, 2, STACK3, DATA3), FINE),
    (32, 0, (TARGET, CODE3, 2, STACK3, 0), fault(GP)),
    (32, 0, (TARGET, CODE3, 2, STACK3, DATA0), fault(GP, DATA0)),
    (32, 0, (TARGET, CODE3, 2, STACK3, FREE + 8 | 3), fault(SS, FREE + 8)),
    (64, 0, (TARGET, CODE0, 2, STACK3, 0), FINE),
    (64, 0, (TARGET, CODE0, 2, STACK3, DATA0), FINE),
    (64, 0, (TARGET, CODE3, 2, STACK3, DATA3), FINE),
    (64, 0, (TARGET, CODE3, 2, STACK3, 3), fault(GP)),
    (64, 0, (TARGET, CODE3, 2, STACK3, 0), fault(GP)),
    (64, 0, (TARGET, FREE + 16, 2, STACK3, DATA0), fault(GP, FREE + 16)),
    (64, 0, (0x8000_0000_0000, CODE0, 2, STACK3, DATA0), fault(GP)),
    (64, 3, (TARGET, CODE3, 2, STACK3, DATA3), FINE),
    (33, 3, (TARGET, CODE3, 2), FINE),
    (64, 0, (TARGET, FREE + 24 | 3, 2, STACK3, DATA3), FINE),
    (64, 0, (0x1_0000_0000, FREE + 24 | 3, 2, STACK3, DATA3), fault(GP)),
]


@pytest.mark.parametrize(("mode", "cpl", "frame", "expected"), FRAMES)
def test_checks(mode: int, cpl: int, frame: tuple[int, ...], expected: Outcome) -> None:
    bench = SystemBench(mode, cpl)
    bench.put_descriptor(FREE, descriptor(0, 0xFFFFF, CODE_TYPE, 0, False, 0xA if bench.long else 0xC))
    bench.put_descriptor(FREE + 8, descriptor(0, 0xFFFFF, READ_WRITE, 3, False, 0xC))
    bench.put_descriptor(FREE + 16, descriptor(0, 0xFFFFF, CODE_TYPE, 0, flags=0xE))
    bench.put_descriptor(FREE + 24, descriptor(0, 0xFFFFF, CODE_TYPE, 3, flags=0xC))
    push(bench, 8 if mode == 64 else 4, *frame)
    top = bench.state.gpr[4]
    assert bench.run(b"\x48\xcf" if mode == 64 else b"\xcf") == expected
    if expected == FINE:
        assert (bench.state.rip, bench.selectors[1]) == (TARGET, frame[1])
        assert bench.state.cpl == frame[1] & 3
        assert bench.state.gpr[4] == (frame[3] if len(frame) > 3 else top + 12)


def test_return_to_level_3_drops_inner_data_segments() -> None:
    bench = SystemBench(64)
    bench.state.segments[Segment.FS].base = 0x1234
    push(bench, 8, TARGET, CODE3, 2, STACK3, DATA3)
    assert bench.run(b"\x48\xcf") == FINE
    assert [bench.selectors[n] for n in (0, 3, 4, 5)] == [0] * 4


def test_return_at_level_3_drops_nothing() -> None:
    # SYSRET leaves DS as it is, so level 3 may come to hold a level-0 segment.
    bench = SystemBench(64, 3)
    bench.state.segments[Segment.DS].rights = 0xC093
    push(bench, 8, TARGET, CODE3)
    assert bench.run(b"\x48\xcb") == FINE
    assert bench.selectors[3] == DATA3


def test_return_to_virtual_8086_mode() -> None:
    bench = SystemBench(32)
    push(bench, 4, 0x20, 0x3000, VM | IOPL3 | IF | 2, 0x7000, 0x2FFF, 1, 2, 3, 4)
    assert bench.run(b"\xcf") == FINE
    assert bench.selectors == (1, 0x3000, 0x2FFF, 2, 3, 4)
    assert (bench.state.cpl, bench.state.code_size, bench.state.gpr[4], bench.state.rip) == (3, 0, 0x7000, 0x20)
    assert bench.state.segments[Segment.SS].rights == 0xF3


def test_vm_in_the_image_counts_only_at_level_0() -> None:
    bench = SystemBench(32, 3)
    push(bench, 4, TARGET, CODE3, VM | 2)
    assert bench.run(b"\xcf") == FINE
    assert bench.processor.rflags == 2


@pytest.mark.parametrize("big", [True, False])
def test_width_of_the_stack_returned_to(big: bool) -> None:
    bench = SystemBench(32)
    bench.put_descriptor(FREE, descriptor(0, 0xFFFFF, READ_WRITE, 3, flags=0xC if big else 0x8))
    push(bench, 4, TARGET, CODE3, 2, 0xAAAA1234, FREE | 3)
    assert bench.run(b"\xcf") == FINE
    assert bench.state.gpr[4] == (0xAAAA1234 if big else 0x31234)


def test_nmis_are_unblocked_even_if_iret_faults() -> None:
    bench = SystemBench(32)
    bench.state.interruptibility = 8
    push(bench, 4, TARGET, 0, 2)
    assert bench.run(b"\xcf") == fault(GP)
    assert bench.state.interruptibility == 0


def test_resume_flag_lasts_one_instruction() -> None:
    bench = SystemBench(64)
    bench.engine.write_physical(TARGET, b"\x90\x90")
    push(bench, 8, TARGET, CODE0, RF | 2, STACK3, DATA0)
    assert bench.run(b"\x48\xcf") == FINE
    assert bench.processor.rflags & RF
    assert bench.go_on(2) == FINE
    assert not bench.processor.rflags & RF
    assert bench.state.rip == TARGET + 2
