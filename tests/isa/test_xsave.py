"""The XSAVE feature set, by the rules of Vol. 1 ch. 13: what is written, what a header may say, who may execute what."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.harness import DATA, assemble
from tests.isa.vector.numbers import x87_world
from tests.isa.vector.subject import Subject
from tests.isa.vector.world import World, differences
from vmxon.arch.control import Cr4
from vmxon.processor.state import HostRequest

X87, SSE, PKRU = 1, 2, 1 << 9
ALL = X87 | SSE | PKRU
HEADER, PKRU_STANDARD, PKRU_COMPACTED, SIZE = 512, 832, 576, 1024
COMPACTED = 1 << 63
TS = 1 << 3
UD, NM, GP = 6, 7, 13
FILL = 0xA5
FULL = replace(x87_world(random.Random("xsave")), control=0x037E, status=3 << 11, mxcsr=0x1FA0, memory=bytes(64))
INITIAL = World(memory=bytes(64))
SAVES = ("xsave64", "xsaveopt64", "xsavec64", "xsaves64")


class Machine(Subject):
    """XCR0 enables everything; the area is at DATA."""

    def fill(self, content: bytes) -> None:
        """Replace the area."""
        self.bench.engine.write_physical(DATA, content.ljust(SIZE, bytes([FILL])))

    def area(self) -> bytes:
        """The area."""
        return self.bench.engine.read_physical(DATA, SIZE)

    def become(self, world: World) -> None:
        """Another state, the same area."""
        area = self.area()
        self.load(world)
        self.fill(area)

    def execute(self, text: str, mask: int = ALL, offset: int = 0) -> int | None:
        """Run it for the components of `mask`; the exception that it raises."""
        state = self.state
        state.gpr[0], state.gpr[2], state.gpr[6], state.activity = mask & 0xFFFFFFFF, mask >> 32, DATA + offset, 0
        self.bench.load(assemble(f"{text} [rsi]"))
        if self.bench.processor.run(1) == HostRequest.BUDGET:
            return None
        recorded = state.shutdown_faults[0]
        vector, error = recorded >> 32, recorded & 0xFFFFFFFF
        return error >> 3 if vector == GP and error & 2 else vector


@pytest.fixture(scope="module")
def made() -> Machine:
    return Machine()


@pytest.fixture
def machine(made: Machine) -> Iterator[Machine]:
    state = made.state
    state.cr4 |= Cr4.osxsave.mask
    state.xcr0, state.pkru, state.cpl = ALL, 0x55AA, 0
    made.load(FULL)
    made.fill(b"")
    yield made
    state.cr0 &= ~TS
    made.bench.processor.refresh()


def header(area: bytes) -> tuple[int, int]:
    """XSTATE_BV and XCOMP_BV."""
    first, second = struct.unpack_from("<QQ", area, HEADER)
    return first, second


def with_header(area: bytes, present: int, compaction: int = 0, other: tuple[int, int] | None = None) -> bytes:
    """The area with another header; `other` is an offset in it and a byte."""
    words = bytearray(struct.pack("<QQ48x", present, compaction))
    if other is not None:
        words[other[0]] = other[1]
    return area[:HEADER] + bytes(words) + area[HEADER + 64 :]


@pytest.mark.parametrize("text", SAVES)
def test_the_legacy_region_is_that_of_fxsave(machine: Machine, text: str) -> None:
    assert machine.execute("fxsave64") is None
    expected = machine.area()
    machine.fill(b"")
    assert machine.execute(text) is None
    assert machine.area()[:416] == expected[:416]
    place = PKRU_COMPACTED if text in ("xsavec64", "xsaves64") else PKRU_STANDARD
    assert machine.area()[place : place + 8] == struct.pack("<Q", 0x55AA)
    assert machine.area()[416:HEADER] == bytes([FILL]) * 96


@pytest.mark.parametrize("mask", [0, X87, SSE, X87 | SSE, PKRU, ALL, ALL | 1 << 40])
@pytest.mark.parametrize("text", SAVES)
def test_what_is_written(machine: Machine, text: str, mask: int) -> None:
    assert machine.execute(text, mask) is None
    area, compacts = machine.area(), text in ("xsavec64", "xsaves64")
    untouched = bytes([FILL])
    place = PKRU_COMPACTED if compacts else PKRU_STANDARD
    assert (area[:24] != untouched * 24) == bool(mask & X87)
    assert (area[32:160] != untouched * 128) == bool(mask & X87)
    assert (area[24:32] != untouched * 8) == bool(mask & SSE)
    assert (area[160:416] != untouched * 256) == bool(mask & SSE)
    assert (area[place : place + 8] != untouched * 8) == bool(mask & PKRU)
    present, compaction = header(area)
    filled = int.from_bytes(untouched * 8, "little")
    if compacts:
        assert (present, compaction) == (mask & ALL, mask & ALL | COMPACTED)
        assert area[HEADER + 16 : HEADER + 64] == bytes(48)
    else:
        assert (present, compaction) == (filled & ~(mask & ALL) | mask & ALL, filled)


@pytest.mark.parametrize(
    ("text", "written", "present"),
    [("xsave64", True, 0), ("xsaveopt64", False, 0), ("xsavec64", False, 0), ("xsaves64", False, 0)],
)
def test_initial_configurations(machine: Machine, text: str, written: bool, present: int) -> None:
    machine.load(INITIAL)
    machine.state.x87_ip = machine.state.x87_dp = machine.state.x87_opcode = machine.state.x87_cs = machine.state.x87_ds = 0
    for index in range(32):
        machine.state.xmm[index] = 0
    machine.state.pkru = 0
    machine.fill(bytes(SIZE)[:HEADER] + bytes(64))
    machine.bench.engine.write_physical(DATA, bytes([FILL]) * HEADER)
    assert machine.execute(text) is None
    assert header(machine.area())[0] == present
    assert (machine.area()[32:160] == bytes(128)) == written
    assert (machine.area()[160:416] == bytes(256)) == written


@pytest.mark.parametrize(("text", "present", "written"), [("xsavec64", SSE, True), ("xsaveopt64", 0, True)])
def test_mxcsr_alone_in_use(machine: Machine, text: str, present: int, written: bool) -> None:
    machine.load(replace(INITIAL, mxcsr=0x1F00))
    for index in range(32):
        machine.state.xmm[index] = 0
    machine.fill(bytes(HEADER + 64))
    assert machine.execute(text, SSE) is None
    assert header(machine.area())[0] == present
    assert (machine.area()[24:28] == struct.pack("<I", 0x1F00)) == written


@pytest.mark.parametrize("save", SAVES)
@pytest.mark.parametrize("restore", ["xrstor64", "xrstors64"])
def test_what_was_saved_comes_back(machine: Machine, save: str, restore: str) -> None:
    machine.fill(bytes(SIZE))
    assert machine.execute(save) is None
    before = machine.after()
    machine.become(INITIAL)
    machine.state.pkru = 0
    if restore == "xrstors64" and save in ("xsave64", "xsaveopt64"):
        assert machine.execute(restore) == GP
        return
    assert machine.execute(restore) is None
    assert not differences(replace(machine.after(), rflags=before.rflags, rcx=before.rcx, memory=before.memory).visible, before.visible)
    assert machine.state.pkru == 0x55AA


@pytest.mark.parametrize("compacts", [False, True])
@pytest.mark.parametrize("absent", [X87, SSE, PKRU])
def test_absent_components_are_initialized(machine: Machine, compacts: bool, absent: int) -> None:
    machine.fill(bytes(SIZE))
    assert machine.execute("xsavec64" if compacts else "xsave64") is None
    machine.fill(with_header(machine.area(), ALL & ~absent, ALL | COMPACTED if compacts else 0))
    machine.become(FULL)
    assert machine.execute("xrstor64") is None
    after = machine.after()
    assert (after.xmm == (0, 0, 0, 0)) == (absent == SSE)
    assert (after.control == 0x037F and after.present == 0 and after.stack == ((0, 0),) * 8) == (absent == X87)
    assert (machine.state.pkru == 0) == (absent == PKRU)
    # The standard form has MXCSR whatever XSTATE_BV says.
    assert after.mxcsr == (0x1F80 if absent == SSE and compacts else FULL.mxcsr)


@pytest.mark.parametrize(
    ("present", "compaction", "other", "vector"),
    [
        (ALL, 0, None, None),
        (ALL | 4, 0, None, GP),
        (1 << 62, 0, None, GP),
        (ALL, 1, None, GP),
        (ALL, 0, (16, 1), GP),
        (ALL, 0, (23, 1), GP),
        (ALL, 0, (24, 1), None),
        (ALL, 0, (63, 1), None),
        (ALL, ALL | COMPACTED, None, None),
        (SSE, ALL | COMPACTED, None, None),
        (ALL, SSE | COMPACTED, None, GP),
        (SSE, SSE | 4 | COMPACTED, None, GP),
        (ALL, ALL | COMPACTED, (24, 1), GP),
        (ALL, ALL | COMPACTED, (63, 1), GP),
    ],
)
def test_headers(machine: Machine, present: int, compaction: int, other: tuple[int, int] | None, vector: int | None) -> None:
    machine.fill(bytes(SIZE))
    assert machine.execute("xsave64") is None
    machine.fill(with_header(machine.area(), present, compaction, other))
    before = machine.after()
    assert machine.execute("xrstor64") == vector
    if vector is not None:
        assert not differences(replace(machine.after(), memory=before.memory, rax=before.rax, rdx=before.rdx), before)


@pytest.mark.parametrize(("mxcsr", "mask", "vector"), [(0xFFFF, ALL, None), (0x10000, ALL, GP), (0x10000, X87, None)])
def test_reserved_bits_of_mxcsr(machine: Machine, mxcsr: int, mask: int, vector: int | None) -> None:
    machine.fill(bytes(SIZE))
    machine.bench.engine.write_physical(DATA + 24, struct.pack("<I", mxcsr))
    assert machine.execute("xrstor64", mask) == vector


@pytest.mark.parametrize("text", [*SAVES, "xrstor64", "xrstors64"])
def test_exceptions(machine: Machine, text: str) -> None:
    machine.fill(bytes(HEADER) + struct.pack("<QQ", 0, ALL | COMPACTED) + bytes(SIZE - HEADER - 16))
    assert machine.execute(text, 0, 32) == GP
    assert machine.execute(text, 0, 64) in (None, GP)
    supervisor = text in ("xsaves64", "xrstors64")
    machine.state.cpl = 3
    assert machine.execute(text, 0) == (GP if supervisor else None)
    machine.state.cpl = 0
    machine.state.cr0 |= TS
    machine.bench.processor.refresh()
    assert machine.execute(text, 0) == NM
    machine.state.cr4 &= ~Cr4.osxsave.mask
    assert machine.execute(text, 0) == UD


@pytest.mark.parametrize(("xcr0", "mask", "present"), [(X87, ALL, X87), (X87 | SSE, ALL, X87 | SSE), (ALL, PKRU, PKRU)])
def test_xcr0_bounds_what_is_saved(machine: Machine, xcr0: int, mask: int, present: int) -> None:
    machine.state.xcr0 = xcr0
    assert machine.execute("xsavec64", mask) is None
    assert header(machine.area()) == (present, present | COMPACTED)


@pytest.mark.parametrize(
    ("xcr0", "subleaf", "expected"),
    [
        (X87, 0, (ALL, 576, 840, 0)),
        (ALL, 0, (ALL, 840, 840, 0)),
        (X87 | SSE, 1, (0b1111, 576, 0, 0)),
        (ALL, 1, (0b1111, 584, 0, 0)),
        (ALL, 2, (0, 0, 0, 0)),
        (ALL, 9, (8, 832, 0, 0)),
        (ALL, 10, (0, 0, 0, 0)),
    ],
)
def test_cpuid_says_where_components_are(machine: Machine, xcr0: int, subleaf: int, expected: tuple[int, ...]) -> None:
    state = machine.state
    state.xcr0 = xcr0
    state.gpr[0], state.gpr[1] = 13, subleaf
    machine.bench.step("cpuid")
    assert (state.gpr[0], state.gpr[3], state.gpr[1], state.gpr[2]) == expected


def test_xgetbv_tells_what_is_in_use(machine: Machine) -> None:
    state = machine.state
    for used, world in ((ALL, FULL), (PKRU, INITIAL)):
        machine.load(world)
        if world is INITIAL:
            state.x87_ip = state.x87_dp = state.x87_opcode = state.x87_cs = state.x87_ds = 0
            for index in range(32):
                state.xmm[index] = 0
        state.gpr[1] = 1
        machine.bench.step(b"\x0f\x01\xd0")
        assert (state.gpr[0], state.gpr[2]) == (used, 0)


def test_an_area_across_pages(machine: Machine) -> None:
    machine.fill(bytes(SIZE))
    assert machine.execute("xsave64") is None
    expected = machine.area()
    for place in (0x1000 - 256, 0x1000 - 832, 0x1000 - 576):
        machine.bench.engine.write_physical(DATA + place, bytes(SIZE))
        machine.state.rip = 0
        assert machine.execute("xsave64", ALL, place) is None
        assert machine.bench.engine.read_physical(DATA + place, 840) == expected[:840]
