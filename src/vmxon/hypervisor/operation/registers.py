"""The general-purpose registers of a guest: VMX switches none of them but RSP, so the hypervisor does it by hand."""

from __future__ import annotations

from array import array
from enum import IntEnum

from vmxon.machine.root import RootProcessor

COUNT = 16


class Register(IntEnum):
    """Numbers of the registers, as in the encoding of instructions."""

    RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 = range(COUNT)


class GuestRegisters:
    """Where a guest's registers are kept while it does not run; RSP is in the VMCS and not here."""

    def __init__(self, root: RootProcessor) -> None:
        self.root = root
        self.values = array("Q", [0] * COUNT)
        self._bytes = memoryview(self.values).cast("B")
        self._processor = root.registers.cast("B")

    def __getitem__(self, register: int) -> int:
        return self.values[register]

    def __setitem__(self, register: int, value: int) -> None:
        self.values[register] = value & (1 << 64) - 1

    def restore(self) -> None:
        """Before VM entry: put the guest's values into the processor."""
        self._bytes[32:40] = self._processor[32:40]  # RSP stays the host's
        self._processor[:] = self._bytes

    def save(self) -> None:
        """After a VM exit: take the guest's values out of the processor."""
        self._bytes[:] = self._processor

    def clear(self) -> None:
        """As after RESET."""
        self._bytes[:] = bytes(len(self._bytes))
