"""A bus: addresses, each answered by at most one device's register."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import ClassVar, Protocol, TypeVar

from vmxon.devices.state import Saved

Method = TypeVar("Method", bound=Callable[..., object])
Reader = Callable[[], int]
Writer = Callable[[int], None]
SIZES = (1, 2, 4)
FULL = {1: 0xFF, 2: 0xFFFF, 4: 0xFFFF_FFFF}


def reads(offset: int, size: int = 1) -> Callable[[Method], Method]:
    """Mark the method that answers a read of `size` bytes at `offset`."""
    return _mark("read", offset, size)


def writes(offset: int, size: int = 1) -> Callable[[Method], Method]:
    """Mark the method that takes a write of `size` bytes at `offset`."""
    return _mark("write", offset, size)


def reads_string(offset: int) -> Callable[[Method], Method]:
    """Mark the method `(size, count) -> bytes` that answers `count` reads in a row (REP INS) at `offset`."""
    return _mark("read_string", offset, 0)


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


class Bus:
    """Port or MMIO space of `size` addresses.

    A wide access goes to the register of that width, else it is split in halves, the lower address first. What nobody
    claims reads as all ones and is counted by address in `unclaimed_reads` and `unclaimed_writes`.
    """

    def __init__(self, name: str, size: int = 0x1_0000) -> None:
        self.name = name
        self.last = size - 1
        self.owners: dict[int, Device] = {}
        self.unclaimed_reads: Counter[int] = Counter()
        self.unclaimed_writes: Counter[int] = Counter()
        self._readers: dict[int, dict[int, Reader]] = {size: {} for size in SIZES}
        self._writers: dict[int, dict[int, Writer]] = {size: {} for size in SIZES}
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
                case "read_string":
                    self._string_readers[base + offset] = method
                case "write_string":
                    self._string_writers[base + offset] = method

    def read(self, address: int, size: int) -> int:
        """The value of `size` bytes (1, 2 or 4) at `address`."""
        reader = self._readers[size].get(address)
        if reader is not None:
            return reader() & FULL[size]
        if size == 1:
            if address not in self.owners:
                self.unclaimed_reads[address] += 1
            return 0xFF
        half = size // 2
        low = self.read(address, half)
        return low | self.read(address + half & self.last, half) << half * 8

    def write(self, address: int, size: int, value: int) -> None:
        """Store the low `size` bytes (1, 2 or 4) of `value` at `address`."""
        writer = self._writers[size].get(address)
        if writer is not None:
            writer(value & FULL[size])
        elif size == 1:
            if address not in self.owners:
                self.unclaimed_writes[address] += 1
        else:
            half = size // 2
            self.write(address, half, value)
            self.write(address + half & self.last, half, value >> half * 8)

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
