"""The MSR table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmxon.arch.features import Feature
from vmxon.arch.msr import MSRS, PAT_RESET, ArchCapabilities, FeatureControl, Msr, Rule, Storage
from vmxon.arch.msr_rules import declare


@pytest.mark.parametrize("row", MSRS.values(), ids=lambda row: row.name)
def test_rows_are_consistent(row: Msr) -> None:
    assert MSRS[row.address] is row
    if row.rule is Rule.NEVER:
        assert not row.writable
        assert not row.allows_write(row.reset, row.reset)
    elif row.storage is not Storage.COMMAND and row.rule is not Rule.LOCK and row.writable:
        assert row.allows_write(row.reset, row.reset), "the reset value can be written back"
    assert row.layout.layout.width == 64
    row.layout(row.reset)


@pytest.mark.parametrize(
    "name",
    [
        "IA32_TIME_STAMP_COUNTER",
        "IA32_APIC_BASE",
        "IA32_FEATURE_CONTROL",
        "IA32_TSC_ADJUST",
        "IA32_SPEC_CTRL",
        "IA32_PRED_CMD",
        "IA32_BIOS_SIGN_ID",
        "IA32_MTRRCAP",
        "IA32_MTRR_PHYSBASE0",
        "IA32_MTRR_PHYSMASK7",
        "IA32_MTRR_FIX64K_00000",
        "IA32_MTRR_FIX16K_A0000",
        "IA32_MTRR_FIX4K_F8000",
        "IA32_MTRR_DEF_TYPE",
        "IA32_SYSENTER_CS",
        "IA32_SYSENTER_ESP",
        "IA32_SYSENTER_EIP",
        "IA32_MCG_CAP",
        "IA32_MCG_STATUS",
        "IA32_MISC_ENABLE",
        "IA32_PAT",
        "IA32_DEBUGCTL",
        "IA32_PERF_GLOBAL_CTRL",
        "IA32_BNDCFGS",
        "IA32_XSS",
        "IA32_VMX_BASIC",
        "IA32_VMX_TRUE_ENTRY_CTLS",
        "IA32_VMX_VMFUNC",
        "IA32_VMX_EXIT_CTLS2",
        "IA32_EFER",
        "IA32_STAR",
        "IA32_LSTAR",
        "IA32_CSTAR",
        "IA32_FMASK",
        "IA32_FS_BASE",
        "IA32_GS_BASE",
        "IA32_KERNEL_GS_BASE",
        "IA32_TSC_AUX",
    ],
)
def test_the_registers_that_kernels_touch_are_there(name: str) -> None:
    assert [row for row in MSRS.values() if row.name == name]


def test_vmx_capabilities_have_no_gap() -> None:
    rows = [MSRS[address] for address in range(0x480, 0x494)]
    assert {(row.storage, row.rule, row.feature) for row in rows} == {(Storage.MODEL, Rule.NEVER, Feature.VMX)}


@pytest.mark.parametrize(
    ("address", "old", "new", "allowed"),
    [
        (0x3A, 0, 5, True),
        (0x3A, 5, 5, False),  # locked
        (0x3A, 0, 1 << 40, False),
        (0x277, 0, PAT_RESET, True),
        (0x277, 0, 2, False),  # no memory type 2
        (0x277, 0, 7 << 56, True),  # UC-
        (0x250, 0, 7, False),  # not in an MTRR
        (0x200, 0, 6, True),
        (0x200, 0, 2, False),
        (0x200, 0, 0x106, False),
        (0x2FF, 0, 0xC06, True),
        (0x2FF, 0, 1 << 12, False),
        (0xC000_0082, 0, 0xFFFF_8000_0000_0000, True),
        (0xC000_0082, 0, 0x0000_8000_0000_0000, False),
        (0xC000_0080, 0, 0xD01, True),
        (0xC000_0080, 0, 2, False),
        (0xC000_0084, 0, 1 << 32, False),
        (0x480, 0, 0, False),
        (0x401, 0, 0, True),
        (0x401, 0, 1, False),
    ],
)
def test_write_rules(address: int, old: int, new: int, allowed: bool) -> None:
    assert MSRS[address].allows_write(old, new) is allowed


@given(st.integers(0, (1 << 64) - 1), st.sampled_from([48, 57]))
def test_canonical_addresses_are_sign_extended(value: int, width: int) -> None:
    signed = value - (1 << 64) if value >> 63 else value
    canonical = -(1 << width - 1) <= signed < 1 << width - 1
    assert MSRS[0xC000_0100].allows_write(0, value, linear_width=width) is canonical


def test_an_address_has_one_row() -> None:
    with pytest.raises(ValueError, match="MSR 0x3a is declared as IA32_FEATURE_CONTROL and as AGAIN"):
        declare(0x3A, "AGAIN")


def test_layouts() -> None:
    assert MSRS[0x3A].layout is FeatureControl
    capabilities = ArchCapabilities(MSRS[0x10A].reset)
    assert capabilities.rdcl_no
    assert not capabilities.rsba
