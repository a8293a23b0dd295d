"""The memory that a guest believes to have: a run of frames of the machine, mapped by EPT when it is first touched."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from vmxon.engine.memory_layout import HOLE
from vmxon.errors import ConfigurationError
from vmxon.hypervisor.memory.arch_memory import HUGE, LARGE, ArchMemory
from vmxon.hypervisor.memory.page_manager import PAGE, PageManager
from vmxon.machine.root import RootProcessor

DEVICES, DEVICES_END = HOLE, 1 << 32
"""Guest-physical addresses that lead to the guest's devices."""


class GuestMemory:
    """Guest-physical 0 to `size`; above are windows on devices, and an empty bus, where reads give ones and writes are lost.

    A window is host-physical: the machine has nothing there and asks whoever opened it, so no instruction has to be decoded.

    Raises:
        ConfigurationError: it would reach into the hole below 4 GiB, or the machine has too little memory left.
    """

    def __init__(self, root: RootProcessor, pages: PageManager, size: int, devices: int) -> None:
        """`devices` is the host-physical address of the window behind `DEVICES`."""
        if size > HOLE:
            raise ConfigurationError(f"a guest with {size:#x} bytes of memory", expected=f"at most {HOLE:#x}")
        self.root, self.size, self.devices = root, size, devices
        self.windows: dict[int, int] = {}
        """Host-physical addresses of single pages, by frame, that a program answers."""
        self.largest = LARGE
        """The largest page that memory is mapped in."""
        self.base = self._allocate(pages)
        self.address_space = ArchMemory(root, pages)
        self.nowhere = (1 << root.processor.model.physical_width) - LARGE
        """Host-physical address that no memory answers."""
        self.supplied = 0
        """How many 4-KiB pages of memory are mapped by now."""
        self.written: Callable[[int, int], None] | None = None
        """Hears of every write that is not the guest's own: guest-physical address and bytes."""

    def _allocate(self, pages: PageManager) -> int:
        """Frames for all of memory, on 1 GiB where the processor has such pages and the machine the room."""
        vmx, count = self.root.processor.model.vmx, self.size // PAGE
        if self.size >= HUGE and vmx is not None and "pages_1g" in vmx.ept:
            with suppress(ConfigurationError):
                base = pages.allocate(count, align=HUGE // PAGE)
                self.largest = HUGE
                return base
        return pages.allocate(count, align=LARGE // PAGE)

    @property
    def view(self) -> memoryview:
        """The bytes, for devices that show them."""
        return self.root.engine.memory[self.base : self.base + self.size]

    def outside(self, guest: int) -> int:
        """Host-physical address of a page that is not memory."""
        window = self.windows.get(guest // PAGE)
        if window is not None:
            return window
        return self.devices + guest - DEVICES if DEVICES <= guest < DEVICES_END else self.nowhere

    def open_window(self, guest: int, host: int, size: int) -> None:
        """Have whole pages above memory lead to a window; ValueError where one has been touched already."""
        pages = range(guest, guest + size, PAGE)
        if any(self.address_space.lookup(page) is not None for page in pages):
            raise ValueError(f"{size:#x} bytes at {guest:#x} have been touched already")
        for page in pages:
            self.windows[page // PAGE] = host + page - guest

    def _is_uniform(self, large: int) -> bool:
        """2 MiB that are neither memory nor have pages of their own."""
        return large >= self.size and not any(large <= frame * PAGE < large + LARGE for frame in self.windows)

    def supply(self, guest: int) -> None:
        """Map the page of an address that the guest touched for the first time, in the largest size that fits."""
        map_page = self.address_space.map_page
        if guest < self.size:
            size = next(size for size in (HUGE, LARGE, PAGE) if size <= self.largest and (guest & -size) + size <= self.size)
            map_page(guest & -size, self.base + (guest & -size), size)
            self.supplied += size // PAGE
        elif self._is_uniform(guest & -LARGE):
            map_page(guest & -LARGE, self.outside(guest & -LARGE), LARGE, execute=False)
        else:
            map_page(guest & -PAGE, self.outside(guest & -PAGE), execute=False)

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
