"""Named bit fields of machine words.

A register is a class; each field is declared once, high bit first, both ends inclusive, as in the SDM:

    class EptPointer(Word, width=64):
        memory_type = field(2, 0, "memory type of the paging structures")
        accessed_dirty = flag(6, "accessed and dirty flags enabled")

On an instance a field reads its value (`word.accessed_dirty`); on the class it is its own description, with plain
integers for those who work on raw values (`EptPointer.accessed_dirty.mask`, `.low`, `.put(1)`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Generic, Self, TypeVar, overload

T = TypeVar("T")


class Bits(Generic[T]):
    """The bits `high:low` (both inclusive) of a `Word`, read as `T`; `title` is the SDM's name where it has its own."""

    __slots__ = ("doc", "high", "low", "mask", "name", "read", "title")

    def __init__(self, high: int, low: int, read: Callable[[int], T], doc: str, title: str = "") -> None:
        if not 0 <= low <= high:
            raise TypeError(f"bits {high}:{low} must be written high bit first, from bit 0 upward")
        self.high, self.low, self.read, self.doc, self.title = high, low, read, doc, title
        self.mask = ((1 << (high - low + 1)) - 1) << low
        self.name = ""

    def __set_name__(self, owner: type[Word], name: str) -> None:
        self.name = name
        self.title = self.title or name

    @overload
    def __get__(self, word: None, owner: type[Word]) -> Self: ...
    @overload
    def __get__(self, word: Word, owner: type[Word]) -> T: ...
    def __get__(self, word: Word | None, owner: type[Word]) -> Self | T:
        return self if word is None else self.read((word & self.mask) >> self.low)

    @property
    def width(self) -> int:
        """How many bits the field has."""
        return self.high - self.low + 1

    @property
    def limit(self) -> int:
        """The largest value that fits."""
        return self.mask >> self.low

    def get(self, raw: int) -> int:
        """The field's bits of `raw`, shifted down, whatever they mean."""
        return (raw & self.mask) >> self.low

    def put(self, value: int) -> int:
        """`value` shifted to the field's place; ValueError if it does not fit."""
        if not 0 <= value <= self.limit:
            raise ValueError(f"{self.name}: {value:#x} does not fit bits {self.high}:{self.low}")
        return value << self.low

    def __repr__(self) -> str:
        place = f"{self.high}" if self.high == self.low else f"{self.high}:{self.low}"
        return f"{self.name}[{place}]"


def flag(bit: int, doc: str, title: str = "") -> Bits[bool]:
    """One bit, read as a bool."""
    return Bits(bit, bit, bool, doc, title)


def field(high: int, low: int, doc: str, title: str = "") -> Bits[int]:
    """A run of bits, read as an int."""
    return Bits(high, low, int, doc, title)


def choice(high: int, low: int, read: Callable[[int], T], doc: str, title: str = "") -> Bits[T]:
    """A run of bits, read as an enum or another word; `read` raises ValueError for an undefined value."""
    return Bits(high, low, read, doc, title)


@dataclass(frozen=True, slots=True)
class Layout:
    """The fields of a word type in order of declaration; `reserved` is the mask of bits that no field names."""

    width: int
    fields: tuple[Bits[object], ...]
    reserved: int

    @property
    def named(self) -> int:
        """The mask of bits that some field names."""
        return ((1 << self.width) - 1) & ~self.reserved

    def at(self, bit: int) -> Bits[object] | None:
        """The field that holds `bit`, or None where it is reserved."""
        return next((f for f in self.fields if f.low <= bit <= f.high), None)

    def __getitem__(self, name: str) -> Bits[object]:
        for f in self.fields:
            if f.name == name:
                return f
        raise KeyError(f"no field {name!r}; the fields are {', '.join(f.name for f in self.fields)}")


class Word(int):
    """An immutable machine word whose bits have names; subclasses declare them and inherit those of their base."""

    layout: ClassVar[Layout] = Layout(0, (), 0)

    def __init_subclass__(cls, *, width: int = 0) -> None:
        width = width or cls.layout.width
        fields = cls.layout.fields + tuple(f for f in vars(cls).values() if isinstance(f, Bits))
        known = 0
        for f in fields:
            if f.high >= width:
                raise TypeError(f"{cls.__name__}.{f.name}: bit {f.high} is outside a {width}-bit word")
            if known & f.mask:
                raise TypeError(f"{cls.__name__}.{f.name}: bits {f.high}:{f.low} overlap another field")
            known |= f.mask
        cls.layout = Layout(width, fields, reserved=((1 << width) - 1) & ~known)

    def __new__(cls, raw: int = 0) -> Self:
        if raw < 0 or raw >> cls.layout.width:
            raise ValueError(f"{cls.__name__}: {raw:#x} does not fit {cls.layout.width} bits")
        return super().__new__(cls, raw)

    @classmethod
    def make(cls, **values: int) -> Self:
        """The word with exactly these fields set."""
        return cls(0).replace(**values)

    def replace(self, **values: int) -> Self:
        """The same word with the named fields changed; ValueError where a value does not fit."""
        raw = int(self)
        for name, value in values.items():
            f = self.layout[name]
            if not 0 <= value <= f.limit:
                raise ValueError(f"{type(self).__name__}.{name}: {value:#x} does not fit bits {f.high}:{f.low}")
            raw = raw & ~f.mask | value << f.low
        return type(self)(raw)

    @property
    def reserved_bits(self) -> int:
        """Those bits of this word that are set and that no field names."""
        return int(self) & self.layout.reserved

    def parts(self) -> Iterator[tuple[Bits[object], int]]:
        """Each field with its raw value, in order of declaration."""
        for f in self.layout.fields:
            yield f, f.get(self)

    def __repr__(self) -> str:
        on = [f.name if f.width == 1 else f"{f.name}={value:#x}" for f, value in self.parts() if value]
        if self.reserved_bits:
            on.append(f"reserved={self.reserved_bits:#x}")
        return f"{type(self).__name__}({int(self):#x}: {' '.join(on) or 'none'})"
