"""The two ways to give a guest its memory, behind one interface; `--paging` chooses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Protocol

from vmxon.arch.features import Feature
from vmxon.hypervisor.exits import RawExit
from vmxon.hypervisor.memory.guest_walk import PageFault, Paging


class PagingMode(Enum):
    """How the hypervisor gives the guest its memory."""

    EPT = "ept"
    SHADOW = "shadow"


Action = Callable[[RawExit], bool]
"""What is done for an exit; True where RIP has to move past the instruction."""


class OwnMsr(Protocol):
    """An MSR that the guest believes to have."""

    def read(self) -> int:
        """What RDMSR gives."""

    def write(self, value: int) -> bool:
        """Take WRMSR; False where it raises #GP(0)."""


class VirtualMemory(Protocol):
    """Address translation for one guest."""

    @property
    def actions(self) -> Mapping[int, Action]:
        """By exit reason, what belongs to memory."""

    @property
    def msrs(self) -> Mapping[int, OwnMsr]:
        """MSRs that only seem to be the processor's."""

    @property
    def hidden(self) -> tuple[Feature, ...]:
        """Features that CPUID must not show."""

    @property
    def tables(self) -> list[int]:
        """Host-physical addresses of the frames that hold the hypervisor's tables for this guest."""

    @property
    def most_tables(self) -> int:
        """How many such frames there were at most."""

    @property
    def faults(self) -> int:
        """How many accesses the hypervisor made possible that its tables had refused."""

    def paging(self, user: bool) -> Paging:
        """The guest's own control registers."""

    def page_fault(self, linear: int, error_code: int, rip: int) -> PageFault | None:
        """Serve a #PF that exited; what the guest shall see of it."""

    def prepare_entry(self) -> None:
        """Before each VM entry."""

    def forget(self) -> None:
        """Pages that were never touched lead elsewhere from now on."""

    def enter_long_mode(self, tables: int) -> None:
        """Start in 64-bit mode, paged through the guest's own PML4 table at `tables`."""

    def release(self) -> None:
        """The guest has ended: give back the frames that are this object's own."""

    def reset(self) -> None:
        """The guest starts over, without paging; its VMCS has its first values."""
