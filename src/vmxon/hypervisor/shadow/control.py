"""CR0, CR3, CR4, IA32_EFER and IA32_PAT as the guest believes them to be, and what the processor gets instead.

The processor runs with paging, write protection, PAE and no-execute always on; masks and read shadows show the guest its own values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from vmxon.arch.control import Cr0, Cr4, Efer
from vmxon.arch.model_registers import cr4_bits, efer_bits
from vmxon.arch.paging import MUST_BE_ZERO, PaePointerEntry
from vmxon.arch.segments import AccessRights
from vmxon.errors import ConfigurationError
from vmxon.hypervisor.exits import ControlRegisterWrite, RawExit, decode_exit
from vmxon.hypervisor.exits.injection import Injector
from vmxon.hypervisor.operation.registers import GuestRegisters, Register
from vmxon.hypervisor.policy.control_bits import CR4_PASSED
from vmxon.hypervisor.shadow.guest_tables import GuestControl, GuestTables
from vmxon.machine import modes
from vmxon.machine.root import RootProcessor
from vmxon.vmx.controls import Entry
from vmxon.vmx.fields import VmcsField as Field
from vmxon.vmx.qualifications import CrAccessType

EFER, PAT = 0xC000_0080, 0x277
CR0_PASSED = Cr0.ts.mask | Cr0.mp.mask | Cr0.em.mask | Cr0.am.mask
"""Bits of CR0 that are the guest's alone."""
CR0_FORCED = Cr0.pe.mask | Cr0.pg.mask | Cr0.wp.mask | Cr0.ne.mask | Cr0.et.mask
CR4_FORCED = Cr4.vmxe.mask | Cr4.pae.mask
CR4_WITH_PAGING = Cr4.smep.mask | Cr4.smap.mask | Cr4.pge.mask
"""Bits that mean nothing to a guest without paging."""
CR4_SHADOWED = CR4_PASSED & ~Cr4.pcide.mask
ALL = (1 << 64) - 1
LMSW_BITS = 0xF
IA32E = Entry.ia32e_mode_guest.mask
LONG_CODE = modes.LONG
PAT_TYPES = frozenset({0, 1, 4, 5, 6, 7})


FIRST = GuestControl(Cr0.pe.mask | Cr0.et.mask, 0, 0, 0)
"""Protected mode, no paging."""


@dataclass(slots=True)
class HeldMsr:
    """An MSR whose value the hypervisor keeps."""

    read: Callable[[], int]
    write: Callable[[int], bool]


