"""The capability MSRs of the processor models (Vol. 3D App. A)."""

from dataclasses import replace

import pytest

from vmxon.arch.bits import Word
from vmxon.arch.control import Cr0, Cr4
from vmxon.arch.cpuid import Model, VmxModel
from vmxon.arch.features import Feature
from vmxon.arch.model_registers import cr4_bits
from vmxon.arch.models import FIRST, MAX, MODELS, NEHALEM, REVISION
from vmxon.arch.msr import MSRS
from vmxon.arch.msr_vmx import AllowedSettings, EptVpidCapabilities, VmcsEnum, VmxBasic, VmxMisc
from vmxon.vmx.capabilities import capability_msrs, controls
from vmxon.vmx.controls import (
    DEFAULT1,
    VECTORS,
    Entry,
    PinBased,
    PrimaryExit,
    PrimaryProcessorBased,
    SecondaryProcessorBased,
)
from vmxon.vmx.field_support import NEEDS, supported_fields
from vmxon.vmx.fields import VmcsField

PAIRS = {0x481: PinBased, 0x482: PrimaryProcessorBased, 0x483: PrimaryExit, 0x484: Entry}
TRUE = {0x481: 0x48D, 0x482: 0x48E, 0x483: 0x48F, 0x484: 0x490}

models = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())


def vmx_of(model: Model) -> VmxModel:
    assert model.vmx is not None
    return model.vmx


def may_be_one(model: Model, address: int, vector: type[Word]) -> set[str]:
    """Titles of the controls that may be 1."""
    pair = AllowedSettings(capability_msrs(model)[address])
    word = vector(pair.may_be_one & vector.layout.named)
    return {field.title for field, value in word.parts() if value}


@models
@pytest.mark.parametrize("address", PAIRS)
def test_plain_msrs_report_exactly_the_default1_bits_as_forced(model: Model, address: int) -> None:
    pair = AllowedSettings(capability_msrs(model)[address])
    assert pair.must_be_one == DEFAULT1[PAIRS[address]]
    assert pair.must_be_one & ~pair.may_be_one == 0, "what must be 1 may be 1"
    assert pair.may_be_one & PAIRS[address].layout.reserved == DEFAULT1[PAIRS[address]] & PAIRS[address].layout.reserved


@pytest.mark.parametrize("model", [NEHALEM, MAX], ids=["nehalem", "max"])
@pytest.mark.parametrize(("address", "freed"), [(0x481, 0), (0x482, 1 << 15 | 1 << 16), (0x483, 1 << 2), (0x484, 1 << 2)])
def test_true_msrs_free_the_named_default1_controls(model: Model, address: int, freed: int) -> None:
    msrs = capability_msrs(model)
    plain, true = AllowedSettings(msrs[address]), AllowedSettings(msrs[TRUE[address]])
    assert true.may_be_one == plain.may_be_one
    assert plain.must_be_one & ~true.must_be_one == freed


def test_the_first_generation() -> None:
    msrs = capability_msrs(FIRST)
    assert set(msrs) == set(range(0x480, 0x48B)), "no secondary controls, no EPT, no TRUE MSRs, no VM functions"
    assert not VmxBasic(msrs[0x480]).true_controls
    assert "activate secondary controls" not in may_be_one(FIRST, 0x482, PrimaryProcessorBased)


def test_max_allows_exactly_what_the_engine_implements() -> None:
    assert may_be_one(MAX, 0x481, PinBased) == {
        "external-interrupt exiting",
        "NMI exiting",
        "virtual NMIs",
        "activate VMX-preemption timer",
        "process posted interrupts",
    }
    assert may_be_one(MAX, 0x482, PrimaryProcessorBased) == {field.title for field in PrimaryProcessorBased.layout.fields}
    assert may_be_one(MAX, 0x48B, SecondaryProcessorBased) == {
        "enable EPT",
        "descriptor-table exiting",
        "enable RDTSCP",
        "enable VPID",
        "enable XSAVES/XRSTORS",
        "RDRAND exiting",
        "RDSEED exiting",
        "WBINVD exiting",
        "unrestricted guest",
        "enable INVPCID",
        "enable VM functions",
        "EPT-violation #VE",
        "enable PML",
        "mode-based execute control for EPT",
        "sub-page write permissions for EPT",
        "PAUSE-loop exiting",
        "use TSC scaling",
        "VMCS shadowing",
        "virtualize APIC accesses",
        "virtualize x2APIC mode",
        "APIC-register virtualization",
        "virtual-interrupt delivery",
        "enable user wait and pause",
    }
    assert may_be_one(MAX, 0x483, PrimaryExit) == {
        "save debug controls",
        "host address-space size",
        "acknowledge interrupt on exit",
        "save IA32_PAT",
        "load IA32_PAT",
        "save IA32_EFER",
        "load IA32_EFER",
        "save VMX-preemption timer value",
        "load PKRS",
        "load IA32_PERF_GLOBAL_CTRL",
        "save IA32_PERF_GLOBAL_CTL",
        "activate secondary controls",
    }
    assert may_be_one(MAX, 0x484, Entry) == {
        "load debug controls",
        "IA-32e mode guest",
        "load IA32_PAT",
        "load IA32_EFER",
        "load PKRS",
        "load IA32_PERF_GLOBAL_CTRL",
        "load IA32_SPEC_CTRL",
    }
    assert capability_msrs(MAX)[0x491] == 1
    assert capability_msrs(MAX)[0x492] == 0b111 << 1 | 1 << 4 | 1 << 6 | 1 << 7 | 1 << 8
    assert capability_msrs(MAX)[0x493] == 1 << 2
    assert not {0x492, 0x493} & set(capability_msrs(NEHALEM))


