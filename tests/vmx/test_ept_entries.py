"""EPT entries."""

import pytest

from vmxon.vmx.ept_entries import (
    MEMORY_TYPES,
    MUST_BE_ZERO,
    EptEntry,
    EptPage,
    EptPage1G,
    EptPage2M,
    EptPage4K,
    EptTableEntry,
    InveptType,
    InvvpidType,
)


def test_a_writable_page_of_ordinary_memory() -> None:
    entry = EptPage2M.make(read=1, write=1, execute=1, memory_type=6, page_size=1, frame=0x4020_0000 >> 21)
    assert entry == 0x4020_00B7
    assert EptTableEntry(0x1007).table << 12 == 0x1000


@pytest.mark.parametrize("entry", MUST_BE_ZERO)
def test_bits_of_a_misconfiguration_have_no_name(entry: type[EptEntry]) -> None:
    assert not MUST_BE_ZERO[entry] & entry.layout.named


@pytest.mark.parametrize(("entry", "high"), [(EptPage2M, 20), (EptPage1G, 29)])
def test_large_pages_have_reserved_address_bits(entry: type[EptEntry], high: int) -> None:
    assert MUST_BE_ZERO[entry] == (1 << high + 1) - (1 << 12)


@pytest.mark.parametrize("name", [field.name for field in EptPage.layout.fields])
def test_leaves_share_their_flags(name: str) -> None:
    assert len({entry.layout[name].mask for entry in (EptPage4K, EptPage2M, EptPage1G)}) == 1


def test_types() -> None:
    assert {2, 3, 7} == set(range(8)) - MEMORY_TYPES
    assert [int(kind) for kind in InveptType] == [1, 2]
    assert [int(kind) for kind in InvvpidType] == [0, 1, 2, 3]
