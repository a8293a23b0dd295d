"""VirtualProcessor: a guest's processor as a program sees it that answers exits itself, as KVM's users do.

match processor.run():
    case Output(port=0xE9):
        print(chr(processor.rax & 0xFF), end="")
        processor.skip()
    case Plain(ExitReason.HLT):
        break
    case _:
        processor.serve()
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmxon.hypervisor.exits import Exit, RawExit, decode_exit
from vmxon.hypervisor.operation.registers import Register
from vmxon.vmx.exit_reasons import ExitReason
from vmxon.vmx.fields import VmcsField as Field

if TYPE_CHECKING:
    from vmxon.hypervisor.virtual_machine import VirtualMachine

SLICE = 20_000_000
"""Ticks after which `run` comes back in any case, with the exit of the preemption timer."""


class General:
    """A general-purpose register, kept by the hypervisor while the guest does not run."""

    def __init__(self, number: Register) -> None:
        self.number = number

    def __get__(self, processor: VirtualProcessor, owner: type[VirtualProcessor]) -> int:
        return processor.machine.registers[self.number]

    def __set__(self, processor: VirtualProcessor, value: int) -> None:
        processor.machine.registers[self.number] = value


class Kept:
    """A register that the VMCS keeps."""

    def __init__(self, field: Field) -> None:
        self.field = field

    def __get__(self, processor: VirtualProcessor, owner: type[VirtualProcessor]) -> int:
        return processor.field(self.field)

    def __set__(self, processor: VirtualProcessor, value: int) -> None:
        processor.set_field(self.field, value)


class VirtualProcessor:
    """The one processor of a guest; it starts in 32-bit protected mode, flat segments, no paging, interrupts off."""

    rax, rbx, rcx, rdx = General(Register.RAX), General(Register.RBX), General(Register.RCX), General(Register.RDX)
    rsi, rdi, rbp = General(Register.RSI), General(Register.RDI), General(Register.RBP)
    r8, r9, r10, r11 = General(Register.R8), General(Register.R9), General(Register.R10), General(Register.R11)
    r12, r13, r14, r15 = General(Register.R12), General(Register.R13), General(Register.R14), General(Register.R15)
    rsp, rflags = Kept(Field.GUEST_RSP), Kept(Field.GUEST_RFLAGS)
    cr0, cr3, cr4 = Kept(Field.GUEST_CR0), Kept(Field.GUEST_CR3), Kept(Field.GUEST_CR4)

    def __init__(self, machine: VirtualMachine) -> None:
        self.machine = machine
        self._exit: RawExit | None = None

    def run(self, ticks: int = SLICE) -> Exit:
        """Enter the guest; the exit that brings it back, which nobody has served yet.

        An exit that was neither served nor skipped happens again, since RIP is still at its instruction.

        Raises:
            GuestStopped: VM entry failed.
        """
        machine = self.machine
        machine.host.give_to(machine)
        end = machine.time.now + ticks
        self._exit = machine.enter(end) if machine.wake(end) else RawExit(ExitReason.PREEMPTION_TIMER, 0, 0, self.rip, 0, 0, 0, 0)
        machine.accounting.add(self._exit.reason, 0.0)
        return decode_exit(self._exit)

    def serve(self) -> None:
        """Let hooks, devices and policies answer the last exit, as they do in `Guest.run`.

        Raises:
            GuestStopped: the guest cannot go on.
        """
        self.machine.serve(self._last())

    def skip(self) -> None:
        """The instruction that exited is done: go on behind it."""
        self.machine.finish(self._last())

    @property
    def rip(self) -> int:
        """Where the guest goes on."""
        after = self.machine.next_rip
        return self.field(Field.GUEST_RIP) if after is None else after

    @rip.setter
    def rip(self, value: int) -> None:
        self.machine.next_rip = None
        self.set_field(Field.GUEST_RIP, value)

    def field(self, which: Field) -> int:
        """VMREAD of the guest's VMCS."""
        self.machine.host.give_to(self.machine)
        (value,) = self.machine.root.fields((which,))
        return value

    def set_field(self, which: Field, value: int) -> None:
        """VMWRITE to the guest's VMCS."""
        self.machine.host.give_to(self.machine)
        self.machine.root.set_fields(which, value)

    def _last(self) -> RawExit:
        if self._exit is None:
            raise ValueError("the guest has not run yet")
        return self._exit
