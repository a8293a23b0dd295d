"""Loader: puts a boot image into the guest's memory and its first state into the VMCS."""

from __future__ import annotations

from collections.abc import Callable

from vmxon.hypervisor.memory.guest_memory import GuestMemory
from vmxon.hypervisor.operation.registers import GuestRegisters, Register
from vmxon.hypervisor.operation.start import enter_real_mode
from vmxon.machine.firmware import Bios, rom
from vmxon.machine.loader import BootImage, RealStart
from vmxon.machine.root import RootProcessor
from vmxon.vmx.fields import VmcsField


class Loader:
    """Fills guest memory; the VMCS must be current. `firmware` is made once a guest starts through it."""

    def __init__(
        self,
        root: RootProcessor,
        memory: GuestMemory,
        registers: GuestRegisters,
        *,
        firmware: Callable[[], Bios],
        enter_long_mode: Callable[[int], None],
    ) -> None:
        self.root, self.memory, self.registers = root, memory, registers
        self.firmware, self.enter_long_mode = firmware, enter_long_mode

    def load(self, image: BootImage) -> None:
        """Copy the image and set RIP, RSP, EAX and EBX as its boot protocol says.

        Raises:
            ConfigurationError: it starts in real mode, and the processor has no unrestricted guest.
        """
        image.place(self.memory.write, self.memory.read)
        if isinstance(image.start, RealStart):
            self.start_firmware(image.start)
            return
        if image.start is not None:
            self.enter_long_mode(image.start.tables)
        self.registers[Register.RAX], self.registers[Register.RBX] = image.eax, image.ebx
        self.registers[Register.RSI] = image.esi
        self.root.set_fields(VmcsField.GUEST_RIP, image.entry, VmcsField.GUEST_RSP, image.esp)

    def start_firmware(self, program: RealStart | None = None) -> None:
        """Start at the firmware's reset vector, to a program in memory or to a boot sector.

        Raises:
            ConfigurationError: the processor has no unrestricted guest.
        """
        bios = self.firmware()
        bios.program = program
        bios.place_code()
        enter_real_mode(self.root, rom.SEGMENT, rom.RESET_VECTOR)
