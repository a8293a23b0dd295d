"""Page walks against the rules of Vol. 3A ch. 4: rights, reserved bits, error codes, accessed and dirty bits, in three modes."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from tests.harness import Bench
from vmxon.engine.golden_model import GoldenModel
from vmxon.microcode.golden import GuestFault
from vmxon.processor.paging import EXECUTE, READ, WRITE, walk
from vmxon.processor.tlb import SUPERVISOR, SUPERVISOR_AC, USER

P, W, U, A, D, PS, NX = 1, 2, 4, 32, 64, 128, 1 << 63
WP, PG, PSE, PAE, SMEP, SMAP, NXE = 1 << 16, 1 << 31, 1 << 4, 1 << 5, 1 << 20, 1 << 21, 1 << 11
ROOT, LEVELS, FRAME = 0x80000, (0x80000, 0x81000, 0x82000, 0x83000), 0x200000
LINEAR = 0x123


@dataclass(frozen=True, slots=True)
class Access:
    """One access and the control bits that decide about it."""

    kind: int
    space: int
    wp: bool = True
    smep: bool = False
    smap: bool = False
    nxe: bool = True


class Walker:
    """The walk as Python, on a processor whose paging registers are set directly."""

    def __init__(self) -> None:
        self.bench = Bench(64)
        self.state, self.engine = self.bench.state, self.bench.engine
        model = GoldenModel(self.engine)
        self.function: Callable[..., int] = model.functions[model.program.require(walk).name]  # type: ignore[assignment]

    def set(self, mode: str, access: Access) -> None:
        state = self.state
        state.cr0 = PG | 1 | (WP if access.wp else 0)
        state.cr3 = ROOT
        state.cr4 = (SMEP if access.smep else 0) | (SMAP if access.smap else 0) | (PSE if mode == "32" else PAE)
        state.efer = (NXE if access.nxe else 0) | (0x500 if mode == "4-level" else 0)
        state.long_mode = int(mode == "4-level")
        for number in range(4):
            state.pdpte[number] = LEVELS[2] | P if number == 0 else 0

    def write(self, mode: str, level: int, entry: int) -> None:
        """Entry 0 of a table: level 1 holds pages, each level above points to the next."""
        size = 4 if mode == "32" else 8
        self.engine.write_physical(LEVELS[4 - level] if mode != "32" else LEVELS[2 - level], entry.to_bytes(size, "little"))

    def entry(self, mode: str, level: int) -> int:
        size = 4 if mode == "32" else 8
        place = LEVELS[4 - level] if mode != "32" else LEVELS[2 - level]
        return int.from_bytes(self.engine.read_physical(place, size), "little")

    def tables(self, mode: str, upper: int, leaf: int) -> None:
        """Upper levels with the bits `upper`, the page with `leaf`."""
        levels = {"32": 2, "PAE": 2, "4-level": 4}[mode]
        for level in range(levels, 1, -1):
            following = LEVELS[1] if mode == "32" else LEVELS[5 - level]
            self.write(mode, level, following | upper)
        self.write(mode, 1, FRAME | leaf)

    def outcome(self, access: Access, linear: int = LINEAR) -> tuple[str, int]:
        """("page", address) or ("fault", error code)."""
        try:
            found = self.function(self.engine.arena.base, linear, access.kind, access.space)
        except GuestFault:
            assert self.state.fault_vector == 14
            assert self.state.fault_address == linear
            return "fault", self.state.fault_error
        return "page", found & ~0xFFF


@pytest.fixture(scope="module")
def walker() -> Walker:
    return Walker()


MODES = ("32", "PAE", "4-level")


def base_code(mode: str, access: Access) -> int:
    """W/R, U/S and I/D of the error code (Vol. 3A §4.7 “Page-Fault Exceptions”)."""
    code = 2 if access.kind & WRITE else 0
    code |= 4 if access.space == USER else 0
    if access.kind == EXECUTE and ((access.nxe and mode != "32") or access.smep):
        code |= 16
    return code


def allowed(access: Access, writable: bool, user: bool, executable: bool) -> bool:
    """Vol. 3A §4.6 “Access Rights”."""
    if access.kind == EXECUTE:
        if not executable:
            return False
        return user if access.space == USER else not (user and access.smep)
    if access.space == USER:
        return user and (writable or not access.kind & WRITE)
    if user and access.smap and access.space != SUPERVISOR_AC:
        return False
    return writable or not access.kind & WRITE or not access.wp


ACCESSES = [
    Access(kind, space, wp, smep, smap)
    for kind, space, wp, smep, smap in itertools.product(
        (READ, WRITE, READ | WRITE, EXECUTE), (USER, SUPERVISOR, SUPERVISOR_AC), (False, True), (False, True), (False, True)
    )
]


@pytest.mark.parametrize("mode", MODES)
def test_rights(walker: Walker, mode: str) -> None:
    bits = (0, W, U, W | U)
    no_execute = (0, NX) if mode != "32" else (0,)
    for upper, leaf, upper_nx, leaf_nx in itertools.product(bits, bits, no_execute, no_execute):
        for access in ACCESSES:
            walker.set(mode, access)
            walker.tables(mode, upper | P | A | upper_nx, leaf | P | A | D | leaf_nx)
            both = upper & leaf
            good = allowed(access, both & W != 0, both & U != 0, not (upper_nx or leaf_nx))
            expected = ("page", FRAME) if good else ("fault", base_code(mode, access) | 1)
            assert walker.outcome(access) == expected, f"{mode} {access} upper {upper:#x} leaf {leaf:#x}"


@pytest.mark.parametrize("mode", MODES)
def test_accessed_and_dirty(walker: Walker, mode: str) -> None:
    levels = {"32": 2, "PAE": 2, "4-level": 4}[mode]
    for kind in (READ, WRITE, READ | WRITE, EXECUTE):
        access = Access(kind, SUPERVISOR)
        walker.set(mode, access)
        walker.tables(mode, P | W, P | W)
        assert walker.outcome(access) == ("page", FRAME)
        for level in range(2, levels + 1):
            assert walker.entry(mode, level) & (A | D) == A
        assert walker.entry(mode, 1) & (A | D) == (A | D if kind & WRITE else A)


@pytest.mark.parametrize("mode", MODES)
def test_a_refused_access_leaves_the_page_unmarked(walker: Walker, mode: str) -> None:
    access = Access(WRITE, USER)
    walker.set(mode, access)
    walker.tables(mode, P | W | U, P | U)
    assert walker.outcome(access) == ("fault", 7)
    assert walker.entry(mode, 1) & (A | D) == 0


@pytest.mark.parametrize("mode", MODES)
def test_not_present_comes_without_other_bits(walker: Walker, mode: str) -> None:
    levels = {"32": 2, "PAE": 2, "4-level": 4}[mode]
    for access in ACCESSES:
        walker.set(mode, access)
        for missing in range(1, levels + 1):
            walker.tables(mode, P | W | U, P | W | U)
            walker.write(mode, missing, 0xFF0 & ~P)
            assert walker.outcome(access) == ("fault", base_code(mode, access))


def reserved_bits(walker: Walker, mode: str, level: int) -> list[int]:
    """Bits that must be zero in an entry that is no large page."""
    width = walker.state.physical_width
    bits = list(range(width, 52))
    if mode == "PAE":
        bits += range(52, 63)
    return bits


@pytest.mark.parametrize("mode", ["PAE", "4-level"])
def test_reserved_bits(walker: Walker, mode: str) -> None:
    levels = 2 if mode == "PAE" else 4
    for access in (Access(READ, USER), Access(WRITE, SUPERVISOR), Access(EXECUTE, USER, smep=True)):
        walker.set(mode, access)
        for level in range(1, levels + 1):
            for bit in reserved_bits(walker, mode, level):
                walker.tables(mode, P | W | U, P | W | U)
                walker.write(mode, level, walker.entry(mode, level) | 1 << bit)
                assert walker.outcome(access) == ("fault", base_code(mode, access) | 9), f"level {level} bit {bit}"
        without = replace(access, nxe=False)
        walker.set(mode, without)
        for level in range(1, levels + 1):
            walker.tables(mode, P | W | U, P | W | U)
            walker.write(mode, level, walker.entry(mode, level) | NX)
            assert walker.outcome(without) == ("fault", base_code(mode, without) | 9)


def test_large_pages(walker: Walker) -> None:
    access = Access(READ, SUPERVISOR)
    for level, shift in ((2, 21), (3, 30)):
        walker.set("4-level", access)
        walker.tables("4-level", P | W, P | W)
        walker.write("4-level", level, P | W | PS | 1 << 12)  # bit 12 is PAT
        assert walker.outcome(access, 0x123456) == ("page", 0x123000)
        for bit in range(13, shift):
            walker.write("4-level", level, P | W | PS | 1 << bit)
            assert walker.outcome(access, 0x123456) == ("fault", 9)
    walker.tables("4-level", P | W, P | W)
    walker.write("4-level", 4, LEVELS[1] | P | W | PS)
    assert walker.outcome(access) == ("fault", 9), "PS in a PML4E"


def test_large_pages_of_32_bit_paging(walker: Walker) -> None:
    access = Access(READ, SUPERVISOR)
    walker.set("32", access)
    walker.write("32", 2, P | W | PS | 0x5 << 13)
    assert walker.outcome(access, 0x123456) == ("page", 0x5_0012_3000), "PSE-36"
    walker.write("32", 2, P | W | PS | 1 << 21)
    assert walker.outcome(access, 0x123456) == ("fault", 9)
    walker.state.cr4 &= ~PSE
    walker.tables("32", P | W | PS, P | W)
    assert walker.outcome(access) == ("page", FRAME), "without CR4.PSE the bit means nothing"


def test_pae_without_its_pdpte(walker: Walker) -> None:
    access = Access(WRITE, USER)
    walker.set("PAE", access)
    walker.tables("PAE", P | W | U, P | W | U)
    assert walker.outcome(access, LINEAR | 1 << 30) == ("fault", 6)


def test_no_paging(walker: Walker) -> None:
    access = Access(WRITE, USER)
    walker.set("32", access)
    walker.state.cr0 = 1
    assert walker.outcome(access, 0x12345678) == ("page", 0x12345000)
