"""The control vectors."""

import pytest

from vmxon.arch.bits import Word
from vmxon.vmx.controls import (
    DEFAULT1,
    VECTORS,
    Entry,
    EptPointer,
    PinBased,
    PrimaryExit,
    PrimaryProcessorBased,
    SecondaryExit,
    SecondaryProcessorBased,
    TertiaryProcessorBased,
    VmFunctions,
)


@pytest.mark.parametrize(
    ("vector", "bits"),
    [
        (PinBased, {0, 3, 5, 6, 7}),
        (PrimaryProcessorBased, {2, 3, 7, 9, 10, 11, 12, 15, 16, 17, *range(19, 26), *range(27, 32)}),
        (SecondaryProcessorBased, {*range(32)} - {29}),
        (TertiaryProcessorBased, {*range(10), 12}),
        (PrimaryExit, {2, 9, 12, 15, *range(18, 32)}),
        (SecondaryExit, {0, 1, 2, 3}),
        (Entry, {2, 9, 10, 11, *range(13, 26)}),
        (VmFunctions, {0}),
    ],
)
def test_every_documented_bit_is_named(vector: type[Word], bits: set[int]) -> None:
    assert vector.layout.named == sum(1 << bit for bit in bits)


@pytest.mark.parametrize(
    ("vector", "bit", "title"),
    [
        (PinBased, 5, "virtual NMIs"),
        (PinBased, 6, "activate VMX-preemption timer"),
        (PrimaryProcessorBased, 15, "CR3-load exiting"),
        (PrimaryProcessorBased, 21, "use TPR shadow"),
        (PrimaryProcessorBased, 27, "monitor trap flag"),
        (PrimaryProcessorBased, 28, "use MSR bitmaps"),
        (SecondaryProcessorBased, 1, "enable EPT"),
        (SecondaryProcessorBased, 5, "enable VPID"),
        (SecondaryProcessorBased, 7, "unrestricted guest"),
        (SecondaryProcessorBased, 13, "enable VM functions"),
        (SecondaryProcessorBased, 22, "mode-based execute control for EPT"),
        (SecondaryProcessorBased, 25, "use TSC scaling"),
        (PrimaryExit, 9, "host address-space size"),
        (PrimaryExit, 15, "acknowledge interrupt on exit"),
        (PrimaryExit, 22, "save VMX-preemption timer value"),
        (Entry, 9, "IA-32e mode guest"),
        (Entry, 15, "load IA32_EFER"),
        (Entry, 20, "load CET state"),
    ],
)
def test_titles_are_the_manuals(vector: type[Word], bit: int, title: str) -> None:
    control = vector.layout.at(bit)
    assert control is not None
    assert control.title == title


@pytest.mark.parametrize("vector", VECTORS.values())
def test_every_control_says_what_it_does(vector: type[Word]) -> None:
    for control in vector.layout.fields:
        assert control.doc
        assert control.title != control.name
    titles = [control.title for control in vector.layout.fields]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize(
    ("vector", "mask"),
    [(PinBased, 0x16), (PrimaryProcessorBased, 0x0401_E172), (PrimaryExit, 0x3_6DFF), (Entry, 0x11FF)],
)
def test_default1_is_what_processors_report(vector: type[Word], mask: int) -> None:
    assert DEFAULT1[vector] == mask


def test_controls_among_the_default1_bits() -> None:
    named = {vector: vector(DEFAULT1[vector] & vector.layout.named) for vector in DEFAULT1}
    assert [[f.name for f, value in word.parts() if value] for word in named.values()] == [
        [],
        ["cr3_load_exiting", "cr3_store_exiting"],
        ["save_debug_controls"],
        ["load_debug_controls"],
    ]


def test_ept_pointer() -> None:
    pointer = EptPointer.make(memory_type=6, walk_length=3, accessed_dirty=1, root=0x12345)
    assert pointer == 0x1234_505E
    assert EptPointer.layout.reserved == 0xFFF0_0000_0000_0F00
