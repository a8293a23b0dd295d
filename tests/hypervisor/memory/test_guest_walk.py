"""The guest's own page tables, walked by the hypervisor: the three formats and their faults."""

from __future__ import annotations

import struct

import pytest

from vmxon.hypervisor.memory.guest_memory import GuestMemory
from vmxon.hypervisor.memory.guest_walk import PageFault, Paging, table_pages, translate
from vmxon.hypervisor.memory.page_manager import PageManager
from vmxon.machine.root import bare_processor

SIZE, WINDOW = 2 << 20, 1 << 40
PG, WP = 1 << 31 | 1, 1 << 16
PSE, PAE, LMA = 1 << 4, 1 << 5, 1 << 10
TOP, SECOND, THIRD, LAST = 0x1000, 0x2000, 0x3000, 0x4000


@pytest.fixture
def memory() -> GuestMemory:
    root = bare_processor(8 << 20)
    return GuestMemory(root, PageManager(8 << 20, root.free), SIZE, WINDOW)


def put(memory: GuestMemory, table: int, index: int, entry: int, size: int = 8) -> None:
    memory.write(table + index * size, struct.pack("<Q" if size == 8 else "<I", entry))


def test_without_paging_linear_is_physical(memory: GuestMemory) -> None:
    assert translate(memory, Paging(1, 0, 0, 0, user=False), 0x1_0000_1234, True) == 0x1234


def test_32_bit(memory: GuestMemory) -> None:
    put(memory, TOP, 1, SECOND | 7, 4)
    put(memory, SECOND, 2, 0x5000 | 5, 4)
    put(memory, TOP, 2, 0x0080_0000 | 1 << 13 | 0x83, 4)
    paging = Paging(PG, TOP, 0, 0, user=False)
    assert translate(memory, paging, 0x40_2345, False) == 0x5345
    assert translate(memory, Paging(PG, TOP, PSE, 0, user=False), 0x80_1234, True) == 0x1_0080_1234
    assert translate(memory, paging, 0x40_3000, False) == PageFault(0x40_3000, 0)


def test_pae(memory: GuestMemory) -> None:
    put(memory, TOP, 1, SECOND | 1)
    put(memory, SECOND, 3, LAST | 7)
    put(memory, LAST, 4, 0x6000 | 7)
    put(memory, SECOND, 4, 0x20_0000 | 0x87)
    paging = Paging(PG, TOP, PAE, 0, user=True)
    assert translate(memory, paging, 0x4060_4ABC, True) == 0x6ABC
    assert translate(memory, paging, 0x4081_2345, True) == 0x21_2345


def test_four_levels(memory: GuestMemory) -> None:
    put(memory, TOP, 256, SECOND | 7)
    put(memory, SECOND, 0, THIRD | 7)
    put(memory, SECOND, 1, 0x4000_0083)
    put(memory, THIRD, 1, LAST | 7)
    put(memory, LAST, 2, 0x7000 | 7 | 1 << 63)
    paging = Paging(PG, TOP, PAE, LMA, user=False)
    assert translate(memory, paging, 0xFFFF_8000_0020_2010, True) == 0x7010
    assert translate(memory, paging, 0xFFFF_8000_4123_4567, False) == 0x4123_4567


PROTECTION = [
    # entry, user, WP, write, error code or None
    (1, False, WP, False, None),
    (1, True, 0, False, 5),
    (1, False, WP, True, 3),
    (1, False, 0, True, None),
    (5, True, 0, False, None),
    (5, True, 0, True, 7),
    (7, True, WP, True, None),
    (0, True, 0, True, 6),
]


@pytest.mark.parametrize(("rights", "user", "protect", "write", "code"), PROTECTION)
def test_protection(memory: GuestMemory, rights: int, user: bool, protect: int, write: bool, code: int | None) -> None:
    put(memory, TOP, 0, SECOND | 7, 4)
    put(memory, SECOND, 8, 0x9000 | rights, 4)
    answer = translate(memory, Paging(PG | protect, TOP, 0, 0, user=user), 0x8010, write)
    assert answer == (0x9010 if code is None else PageFault(0x8010, code))


def test_pages_of_the_guests_own_tables_are_counted_once(memory: GuestMemory) -> None:
    put(memory, TOP, 0, SECOND | 7)
    put(memory, TOP, 1, SECOND | 7)
    put(memory, SECOND, 0, THIRD | 7)
    put(memory, SECOND, 1, 0x4000_0000 | 0x87)
    put(memory, THIRD, 0, LAST | 7)
    put(memory, THIRD, 1, LAST | 7)
    put(memory, THIRD, 2, 0x5000 | 6)
    put(memory, THIRD, 3, 0xFFFF_F000 | 7)
    put(memory, LAST, 0, 0x6000 | 7)
    assert table_pages(memory, Paging(PG, TOP, PAE, LMA, user=False)) == 4
    assert table_pages(memory, Paging(0, TOP, 0, 0, user=False)) == 0


def test_a_32_bit_directory_whose_large_pages_count_only_with_pse(memory: GuestMemory) -> None:
    put(memory, TOP, 0, SECOND | 7, 4)
    put(memory, TOP, 1, 0x87, 4)
    assert table_pages(memory, Paging(PG, TOP, PSE, 0, user=False)) == 2
    assert table_pages(memory, Paging(PG, TOP, 0, 0, user=False)) == 3
