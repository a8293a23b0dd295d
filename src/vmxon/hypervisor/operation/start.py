"""Guest states other than the one of `write_guest_state`: real mode, for a firmware, and 64-bit mode, for a kernel's 64-bit entry."""

from __future__ import annotations

from vmxon.arch.control import Cr0, Cr4, Efer
from vmxon.arch.segments import AccessRights
from vmxon.errors import ConfigurationError
from vmxon.hypervisor.policy.control_bits import CR0_OWNED, CR4_OWNED
from vmxon.machine import modes
from vmxon.machine.root import RootProcessor
from vmxon.vmx.controls import Entry, SecondaryProcessorBased
from vmxon.vmx.fields import VmcsField as Field

REAL_LIMIT = 0xFFFF


def enter_real_mode(root: RootProcessor, segment: int, offset: int) -> None:
    """Real mode at `segment`:`offset`; CR0.PE may be 0 in an unrestricted guest only (Vol. 3C §27.3.1.1).

    Raises:
        ConfigurationError: the guest is not one.
    """
    if not _unrestricted(root):
        raise ConfigurationError("a guest of this processor cannot start in real mode", advice="use EPT paging and --model max")
    for name in ("ES", "CS", "SS", "DS", "FS", "GS"):
        selector = segment if name == "CS" else 0
        root.set_fields(
            *(Field[f"GUEST_{name}_SELECTOR"], selector),
            *(Field[f"GUEST_{name}_BASE"], selector << 4),
            *(Field[f"GUEST_{name}_LIMIT"], REAL_LIMIT),
            *(Field[f"GUEST_{name}_ACCESS_RIGHTS"], modes.CODE if name == "CS" else modes.DATA),
        )
    root.set_fields(
        *(Field.GUEST_CR0, Cr0.et.mask | CR0_OWNED),
        *(Field.CR0_READ_SHADOW, Cr0.et.mask),
        *(Field.GUEST_RIP, offset),
        *(Field.GUEST_RSP, 0),
    )


def _unrestricted(root: RootProcessor) -> bool:
    (secondary,) = root.fields((Field.SECONDARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS,))
    return bool(SecondaryProcessorBased(secondary).unrestricted_guest)


def enter_long_mode(root: RootProcessor, tables: int) -> None:
    """64-bit mode, paged through the PML4 table at `tables` (“IA-32e mode guest”, Vol. 3C §25.8.1)."""
    (entry,) = root.fields((Field.VM_ENTRY_CONTROLS,))
    root.set_fields(
        *(Field.VM_ENTRY_CONTROLS, entry | Entry.ia32e_mode_guest.mask),
        *(Field.GUEST_CR0, Cr0.pe.mask | Cr0.pg.mask | Cr0.et.mask | Cr0.wp.mask | CR0_OWNED),
        *(Field.CR0_READ_SHADOW, Cr0.pe.mask | Cr0.et.mask),
        *(Field.GUEST_CR3, tables),
        *(Field.GUEST_CR4, Cr4.pae.mask | CR4_OWNED),
        *(Field.GUEST_IA32_EFER, Efer.lme.mask | Efer.lma.mask),
        *(Field.GUEST_CS_ACCESS_RIGHTS, modes.CODE | modes.LONG | AccessRights.g.mask),
    )
