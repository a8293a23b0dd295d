"""5-level paging: the walk, what is canonical when, and CR4.LA57 (Vol. 3A §4.5 “4-Level Paging and 5-Level Paging”)."""

import struct

import pytest

from tests.harness import CODE, MEMORY, TABLES, Bench
from tests.vmx.vmx_bench import VmxBench
from vmxon.arch.exceptions import Vector
from vmxon.arch.models import MAX, NEWEST
from vmxon.debug.address_space import AddressSpace
from vmxon.machine.processor import Processor

LA57, PML5, DATA = 1 << 12, 0x60000, 0x20000
WIDE = 0x12 << 48
"""Canonical with 57 bits, not with 48."""


class WideBench(VmxBench):
    """A processor with 57-bit addresses: 5-level paging, or with `levels` 4 the same tables without the top one."""

    def __init__(self, levels=5):
        super().__init__(current=False, model=NEWEST)
        self.state.cr0 |= 1 << 16
        if levels == 5:
            self.engine.write_physical(PML5, struct.pack("<Q", TABLES | 7))
            self.engine.write_physical(PML5 + 8 * 0x12, struct.pack("<Q", TABLES | 7))
            self.state.cr3, self.state.cr4 = PML5, self.state.cr4 | LA57
        self.processor.refresh()


@pytest.fixture
def bench():
    return WideBench()


def test_the_fifth_level_translates(bench):
    bench.engine.write_physical(DATA, struct.pack("<Q", 0x1234))
    bench.state.gpr[3] = WIDE | DATA
    bench.step("mov rax, [rbx]")
    assert bench.state.gpr[0] == 0x1234
    assert bench.quad(PML5 + 8 * 0x12) == TABLES | 0x27


def test_code_runs_there(bench):
    bench.state.gpr[3] = WIDE | CODE + 0x100
    bench.engine.write_physical(CODE + 0x100, b"\x90\x90")
    bench.step("jmp rbx", 3)
    assert bench.state.rip == WIDE | CODE + 0x102


def test_the_debugger_sees_the_same(bench):
    space = AddressSpace(bench.processor)
    page = space.page_of(WIDE | DATA)
    assert page is not None
    assert page.physical + (DATA & page.size - 1) == DATA
    assert {page.linear >> 48 for page in space.pages()} == {0, 0x12}


@pytest.mark.parametrize(
    ("entry", "code"),
    [(0, 0), (TABLES | 7 | 0x80, 9), (TABLES | 3, 5)],
)
def test_faults_at_the_fifth_level(bench, entry, code):
    bench.engine.write_physical(PML5 + 8 * 0x12, struct.pack("<Q", entry))
    bench.state.gpr[3] = WIDE | DATA
    user = code == 5
    if user:
        bench.state.segments[2].rights |= 3 << 5
        bench.state.segments[1].rights |= 3 << 5
        bench.processor.refresh()
    assert bench.vector_of("mov rax, [rbx]") == Vector.PF
    assert bench.state.cr2 == WIDE | DATA
    assert bench.quad(bench.state.gpr[4]) == code


@pytest.mark.parametrize(
    ("levels", "address", "vector"),
    [(4, WIDE, Vector.GP), (4, 1 << 47, Vector.GP), (5, 1 << 56, Vector.GP), (5, 0xFF << 56, None), (5, 1 << 55, Vector.PF)],
)
def test_which_addresses_are_canonical(levels, address, vector):
    bench = WideBench(levels)
    bench.state.gpr[3] = address | DATA
    if vector is None:
        vector = Vector.PF if levels == 5 else Vector.GP
    assert bench.vector_of("mov rax, [rbx]") == vector


@pytest.mark.parametrize("levels", [4, 5])
@pytest.mark.parametrize(("address", "fits"), [(WIDE, True), (1 << 55, True), (1 << 56, False)])
def test_msrs_and_bases_hold_57_bits_in_any_mode(levels, address, fits):
    bench = WideBench(levels)
    state = bench.state
    state.gpr[0], state.gpr[1], state.gpr[2] = address & 0xFFFF_FFFF, 0xC000_0102, address >> 32
    assert bench.vector_of("wrmsr") == (None if fits else Vector.GP)
    state.activity = 0
    bench.engine.write_physical(DATA, struct.pack("<HQ", 0xFFF, address))
    assert bench.vector_of(f"lidt [{DATA:#x}]") == (None if fits else Vector.GP)


@pytest.mark.parametrize("target", [WIDE, 1 << 47])
def test_jumps_follow_the_mode(target):
    bench = WideBench(4)
    bench.state.gpr[3] = target
    assert bench.vector_of("jmp rbx") == Vector.GP


def test_la57_cannot_change_in_ia32e_mode(bench):
    bench.state.gpr[0] = bench.state.cr4 & ~LA57
    assert bench.vector_of("mov cr4, rax") == Vector.GP


def test_models_without_it_do_not_have_the_bit():
    bench = Bench(32)
    assert bench.processor.model is MAX
    assert not bench.state.cr4_allowed & LA57
    assert Processor(NEWEST, MEMORY).state.cr4_allowed & LA57
