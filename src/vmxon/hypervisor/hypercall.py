"""Hypercall: what a guest may ask of the hypervisor by VMCALL, with a number in RAX and arguments in RBX, RCX, RDX."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

from vmxon.hypervisor.memory.guest_memory import GuestMemory
from vmxon.hypervisor.operation.registers import GuestRegisters, Register

VERSION = 1
FAILED = (1 << 64) - 1
LONGEST_TEXT = 4096


class Call(IntEnum):
    """The numbers; the answer comes back in RAX, all ones for a call that does not exist or cannot be done."""

    VERSION = 0
    """The version of this interface."""
    EXIT = 1
    """End the guest; RBX is the status."""
    WRITE = 2
    """Print RCX bytes at guest-physical RBX on the console; answers how many."""
    TICKS = 3
    """Virtual time in nanoseconds."""
    PAGES = 4
    """How many pages of guest memory are mapped by now, in units of 4 KiB."""


class Hypercall:
    """Serves the calls of one guest."""

    def __init__(
        self,
        memory: GuestMemory,
        registers: GuestRegisters,
        *,
        put: Callable[[int], None],
        leave: Callable[[int], None],
        now: Callable[[], int],
    ) -> None:
        self.memory, self.registers = memory, registers
        self._put, self._leave, self._now = put, leave, now

    def serve(self) -> None:
        """Do what the registers ask for."""
        registers = self.registers
        match registers[Register.RAX]:
            case Call.VERSION:
                answer = VERSION
            case Call.EXIT:
                self._leave(registers[Register.RBX] & 0xFF)
                answer = 0
            case Call.WRITE:
                answer = self._write(registers[Register.RBX], registers[Register.RCX])
            case Call.TICKS:
                answer = self._now()
            case Call.PAGES:
                answer = self.memory.supplied
            case _:
                answer = FAILED
        registers[Register.RAX] = answer

    def _write(self, address: int, size: int) -> int:
        if size > LONGEST_TEXT or address + size > self.memory.size:
            return FAILED
        for byte in self.memory.read(address, size):
            self._put(byte)
        return size