@models
def test_basic(model: Model) -> None:
    word = VmxBasic(capability_msrs(model)[0x480])
    assert (word.revision, word.region_size, word.memory_type) == (REVISION, 4096, 6)
    assert word.io_information
    assert not word.address_32
    assert word.reserved_bits == 0


def test_misc() -> None:
    word = VmxMisc(capability_msrs(MAX)[0x485])
    assert (word.cr3_targets, word.timer_shift, word.saves_lma) == (4, 5, True)
    assert (word.hlt_state, word.shutdown_state, word.wait_for_sipi_state) == (True, True, True)
    assert not VmxMisc(capability_msrs(NEHALEM)[0x485]).saves_lma, "goes with unrestricted guest"


def test_ept_and_vpid() -> None:
    word = EptVpidCapabilities(capability_msrs(MAX)[0x48C])
    assert {f.name for f, value in word.parts() if not value} == {
        "supervisor_shadow_stack",
    }
    older = EptVpidCapabilities(capability_msrs(NEHALEM)[0x48C])
    assert not older.pages_1g
    assert not older.accessed_dirty
    assert older.invvpid_retaining_globals


@models
def test_fixed_bits(model: Model) -> None:
    msrs = capability_msrs(model)
    assert msrs[0x486] == Cr0.pe.mask | Cr0.ne.mask | Cr0.pg.mask == 0x8000_0021
    assert msrs[0x487] == 0xFFFF_FFFF
    assert msrs[0x488] == Cr4.vmxe.mask
    assert msrs[0x488] & ~msrs[0x489] == 0, "what must be 1 may be 1"
    assert msrs[0x489] == cr4_bits(model)


@models
def test_vmcs_enumeration_is_the_highest_index(model: Model) -> None:
    highest = VmcsEnum(capability_msrs(model)[0x48A]).highest_index
    fields = supported_fields(vmx_of(model))
    assert all(field.index <= highest for field in fields)
    assert any(field.index == highest for field in fields)


@models
def test_controls_that_go_with_a_feature(model: Model) -> None:
    vmx = vmx_of(model)
    assert vmx.has("secondary.enable_rdtscp") == (Feature.RDTSCP in model.features)
    assert vmx.has("secondary.enable_invpcid") == (Feature.INVPCID in model.features)
    assert vmx.has("exit.save_preemption_timer") == vmx.has("pin.preemption_timer")
    assert vmx.has("secondary.unrestricted_guest") <= vmx.has("secondary.enable_ept")


@models
def test_capability_msrs_are_rows_of_the_msr_table_and_fit_their_layout(model: Model) -> None:
    for address, value in capability_msrs(model).items():
        word = MSRS[address].layout(value)
        assert not word.reserved_bits


def test_fields_come_with_their_controls() -> None:
    first, top = set(supported_fields(vmx_of(FIRST))), set(supported_fields(vmx_of(MAX)))
    assert first < top
    assert {VmcsField.EPTP, VmcsField.VPID, VmcsField.VMX_PREEMPTION_TIMER_VALUE} <= top - first
    assert VmcsField.EPTP_LIST_ADDRESS in top
    assert VmcsField.TSC_MULTIPLIER in top
    assert VmcsField.XSS_EXITING_BITMAP in top
    assert VmcsField.GUEST_CR0 in first


def test_needs_name_real_controls() -> None:
    for needs in NEEDS.values():
        for need in needs:
            vector, name = need.split(".")
            assert VECTORS[vector].layout[name].name == name
    assert all(hasattr(vmx_of(MAX), vector) for vector in VECTORS)
    with pytest.raises(KeyError, match="no field 'enable_ebt'"):
        controls(SecondaryProcessorBased, ["enable_ebt"])


def test_without_vmx_there_are_no_capabilities() -> None:
    assert capability_msrs(replace(MAX, vmx=None, features=MAX.features - {Feature.VMX})) == {}
