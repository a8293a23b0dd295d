"""A bus: addresses, each answered by at most one device's register."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from typing import ClassVar, Protocol, TypeVar

from vmxon.devices.state import Saved

Method = TypeVar("Method", bound=Callable[..., object])
Reader = Callable[[], int]
Writer = Callable[[int], None]
SIZES = (1, 2, 4, 8)
"""Widths of an access in bytes; ports know the first three."""
FULL = {size: (1 << 8 * size) - 1 for size in SIZES}
PORT_SPACE, MEMORY_SPACE = 1 << 16, 1 << 52
"""Addresses of each bus."""
MOST_COUNTED = 1 << 16
"""How many different addresses that nobody claims are counted."""


def reads(offset: int, size: int = 1) -> Callable[[Method], Method]:
    """Mark the method that answers a read of `size` bytes at `offset`."""
    return _mark("read", offset, size)


def writes(offset: int, size: int = 1) -> Callable[[Method], Method]:
    """Mark the method that takes a write of `size` bytes at `offset`."""
    return _mark("write", offset, size)


def reads_string(offset: int) -> Callable[[Method], Method]:
    """Mark the method `(size, count) -> bytes` that answers `count` reads in a row (REP INS) at `offset`."""
    return _mark("read_string", offset, 0)


def reads_ahead(offset: int) -> Callable[[Method], Method]:
    """Mark the method `(size) -> bytes` that tells what the next reads of `size` bytes (2 or 4) at `offset` will give.

    Only as far as a read does nothing but move on to the next; `read_string` of so many bytes then moves on.
    """
    return _mark("read_ahead", offset, 0)


def writes_string(offset: int) -> Callable[[Method], Method]:
    """Mark the method `(size, data)` that takes writes of `size` bytes in a row (REP OUTS) at `offset`."""
    return _mark("write_string", offset, 0)


def _mark(action: str, offset: int, size: int) -> Callable[[Method], Method]:
    def mark(method: Method) -> Method:
        registers: list[tuple[str, int, int]] = method.__dict__.setdefault("registers", [])
        registers.append((action, offset, size))
        return method

    return mark


class Device(Saved):
    """A device with registers; a subclass names its span and marks one method for each register.

    A device claims the offsets that it declares, not the holes between them. A register that is only written reads
    as all ones.
    """

    span: ClassVar[int] = 0
    registers: ClassVar[dict[tuple[str, int, int], str]] = {}

    def __init_subclass__(cls, *, span: int | None = None, saves: tuple[str, ...] = ()) -> None:
        super().__init_subclass__(saves=saves)
        cls.span = cls.span if span is None else span
        cls.registers = dict(cls.registers)
        for name, method in vars(cls).items():
            for register in getattr(method, "registers", ()) if callable(method) else ():
                _, offset, size = register
                if not 0 <= offset < cls.span or size not in (0, *SIZES):
                    raise TypeError(f"{cls.__name__}.{name}: offset {offset:#x} must be below the span {cls.span:#x}")
                if register in cls.registers and cls.registers[register] in vars(cls):
                    raise TypeError(f"{cls.__name__}.{name}: {cls.registers[register]} already has offset {offset:#x}")
                cls.registers[register] = name


class BusOverlap(ValueError):
    """Two devices claim the same address."""


class PortSpace(Protocol):
    """What a device needs of a bus to put itself on it."""

    def attach(self, base: int, device: Device) -> None: ...


class Window(Protocol):
    """A device with too many registers to name: it answers by offset, in any width."""

    def read(self, offset: int, size: int) -> int: ...

    def write(self, offset: int, size: int, value: int) -> None: ...


class Bus:
    """Port or memory space of `size` addresses.

    A wide access goes to the register of that width, else to a window that holds all of it, else it is split in halves,
    the lower address first. What nobody claims reads as all ones and is counted by address in `unclaimed_reads` and
    `unclaimed_writes`.
    """

    def __init__(self, name: str, size: int = PORT_SPACE) -> None:
        self.name = name
        self.last = size - 1
        self.owners: dict[int, Device] = {}
        self._starts: list[int] = []
        self._windows: list[tuple[int, Window]] = []
        self.unclaimed_reads: Counter[int] = Counter()
        self.unclaimed_writes: Counter[int] = Counter()
        self._readers: dict[int, dict[int, Reader]] = {size: {} for size in SIZES}
        self._writers: dict[int, dict[int, Writer]] = {size: {} for size in SIZES}
        self._ahead_readers: dict[int, Callable[[int], bytes]] = {}
        self._string_readers: dict[int, Callable[[int, int], bytes]] = {}
        self._string_writers: dict[int, Callable[[int, bytes], None]] = {}

    def attach(self, base: int, device: Device) -> None:
        """Put `device` at `base`; BusOverlap if another device claims one of its addresses."""
        addresses = {base + offset for _, offset, _ in device.registers}
        for address in sorted(addresses):
            if not 0 <= address <= self.last:
                raise ValueError(f"{self.name} {address:#x} ({type(device).__name__}) must be at most {self.last:#x}")
            if address in self.owners:
                owner = type(self.owners[address]).__name__
                raise BusOverlap(f"{self.name} {address:#x} ({type(device).__name__}) is taken by {owner}")
        self.owners.update(dict.fromkeys(addresses, device))
        for (action, offset, size), name in device.registers.items():
            method = getattr(device, name)
            match action:
                case "read":
                    self._readers[size][base + offset] = method
                case "write":
                    self._writers[size][base + offset] = method
                case "read_ahead":
                    self._ahead_readers[base + offset] = method
                case "read_string":
                    self._string_readers[base + offset] = method
                case "write_string":
                    self._string_writers[base + offset] = method

    def open(self, base: int, size: int, window: Window) -> None:
        """Let `window` answer at the `size` addresses from `base` on; BusOverlap where another window does."""
        place = bisect_right(self._starts, base)
        for near in self._windows_near(place):
            start, (length, owner) = near
            if start < base + size and base < start + length:
                raise BusOverlap(f"{self.name} {base:#x} ({type(window).__name__}) is taken by {type(owner).__name__}")
        self._starts.insert(place, base)
        self._windows.insert(place, (size, window))

    def free(self, base: int, size: int) -> bool:
        """Whether no window answers at any of the `size` addresses from `base` on."""
        near = self._windows_near(bisect_right(self._starts, base))
        return not any(start < base + size and base < start + length for start, (length, _) in near)

    def close(self, base: int, window: Window) -> None:
        """Let `window` answer no more at `base`, where it was opened."""
        place = self._starts.index(base)
        if self._windows[place][1] is not window:
            raise ValueError(f"{self.name} {base:#x} is not where {type(window).__name__} answers")
        del self._starts[place], self._windows[place]

    def _windows_near(self, place: int) -> list[tuple[int, tuple[int, Window]]]:
        """The windows before and after a place in the list."""
        return list(zip(self._starts, self._windows, strict=True))[max(0, place - 1) : place + 1]

    def _window(self, address: int, size: int) -> tuple[int, Window] | None:
        """The window that holds all of an access, and where it starts."""
        place = bisect_right(self._starts, address) - 1
        if place < 0:
            return None
        start, (length, window) = self._starts[place], self._windows[place]
        return (start, window) if address + size <= start + length else None

    def windows(self) -> list[tuple[int, int, Window]]:
        """Start, size and window of each, lowest first."""
        return [(start, size, window) for start, (size, window) in zip(self._starts, self._windows, strict=True)]

    def claims(self, address: int) -> bool:
        """Whether something answers at `address`."""
        return address in self.owners or self._window(address, 1) is not None

    def read(self, address: int, size: int) -> int:
        """The value of `size` bytes, 1 to 8, at `address`."""
        reader = self._readers[size].get(address) if size in FULL else None
        if reader is not None:
            return reader() & FULL[size]
        found = self._window(address, size) if self._starts else None
        if found is not None:
            return found[1].read(address - found[0], size) & (1 << 8 * size) - 1
        if size == 1:
            if address not in self.owners:
                _count(self.unclaimed_reads, address)
            return 0xFF
        half = half_of(size)
        low = self.read(address, half)
        return low | self.read(address + half & self.last, size - half) << half * 8

    def write(self, address: int, size: int, value: int) -> None:
        """Store the low `size` bytes, 1 to 8, of `value` at `address`."""
        writer = self._writers[size].get(address) if size in FULL else None
        if writer is not None:
            writer(value & FULL[size])
            return
        found = self._window(address, size) if self._starts else None
        if found is not None:
            found[1].write(address - found[0], size, value & (1 << 8 * size) - 1)
        elif size == 1:
            if address not in self.owners:
                _count(self.unclaimed_writes, address)
        else:
            half = half_of(size)
            self.write(address, half, value)
            self.write(address + half & self.last, size - half, value >> half * 8)

    def read_ahead(self, address: int, size: int) -> bytes:
        """What the next reads of `size` bytes will give without any effect but to move on; empty where that is not known."""
        reader = self._ahead_readers.get(address)
        return b"" if reader is None or size == 1 else reader(size)

    def read_string(self, address: int, size: int, count: int) -> bytes:
        """`count` reads of `size` bytes each from `address`, one by one (REP INS); the caller bounds `count`."""
        reader = self._string_readers.get(address)
        if reader is not None:
            return reader(size, count)
        return b"".join(self.read(address, size).to_bytes(size, "little") for _ in range(count))

    def write_string(self, address: int, size: int, data: bytes) -> None:
        """Writes of `size` bytes each of `data` to `address`, one after the other (REP OUTS)."""
        writer = self._string_writers.get(address)
        if writer is not None:
            writer(size, data)
            return
        for start in range(0, len(data), size):
            self.write(address, size, int.from_bytes(data[start : start + size], "little"))


def half_of(size: int) -> int:
    """The greatest power of two below `size`, which is at least 2: a memory access that crosses a page may have 3, 5, 6 or 7 bytes."""
    return 1 << (size - 1).bit_length() - 1


def _count(counter: Counter[int], address: int) -> None:
    """Count an address, unless a guest that tries them all has filled the table."""
    if address in counter or len(counter) < MOST_COUNTED:
        counter[address] += 1
