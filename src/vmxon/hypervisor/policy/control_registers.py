"""Writes to CR0 and CR4 that touch what the hypervisor owns: done here as the processor would have done them."""

from __future__ import annotations

from vmxon.arch.control import Cr0, Cr4, Efer
from vmxon.hypervisor.exits import ControlRegisterWrite
from vmxon.hypervisor.memory.guest_memory import GuestMemory
from vmxon.hypervisor.operation.registers import GuestRegisters, Register
from vmxon.hypervisor.policy.control_bits import CR0_OWNED, CR4_PASSED
from vmxon.machine.root import RootProcessor
from vmxon.vmx.controls import Entry
from vmxon.vmx.fields import VmcsField as Field
from vmxon.vmx.qualifications import CrAccessType

LMSW_BITS = 0xF
PDPTE_FIELDS = (Field.GUEST_PDPTE0, Field.GUEST_PDPTE1, Field.GUEST_PDPTE2, Field.GUEST_PDPTE3)
IA32E = Entry.ia32e_mode_guest.mask


class ControlRegisters:
    """CR0 and CR4 of one guest."""

    def __init__(self, root: RootProcessor, memory: GuestMemory, registers: GuestRegisters) -> None:
        self.root, self.memory, self.registers = root, memory, registers

    def write(self, access: ControlRegisterWrite) -> bool:
        """Do the access; False where it raises #GP(0)."""
        value = self._operand(access)
        if value is None:
            return False
        return self._write_cr0(value) if access.number == 0 else self._write_cr4(value)

    def _operand(self, access: ControlRegisterWrite) -> int | None:
        if access.kind is CrAccessType.MOV_TO_CR and access.number in (0, 4):
            if access.register == Register.RSP:
                return self.root.fields((Field.GUEST_RSP,))[0]
            return self.registers[access.register]
        cr0, shadow = self.root.fields((Field.GUEST_CR0, Field.CR0_READ_SHADOW))
        seen = cr0 & ~CR0_OWNED | shadow & CR0_OWNED
        if access.kind is CrAccessType.CLTS:
            return seen & ~Cr0.ts.mask
        if access.kind is CrAccessType.LMSW:
            kept = ~LMSW_BITS | seen & Cr0.pe.mask
            return seen & kept | access.source & LMSW_BITS
        return None

    def _write_cr0(self, value: int) -> bool:
        old, efer, cr4, controls = self.root.fields((Field.GUEST_CR0, Field.GUEST_IA32_EFER, Field.GUEST_CR4, Field.VM_ENTRY_CONTROLS))
        paging, wrong = value & Cr0.pg.mask, value >> 32 or (value & Cr0.nw.mask and not value & Cr0.cd.mask)
        if wrong or (paging and not value & Cr0.pe.mask):
            return False
        long = efer & Efer.lme.mask
        if paging and long and not cr4 & Cr4.pae.mask:
            return False
        changed = (old ^ value) & Cr0.pg.mask
        if changed and long:
            efer = efer | Efer.lma.mask if paging else efer & ~Efer.lma.mask
            controls = controls | IA32E if paging else controls & ~IA32E
        if paging and cr4 & Cr4.pae.mask and not long:
            self._load_pdptes()
        effective = value & ~CR0_OWNED | CR0_OWNED | Cr0.et.mask
        self.root.set_fields(
            *(Field.GUEST_CR0, effective),
            *(Field.CR0_READ_SHADOW, value | Cr0.et.mask),
            *(Field.GUEST_IA32_EFER, efer),
            *(Field.VM_ENTRY_CONTROLS, controls),
        )
        self.forget_translations()
        return True

    def _write_cr4(self, value: int) -> bool:
        """Only a bit that does not exist for a guest makes such a write exit."""
        return not value & ~CR4_PASSED

    def _load_pdptes(self) -> None:
        """The four entries that PAE paging caches (Vol. 3A §4.4.1 “PDPTE Registers”)."""
        (cr3,) = self.root.fields((Field.GUEST_CR3,))
        for index, field in enumerate(PDPTE_FIELDS):
            entry = self.memory.read((cr3 & 0xFFFF_FFE0) + 8 * index, 8)
            self.root.set_fields(field, int.from_bytes(entry, "little"))

    def forget_translations(self) -> None:
        """The processor flushes on a change of CR0.PG; so does INVVPID for the guest's VPID."""
        (vpid,) = self.root.fields((Field.VPID,))
        self.root.invvpid(1, vpid)
