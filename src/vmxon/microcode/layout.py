"""Memory layouts that Python and microcode read alike: fields at fixed offsets of one block of memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar, cast

from vmxon.microcode.types import IntType

T = TypeVar("T", bound="State")

_FORMATS = {1: "B", 2: "H", 4: "I", 8: "Q"}


class Memory:
    """A block of host memory seen as bytes and, through casts, as aligned words."""

    def __init__(self, block: memoryview, address: int) -> None:
        self.block, self.address = block, address
        whole = len(block) & ~7
        self.words = {size: block[:whole].cast(code) for size, code in _FORMATS.items()}  # type: ignore[call-overload]


class Item:
    """One member of a layout; `offset` is set when the class is made."""

    size: int
    align: int
    offset: int
    name: str


class Scalar(Item):
    """An integer field; reads and writes as an int on a bound instance."""

    def __init__(self, kind: IntType) -> None:
        self.kind = kind
        self.size = self.align = kind.bytes

    def __get__(self, owner: State | None, _: type[State]) -> int | Scalar:
        if owner is None:
            return self
        return self.get(owner.bound_memory, owner.bound_offset + self.offset)

    def __set__(self, owner: State, value: int) -> None:
        self.put(owner.bound_memory, owner.bound_offset + self.offset, value)

    def get(self, memory: Memory, offset: int) -> int:
        """The value at a byte offset."""
        if self.size > 8:
            return int.from_bytes(memory.block[offset : offset + self.size], "little")
        return int(memory.words[self.size][offset // self.size])

    def put(self, memory: Memory, offset: int, value: int) -> None:
        """Store a value, reduced to the width of the field."""
        value &= (1 << self.size * 8) - 1
        if self.size > 8:
            memory.block[offset : offset + self.size] = value.to_bytes(self.size, "little")
        else:
            memory.words[self.size][offset // self.size] = value


class Array(Item):
    """A run of equal scalars."""

    def __init__(self, kind: IntType, count: int) -> None:
        self.element, self.count = Scalar(kind), count
        self.align, self.size = self.element.align, self.element.size * count

    def __get__(self, owner: State | None, _: type[State]) -> Array | BoundArray:
        return self if owner is None else BoundArray(self, owner.bound_memory, owner.bound_offset + self.offset)


class BoundArray:
    """An array field of a bound instance."""

    def __init__(self, array: Array, memory: Memory, offset: int) -> None:
        self.array, self.memory, self.offset = array, memory, offset

    def _at(self, index: int) -> int:
        if not 0 <= index < self.array.count:
            raise IndexError(index)
        return self.offset + index * self.array.element.size

    def __getitem__(self, index: int) -> int:
        return self.array.element.get(self.memory, self._at(index))

    def __setitem__(self, index: int, value: int) -> None:
        self.array.element.put(self.memory, self._at(index), value)

    def __len__(self) -> int:
        return self.array.count

    def __iter__(self) -> Iterator[int]:
        return (self[index] for index in range(self.array.count))


class Structs(Item, Generic[T]):
    """A run of equal structures."""

    def __init__(self, layout: type[T], count: int) -> None:
        self.layout, self.count = layout, count
        self.align, self.size = 8, layout.size * count

    def __get__(self, owner: State | None, _: type[State]) -> Structs[T] | list[T]:
        if owner is None:
            return self
        start = owner.bound_offset + self.offset
        return [self.layout(owner.bound_memory, start + index * self.layout.size) for index in range(self.count)]


class State:
    """A layout; subclasses declare members, which are laid out in order with natural alignment."""

    members: ClassVar[dict[str, Item]] = {}
    size: ClassVar[int] = 0
    resident: ClassVar[bool] = False
    """The one structure whose members the engine may keep in machine registers, and the golden model reaches without an address."""

    def __init_subclass__(cls) -> None:
        cls.members = dict(cls.members)
        offset = cls.size
        for name, item in vars(cls).items():
            if isinstance(item, Item):
                offset = (offset + item.align - 1) // item.align * item.align
                item.offset, item.name = offset, name
                offset += item.size
                cls.members[name] = item
        cls.size = (offset + 7) & ~7

    def __init__(self, memory: Memory | int, base: int = 0) -> None:
        """Bind the layout to memory; microcode gives a host address instead."""
        if not isinstance(memory, Memory):
            raise TypeError(f"a layout at the bare address {memory:#x} has a meaning only in compiled microcode")
        self.bound_memory, self.bound_offset = memory, base


if TYPE_CHECKING:
    from collections.abc import MutableSequence, Sequence

    # To the type checker a member is what it reads as.
    def scalar(kind: object) -> int: ...  # noqa: D103  documented below
    def array(kind: object, count: int) -> MutableSequence[int]: ...  # noqa: D103  documented below
    def structs(layout: type[T], count: int) -> Sequence[T]: ...  # noqa: D103  documented below
else:

    def scalar(kind):
        """Declare an integer field."""
        return Scalar(kind)

    def array(kind, count):
        """Declare a run of integers."""
        return Array(kind, count)

    def structs(layout, count):
        """Declare a run of structures."""
        return Structs(layout, count)


def member_offset(layout: type[State], name: str) -> int:
    """The byte offset of a member."""
    return layout.members[name].offset


def element(item: Item) -> Scalar:
    """The scalar that an array repeats."""
    return cast(Array, item).element
