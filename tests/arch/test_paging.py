"""Entries of the paging structures."""

import pytest

from vmxon.arch.bits import Word
from vmxon.arch.paging import (
    MUST_BE_ZERO,
    PaePointerEntry,
    Page1G,
    Page2M,
    Page4K,
    Page4K32,
    Page4M32,
    PagingEntry,
    TableEntry,
    TableEntry32,
)


@pytest.mark.parametrize("entry", MUST_BE_ZERO)
def test_bits_that_fault_have_no_name(entry: type[Word]) -> None:
    assert not MUST_BE_ZERO[entry] & entry.layout.named


@pytest.mark.parametrize(
    ("entry", "high", "low"),
    [(Page2M, 20, 13), (Page1G, 29, 13), (Page4M32, 21, 21)],
)
def test_large_pages_have_reserved_address_bits(entry: type[Word], high: int, low: int) -> None:
    assert MUST_BE_ZERO[entry] == (1 << high + 1) - (1 << low)


def test_pae_pointers_have_the_most_reserved_bits() -> None:
    assert PaePointerEntry.layout.reserved == MUST_BE_ZERO[PaePointerEntry]


@pytest.mark.parametrize("name", ["present", "writable", "user", "write_through", "cache_disable", "accessed"])
def test_shared_bits_are_the_same_in_all_entries(name: str) -> None:
    entries = (TableEntry, Page4K, Page2M, Page1G, TableEntry32, Page4K32, Page4M32)
    assert {entry.layout[name].low for entry in entries} == {PagingEntry.layout[name].low}


def test_pages() -> None:
    page = Page2M(0x8000_0000_4020_00E7)
    assert page.execute_disable
    assert page.frame << 21 == 0x4020_0000
    assert (page.present, page.dirty, page.page_size, page.global_) == (True, True, True, False)
