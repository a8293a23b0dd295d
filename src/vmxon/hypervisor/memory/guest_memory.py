"""The memory that a guest believes to have: a run of frames of the machine, mapped by EPT when it is first touched."""

from __future__ import annotations

from collections.abc import Callable

from vmxon.engine.memory_layout import HOLE
from vmxon.errors import ConfigurationError
from vmxon.hypervisor.memory.arch_memory import LARGE, ArchMemory
from vmxon.hypervisor.memory.page_manager import PAGE, PageManager
from vmxon.machine.root import RootProcessor


class GuestMemory:
    """Guest-physical 0 to `size`; what lies above is an empty bus, where reads give ones and writes are lost.

    Raises:
        ConfigurationError: it would reach into the hole below 4 GiB, or the machine has too little memory left.
    """

    def __init__(self, root: RootProcessor, pages: PageManager, size: int) -> None:
        if size > HOLE:
            raise ConfigurationError(f"a guest with {size:#x} bytes of memory", expected=f"at most {HOLE:#x}")
        self.root, self.size = root, size
        self.base = pages.allocate(size // PAGE, align=LARGE // PAGE)
        self.address_space = ArchMemory(root, pages)
        self.nowhere = 1 << root.processor.model.physical_width - 1
        """Host-physical address that no memory answers."""
        self.supplied = 0
        """How many 4-KiB pages of memory are mapped by now."""
        self.written: Callable[[int, int], None] | None = None
        """Hears of every write that is not the guest's own: guest-physical address and bytes."""

    @property
    def view(self) -> memoryview:
        """The bytes, for devices that show them."""
        return self.root.engine.memory[self.base : self.base + self.size]

    def supply(self, guest: int) -> None:
        """Map the page of an address that the guest touched for the first time: 2 MiB where that fits, else 4 KiB."""
        large = guest & -LARGE
        if large >= self.size:
            self.address_space.map_page(large, self.nowhere, LARGE, execute=False)
        elif guest >= self.size:
            self.address_space.map_page(guest & -PAGE, self.nowhere, execute=False)
        elif large + LARGE <= self.size:
            self.address_space.map_page(large, self.base + large, LARGE)
            self.supplied += LARGE // PAGE
        else:
            self.address_space.map_page(guest & -PAGE, self.base + (guest & -PAGE))
            self.supplied += 1

    def read(self, guest: int, size: int) -> bytes:
        """Guest-physical bytes; ones outside memory."""
        inside = max(0, min(size, self.size - guest))
        return self.root.read(self.base + guest, inside) + b"\xff" * (size - inside)

    def write(self, guest: int, data: bytes) -> None:
        """Store guest-physical bytes; those outside memory are lost."""
        inside = max(0, min(len(data), self.size - guest))
        self.root.write(self.base + guest, data[:inside])
        if self.written is not None and inside:
            self.written(guest, inside)
