"""The processor that all guests share: in VMX root operation, one VMCS current, its frames handed out by one PageManager."""

from __future__ import annotations

from typing import Protocol

from vmxon.arch.control import Cr4
from vmxon.arch.cpuid import Model
from vmxon.errors import ConfigurationError
from vmxon.hypervisor.memory.page_manager import PageManager
from vmxon.hypervisor.memory.windows import Windows
from vmxon.hypervisor.operation.bring_up import enter_vmx_operation, require, value_of
from vmxon.hypervisor.operation.live_state import LiveState
from vmxon.hypervisor.operation.timer_line import TimerLine
from vmxon.hypervisor.operation.vmcs import fields_of
from vmxon.machine.processor import Processor
from vmxon.vmx.fields import VmcsField as Field

LAST_VPID = 0xFFFF
SINGLE_CONTEXT = 1
"""INVEPT of one EPT pointer and INVVPID of one VPID; others keep their translations."""


class Tenant(Protocol):
    """Who the processor can be given to."""

    vmcs: int
    """Physical address of its VMCS region."""
    vpid: int
    """The tag of its translations."""
    live: LiveState


class Host:
    """One processor and its memory, under any number of guests."""

    def __init__(self, model: Model, memory_size: int, *, batched: bool = True) -> None:
        self.root = TimerLine(Processor(model, memory_size), batched=batched)
        self.pages = PageManager(self.root.processor.engine.memory_size, self.root.free)
        enter_vmx_operation(self.root, self.pages)
        require(self.root.write_cr(4, value_of(self.root.read_cr(4)) | Cr4.osfxsr.mask))
        self.windows = self.root.bus = Windows(1 << model.physical_width - 2)
        self.current: Tenant | None = None
        """The guest whose VMCS is current and whose registers are in the processor."""
        self.switches = 0
        self._last_vpid, self._returned_vpids = 0, list[int]()

    def new_vpid(self) -> int:
        """A tag for the translations of one more guest (Vol. 3C §29.1 “Virtual Processor Identifiers”).

        Raises:
            ConfigurationError: all 65,535 are in use.
        """
        if self._returned_vpids:
            return self._returned_vpids.pop()
        if self._last_vpid == LAST_VPID:
            raise ConfigurationError("every VPID is in use", advice="close guests that have ended")
        self._last_vpid += 1
        return self._last_vpid

    def vacate(self) -> None:
        """Nobody has the processor: take out what its guest left in it."""
        if self.current is not None:
            self.current.live.save()
            self.current = None

    def settle(self, guest: Tenant) -> None:
        """A guest whose VMCS is current moves in."""
        guest.live.restore()
        self.current = guest

    def give_to(self, guest: Tenant) -> None:
        """Make it current: VMPTRLD, and what VMX does not switch."""
        if self.current is not guest:
            self.vacate()
            require(self.root.vmptrld(guest.vmcs))
            self.settle(guest)
            self.switches += 1

    def evict(self, guest: Tenant) -> None:
        """It will not run again: forget its translations and its VMCS, whose frames others may get."""
        self.give_to(guest)
        vmx = self.root.processor.model.vmx
        pointer = self.root.fields((Field.EPTP,))[0] if Field.EPTP in fields_of(self.root) else 0
        if pointer:
            require(self.root.invept(SINGLE_CONTEXT, pointer))
        if vmx is not None and "enable_vpid" in vmx.secondary:
            require(self.root.invvpid(SINGLE_CONTEXT, guest.vpid))
        require(self.root.vmclear(guest.vmcs))
        self._returned_vpids.append(guest.vpid)
        self.current = None
