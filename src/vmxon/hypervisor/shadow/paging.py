"""Shadow paging: the guest's page faults, INVLPG and control registers exit, and the processor walks tables of ours."""

from __future__ import annotations

from collections.abc import Mapping

from vmxon.arch.control import Cr0, Cr4
from vmxon.arch.features import Feature
from vmxon.arch.flags import Rflags
from vmxon.errors import ConfigurationError, GuestStopped
from vmxon.hypervisor.exits import RawExit
from vmxon.hypervisor.exits.injection import Injector
from vmxon.hypervisor.memory.guest_memory import GuestMemory
from vmxon.hypervisor.memory.guest_walk import PageFault, Paging
from vmxon.hypervisor.memory.virtual_memory import Action, OwnMsr
from vmxon.hypervisor.operation.registers import GuestRegisters
from vmxon.hypervisor.shadow.control import EFER, PAT, ShadowControl
from vmxon.hypervisor.shadow.guest_tables import (
    ADDRESS,
    BY_USER,
    EVERYTHING,
    FETCH,
    NO_EXECUTE,
    USER,
    WRITABLE,
    WRITE,
    Access,
    GuestTables,
    Walk,
)
from vmxon.hypervisor.shadow.tables import ShadowTable, ShadowTables, Source
from vmxon.machine.root import RootProcessor
from vmxon.vmx.exit_reasons import ExitReason
from vmxon.vmx.fields import VmcsField as Field

LARGE = 2 << 20
LEVELS = {39: 4, 30: 3, 22: 2, 21: 2, 12: 1}
IDENTITY, LEGACY, PAE = range(3)
"""What a root of four pointers stands for."""
SINGLE_CONTEXT, RETAINING_GLOBALS = 1, 3
"""Types of INVVPID."""


