"""Extended paging: the processor translates guest-physical addresses by EPT, and the guest's own tables are its own affair."""

from __future__ import annotations

from collections.abc import Mapping

from vmxon.arch.features import Feature
from vmxon.errors import ConfigurationError, GuestStopped
from vmxon.hypervisor.exits import ControlRegisterWrite, EptViolation, RawExit, decode_exit
from vmxon.hypervisor.exits.injection import Injector
from vmxon.hypervisor.memory.guest_memory import GuestMemory
from vmxon.hypervisor.memory.guest_walk import PageFault, Paging
from vmxon.hypervisor.memory.page_manager import PageManager
from vmxon.hypervisor.memory.page_use import PageUse
from vmxon.hypervisor.memory.virtual_memory import Action, OwnMsr
from vmxon.hypervisor.operation.registers import GuestRegisters
from vmxon.hypervisor.operation.start import enter_long_mode
from vmxon.hypervisor.policy.control_registers import ControlRegisters
from vmxon.machine.root import RootProcessor
from vmxon.vmx.exit_reasons import ExitReason
from vmxon.vmx.fields import VmcsField as Field

CONTROL = (Field.GUEST_CR0, Field.GUEST_CR3, Field.GUEST_CR4, Field.GUEST_IA32_EFER)


class ExtendedPaging:
    """Memory by EPT, mapped when it is first touched."""

    hidden: tuple[Feature, ...] = ()

    def __init__(
        self, root: RootProcessor, pages: PageManager, memory: GuestMemory, registers: GuestRegisters, injector: Injector
    ) -> None:
        self.root, self.memory, self.injector = root, memory, injector
        self.control = ControlRegisters(root, memory, registers)
        self.use = PageUse(root, memory, pages)
        self.faults = 0
        self.msrs: Mapping[int, OwnMsr] = {}
        self.actions: Mapping[int, Action] = {
            ExitReason.EPT_VIOLATION: self._violation,
            ExitReason.CR_ACCESS: self._control_register,
            ExitReason.PML_FULL: self.use.full,
        }

    @property
    def tables(self) -> list[int]:
        """The frames of the EPT tree."""
        return list(self.memory.address_space.tables)

    @property
    def most_tables(self) -> int:
        """The tree only grows."""
        return len(self.memory.address_space.tables)

    def paging(self, user: bool) -> Paging:
        """The guest's own control registers, which are the processor's."""
        cr0, cr3, cr4, efer = self.root.fields(CONTROL)
        return Paging(cr0, cr3, cr4, efer, user)

    def page_fault(self, linear: int, error_code: int, rip: int) -> PageFault | None:
        """Every #PF is the guest's."""
        return PageFault(linear, error_code)

    def prepare_entry(self) -> None:
        """Nothing: entries that appear in the tree need no invalidation."""

    def reset(self) -> None:
        """Translations of the guest's own tables are forgotten; those of EPT stay true."""
        self.control.forget_translations()
        self.use.reset()

    def forget(self) -> None:
        """Nothing: what was never touched is not in the tree."""

    def enter_long_mode(self, tables: int) -> None:
        """The guest's registers are the processor's."""
        enter_long_mode(self.root, tables)

    def release(self) -> None:
        """The tree belongs to the guest's memory."""
        self.use.release()

    def _violation(self, raw: RawExit) -> bool:
        violation = decode_exit(raw)
        assert isinstance(violation, EptViolation)
        if violation.mapped:
            what = "fetched an instruction from" if violation.fetch else "wrote to"
            raise GuestStopped(f"the guest {what} {violation.physical:#x}, where there is no memory", where=f"guest RIP {raw.rip:#018x}")
        try:
            self.memory.supply(violation.physical)
        except ConfigurationError as error:
            where = f"guest-physical {violation.physical:#x}"
            raise GuestStopped("no frame is left for the guest's page tables", where=where) from error
        self.faults += 1
        return False

    def _control_register(self, raw: RawExit) -> bool:
        access = decode_exit(raw)
        assert isinstance(access, ControlRegisterWrite)
        return self.control.write(access) or self.injector.refuse()
