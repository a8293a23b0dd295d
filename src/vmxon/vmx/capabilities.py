"""The VMX capability MSRs of a processor model (Vol. 3D App. A “VMX Capability Reporting Facility”)."""

from __future__ import annotations

from collections.abc import Iterable

from vmxon.arch.bits import Word
from vmxon.arch.control import Cr0, Cr4
from vmxon.arch.cpuid import Model, VmxModel
from vmxon.arch.model_registers import cr4_bits
from vmxon.arch.msr_vmx import AllowedSettings, EptVpidCapabilities, VmcsEnum, VmxBasic, VmxMisc
from vmxon.arch.paging import MemoryType
from vmxon.vmx.controls import (
    DEFAULT1,
    Entry,
    PinBased,
    PrimaryExit,
    PrimaryProcessorBased,
    SecondaryExit,
    SecondaryProcessorBased,
    TertiaryProcessorBased,
    VmFunctions,
)
from vmxon.vmx.field_support import supported_fields

LARGEST_PREFIX = 52
"""The largest HLAT prefix size: what is left of an address behind it is a 4-KiB page."""
CR0_FIXED0 = Cr0.pe.mask | Cr0.ne.mask | Cr0.pg.mask
"""Bits of CR0 that must be 1 in VMX operation; “unrestricted guest” frees a guest from PE and PG."""


def controls(vector: type[Word], names: Iterable[str]) -> int:
    """The mask of the named controls; KeyError for a name that the vector does not have."""
    mask = 0
    for name in names:
        mask |= vector.layout[name].mask
    return mask


def allowed_settings(vector: type[Word], may_be_one: int, optional: int = 0) -> AllowedSettings:
    """The capability pair of a 32-bit vector; `optional` are default-1 controls that may be 0 nonetheless."""
    default1 = DEFAULT1.get(vector, 0)
    return AllowedSettings.make(must_be_one=default1 & ~optional, may_be_one=may_be_one | default1)


def _paired_controls(vmx: VmxModel) -> dict[int, int]:
    """The four vectors whose MSRs come in a plain and a TRUE version."""
    msrs: dict[int, int] = {}
    for plain, true, vector, prefix, names in (
        (0x481, 0x48D, PinBased, "pin", vmx.pin),
        (0x482, 0x48E, PrimaryProcessorBased, "primary", vmx.primary),
        (0x483, 0x48F, PrimaryExit, "exit", vmx.exit),
        (0x484, 0x490, Entry, "entry", vmx.entry),
    ):
        mask = controls(vector, names)
        msrs[plain] = int(allowed_settings(vector, mask))
        if vmx.true_controls:
            clearable = (name.split(".")[1] for name in vmx.optional_defaults if name.startswith(f"{prefix}."))
            msrs[true] = int(allowed_settings(vector, mask, controls(vector, clearable)))
    return msrs


def basic(vmx: VmxModel) -> VmxBasic:
    """IA32_VMX_BASIC."""
    return VmxBasic.make(
        revision=vmx.revision,
        region_size=vmx.region_size,
        memory_type=MemoryType.WB,
        io_information=vmx.io_information,
        true_controls=vmx.true_controls,
        any_error_code=vmx.any_error_code,
    )


def misc(vmx: VmxModel) -> VmxMisc:
    """IA32_VMX_MISC."""
    states = dict.fromkeys(vmx.activity_states, 1)
    return VmxMisc.make(
        timer_shift=vmx.timer_shift if "preemption_timer" in vmx.pin else 0,
        saves_lma="unrestricted_guest" in vmx.secondary,
        cr3_targets=vmx.cr3_targets,
        writes_any_field=vmx.writes_any_field,
        zero_length_injection=vmx.zero_length_injection,
        **states,
    )


def vmcs_enum(vmx: VmxModel) -> VmcsEnum:
    """IA32_VMX_VMCS_ENUM."""
    return VmcsEnum.make(highest_index=max(field.index for field in supported_fields(vmx)))


def capability_msrs(model: Model) -> dict[int, int]:
    """Every capability MSR that `model` has, by address; the others raise #GP. Empty without VMX."""
    vmx = model.vmx
    if vmx is None:
        return {}
    msrs = {
        0x480: int(basic(vmx)),
        0x485: int(misc(vmx)),
        0x486: CR0_FIXED0,
        0x487: 0xFFFF_FFFF,
        0x488: Cr4.vmxe.mask,
        0x489: cr4_bits(model),
        0x48A: int(vmcs_enum(vmx)),
        **_paired_controls(vmx),
    }
    if "activate_secondary" in vmx.primary:
        msrs[0x48B] = int(allowed_settings(SecondaryProcessorBased, controls(SecondaryProcessorBased, vmx.secondary)))
    if vmx.secondary & {"enable_ept", "enable_vpid"}:
        msrs[0x48C] = controls(EptVpidCapabilities, vmx.ept - {"hlat_prefix"})
        if "hlat_prefix" in vmx.ept:
            msrs[0x48C] |= EptVpidCapabilities.hlat_prefix.put(LARGEST_PREFIX)
    if "enable_vm_functions" in vmx.secondary:
        msrs[0x491] = controls(VmFunctions, vmx.vm_functions)
    if "activate_tertiary" in vmx.primary:
        msrs[0x492] = controls(TertiaryProcessorBased, vmx.tertiary)
    if "activate_secondary" in vmx.exit:
        msrs[0x493] = controls(SecondaryExit, vmx.secondary_exit)
    return dict(sorted(msrs.items()))
