"""What the control registers and MSRs of a processor model may hold (Vol. 3A §2.5 “Control Registers”, Vol. 4)."""

from __future__ import annotations

from vmxon.arch.control import Cr4, Efer
from vmxon.arch.cpuid import Model
from vmxon.arch.features import Feature
from vmxon.arch.msr import MSRS
from vmxon.arch.msr_rules import Msr

CR4_BITS: dict[str, Feature | None] = {
    "vme": Feature.VME,
    "pvi": Feature.VME,
    "tsd": Feature.TSC,
    "de": Feature.DE,
    "pse": Feature.PSE,
    "pae": Feature.PAE,
    "mce": Feature.MCE,
    "pge": Feature.PGE,
    "pce": None,
    "osfxsr": Feature.FXSR,
    "osxmmexcpt": Feature.SSE,
    "umip": Feature.UMIP,
    "la57": Feature.LA57,
    "vmxe": Feature.VMX,
    "smxe": Feature.SMX,
    "fsgsbase": Feature.FSGSBASE,
    "pcide": Feature.PCID,
    "osxsave": Feature.XSAVE,
    "smep": Feature.SMEP,
    "smap": Feature.SMAP,
    "pke": Feature.PKU,
    "cet": Feature.SHSTK,
    "pks": Feature.PKS,
    "uintr": Feature.UINTR,
}
"""Which feature brings which bit of CR4; None: every processor has it. Bits that are absent here are reserved."""

EFER_BITS: dict[str, Feature] = {
    "sce": Feature.SYSCALL,
    "lme": Feature.LM,
    "lma": Feature.LM,
    "nxe": Feature.NX,
}
"""Which feature brings which bit of IA32_EFER."""


def cr4_bits(model: Model) -> int:
    """Bits of CR4 that software may set; setting another raises #GP(0)."""
    present = (name for name, feature in CR4_BITS.items() if feature is None or feature in model.features)
    return sum(Cr4.layout[name].mask for name in present)


def efer_bits(model: Model) -> int:
    """Bits of IA32_EFER that software may set; a write of LMA is accepted and ignored."""
    return sum(Efer.layout[name].mask for name, feature in EFER_BITS.items() if feature in model.features)


def msrs_of(model: Model) -> dict[int, Msr]:
    """The rows of the MSR table that `model` has by its CPUID features; RDMSR and WRMSR of another raise #GP(0).

    Of the VMX capability MSRs (0x480–0x493) some may be absent still: `vmxon.vmx.capabilities.capability_msrs` tells.
    """
    return {a: row for a, row in sorted(MSRS.items()) if row.feature is None or row.feature in model.features}