class ShadowPaging:
    """Memory by shadow tables, filled on page faults and kept from one load of CR3 to the next."""

    hidden = (Feature.PCID, Feature.INVPCID)

    def __init__(
        self, root: RootProcessor, memory: GuestMemory, registers: GuestRegisters, injector: Injector, shadow: ShadowTables
    ) -> None:
        self.root, self.memory, self.shadow = root, memory, shadow
        model = root.processor.model
        self.guest = GuestTables(memory, model.physical_width, Feature.PDPE1GB in model.features)
        self.control = ShadowControl(root, registers, injector, self.guest, self._changed)
        self.faults = self.refused = 0
        self._has_vpid = model.vmx is not None and "enable_vpid" in model.vmx.secondary
        self._flush = False
        self.msrs: Mapping[int, OwnMsr] = {EFER: self.control.efer_msr, PAT: self.control.pat_msr}
        self.actions: Mapping[int, Action] = {
            ExitReason.CR_ACCESS: self.control.access,
            ExitReason.INVLPG: self._invlpg,
        }
        memory.written = self._written
        self._select_root()

    @property
    def tables(self) -> list[int]:
        """The frames of all shadow tables."""
        return [table.frame for table in self.shadow.by_source.values()]

    @property
    def most_tables(self) -> int:
        """How many shadow tables there were at a time."""
        return self.shadow.most

    def paging(self, user: bool) -> Paging:
        """The guest's own control registers."""
        control = self.control.registers
        return Paging(control.cr0, control.cr3, control.cr4, control.efer, user)

    def prepare_entry(self) -> None:
        """Forget what the TLB holds of tables that changed."""
        if self.shadow.stale or self._flush:
            if self._has_vpid:
                (vpid,) = self.root.fields((Field.VPID,))
                self.root.invvpid(SINGLE_CONTEXT if self.shadow.stale else RETAINING_GLOBALS, vpid)
            self.shadow.stale = self._flush = False

    def reset(self) -> None:
        """The guest has no tables any more."""
        self.control.reset()
        self.forget()

    def forget(self) -> None:
        """Start over with empty tables."""
        self.shadow.release_all()
        self._select_root()

    def enter_long_mode(self, tables: int) -> None:
        """The guest's registers are ours to keep."""
        self.control.enter_long_mode(tables)
        self._select_root()

    def release(self) -> None:
        """Give all shadow tables back."""
        self.shadow.release_all()

    # What the guest does.
    def page_fault(self, linear: int, error_code: int, rip: int) -> PageFault | None:
        """Fill the shadow tables where the guest's own allow the access; else the fault is the guest's."""
        control = self.control.registers
        fetch = bool(error_code & FETCH)
        access = Access(linear, bool(error_code & WRITE), bool(error_code & BY_USER), fetch, self._allowed_by_ac(control.cr4))
        if control.paging:
            walk = self.guest.walk(control, access)
            if isinstance(walk, PageFault):
                self.refused += 1
                return walk
        else:
            walk = Walk((), linear & 0xFFFF_FFFF & -LARGE, 21, EVERYTHING, dirty=True)
        physical = walk.physical + (linear & (1 << walk.shift) - 1)
        if fetch and physical >= self.memory.size:
            raise GuestStopped(
                f"the guest fetched an instruction from {physical:#x}, where there is no memory", where=f"guest RIP {rip:#018x}"
            )
        self.faults += 1
        try:
            self._fill(walk, access, physical)
        except ConfigurationError:
            self._start_over(walk, access, physical)
        return None

    def _start_over(self, walk: Walk, access: Access, physical: int) -> None:
        """Shadow tables are a cache: without a free frame all are given up, and those that are needed come back."""
        try:
            self.forget()
            self._fill(walk, access, physical)
        except ConfigurationError as error:
            where = f"guest-physical {physical:#x}"
            raise GuestStopped("no frame is left for the guest's page tables", where=where) from error

    def _allowed_by_ac(self, cr4: int) -> bool:
        if not cr4 & Cr4.smap.mask:
            return True
        flags, rights = self.root.fields((Field.GUEST_RFLAGS, Field.GUEST_SS_ACCESS_RIGHTS))
        # An access for the processor's own purposes at CPL 3 (a descriptor table) is not excused by AC.
        return bool(flags & Rflags.ac.mask) and rights >> 5 & 3 != 3

    def _invlpg(self, raw: RawExit) -> bool:
        """Forget one translation, and in all tables but the last level what the guest has changed."""
        self.shadow.synchronize(lowest_level=2)
        table, linear = self.shadow.current, raw.qualification
        while table is not None:
            level = table.source.level
            index = linear >> 12 + 9 * (level - 1) & (3 if table.source.kind == "pointers" else 511)
            fill = table.filled.get(index)
            if fill is None:
                break
            if fill.child is None or (fill.child.source.kind == "direct" and table.source.guest_table):
                self.shadow.clear(table, index)
                if table.source.kind == "legacy" and level == 2:
                    self.shadow.clear(table, index ^ 1)
                break
            table = fill.child
        self.shadow.stale = True
        return True

    def _written(self, guest: int, size: int) -> None:
        """The hypervisor wrote to guest memory in a device's name."""
        for number in range(guest >> 12, (guest + size - 1 >> 12) + 1):
            self.shadow.desynchronize(number)

    def _changed(self, globals_too: bool) -> None:
        """CR3 was loaded, or paging changed: translations may not be older than this."""
        self.shadow.synchronize()
        self.shadow.stale = self.shadow.stale or globals_too
        self._flush = True
        try:
            self._select_root()
        except ConfigurationError:
            self.forget()

    # The tables.
    @property
    def _role(self) -> int:
        control = self.control.registers
        role = 0
        for number, bit in enumerate((Cr4.pse, Cr4.smep, Cr4.pge)):
            role |= bool(control.cr4 & bit.mask) << number
        return role | bool(control.cr0 & Cr0.wp.mask) << 3 | bool(control.efer & 1 << 11) << 4

    def _select_root(self) -> None:
        """The root for the guest's CR3, from those that are there if possible."""
        control, role = self.control.registers, self._role
        if not control.paging:
            source = Source("pointers", 0, 3, IDENTITY)
        elif control.long:
            source = Source("long", control.cr3 & ADDRESS, 4, 0, EVERYTHING, role)
        elif control.wide:
            key = sum(pointer << 64 * number for number, pointer in enumerate(control.pointers))
            source = Source("pointers", key, 3, PAE, 0, role)
        else:
            source = Source("pointers", control.cr3 & 0xFFFF_F000, 3, LEGACY, 0, role)
        self.shadow.current = table = self.shadow.table(source)
        self.root.set_fields(Field.GUEST_CR3, table.frame)

    def _fill(self, walk: Walk, access: Access, physical: int) -> None:
        """Make the processor's walk of one address end where the guest's ends."""
        control, linear = self.control.registers, access.linear
        table = self.shadow.current
        assert table is not None  # set by the constructor
        rights, role = EVERYTHING, self._role
        if table.source.kind == "pointers":
            table = self.shadow.link(table, linear >> 30 & 3, 0, self._directory(linear, role))
        if not walk.steps:
            self._map_large(table, 0, walk.physical, EVERYTHING, access, physical)
            return
        for step in walk.steps[:-1]:
            level = LEVELS[step.shift]
            rights = rights & (step.value | NO_EXECUTE) | step.value & NO_EXECUTE if control.wide else rights & step.value
            kind = table.source.kind
            part = linear >> 21 & 1 if kind == "legacy" else 0
            address = step.value & (0xFFFF_F000 if kind == "legacy" else ADDRESS)
            index = linear >> 12 + 9 * (level - 1) & 511
            table = self.shadow.link(table, index, step.value, Source(kind, address, level - 1, part, rights, role))
        last = walk.steps[-1]
        rights = self._page_rights(walk, access)
        if last.shift > 12:
            self._map_large(table, last.value, walk.physical, rights, access, physical)
            return
        number = physical >> 12
        if access.write:
            self.shadow.desynchronize(number)
        elif not self.shadow.may_write(number):
            rights &= ~WRITABLE
        self.shadow.map_page(table, linear >> 12 & 511, last.value, walk.physical, rights)

    def _directory(self, linear: int, role: int) -> Source:
        """What one of the four pointers leads to."""
        control, number = self.control.registers, linear >> 30 & 3
        if not control.paging:
            return Source("direct", number << 30, 2, 0, EVERYTHING)
        if control.wide:
            return Source("pae", control.pointers[number] & ADDRESS, 2, 0, EVERYTHING, role)
        return Source("legacy", control.cr3 & 0xFFFF_F000, 2, number, EVERYTHING, role)

    def _page_rights(self, walk: Walk, access: Access) -> int:
        """Rights of the page's entry; it is writable only once the guest's own dirty bit is set."""
        rights = walk.rights
        if not walk.dirty:
            rights &= ~WRITABLE
        if access.write and not access.user and not rights & WRITABLE:
            # CR0.WP is 0 for the guest and 1 for the processor: until the user comes, the page is the supervisor's and writable.
            if rights & USER and self.control.registers.cr4 & Cr4.smep.mask:
                rights |= NO_EXECUTE
            rights = rights & ~USER | WRITABLE
        return rights

    def _map_large(self, table: ShadowTable, value: int, base: int, rights: int, access: Access, physical: int) -> None:
        """Map 2 MiB of a larger page of the guest: at once where that is possible, else in 4-KiB pages."""
        linear = access.linear
        if table.source.level == 3:
            table = self.shadow.link(table, linear >> 30 & 511, value, Source("direct", base, 2, 0, rights))
        index, region = linear >> 21 & 511, physical & -LARGE
        if self.shadow.may_be_large(region >> 12):
            self.shadow.map_page(table, index, value, region, rights)
            return
        run = self.shadow.link(table, index, value, Source("direct", region, 1, 0, rights))
        if access.write:
            self.shadow.desynchronize(physical >> 12)
            self.shadow.allow_write(run, linear >> 12 & 511)


