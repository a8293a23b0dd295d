"""Loader: puts a boot image into the guest's memory and its first state into the VMCS."""

from __future__ import annotations

from vmxon.hypervisor.memory.guest_memory import GuestMemory
from vmxon.hypervisor.operation.registers import GuestRegisters, Register
from vmxon.machine.loader import BootImage
from vmxon.machine.root import RootProcessor
from vmxon.vmx.fields import VmcsField


class Loader:
    """Fills guest memory; the VMCS must be current."""

    def __init__(self, root: RootProcessor, memory: GuestMemory, registers: GuestRegisters) -> None:
        self.root, self.memory, self.registers = root, memory, registers

    def load(self, image: BootImage) -> None:
        """Copy the image and set RIP, RSP, EAX and EBX as its boot protocol says."""
        image.place(self.memory.write)
        self.registers[Register.RAX], self.registers[Register.RBX] = image.eax, image.ebx
        self.registers[Register.RSI] = image.esi
        self.root.set_fields(VmcsField.GUEST_RIP, image.entry, VmcsField.GUEST_RSP, image.esp)
