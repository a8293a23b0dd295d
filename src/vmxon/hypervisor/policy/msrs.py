"""Which MSRs a guest may use: its own pass through, a few are answered here, and everything else raises #GP(0)."""

from __future__ import annotations

from collections.abc import Mapping

from vmxon.hypervisor.memory.virtual_memory import OwnMsr
from vmxon.hypervisor.operation.guest_time import GuestTime
from vmxon.hypervisor.operation.vmcs import Bitmaps
from vmxon.machine.root import RootProcessor

PASSED = (
    *(0x174, 0x175, 0x176),  # IA32_SYSENTER_CS, _ESP, _EIP
    0x277,  # IA32_PAT
    *(0xC000_0080, 0xC000_0081, 0xC000_0082, 0xC000_0083, 0xC000_0084),  # EFER, STAR, LSTAR, CSTAR, FMASK
    *(0xC000_0100, 0xC000_0101, 0xC000_0102, 0xC000_0103),  # FS_BASE, GS_BASE, KERNEL_GS_BASE, TSC_AUX
)
"""The VMCS switches some of these, MSR lists the others: `live_state.LIVE_MSRS`."""
TSC = 0x10
CONSTANTS = {0x17: 0, 0x1B: 0xFEE0_0900, 0x8B: 0, 0x1A0: 0x1801, 0xC001_001F: 0, 0x10A: 0}
"""IA32_PLATFORM_ID, IA32_APIC_BASE, IA32_BIOS_SIGN_ID, IA32_MISC_ENABLE, …: read-only, writes of the same value pass."""
IGNORED = frozenset({0x79, 0x8B})
"""Written by kernels as a command whose absence they do not notice."""
HIGH, HIGH_BITMAP, WRITE_BITMAPS = 0xC000_0000, 1024, 2048


class MsrPolicy:
    """Decides on RDMSR and WRMSR; `None` and False stand for #GP(0)."""

    def __init__(self, root: RootProcessor, bitmaps: Bitmaps, time: GuestTime, own: Mapping[int, OwnMsr] | None = None) -> None:
        self.root, self.time, self.own = root, time, own or {}
        for msr in PASSED:
            if msr not in self.own:
                self._open(bitmaps.msr, msr)

    def _open(self, page: int, msr: int) -> None:
        """Clear the read and write bits of an MSR."""
        place = page + (HIGH_BITMAP if msr >= HIGH else 0) + ((msr & 0x1FFF) >> 3)
        for address in (place, place + WRITE_BITMAPS):
            (byte,) = self.root.read(address, 1)
            self.root.write(address, bytes((byte & ~(1 << (msr & 7)),)))

    def read(self, msr: int) -> int | None:
        """The value that the guest reads."""
        if msr in self.own:
            return self.own[msr].read()
        if msr == TSC:
            return self.time.counter
        return CONSTANTS.get(msr)

    def write(self, msr: int, value: int) -> bool:
        """Take a write; False where it is refused."""
        if msr in self.own:
            return self.own[msr].write(value)
        if msr == TSC:
            self.time.set_counter(value)
            return True
        return msr in IGNORED or CONSTANTS.get(msr) == value
