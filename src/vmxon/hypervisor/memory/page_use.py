"""Which pages a guest uses and which it changes, kept by the processor: accessed and dirty flags, and the page-modification log.

Both look at 4-KiB pages under EPT (Vol. 3C §29.3.5 “Accessed and Dirty Flags for EPT”, §29.3.6 “Page-Modification Logging”).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from vmxon.errors import ConfigurationError
from vmxon.hypervisor.exits import RawExit
from vmxon.hypervisor.memory.arch_memory import ACCESSED, DIRTY
from vmxon.hypervisor.memory.guest_memory import GuestMemory
from vmxon.hypervisor.memory.page_manager import PAGE, PageManager
from vmxon.hypervisor.operation.bring_up import require
from vmxon.machine.root import RootProcessor
from vmxon.vmx.controls import SecondaryProcessorBased
from vmxon.vmx.ept_entries import InveptType
from vmxon.vmx.fields import VmcsField as Field

SECONDARY = Field.SECONDARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS
LAST_ENTRY, COUNTER = 511, 0xFFFF
"""Index of the first entry that is written, and the bits of the index, which counts down past 0."""


class PageUse:
    """The pages of one guest; its VMCS is current whenever something is asked."""

    def __init__(self, root: RootProcessor, memory: GuestMemory, pages: PageManager) -> None:
        self.root, self.memory, self.pages = root, memory, pages
        self.space = memory.address_space
        self.log: int | None = None
        """The page of the log, while changes are logged."""
        self._changed: set[int] = set()

    def _start(self) -> None:
        """Flags on, and no page larger than 4 KiB: a flag says nothing about a part of its page."""
        if self.space.flagged:
            return
        vmx = self.root.processor.model.vmx
        if vmx is None or "accessed_dirty" not in vmx.ept:
            raise ConfigurationError("this processor keeps no accessed and dirty flags in EPT", advice="choose --model max")
        self.memory.largest, self.space.flagged = PAGE, True
        while large := [mapping for mapping in self.space.leaves() if mapping.size > PAGE and mapping.guest < self.memory.size]:
            for mapping in large:
                self.space.split(mapping.guest)
        self.root.set_fields(Field.EPTP, self.space.pointer)
        self._invalidate()

    def _invalidate(self) -> None:
        require(self.root.invept(InveptType.SINGLE_CONTEXT, self.space.pointer))

    def accessed(self) -> frozenset[int]:
        """The working set: guest-physical pages used since the last call, or since the guest began; at the first call, flags start.

        Raises:
            ConfigurationError: the processor keeps no such flags.
        """
        self._start()
        used = [mapping.guest for mapping in self.space.leaves() if mapping.flags & ACCESSED and mapping.guest < self.memory.size]
        for guest in used:
            self.space.clear_flags(guest, ACCESSED)
        self._invalidate()
        return frozenset(used)

    def start_log(self) -> None:
        """Log the first change of each page from now on, by the guest or in its devices' name.

        Raises:
            ConfigurationError: the processor has no page-modification log.
        """
        vmx = self.root.processor.model.vmx
        if vmx is None or "enable_pml" not in vmx.secondary:
            raise ConfigurationError("this processor has no page-modification log", advice="choose --model max")
        self._start()
        if self.log is None:
            self.log = self.pages.allocate()
            self._changed.clear()
            self._arm(mapping.guest for mapping in list(self.space.leaves()) if mapping.flags & DIRTY)
        self._switch_on()

    def _switch_on(self) -> None:
        assert self.log is not None  # set by `start_log`
        (secondary,) = self.root.fields((SECONDARY,))
        self.root.set_fields(
            *(Field.PML_ADDRESS, self.log),
            *(Field.GUEST_PML_INDEX, LAST_ENTRY),
            *(SECONDARY, secondary | SecondaryProcessorBased.enable_pml.mask),
        )
        self.memory.written = self._written

    def reset(self) -> None:
        """The VMCS has its first values again; what was logged stays known."""
        if self.log is not None:
            self._drain()
            self._switch_on()

    def _arm(self, pages: Iterable[int]) -> None:
        """The next change of these pages is logged again."""
        for guest in pages:
            if self.space.lookup(guest) is not None:
                self.space.clear_flags(guest, DIRTY)
        self._invalidate()

    def changed(self) -> frozenset[int]:
        """The pages changed since the last call, or since the log began; ValueError where it has not."""
        if self.log is None:
            raise ValueError("changes are not logged")
        self._drain()
        pages = frozenset(self._changed)
        self._changed.clear()
        self._arm(pages)
        return pages

    def stop_log(self) -> None:
        """Log no more; ValueError where nothing was logged."""
        if self.log is None:
            raise ValueError("changes are not logged")
        (secondary,) = self.root.fields((SECONDARY,))
        self.root.set_fields(SECONDARY, secondary & ~SecondaryProcessorBased.enable_pml.mask)
        self.memory.written = None
        self.release()

    def release(self) -> None:
        """Give the page of the log back."""
        if self.log is not None:
            self.pages.release(self.log)
            self.log = None

    def full(self, _: RawExit) -> bool:
        """VM exit “page-modification log full”: empty it, and the guest writes again."""
        self._drain()
        return False

    def _drain(self) -> None:
        assert self.log is not None  # only a log that was started is drained
        (index,) = self.root.fields((Field.GUEST_PML_INDEX,))
        first = index + 1 & COUNTER
        entries = struct.unpack("<512Q", self.root.read(self.log, PAGE))[first:]
        self._changed.update(entry for entry in entries if entry < self.memory.size)
        self.root.set_fields(Field.GUEST_PML_INDEX, LAST_ENTRY)

    def _written(self, guest: int, size: int) -> None:
        self._changed.update(range(guest & -PAGE, guest + size, PAGE))
