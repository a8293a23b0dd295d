"""A hypervisor in Python and its smallest guest: 64-bit code that shares the page tables, with or without EPT."""

from __future__ import annotations

import struct

from vmxon.hypervisor.memory.arch_memory import ArchMemory
from vmxon.hypervisor.memory.page_manager import PageManager
from vmxon.hypervisor.operation.vmcs import new_bitmaps, write_controls, write_guest_state, write_host_state
from vmxon.machine.assembler import assemble
from vmxon.machine.root import bare_processor
from vmxon.vmx.fields import VmcsField as F
from vmxon.vmx.state import active_vmcss, field_values

REGION, VMCS, OTHER = 0x10_0000, 0x10_1000, 0x10_2000
CODE, TARGET = 0x30_0000, 0x80_0000
"""The guest's code; 4 KiB that EPT maps as a page of their own."""
FREE = 0xA0_0000
LARGE = 2 << 20
EPT_AND_VPID = 1 << 1 | 1 << 5
"""Without VPIDs every VM exit forgets what the guest's accesses cached."""
PRIMARY, SECONDARY_ACTIVE = 0x7401_E172 | 1 << 7, 1 << 31


class SmallGuest:
    """A guest that is ready for VMLAUNCH; `root` is the hypervisor's processor and looks for hints."""

    def __init__(self, code: str = "vmcall", *, ept: bool = False, model: str = "max") -> None:
        self.root = root = bare_processor(model=model, hints=True)
        root.write_cr(4, 0x2020)
        root.wrmsr(0x3A, 0b101)
        for region in (REGION, VMCS, OTHER):
            root.write(region, struct.pack("<I", self.msr(0x480) & 0x7FFF_FFFF))
        assert root.vmxon(REGION).succeeded
        self.load(VMCS)
        self.pages = PageManager(root.processor.engine.memory_size, FREE)
        self.tables = ArchMemory(root, self.pages)
        for address in range(0, FREE, LARGE):
            if address != TARGET:
                self.tables.map_page(address, address, LARGE)
        self.tables.map_page(TARGET, TARGET)
        root.write(CODE, assemble(code, 64))
        write_controls(root, new_bitmaps(root, self.pages), self.tables.pointer)
        write_host_state(root)
        write_guest_state(root)
        self.write(
            {
                F.PIN_BASED_VM_EXECUTION_CONTROLS: 0x16,
                F.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS: PRIMARY | SECONDARY_ACTIVE * ept,
                F.SECONDARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS: EPT_AND_VPID * ept,
                F.VM_ENTRY_CONTROLS: self[F.VM_ENTRY_CONTROLS] | 1 << 9,
                F.GUEST_CR0: root.read_cr(0).value,
                F.GUEST_CR3: root.read_cr(3).value,
                F.GUEST_CR4: root.read_cr(4).value,
                F.GUEST_IA32_EFER: 0x500,
                F.GUEST_CS_ACCESS_RIGHTS: 0xA09B,
                F.GUEST_RIP: CODE,
                F.GUEST_RSP: 0x20_0000,
            }
        )

    def load(self, region: int) -> None:
        """Clear a VMCS and make it current."""
        assert self.root.vmclear(region).succeeded
        assert self.root.vmptrld(region).succeeded

    def msr(self, address: int) -> int:
        """A model-specific register."""
        return self.root.rdmsr(address).value

    def __getitem__(self, which: F) -> int:
        return self.root.vmread(which).value

    def __setitem__(self, which: F, value: int) -> None:
        assert self.root.vmwrite(which, value).succeeded

    def write(self, values: dict[F, int]) -> None:
        """Several fields."""
        for which, value in values.items():
            self[which] = value

    def skip(self) -> None:
        """Move the guest's RIP past the instruction that exited."""
        self[F.GUEST_RIP] += self[F.VM_EXIT_INSTRUCTION_LENGTH]

    def set_leaf(self, value: int) -> None:
        """Store the EPT entry of TARGET, without INVEPT."""
        found = self.tables._leaf(TARGET)
        place = self._place = found[0] if found else self._place
        self.root.write(place, struct.pack("<Q", value))

    @property
    def fields(self) -> dict[F, int]:
        """All fields of the first VMCS."""
        return self.fields_of(VMCS)

    def fields_of(self, region: int) -> dict[F, int]:
        """All fields of an active VMCS."""
        return field_values(active_vmcss(self.root.engine.vmx_memory)[region])

    @property
    def hints(self) -> dict[str, str]:
        """Text of the hints found so far, by name."""
        assert self.root.history is not None
        return {hint.name: str(hint) for hint in self.root.history.hints()}
