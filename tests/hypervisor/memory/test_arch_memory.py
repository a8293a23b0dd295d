"""ArchMemory and GuestMemory: the guest's EPT, entry by entry."""

import struct

import pytest

from vmxon.errors import ConfigurationError
from vmxon.hypervisor.memory.arch_memory import LARGE, ArchMemory, Mapping
from vmxon.hypervisor.memory.guest_memory import GuestMemory
from vmxon.hypervisor.memory.page_manager import PAGE, PageManager
from vmxon.machine.root import RootProcessor, bare_processor

MEMORY, WINDOW = 16 << 20, 1 << 40


@pytest.fixture(scope="module")
def root() -> RootProcessor:
    return bare_processor(MEMORY)


@pytest.fixture
def pages(root: RootProcessor) -> PageManager:
    return PageManager(MEMORY, root.free)


def entry(root: RootProcessor, table: int, index: int) -> int:
    value: int = struct.unpack("<Q", root.read(table + 8 * index, 8))[0]
    return value


def test_the_pointer_says_four_levels_write_back(root: RootProcessor, pages: PageManager) -> None:
    pointer = ArchMemory(root, pages).pointer
    assert (pointer.memory_type, pointer.walk_length) == (6, 3)


def test_a_small_page_makes_four_tables(root: RootProcessor, pages: PageManager) -> None:
    space = ArchMemory(root, pages)
    space.map_page(0x12_3456_7000, 0x40_0000, write=False)
    assert len(space.tables) == 4
    table = space.tables[0]
    for shift in (39, 30, 21):
        value = entry(root, table, 0x12_3456_7000 >> shift & 511)
        assert value & 7 == 7
        assert not value & 0x80
        table = value & ~0xFFF
    assert entry(root, table, 0x167) == 0x40_0000 | 6 << 3 | 0b101
    assert space.lookup(0x12_3456_7ABC) == Mapping(0x12_3456_7000, 0x40_0000, PAGE, 0b101)
    assert space.lookup(0x12_3456_8000) is None


def test_a_large_page(root: RootProcessor, pages: PageManager) -> None:
    space = ArchMemory(root, pages)
    space.map_page(LARGE, 3 * LARGE, LARGE)
    assert space.lookup(LARGE + 0x1234) == Mapping(LARGE, 3 * LARGE, LARGE, 7)
    with pytest.raises(ValueError, match="guest-physical 0x201000 is mapped already"):
        space.map_page(LARGE + PAGE, 0)
    space.unmap_page(LARGE)
    assert space.lookup(LARGE) is None
    with pytest.raises(ValueError, match="guest-physical 0x200000 is not mapped"):
        space.unmap_page(LARGE)


@pytest.mark.parametrize(("guest", "host", "size"), [(0x10, 0, PAGE), (0, 0x800, PAGE), (PAGE, 0, LARGE), (0, 0, 8192)])
def test_a_page_starts_at_a_multiple_of_its_size(root: RootProcessor, pages: PageManager, guest: int, host: int, size: int) -> None:
    with pytest.raises(ValueError, match="is no page of"):
        ArchMemory(root, pages).map_page(guest, host, size)


def test_memory_is_supplied_in_the_largest_pages_that_fit(root: RootProcessor, pages: PageManager) -> None:
    memory = GuestMemory(root, pages, 5 << 20, WINDOW)
    memory.supply(0x1234)
    memory.supply(0x40_1000)
    memory.supply(0x50_0000)
    memory.supply(0x1000_0000)
    memory.supply(0xFEE0_0020)
    lookup = memory.address_space.lookup
    assert lookup(0) == Mapping(0, memory.base, LARGE, 7)
    assert lookup(0x40_1000) == Mapping(0x40_1000, memory.base + 0x40_1000, PAGE, 7)
    assert memory.supplied == 513
    above, far, device = lookup(0x50_0000), lookup(0x1000_0000), lookup(0xFEE0_0020)
    assert above is not None
    assert far is not None
    assert device == Mapping(0xFEE0_0000, WINDOW + 0x3EE0_0000, LARGE, 0b011)
    assert (above.size, far.size, far.host, far.rights) == (PAGE, LARGE, memory.nowhere, 0b011)
    assert above.host >= MEMORY
    assert above.rights == 0b011


def test_nothing_outside_the_guests_memory_is_reachable(root: RootProcessor, pages: PageManager) -> None:
    memory = GuestMemory(root, pages, 2 << 20, WINDOW)
    memory.write((2 << 20) - 2, b"abcd")
    assert memory.read((2 << 20) - 2, 4) == b"ab\xff\xff"
    assert root.read(memory.base + memory.size, 2) != b"cd"
    assert memory.read(1 << 40, 3) == b"\xff\xff\xff"


def test_a_guest_ends_below_the_hole(root: RootProcessor, pages: PageManager) -> None:
    with pytest.raises(ConfigurationError, match="a guest with 0xc0001000 bytes of memory, expected at most 0xc0000000"):
        GuestMemory(root, pages, 0xC000_1000, WINDOW)


def test_a_window_takes_single_pages_out_of_a_large_one(root: RootProcessor, pages: PageManager) -> None:
    memory = GuestMemory(root, pages, 2 << 20, WINDOW)
    memory.open_window(0xB000_1000, WINDOW * 2, 2 * PAGE)
    for guest in (0xB000_0000, 0xB000_1000, 0xB000_2000, 0xB020_0000):
        memory.supply(guest)
    lookup = memory.address_space.lookup
    assert lookup(0xB000_0000) == Mapping(0xB000_0000, memory.nowhere, PAGE, 0b011)
    assert lookup(0xB000_1000) == Mapping(0xB000_1000, WINDOW * 2, PAGE, 0b011)
    assert lookup(0xB000_2000) == Mapping(0xB000_2000, WINDOW * 2 + PAGE, PAGE, 0b011)
    assert lookup(0xB020_0000) == Mapping(0xB020_0000, memory.nowhere, LARGE, 0b011)
    with pytest.raises(ValueError, match="have been touched already"):
        memory.open_window(0xB000_0000, WINDOW * 2, PAGE)
