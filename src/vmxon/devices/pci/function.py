"""A PCI function: 256 bytes of configuration registers, and the addresses at which it answers.

Source: PCI Local Bus Specification 3.0, §6.1 “Configuration Space Organization”, §6.2.5 “Base Addresses”.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from vmxon.arch.bits import Word, flag
from vmxon.devices.bus import Window
from vmxon.devices.interrupt import Signal
from vmxon.devices.state import Saved

SIZE = 256
VENDOR, COMMAND, STATUS, REVISION, HEADER_TYPE = 0x00, 0x04, 0x06, 0x08, 0x0E
FIRST_BASE_ADDRESS, SUBSYSTEM, INTERRUPT_LINE, INTERRUPT_PIN = 0x10, 0x2C, 0x3C, 0x3D
MULTIFUNCTION = 0x80
IO_INDICATOR = 1
BASE_ADDRESSES = 6
INTEL = 0x8086
QEMU_VENDOR, QEMU_MACHINE = 0x1AF4, 0x1100
"""The subsystem of QEMU's chip set; at it SeaBIOS knows that it may ask the firmware configuration device."""


class Command(Word, width=16):
    """The command register."""

    io_space = flag(0, "answers at its I/O addresses")
    memory_space = flag(1, "answers at its memory addresses")
    bus_master = flag(2, "may read and write memory by itself")
    system_error = flag(8, "kept, without effect")


COMMAND_BITS = Command.io_space.mask | Command.memory_space.mask | Command.bus_master.mask | Command.system_error.mask


class Space(Enum):
    """Which bus a base address is on."""

    IO = "port"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class Identity:
    """What a function says it is."""

    vendor: int
    device: int
    class_code: int
    """24 bits: base class, subclass, programming interface."""
    revision: int = 0
    status: int = 0
    """Capabilities in the status register: how fast it answers."""
    multifunction: bool = False
    subsystem_vendor: int = 0
    subsystem: int = 0


def chip(device: int, class_code: int, *, revision: int = 0, status: int = 0, multifunction: bool = False) -> Identity:
    """A part of Intel's chip set, with the subsystem that QEMU gives it."""
    return Identity(INTEL, device, class_code, revision, status, multifunction, QEMU_VENDOR, QEMU_MACHINE)


@dataclass(frozen=True, slots=True)
class BaseAddress:
    """One base address register: `size` addresses, a power of two, behind which is `window`."""

    number: int
    space: Space
    size: int
    window: Window


@dataclass(frozen=True, slots=True)
class Mapping:
    """Where a window wants to be now."""

    space: Space
    base: int
    size: int
    window: Window


class PciFunction(Saved, saves=("registers",)):
    """Configuration registers; which of their bits a guest may write, a subclass says with `allow`.

    `moved` is called when a write may have changed the function's addresses: the bus maps them anew. `interrupt` is the
    interrupt pin; whoever plugs the function in connects it.
    """

    def __init__(self, identity: Identity, base_addresses: Sequence[BaseAddress] = (), pin: int = 0) -> None:
        self.registers = bytearray(SIZE)
        self.base_addresses = tuple(base_addresses)
        self.moved: Callable[[], None] = lambda: None
        self.interrupt: Signal | None = None
        self._writable = bytearray(SIZE)
        self.preset(VENDOR, identity.vendor | identity.device << 16, 4)
        self.preset(STATUS, identity.status, 2)
        self.preset(REVISION, identity.revision | identity.class_code << 8, 4)
        self.preset(HEADER_TYPE, MULTIFUNCTION * identity.multifunction, 1)
        self.preset(SUBSYSTEM, identity.subsystem_vendor | identity.subsystem << 16, 4)
        self.preset(INTERRUPT_PIN, pin, 1)
        self.allow(COMMAND, COMMAND_BITS, 2)
        self.allow(INTERRUPT_LINE, 0xFF if pin else 0, 1)
        for address in self.base_addresses:
            place = FIRST_BASE_ADDRESS + 4 * address.number
            if address.size & address.size - 1 or not 0 <= address.number < BASE_ADDRESSES:
                raise ValueError(f"base address {address.number} must be 0 to 5 and its size a power of two, not {address.size:#x}")
            self.preset(place, IO_INDICATOR if address.space == Space.IO else 0, 4)
            self.allow(place, 0xFFFF_FFFF & -address.size, 4)

    def preset(self, offset: int, value: int, size: int) -> None:
        """Give a register the value that it has after RESET."""
        self.registers[offset : offset + size] = value.to_bytes(size, "little")

    def allow(self, offset: int, mask: int, size: int) -> None:
        """Let a guest write the bits of `mask`."""
        self._writable[offset : offset + size] = mask.to_bytes(size, "little")

    def get(self, offset: int, size: int) -> int:
        """A register."""
        return int.from_bytes(self.registers[offset : offset + size], "little")

    @property
    def command(self) -> Command:
        """The command register."""
        return Command(self.get(COMMAND, 2))

    # -- accesses of the guest -----------------------------------------------------------------------------------------

    def read(self, offset: int, size: int) -> int:
        """What a guest reads of the `size` bytes from `offset` on, which do not cross a register of four."""
        return self.get(offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """What a guest writes there."""
        for place, byte in enumerate(value.to_bytes(size, "little"), offset):
            mask = self._writable[place]
            self.registers[place] = self.registers[place] & ~mask | byte & mask
        self.written(range(offset, offset + size))
        if offset in range(COMMAND, COMMAND + 2) or offset in range(FIRST_BASE_ADDRESS, FIRST_BASE_ADDRESS + 4 * BASE_ADDRESSES):
            self.moved()

    def written(self, places: range) -> None:
        """A guest wrote these registers; a subclass whose registers do something overrides it."""

    def restored(self) -> None:
        self.written(range(SIZE))
        self.moved()

    # -- where it answers ----------------------------------------------------------------------------------------------

    def mappings(self) -> Iterator[Mapping]:
        """The windows that answer, by the command register and the base addresses; address 0 is none."""
        command = self.command
        for address in self.base_addresses:
            base = self.get(FIRST_BASE_ADDRESS + 4 * address.number, 4) & -address.size
            answers = command.io_space if address.space == Space.IO else command.memory_space
            if answers and base:
                yield Mapping(address.space, base, address.size, address.window)

    def set_interrupt(self, level: bool) -> None:
        """Drive the interrupt pin."""
        if self.interrupt is not None:
            self.interrupt.set(level)
