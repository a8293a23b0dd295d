"""Words with named bits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmxon.arch.bits import Bits, Word, choice, field, flag
from vmxon.arch.control import Cr0, Cr4
from vmxon.arch.paging import MemoryType


class Sample(Word, width=16):
    """Every kind of field, and reserved bits 8 and 15:14."""

    low = flag(0, "lowest", title="Lowest bit")
    run = field(7, 1, "seven bits")
    kind = choice(11, 9, MemoryType, "an enum with undefined values")
    high = field(13, 12, "two bits")


class Extended(Sample):
    """Inherits the fields of its base."""

    extra = flag(15, "one of the base's reserved bits")


def test_fields_read_on_instances() -> None:
    word = Sample(1 | 0x55 << 1 | 6 << 9 | 2 << 12)
    assert (word.low, word.run, word.kind, word.high) == (True, 0x55, MemoryType.WB, 2)
    assert word.low is True


def test_fields_on_the_class_are_plain_masks() -> None:
    assert Cr0.pe.mask == 1
    assert Cr4.vmxe.mask == 1 << 13
    assert (Sample.run.mask, Sample.run.low, Sample.run.width, Sample.run.limit) == (0xFE, 1, 7, 0x7F)
    assert Sample.run.put(3) == 6
    assert Sample.run.get(0xFFFF) == 0x7F
    assert (Sample.low.title, Sample.run.title) == ("Lowest bit", "run")


def test_reserved_bits() -> None:
    assert Sample.layout.reserved == 1 << 8 | 3 << 14
    assert Sample.layout.named == 0xFFFF & ~Sample.layout.reserved
    assert Sample(1 << 8 | 1).reserved_bits == 1 << 8
    assert Extended.layout.reserved == 1 << 8 | 1 << 14
    assert Extended(1 << 15).extra
    assert Extended(3).run == 1


def test_layout_finds_fields() -> None:
    found = Sample.layout.at(3)
    assert found is not None
    assert found.name == "run"
    assert Sample.layout.at(8) is None
    assert Sample.layout["high"] is Sample.high
    with pytest.raises(KeyError, match="no field 'absent'; the fields are low, run, kind, high"):
        Sample.layout["absent"]


def test_replace_and_make() -> None:
    assert Sample.make(low=1, high=3) == 0x3001
    assert Sample(0x3001).replace(high=0, run=1) == 3
    with pytest.raises(ValueError, match=r"Sample\.high: 0x4 does not fit bits 13:12"):
        Sample(0).replace(high=4)
    with pytest.raises(ValueError, match="run: -0x1 does not fit bits 7:1"):
        Sample.run.put(-1)


@pytest.mark.parametrize("raw", [-1, 1 << 16])
def test_a_word_never_holds_more_than_its_width(raw: int) -> None:
    with pytest.raises(ValueError, match="does not fit 16 bits"):
        Sample(raw)


def test_repr_names_what_is_set_and_never_raises() -> None:
    assert repr(Cr0(1 | 1 << 31)) == "Cr0(0x80000001: pe pg)"
    assert repr(Cr0(0)) == "Cr0(0x0: none)"
    assert repr(Sample(3 << 9 | 1 << 8)) == "Sample(0x700: kind=0x3 reserved=0x100)"
    with pytest.raises(ValueError, match="3 is not a valid MemoryType"):
        _ = Sample(3 << 9).kind


def test_overlap_is_an_error_at_import() -> None:
    with pytest.raises(TypeError, match=r"Bad\.b: bits 3:0 overlap another field"):

        class Bad(Word, width=8):
            a = flag(2, "a")
            b = field(3, 0, "b")


def test_a_bit_beyond_the_width_is_an_error_at_import() -> None:
    with pytest.raises(TypeError, match=r"Bad\.a: bit 8 is outside a 8-bit word"):

        class Bad(Word, width=8):
            a = flag(8, "a")


def test_low_bit_first_is_an_error() -> None:
    with pytest.raises(TypeError, match="high bit first"):
        Bits(0, 3, int, "wrong way round")


@given(st.integers(0, 0xFFFF))
def test_parts_and_reserved_make_the_whole(raw: int) -> None:
    word = Sample(raw)
    assert sum(f.put(value) for f, value in word.parts()) | word.reserved_bits == raw


@given(st.integers(0, 0xFFFF), st.integers(0, 0x7F))
def test_replace_changes_one_field_only(raw: int, value: int) -> None:
    changed = Sample(raw).replace(run=value)
    assert changed.run == value
    assert int(changed) & ~Sample.run.mask == raw & ~Sample.run.mask
