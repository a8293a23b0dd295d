"""Into VMX operation, in the order of the course: CPUID, fixed CR bits, CR4.VMXE, FEATURE_CONTROL, region, VMXON."""

from __future__ import annotations

import struct

from vmxon.arch.control import Cr4
from vmxon.arch.features import Feature
from vmxon.arch.msr import FeatureControl
from vmxon.arch.msr_vmx import VmxBasic
from vmxon.errors import ConfigurationError
from vmxon.hypervisor.memory.page_manager import PAGE, PageManager
from vmxon.machine.outcome import Outcome
from vmxon.machine.root import RootProcessor

FEATURE_CONTROL, BASIC = 0x3A, 0x480
CR0_FIXED0, CR0_FIXED1, CR4_FIXED0, CR4_FIXED1 = range(0x486, 0x48A)


def value_of(outcome: Outcome) -> int:
    """What an instruction read.

    Raises:
        ConfigurationError: it failed, which on this machine only the choice of model can bring about.
    """
    value = getattr(outcome, "value", None)
    if not isinstance(value, int):
        raise ConfigurationError(str(outcome), advice="choose --model max")
    return value


def require(outcome: Outcome) -> None:
    """The instruction succeeded.

    Raises:
        ConfigurationError: it did not; the line says why.
    """
    if not outcome.succeeded:
        raise ConfigurationError(str(outcome), advice="choose --model max")


def detect(root: RootProcessor) -> None:
    """CPUID.1:ECX[5] (Vol. 3C §24.6 “Discovering Support for VMX”)."""
    if not root.cpuid(1)[Feature.VMX.register] & Feature.VMX.mask:
        raise ConfigurationError("the processor has no VMX", advice="choose --model max")


def fix_control_registers(root: RootProcessor) -> None:
    """The bits of CR0 and CR4 that must be 1 or 0 in VMX operation (Vol. 3C §24.8); CR4.VMXE is one of them."""
    for number, must, may in ((0, CR0_FIXED0, CR0_FIXED1), (4, CR4_FIXED0, CR4_FIXED1)):
        value = value_of(root.read_cr(number)) | value_of(root.rdmsr(must))
        require(root.write_cr(number, value & value_of(root.rdmsr(may))))


def allow_vmxon(root: RootProcessor) -> None:
    """IA32_FEATURE_CONTROL, as firmware leaves it: VMXON outside SMX, and the lock (Vol. 3C §24.7)."""
    control = FeatureControl(value_of(root.rdmsr(FEATURE_CONTROL)))
    if not control.locked:
        require(root.wrmsr(FEATURE_CONTROL, control.replace(locked=1, vmx_outside_smx=1)))
    elif not control.vmx_outside_smx:
        raise ConfigurationError("the firmware has locked VMX off", where="IA32_FEATURE_CONTROL")


def new_region(root: RootProcessor, pages: PageManager) -> int:
    """A page whose first word is the revision identifier: a VMXON region or a VMCS (Vol. 3C §25.2, §25.11.5)."""
    region = pages.allocate()
    revision = VmxBasic(value_of(root.rdmsr(BASIC))).revision
    root.write(region, struct.pack("<I", revision).ljust(PAGE, b"\0"))
    return region


def enter_vmx_operation(root: RootProcessor, pages: PageManager) -> int:
    """All of it; gives the address of the VMXON region.

    Raises:
        ConfigurationError: the processor model cannot.
    """
    detect(root)
    fix_control_registers(root)
    assert value_of(root.read_cr(4)) & Cr4.vmxe.mask  # IA32_VMX_CR4_FIXED0 has it
    allow_vmxon(root)
    region = new_region(root, pages)
    require(root.vmxon(region))
    return region
