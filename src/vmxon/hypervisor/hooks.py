"""Hooks: functions of a program that answer for ports, memory-mapped registers, MSRs, CPUID and hypercalls of one guest."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from vmxon.devices.bus import Device, reads, writes
from vmxon.hypervisor.exits import RawExit
from vmxon.hypervisor.memory.page_manager import PAGE
from vmxon.hypervisor.operation.registers import Register
from vmxon.vmx.exit_reasons import ExitReason

if TYPE_CHECKING:
    from vmxon.hypervisor.policy.cpuid import Leaf
    from vmxon.hypervisor.virtual_machine import VirtualMachine

LOW = 0xFFFF_FFFF
HIGH, HIGH_BITMAP, WRITE_BITMAPS = 0xC000_0000, 1024, 2048
Action = Callable[[RawExit], bool]


class PortHook(Device, span=1):
    """One port that a program answers, in any width."""

    def __init__(self, read: Callable[[int], int], write: Callable[[int, int], None]) -> None:
        self._read, self._write = read, write

    @reads(0)
    def byte(self) -> int:
        """IN of 1 byte."""
        return self._read(1)

    @reads(0, size=2)
    def word(self) -> int:
        """IN of 2 bytes."""
        return self._read(2)

    @reads(0, size=4)
    def double(self) -> int:
        """IN of 4 bytes."""
        return self._read(4)

    @writes(0)
    def set_byte(self, value: int) -> None:
        """OUT of 1 byte."""
        self._write(1, value)

    @writes(0, size=2)
    def set_word(self, value: int) -> None:
        """OUT of 2 bytes."""
        self._write(2, value)

    @writes(0, size=4)
    def set_double(self, value: int) -> None:
        """OUT of 4 bytes."""
        self._write(4, value)


def _ones(size: int) -> int:
    return (1 << 8 * size) - 1


class Hooks:
    """The hooks of one guest; each comes before the hypervisor's own answer."""

    def __init__(self, machine: VirtualMachine) -> None:
        self.machine = machine
        self._leaves: dict[int, Callable[[int], Leaf]] = {}
        self._readers: dict[int, Callable[[], int]] = {}
        self._writers: dict[int, Callable[[int], None]] = {}
        self._calls: dict[int, Callable[[], int]] = {}
        actions = machine.dispatcher.actions
        self._before = {reason: actions[reason] for reason in (ExitReason.CPUID, ExitReason.RDMSR, ExitReason.WRMSR, ExitReason.VMCALL)}
        actions.update(
            {
                ExitReason.CPUID: self._cpuid,
                ExitReason.RDMSR: self._read_msr,
                ExitReason.WRMSR: self._write_msr,
                ExitReason.VMCALL: self._hypercall,
            }
        )

    def port(
        self,
        number: int,
        *,
        read: Callable[[int], int] = _ones,
        write: Callable[[int, int], None] = lambda size, value: None,
    ) -> None:
        """IN calls `read(size)`, OUT calls `write(size, value)`; BusOverlap where a device of the board has the port."""
        self.machine.devices.board.bus.attach(number, PortHook(read, write))

    def memory(
        self,
        address: int,
        size: int,
        *,
        read: Callable[[int, int], int] = lambda offset, size: _ones(size),
        write: Callable[[int, int, int], None] = lambda offset, size, value: None,
    ) -> None:
        """Memory-mapped registers: loads call `read(offset, size)`, stores `write(offset, size, value)`.

        ValueError where the pages are not whole, are the guest's memory, or have been touched already.
        """
        memory = self.machine.memory
        if address % PAGE or size % PAGE or size <= 0 or address < memory.size:
            raise ValueError(f"{size:#x} bytes at {address:#x} must be whole pages above the guest's memory")
        memory.open_window(address, self.machine.host.windows.open(size, read, write), size)
        self.machine.paging.forget()

    def msr(self, address: int, *, read: Callable[[], int] | None = None, write: Callable[[int], None] | None = None) -> None:
        """RDMSR calls `read()`, WRMSR calls `write(value)`; one that is not given is the policy's."""
        place = self.machine.bitmaps.msr + (HIGH_BITMAP if address >= HIGH else 0) + ((address & 0x1FFF) >> 3)
        if read is not None:
            self._readers[address] = read
            self._make_exit(place, address & 7)
        if write is not None:
            self._writers[address] = write
            self._make_exit(place + WRITE_BITMAPS, address & 7)

    def _make_exit(self, place: int, bit: int) -> None:
        """Set a bit of the MSR bitmaps."""
        (byte,) = self.machine.root.read(place, 1)
        self.machine.root.write(place, bytes((byte | 1 << bit,)))

    def cpuid(self, leaf: int, answer: Callable[[int], Leaf]) -> None:
        """CPUID of a leaf gives `answer(subleaf)`: EAX, EBX, ECX, EDX."""
        self._leaves[leaf] = answer

    def hypercall(self, number: int, answer: Callable[[], int]) -> None:
        """VMCALL with this number in RAX gives `answer()` in RAX; arguments are in the processor's registers."""
        self._calls[number] = answer

    def _cpuid(self, raw: RawExit) -> bool:
        registers = self.machine.registers
        answer = self._leaves.get(registers[Register.RAX] & LOW)
        if answer is None:
            return self._before[ExitReason.CPUID](raw)
        values = answer(registers[Register.RCX] & LOW)
        for register, value in zip((Register.RAX, Register.RBX, Register.RCX, Register.RDX), values, strict=True):
            registers[register] = value & LOW
        return True

    def _read_msr(self, raw: RawExit) -> bool:
        registers = self.machine.registers
        read = self._readers.get(registers[Register.RCX] & LOW)
        if read is None:
            return self._before[ExitReason.RDMSR](raw)
        value = read()
        registers[Register.RAX], registers[Register.RDX] = value & LOW, value >> 32 & LOW
        return True

    def _write_msr(self, raw: RawExit) -> bool:
        registers = self.machine.registers
        write = self._writers.get(registers[Register.RCX] & LOW)
        if write is None:
            return self._before[ExitReason.WRMSR](raw)
        write((registers[Register.RDX] & LOW) << 32 | registers[Register.RAX] & LOW)
        return True

    def _hypercall(self, raw: RawExit) -> bool:
        registers = self.machine.registers
        answer = self._calls.get(registers[Register.RAX])
        if answer is None:
            return self._before[ExitReason.VMCALL](raw)
        registers[Register.RAX] = answer()
        return True
