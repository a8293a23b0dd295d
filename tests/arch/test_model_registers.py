"""What the registers of a model may hold."""

from dataclasses import replace

import pytest

from vmxon.arch.control import Cr4, Efer
from vmxon.arch.cpuid import Model
from vmxon.arch.features import Feature
from vmxon.arch.model_registers import CR4_BITS, cr4_bits, efer_bits, msrs_of
from vmxon.arch.models import FIRST, MAX, NEHALEM


@pytest.mark.parametrize(("model", "bits"), [(FIRST, 0x27FF), (NEHALEM, 0x27FF), (MAX, 0x177_2FFF)])
def test_cr4(model: Model, bits: int) -> None:
    assert cr4_bits(model) == bits


def test_cr4_follows_the_features() -> None:
    without = replace(MAX, features=MAX.features - {Feature.SMEP})
    assert cr4_bits(MAX) ^ cr4_bits(without) == Cr4.smep.mask
    assert set(CR4_BITS) <= {field.name for field in Cr4.layout.fields}


def test_efer_follows_the_features() -> None:
    assert efer_bits(MAX) == Efer.layout.named
    assert efer_bits(replace(MAX, features=MAX.features - {Feature.NX})) == 0x501


@pytest.mark.parametrize(
    ("address", "first", "top"),
    [
        (0x10, True, True),
        (0x1B, False, True),
        (0x6E0, False, True),
        (0x3A, True, True),
        (0x10A, False, True),
        (0xC000_0103, False, True),
        (0xDA0, False, True),
    ],
)
def test_msrs_come_with_their_features(address: int, first: bool, top: bool) -> None:
    assert (address in msrs_of(FIRST), address in msrs_of(MAX)) == (first, top)
