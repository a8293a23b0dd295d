"""Looking up linear addresses without a trace, against the processor's own walk."""

from __future__ import annotations

import struct

import pytest

from tests.harness import Bench
from vmxon.arch.control import Cr0, Cr4, Efer
from vmxon.debug.address_space import FRAME, NO_EXECUTE, USER, WRITABLE, AddressSpace
from vmxon.engine.golden_model import GoldenModel
from vmxon.microcode.golden import GuestFault
from vmxon.processor.paging import READ, walk
from vmxon.processor.tlb import SUPERVISOR

TABLES = 0x10_0000
RW, ALL, LARGE = 3, 7, 0x87


def entry_64(address: int) -> bytes:
    return struct.pack("<Q", address)


class World(Bench):
    """A processor whose tables are written by hand."""

    def put(self, place: int, entry: int, size: int = 8) -> None:
        self.engine.write_physical(TABLES + place, entry.to_bytes(size, "little"))

    def enter_paging(self, *, pae: bool, long: bool) -> None:
        state = self.state
        state.cr3 = TABLES
        state.cr4 = Cr4.pse.mask | (Cr4.pae.mask if pae else 0)
        state.efer = (Efer.lme.mask | Efer.lma.mask if long else 0) | Efer.nxe.mask
        state.cr0 |= Cr0.pg.mask | Cr0.pe.mask
        for number in range(4):
            state.pdpte[number] = struct.unpack("<Q", self.engine.read_physical(TABLES + 8 * number, 8))[0]
        self.processor.refresh()


def two_level() -> World:
    world = World(32)
    world.put(0, TABLES + 0x1000 | ALL, 4)
    world.put(4, 0x40_0000 | LARGE, 4)
    world.put(8, TABLES + 0x2000 | RW, 4)
    world.put(4 * 0x300, 0x0000_2087, 4)  # PSE-36: address bit 32
    for page in range(1024):
        world.put(0x1000 + 4 * page, page << 12 | (ALL if page % 3 else 5), 4)
    world.put(0x2000 + 4 * 5, 0x7000 | ALL, 4)
    world.enter_paging(pae=False, long=False)
    return world


def three_level() -> World:
    world = World(32)
    world.put(0, TABLES + 0x1000 | 1)
    world.put(24, TABLES + 0x2000 | 1)
    world.put(0x1000, TABLES + 0x3000 | ALL)
    world.put(0x1008, 0x20_0000 | LARGE | NO_EXECUTE)
    world.put(0x2000 + 8 * 511, 0 | LARGE)
    for page in range(0, 512, 2):
        world.put(0x3000 + 8 * page, page << 12 | ALL)
    world.enter_paging(pae=True, long=False)
    return world


def four_level() -> World:
    world = World(64)
    world.put(0, TABLES + 0x1000 | ALL)
    world.put(8 * 511, TABLES + 0x1000 | RW)
    world.put(0x1000, TABLES + 0x2000 | ALL)
    world.put(0x1008, 0 | LARGE)  # 1 GiB
    world.put(0x1000 + 8 * 511, TABLES + 0x2000 | ALL)
    world.put(0x2000, TABLES + 0x3000 | ALL)
    world.put(0x2008, 0x20_0000 | LARGE)
    for page in range(0, 512, 3):
        world.put(0x3000 + 8 * page, page << 12 | ALL | (NO_EXECUTE if page % 2 else 0))
    world.enter_paging(pae=True, long=True)
    return world


WORLDS = {"32-bit": two_level, "PAE": three_level, "4-level": four_level}
ADDRESSES = [
    *range(0, 0x80_0000, 0x7_1234), 0x80_5678, 0x80_0000, 0xC000_0123, 0xFFE1_2345, 0x4000_0000, 0x4012_3456, 0x8000_0000,
    0x7FFF_FFFF_F000, 0xFFFF_FF80_0000_3000, 0xFFFF_FFFF_C000_6000,
]  # fmt: skip
NOT_CANONICAL = (0x8000_0000_0000, 0xFFFF_7FFF_FFFF_F000)


