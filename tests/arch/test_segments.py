"""Selectors, descriptors and access rights."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmxon.arch.segments import AccessRights, Descriptor, Gate, SegmentType, Selector, SystemType, access_rights


@pytest.mark.parametrize(
    ("raw", "base", "limit", "rights"),
    [
        (0x00AF_9B00_0000_FFFF, 0, 0xFFFF_FFFF, 0xA09B),  # 64-bit code
        (0x00CF_9300_0000_FFFF, 0, 0xFFFF_FFFF, 0xC093),  # flat 32-bit data
        (0x0000_9B0F_0000_FFFF, 0xF0000, 0xFFFF, 0x009B),  # real-mode code at F0000
        (0x1240_8B34_5678_0067, 0x1234_5678, 0x67, 0x408B),  # busy TSS
    ],
)
def test_descriptors(raw: int, base: int, limit: int, rights: int) -> None:
    descriptor = Descriptor(raw)
    assert (descriptor.base, descriptor.limit) == (base, limit)
    assert access_rights(descriptor) == rights


@given(st.integers(0, (1 << 64) - 1))
def test_access_rights_are_bits_55_to_40_without_the_limit(raw: int) -> None:
    assert access_rights(Descriptor(raw)) == raw >> 40 & 0xF0FF


def test_reserved_access_rights() -> None:
    assert AccessRights.layout.reserved == 0xFFFE_0F00


def test_selectors() -> None:
    assert (Selector(0x2B).rpl, Selector(0x2B).ti, Selector(0x2B).index) == (3, False, 5)


def test_types() -> None:
    assert SegmentType(0xB).code
    assert not SegmentType(0x3).code
    assert SystemType(Descriptor(0x1240_8B34_5678_0067).type) is SystemType.BUSY_TSS


def test_gates() -> None:
    gate = Gate(0x8010_8E01_0010_1234)
    assert (gate.offset, gate.selector.index, gate.count, gate.dpl) == (0x8010_1234, 2, 1, 0)
    assert SystemType(gate.type) is SystemType.INTERRUPT_GATE
