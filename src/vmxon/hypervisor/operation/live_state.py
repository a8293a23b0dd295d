"""What of a guest stays in the processor while the hypervisor runs: VMX switches it only where it is told to, or not at all.

MSRs that the VMCS has no field for go through MSR lists at each exit and entry (Vol. 3C §25.7.2, §25.8.2); x87 and SSE registers,
CR2 and debug registers are exchanged by instructions, and only when another guest gets the processor.
"""

from __future__ import annotations

import struct

from vmxon.arch.features import Feature
from vmxon.hypervisor.memory.page_manager import PAGE, PageManager
from vmxon.hypervisor.operation.bring_up import require, value_of
from vmxon.machine.root import RootProcessor
from vmxon.vmx.fields import VmcsField as Field

LIVE_MSRS = (0xC000_0081, 0xC000_0082, 0xC000_0083, 0xC000_0084, 0xC000_0102, 0xC000_0103)
"""STAR, LSTAR, CSTAR, FMASK, KERNEL_GS_BASE, TSC_AUX: the guest has them without exits, and the VMCS has no field
for them; the last comes with RDTSCP."""
IMAGE = 2048
"""Where in the page the FXSAVE image is; the MSR list is at its start."""
IMAGE_SIZE = 512
CONTROL_WORD, MXCSR = 0x37F, 0x1F80
FRESH_IMAGE = struct.pack("<H22xI", CONTROL_WORD, MXCSR).ljust(IMAGE_SIZE, b"\0")
"""x87 as after FNINIT, SSE as after RESET, every register 0."""
CR2 = 2
ADDRESS_REGISTERS = (0, 1, 2, 3)
DR6, DR6_RESET = 6, 0xFFFF_0FF0


class LiveState:
    """One guest's, in a page of the hypervisor's; DR7 and what else the VMCS has is not here."""

    def __init__(self, root: RootProcessor, page: int) -> None:
        self.root, self.page = root, page
        self.reset()

    def reset(self) -> None:
        """As after RESET; it must not be in the processor at the time."""
        self.root.write(self.page, b"".join(struct.pack("<IIQ", msr, 0, 0) for msr in LIVE_MSRS).ljust(PAGE, b"\0"))
        self.root.write(self.page + IMAGE, FRESH_IMAGE)
        self.cr2 = 0
        self.breakpoints = (0, 0, 0, 0)
        self.dr6 = DR6_RESET

    @classmethod
    def new(cls, root: RootProcessor, pages: PageManager) -> LiveState:
        """Of a guest that has not run yet, and whose VMCS is current."""
        live = cls(root, pages.allocate())
        live.install()
        return live

    def install(self) -> None:
        """Tell the VMCS, which is current, where the MSR list is."""
        count = len(LIVE_MSRS) - (0 if Feature.RDTSCP in self.root.processor.model.features else 1)
        self.root.set_fields(
            *(Field.VM_EXIT_MSR_STORE_ADDRESS, self.page),
            *(Field.VM_EXIT_MSR_STORE_COUNT, count),
            *(Field.VM_ENTRY_MSR_LOAD_ADDRESS, self.page),
            *(Field.VM_ENTRY_MSR_LOAD_COUNT, count),
        )

    def save(self) -> None:
        """Take it out of the processor, which another guest gets."""
        root = self.root
        require(root.fxsave(self.page + IMAGE))
        self.cr2 = value_of(root.read_cr(CR2))
        zero, one, two, three = (value_of(root.read_dr(number)) for number in ADDRESS_REGISTERS)
        self.breakpoints = zero, one, two, three
        self.dr6 = value_of(root.read_dr(DR6))

    def restore(self) -> None:
        """Put it into the processor."""
        root = self.root
        require(root.fxrstor(self.page + IMAGE))
        require(root.write_cr(CR2, self.cr2))
        for number, value in zip(ADDRESS_REGISTERS, self.breakpoints, strict=True):
            require(root.write_dr(number, value))
        require(root.write_dr(DR6, self.dr6))
