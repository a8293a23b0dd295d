"""The integer types of microcode: every runtime value has a width and a signedness."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias


@dataclass(frozen=True, slots=False)
class IntType:
    """An integer of `bits` bits; calling it converts: truncates, or extends by the signedness of the argument."""

    bits: int
    is_signed: bool

    @property
    def name(self) -> str:
        """`u64`, `i8`, …; one bit unsigned is `bool`."""
        return "bool" if self.bits == 1 else f"{'i' if self.is_signed else 'u'}{self.bits}"

    @cached_property
    def mask(self) -> int:
        """All ones of this width."""
        return (1 << self.bits) - 1

    @property
    def bytes(self) -> int:
        """The size in memory."""
        return max(1, self.bits // 8)

    @property
    def signed(self) -> IntType:
        """The signed type of the same width."""
        return _by_shape(self.bits, True)

    @property
    def unsigned(self) -> IntType:
        """The unsigned type of the same width."""
        return _by_shape(self.bits, False)

    @property
    def double(self) -> IntType:
        """The type twice as wide, of the same signedness."""
        return _by_shape(self.bits * 2, self.is_signed)

    def wrap(self, number: int) -> int:
        """`number` reduced to the range of the type."""
        number &= self.mask
        if self.is_signed and number >> (self.bits - 1):
            number -= 1 << self.bits
        return number

    def __call__(self, number: int) -> int:
        return self.wrap(int(number))

    def __repr__(self) -> str:
        return self.name


def _by_shape(bits: int, signed: bool) -> IntType:
    return TYPES[("i" if signed else "u") + str(bits)]


TYPES = {
    ("i" if signed else "u") + str(bits): IntType(bits, signed)
    for bits in (8, 16, 32, 64, 128, 256)
    for signed in (False, True)
}
BOOL = IntType(1, False)


def unsigned(bits: int) -> IntType:
    """The unsigned type of `bits` bits."""
    return TYPES[f"u{bits}"]


if TYPE_CHECKING:
    u8: TypeAlias = int
    u16: TypeAlias = int
    u32: TypeAlias = int
    u64: TypeAlias = int
    u128: TypeAlias = int
    i8: TypeAlias = int
    i16: TypeAlias = int
    i32: TypeAlias = int
    i64: TypeAlias = int
    i128: TypeAlias = int
else:
    u8, u16, u32, u64, u128 = (TYPES[f"u{n}"] for n in (8, 16, 32, 64, 128))
    i8, i16, i32, i64, i128 = (TYPES[f"i{n}"] for n in (8, 16, 32, 64, 128))