class Walker:
    """The microcode of the page walk as Python, for a supervisor's reads."""

    def __init__(self, world: World) -> None:
        model = GoldenModel(world.engine)
        self.function, self.base = model.functions[model.program.require(walk).name], world.engine.arena.base

    def walk(self, linear: int) -> int | None:
        """The page and its marks; None where the walk faults."""
        try:
            found = self.function(self.base, linear, READ, SUPERVISOR)
        except GuestFault:
            return None
        assert isinstance(found, int)
        return found


@pytest.mark.parametrize("name", WORLDS)
def test_the_page_of_an_address_is_the_processors(name: str) -> None:
    world = WORLDS[name]()
    walker, found = Walker(world), 0
    for linear in (*ADDRESSES, *NOT_CANONICAL):
        if name != "4-level" and linear >> 32:
            continue
        page = AddressSpace(world.processor).page_of(linear)
        walked = walker.walk(linear)
        if linear in NOT_CANONICAL:
            assert page is None, "not canonical"
        elif page is None:
            assert walked is None, f"{linear:#x}"
        else:
            found += 1
            assert walked is not None, f"{linear:#x}"
            assert page.physical + linear % page.size & FRAME == walked & FRAME, f"{linear:#x}"
    assert found > 5


@pytest.mark.parametrize("name", WORLDS)
def test_nothing_is_left_behind(name: str) -> None:
    world = WORLDS[name]()
    before = world.engine.read_physical(TABLES, 0x4000)
    space = AddressSpace(world.processor)
    for linear in ADDRESSES:
        space.page_of(linear)
        space.read(linear, 4)
    list(space.pages())
    assert world.engine.read_physical(TABLES, 0x4000) == before
    assert world.state.fault_kind == 0


@pytest.mark.parametrize("name", WORLDS)
def test_all_pages_are_those_that_are_found_one_by_one(name: str) -> None:
    world = WORLDS[name]()
    space = AddressSpace(world.processor)
    pages = list(space.pages())
    assert pages == [space.page_of(page.linear) for page in pages]
    assert [page.linear for page in pages] == sorted(page.linear for page in pages)


def test_rights_are_those_of_all_levels() -> None:
    space = AddressSpace(four_level().processor)
    user, supervisor, data = (space.page_of(linear) for linear in (0, 0xFFFF_FF80_0000_0000, 0x3000))
    assert user is not None
    assert supervisor is not None
    assert data is not None
    assert user.rights == WRITABLE | USER
    assert supervisor.rights == WRITABLE
    assert data.rights == WRITABLE | USER | NO_EXECUTE


def test_large_pages_of_36_bits() -> None:
    page = AddressSpace(two_level().processor).page_of(0xC000_0123)
    assert page is not None
    assert (page.physical, page.size) == (1 << 32, 4 << 20)


def test_reading_and_writing_across_pages() -> None:
    world = three_level()
    space = AddressSpace(world.processor)
    assert space.write(0x20_0FFE, b"abcd")
    assert space.read(0x20_0FFE, 4) == b"abcd" == world.engine.read_physical(0x20_0FFE, 4)
    assert space.read(0x2FFE, 4) == world.engine.read_physical(0x2FFE, 2), "the page at 0x3000 is not there"
    assert not space.write(0x2FFE, b"abcd")
    assert world.engine.read_physical(0x2FFE, 2) == bytes(2)


def test_without_paging_linear_is_physical() -> None:
    world = World(32)
    space = AddressSpace(world.processor)
    world.engine.write_physical(0x5000, b"xy")
    assert space.read(0x1_0000_5000, 2) == b"xy", "addresses have 32 bits"
    assert list(space.pages()) == []
    assert space.read_physical(0x3F_FFFE, 8) == bytes(2), "memory ends"


def test_the_second_stage() -> None:
    world = two_level()
    state = world.state
    state.second_stage, state.ept_pointer = 1, 0x18_0000 | 0x1E
    entries = ((0x18_0000, 0x18_1007), (0x18_1000, 0x18_2007), (0x18_2000, 0x20_00B7), (0x18_2008, 0x18_3007), (0x18_3000, 0x5037))
    for place, entry in entries:
        world.engine.write_physical(place, entry_64(entry))
    space = AddressSpace(world.processor)
    assert space.host_physical(0x1234) == 0x20_1234
    assert space.host_physical(0x20_0042) == 0x5042
    assert space.host_physical(0x20_1000) is None
    assert space.host_physical(0x4000_0000) is None
