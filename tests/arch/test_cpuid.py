"""CPUID leaves: consistent with the model and with each other."""

from dataclasses import replace

import pytest

from vmxon.arch.cpuid import EXTENDED, Leaves, Model, answer, cpuid_leaves, reported
from vmxon.arch.features import Feature
from vmxon.arch.models import FIRST, MAX, MODELS, NEHALEM

REQUIRES = {
    Feature.PCID: Feature.LM,
    Feature.INVPCID: Feature.PCID,
    Feature.SSE2: Feature.SSE,
    Feature.SSE: Feature.FXSR,
    Feature.FXSR: Feature.FPU,
    Feature.NX: Feature.PAE,
    Feature.LM: Feature.PAE,
    Feature.SYSCALL: Feature.LM,
    Feature.PDPE1GB: Feature.LM,
    Feature.RDTSCP: Feature.TSC,
    Feature.INVARIANT_TSC: Feature.TSC,
    Feature.PSE36: Feature.PSE,
    Feature.CX16: Feature.CX8,
    Feature.AVX: Feature.XSAVE,
    Feature.X2APIC: Feature.APIC,
}
NOT_IMPLEMENTED = {Feature.AVX, Feature.MONITOR, Feature.AES, Feature.PCLMULQDQ, Feature.SHA}

models = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())


def text(leaves: Leaves, *places: tuple[int, int]) -> str:
    return b"".join(leaves[leaf, 0][n].to_bytes(4, "little") for leaf, n in places).rstrip(b"\0").decode()


@models
def test_features_are_reported_and_nothing_else(model: Model) -> None:
    assert reported(cpuid_leaves(model)) == model.features


@models
def test_features_have_what_they_rest_on(model: Model) -> None:
    assert all(REQUIRES[feature] in model.features for feature in model.features if feature in REQUIRES)


@models
def test_nothing_is_promised_that_is_not_implemented(model: Model) -> None:
    assert not NOT_IMPLEMENTED & model.features


@models
def test_highest_leaves_cover_every_leaf(model: Model) -> None:
    leaves = cpuid_leaves(model)
    assert max(leaf for leaf, _ in leaves if leaf < EXTENDED) == leaves[0, 0][0]
    assert max(leaf for leaf, _ in leaves) == leaves[EXTENDED, 0][0]


@models
def test_every_register_has_32_bits(model: Model) -> None:
    assert all(0 <= register < 1 << 32 for leaf in cpuid_leaves(model).values() for register in leaf)


@models
def test_identity(model: Model) -> None:
    leaves = cpuid_leaves(model)
    assert text(leaves, (0, 1), (0, 3), (0, 2)) == "GenuineIntel"
    assert text(leaves, *((EXTENDED + 2 + n, m) for n in range(3) for m in range(4))) == model.brand
    widths = leaves[EXTENDED + 8, 0][0]
    assert (widths & 0xFF, widths >> 8 & 0xFF) == (model.physical_width, model.linear_width)


@pytest.mark.parametrize(
    ("family", "number", "stepping", "signature"),
    [(6, 0x0F, 6, 0x6F6), (6, 0x1A, 5, 0x106A5), (6, 0x8F, 8, 0x806F8), (15, 6, 4, 0xF64), (0x19, 1, 0, 0xA00F10)],
)
def test_signature(family: int, number: int, stepping: int, signature: int) -> None:
    assert replace(MAX, family=family, model=number, stepping=stepping).signature == signature


def test_caches() -> None:
    leaves = cpuid_leaves(MAX)
    sizes = []
    for n in range(4):
        eax, ebx, ecx, _ = answer(leaves, 4, n)
        assert eax >> 14 == 0, "one thread and one core share it"
        sizes.append(((ebx >> 22) + 1) * ((ebx >> 12 & 0x3FF) + 1) * ((ebx & 0xFFF) + 1) * (ecx + 1))
    assert sizes == [32 << 10, 32 << 10, 1 << 20, 8 << 20]
    assert answer(leaves, 4, 4)[0] & 31 == 0
    assert answer(leaves, EXTENDED + 6, 0)[2] >> 16 == 1024


def test_answers() -> None:
    leaves = cpuid_leaves(MAX)
    assert answer(leaves, 1, 99) == leaves[1, 0], "leaf 1 has no subleaves"
    assert answer(leaves, 7, 0)[0] == 1, "the highest subleaf"
    assert answer(leaves, 7, 1) == (1 << 19 | 1 << 27, 0, 0, 0)
    assert answer(leaves, 7, 2) == (0, 0, 0, 0)
    assert [answer(leaves, 11, n) for n in range(3)] == [(0, 1, 0x100, 0), (0, 1, 0x201, 0), (0, 0, 2, 0)], "one thread, one core"
    assert answer(leaves, 0x4000_0000, 0) == leaves[13, 0], "beyond the highest leaf"
    assert answer(leaves, EXTENDED + 0x100, 0) == leaves[13, 0]
    assert answer(cpuid_leaves(FIRST), 7, 0) == leaves[4, 0]


def test_state_components_agree_with_each_other() -> None:
    leaves = cpuid_leaves(MAX)
    assert leaves[0, 0][0] == 13
    assert leaves[13, 0] == (0x203, 576, 840, 0)
    assert answer(leaves, 13, 1) == (0b1111, 576, 0, 0)
    size, offset, _, _ = answer(leaves, 13, 9)
    assert size + offset == leaves[13, 0][2]
    without = cpuid_leaves(replace(MAX, features=MAX.features - {Feature.PKU}))
    assert without[13, 0] == (3, 576, 576, 0)
    assert (13, 0) not in cpuid_leaves(FIRST)


def test_the_apic_id_is_in_leaf_1() -> None:
    assert cpuid_leaves(MAX, apic_id=3)[1, 0][1] >> 24 == 3


def test_each_feature_has_a_bit_of_its_own() -> None:
    assert len(Feature.__members__) == len(Feature)
    places = {(feature.leaf, feature.subleaf, feature.register, feature.bit) for feature in Feature}
    assert len(places) == len(Feature)


@pytest.mark.parametrize(
    ("feature", "place"),
    [
        (Feature.VMX, (1, 2, 5)),
        (Feature.LM, (0x8000_0001, 3, 29)),
        (Feature.SMAP, (7, 1, 20)),
        (Feature.UMIP, (7, 2, 2)),
        (Feature.ARCH_CAPABILITIES, (7, 3, 29)),
        (Feature.PCID, (1, 2, 17)),
        (Feature.CLFLUSH, (1, 3, 19)),
    ],
)
def test_feature_bits(feature: Feature, place: tuple[int, int, int]) -> None:
    assert (feature.leaf, feature.register, feature.bit) == place


def test_models_grow() -> None:
    assert FIRST.features < NEHALEM.features < MAX.features
    assert list(MODELS) == ["first", "nehalem", "max", "newest"]
    assert Feature.VMX in MAX


def test_a_model_must_be_whole() -> None:
    with pytest.raises(ValueError, match="VMX description must come together"):
        replace(MAX, vmx=None)
    with pytest.raises(ValueError, match="the vendor must have 12 bytes"):
        replace(MAX, vendor="Intel")
    assert not replace(MAX, vmx=None, features=MAX.features - {Feature.VMX}).vmx
