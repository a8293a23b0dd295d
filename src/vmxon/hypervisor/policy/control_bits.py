"""Which bits of CR0 and CR4 a guest may set: those that pass are in a table, and a write that sets another raises #GP(0)."""

from __future__ import annotations

from vmxon.arch.control import Cr0, Cr4

CR0_OWNED = Cr0.ne.mask
"""Bits that VMX operation fixes and the guest shall believe to set: it sees its own in the shadow."""
CR4_OWNED = Cr4.vmxe.mask
"""The bit that VMX operation fixes, and that a guest reads as 0."""
CR4_PASSED = sum(
    bit.mask
    for bit in (
        *(Cr4.vme, Cr4.pvi, Cr4.tsd, Cr4.de, Cr4.pse, Cr4.pae, Cr4.pge, Cr4.osfxsr, Cr4.osxmmexcpt, Cr4.umip),
        *(Cr4.fsgsbase, Cr4.pcide, Cr4.smep, Cr4.smap),
    )
)
"""What a guest may set where the processor has it. Not here: VMX, and features whose registers nobody switches between guests, such as
protection keys and XSAVE, or whose tables nobody walks, such as 57-bit addresses."""