class ShadowControl:
    """Control registers of a guest under shadow paging; `changed` hears of every flush, True where global pages go too."""

    def __init__(
        self, root: RootProcessor, registers: GuestRegisters, injector: Injector, tables: GuestTables, changed: Callable[[bool], None]
    ) -> None:
        self.root, self.general, self.injector, self.tables, self._changed = root, registers, injector, tables, changed
        model = root.processor.model
        self.registers, self.pat = FIRST, modes.PAT_RESET
        self.efer_msr = HeldMsr(lambda: self.registers.efer, self._write_efer)
        self.pat_msr = HeldMsr(lambda: self.pat, self._write_pat)
        self._cr4_allowed, self._efer_allowed = cr4_bits(model) & CR4_SHADOWED, efer_bits(model)
        self._loads_efer = model.vmx is not None and "load_efer" in model.vmx.entry
        self.reset()

    def reset(self) -> None:
        """As a multiboot kernel finds them."""
        self.registers, self.pat = FIRST, modes.PAT_RESET
        self.root.set_fields(Field.CR0_GUEST_HOST_MASK, ALL & ~CR0_PASSED, Field.CR4_GUEST_HOST_MASK, ALL)
        self.apply()

    def enter_long_mode(self, tables: int) -> None:
        """What `operation.start.enter_long_mode` sets, in the registers that the guest believes in."""
        cr0 = Cr0.pe.mask | Cr0.pg.mask | Cr0.et.mask | Cr0.wp.mask
        self.registers = GuestControl(cr0, tables, Cr4.pae.mask, Efer.lme.mask | Efer.lma.mask)
        self.apply()
        self.root.set_fields(Field.GUEST_CS_ACCESS_RIGHTS, modes.CODE | modes.LONG | AccessRights.g.mask)

    def apply(self) -> None:
        """Tell the processor: its own values, and what the guest reads."""
        control = self.registers
        (entry,) = self.root.fields((Field.VM_ENTRY_CONTROLS,))
        cr4 = control.cr4 | CR4_FORCED
        if not control.paging:
            cr4 &= ~CR4_WITH_PAGING
        self.root.set_fields(
            *(Field.GUEST_CR0, control.cr0 & CR0_PASSED | CR0_FORCED),
            *(Field.CR0_READ_SHADOW, control.cr0 | Cr0.et.mask),
            *(Field.GUEST_CR4, cr4),
            *(Field.CR4_READ_SHADOW, control.cr4),
            *(Field.VM_ENTRY_CONTROLS, entry | IA32E if control.long else entry & ~IA32E),
        )
        efer = Efer.nxe.mask | control.efer & Efer.sce.mask
        if self._loads_efer:
            self.root.set_fields(Field.GUEST_IA32_EFER, efer | (Efer.lme.mask | Efer.lma.mask if control.long else 0))
        else:
            # Without “load IA32_EFER”, entry and exit switch LMA and LME only; the other bits are shared.
            self.root.wrmsr(EFER, efer | Efer.lme.mask | Efer.lma.mask)

    def access(self, raw: RawExit) -> bool:
        """Serve an exit for a control register; True where the instruction is done."""
        access = decode_exit(raw)
        assert isinstance(access, ControlRegisterWrite)
        self._refresh()
        if access.number == 3 and access.kind is CrAccessType.MOV_FROM_CR:
            self._answer(access.register, self.registers.cr3)
            return True
        value = self._operand(access)
        write = {0: self._write_cr0, 3: self._write_cr3, 4: self._write_cr4}.get(access.number)
        return (write is not None and write(value)) or self.injector.refuse()

    def _refresh(self) -> None:
        """Take in the bits of CR0 that the guest changes without an exit."""
        (real,) = self.root.fields((Field.GUEST_CR0,))
        self.registers = replace(self.registers, cr0=self.registers.cr0 & ~CR0_PASSED | real & CR0_PASSED)

    def _operand(self, access: ControlRegisterWrite) -> int:
        cr0 = self.registers.cr0
        if access.kind is CrAccessType.CLTS:
            return cr0 & ~Cr0.ts.mask
        if access.kind is CrAccessType.LMSW:
            return cr0 & (~LMSW_BITS | Cr0.pe.mask) | access.source & LMSW_BITS
        if access.register == Register.RSP:
            return self.root.fields((Field.GUEST_RSP,))[0]
        value = self.general[access.register]
        return value if self._in_64_bit_mode() else value & 0xFFFF_FFFF

    def _answer(self, register: int, value: int) -> None:
        if register == Register.RSP:
            self.root.set_fields(Field.GUEST_RSP, value)
        else:
            self.general[register] = value

    def _in_64_bit_mode(self) -> bool:
        return self.registers.long and bool(self.root.fields((Field.GUEST_CS_ACCESS_RIGHTS,))[0] & LONG_CODE)

    # Writes; False is #GP(0).
    def _write_cr0(self, value: int) -> bool:
        old = self.registers
        paging = value & Cr0.pg.mask
        wrong = value >> 32 or (value & Cr0.nw.mask and not value & Cr0.cd.mask) or (paging and not value & Cr0.pe.mask)
        if wrong or (not paging and self._in_64_bit_mode()):
            return False
        if not value & Cr0.pe.mask:
            what = "the guest enters real mode, which shadow paging cannot run"
            raise ConfigurationError(what, advice="choose --paging ept and --model max")
        efer, pointers = old.efer & ~Efer.lma.mask, old.pointers
        if paging and efer & Efer.lme.mask:
            if not old.wide:
                return False
            efer |= Efer.lma.mask
        elif paging and old.wide and (not old.paging or (old.cr0 ^ value) & (Cr0.cd.mask | Cr0.nw.mask)):
            loaded = self._pointers(old.cr3)
            if loaded is None:
                return False
            pointers = loaded
        self._become(replace(old, cr0=value | Cr0.et.mask, efer=efer, pointers=pointers), (old.cr0 ^ value) & (Cr0.pg.mask | Cr0.wp.mask))
        return True

    def _write_cr3(self, value: int) -> bool:
        pointers = self.registers.pointers
        if self.registers.long and value & self.tables.beyond | value >> 52:
            return False
        if self.registers.paging and self.registers.wide and not self.registers.long:
            loaded = self._pointers(value)
            if loaded is None:
                return False
            pointers = loaded
        self.registers = replace(self.registers, cr3=value, pointers=pointers)
        if self.registers.paging:
            self._changed(False)
        return True

    def _write_cr4(self, value: int) -> bool:
        old = self.registers
        if value & ~self._cr4_allowed or (old.long and not value & Cr4.pae.mask):
            return False
        pointers = old.pointers
        if old.paging and not old.long and value & Cr4.pae.mask:
            loaded = self._pointers(old.cr3)
            if loaded is None:
                return False
            pointers = loaded
        flushing = Cr4.pse.mask | Cr4.pae.mask | Cr4.pge.mask | Cr4.smep.mask | Cr4.smap.mask
        self._become(replace(old, cr4=value, pointers=pointers), (old.cr4 ^ value) & flushing)
        return True

    def _write_efer(self, value: int) -> bool:
        old = self.registers
        if value & ~(self._efer_allowed | Efer.lma.mask) or (old.paging and (old.efer ^ value) & Efer.lme.mask):
            return False
        efer = value & ~Efer.lma.mask | old.efer & Efer.lma.mask
        self._refresh()
        self._become(replace(self.registers, efer=efer), (old.efer ^ efer) & Efer.nxe.mask)
        return True

    def _write_pat(self, value: int) -> bool:
        """The memory types mean nothing here: shadow entries are all write-back."""
        if any((value >> 8 * number & 0xFF) not in PAT_TYPES for number in range(8)):
            return False
        self.pat = value
        return True

    def _become(self, control: GuestControl, flush: int) -> None:
        self.registers = control
        self.apply()
        if flush:
            self._changed(True)

    def _pointers(self, cr3: int) -> tuple[int, ...] | None:
        """The PDPTE registers that PAE paging loads from memory; None where one has a reserved bit (Vol. 3A §4.4.1)."""
        values = tuple(self.tables.entry((cr3 & 0xFFFF_FFE0) + 8 * number, 8) for number in range(4))
        reserved = MUST_BE_ZERO[PaePointerEntry] | self.tables.beyond
        return None if any(value & 1 and value & reserved for value in values) else values
