"""Operands: what an instruction's meaning receives for each operand of its form; they exist at compile time only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from vmxon.isa.form import Form
from vmxon.isa.record import Record
from vmxon.microcode import IntType, inline, load, staged, store, u8, u16, u64, unsigned
from vmxon.microcode.types import TYPES
from vmxon.microcode.values import StateRef, Value
from vmxon.processor.exceptions import general_protection
from vmxon.processor.memory import fast_segment_linear, modifiable, readable, writable
from vmxon.processor.mmx import enter_mmx
from vmxon.processor.state import ProcessorState as Cpu

if TYPE_CHECKING:
    from vmxon.microcode.translator import Translator

U128 = TYPES["u128"]


@dataclass(frozen=True, slots=True)
class FormVariant:
    """Which handler of a form is being made: static facts for meanings that ask."""

    form: Form
    operand_bits: int
    memory: str
    """'' no memory operand, 'b' base and displacement in 64-bit mode, 'x' with index, 's' segmented."""

    @property
    def long(self) -> bool:
        """The flat variant of 64-bit mode."""
        return self.memory in ("b", "x")

    @property
    def kind(self) -> IntType:
        """The unsigned type of the operand size."""
        return unsigned(self.operand_bits)


@staged
def read_register(t: Translator, cpu: StateRef, kind: IntType, offset: Value) -> Value:
    """A register at a byte offset of the state."""
    wide = t.expressions.convert(offset, cast(IntType, u64))
    return t.emitter.load_field(cpu.base, 0, wide, kind, True)


@staged
def write_register(t: Translator, cpu: StateRef, offset: Value, value: Value) -> None:
    """Write a register at a byte offset of the state; 32-bit values clear the upper half (Vol. 1 §3.4.1.1)."""
    wide = t.expressions.convert(offset, cast(IntType, u64))
    if value.kind.bits == 32:
        value = t.expressions.convert(value, cast(IntType, u64))
    t.emitter.store_field(cpu.base, 0, wide, value, True)


class Operand:
    """The common face; `kind` is the integer type of the operand."""

    kind: IntType
    is_memory = False

    def __init__(self, cpu: object, record: object) -> None:
        self.cpu = cast(Cpu, cpu)
        self.record = cast(Record, record)

    def read(self) -> int:
        """The value, of type `kind`."""
        raise TypeError(f"{type(self).__name__} cannot be read")

    def write(self, value: int) -> None:
        """Replace the value."""
        raise TypeError(f"{type(self).__name__} cannot be written")

    def number(self) -> int:
        """The register number, as u8 (the byte offset in the state for a general-purpose register)."""
        raise TypeError(f"{type(self).__name__} has no number")

    def address(self) -> int:
        """Effective address of a memory operand."""
        raise TypeError(f"{type(self).__name__} has no address")

    def linear(self, size: int, write: bool = False) -> int:
        """Linear address of a memory operand, segment checks done for `size` bytes."""
        raise TypeError(f"{type(self).__name__} has no address")


class RegisterOperand(Operand):
    """A general-purpose register named by a field of the record."""

    def __init__(self, cpu: object, record: object, kind: IntType, field: str) -> None:
        super().__init__(cpu, record)
        self.kind, self.field = kind, field

    @inline
    def number(self) -> int:
        """Byte offset of the register in the state, as u8."""
        if self.field == "destination":
            return self.record.destination
        if self.field == "source":
            return self.record.source
        return self.record.third

    @inline
    def read(self) -> int:
        return read_register(self.cpu, self.kind, self.number())

    @inline
    def write(self, value: int) -> None:
        write_register(self.cpu, self.number(), value)


class FixedRegister(Operand):
    """A register that the opcode implies, by byte offset."""

    def __init__(self, cpu: object, record: object, kind: IntType, offset: int) -> None:
        super().__init__(cpu, record)
        self.kind, self.offset = kind, offset

    @inline
    def read(self) -> int:
        return read_register(self.cpu, self.kind, u64(self.offset))

    @inline
    def write(self, value: int) -> None:
        write_register(self.cpu, u64(self.offset), value)


class ImmediateOperand(Operand):
    """An immediate, sign-extended to the operand size."""

    def __init__(self, cpu: object, record: object, kind: IntType) -> None:
        super().__init__(cpu, record)
        self.kind = kind

    @inline
    def read(self) -> int:
        return self.kind(self.record.immediate)


class SecondImmediate(Operand):
    """The byte behind the word of ENTER."""

    def __init__(self, cpu: object, record: object, kind: IntType) -> None:
        super().__init__(cpu, record)
        self.kind = kind

    @inline
    def read(self) -> int:
        return self.kind(self.record.displacement)


class TargetOperand(Operand):
    """The target of a relative branch, absolute; or a far pointer, whose selector `selector()` gives."""

    def __init__(self, cpu: object, record: object, kind: IntType, far: bool) -> None:
        super().__init__(cpu, record)
        self.kind, self.far = kind, far

    @inline
    def read(self) -> int:
        if self.far:
            return self.kind(self.record.immediate)
        return self.kind(self.record.displacement)

    @inline
    def selector(self) -> int:
        """The selector of a far pointer, as u16."""
        return u16(self.record.displacement)


class ConstantOperand(Operand):
    """The 1 of the shift-by-one forms."""

    def __init__(self, cpu: object, record: object, kind: IntType, number: int) -> None:
        super().__init__(cpu, record)
        self.kind, self.constant = kind, number

    @inline
    def number(self) -> int:
        """The number, as u8: ST names the register 0."""
        return u8(self.constant)

    @inline
    def read(self) -> int:
        return self.kind(self.constant)


class NumberOperand(Operand):
    """A register by number (Sreg, CR, DR, ST(i)); `number()` gives it as u8."""

    kind = cast(IntType, u8)

    def __init__(self, cpu: object, record: object, field: str) -> None:
        super().__init__(cpu, record)
        self.field = field

    @inline
    def number(self) -> int:
        """The register number, as u8."""
        if self.field == "destination":
            return self.record.destination
        return self.record.source

    @inline
    def read(self) -> int:
        return self.number()


class MemoryOperand(Operand):
    """A memory operand; how its address is made depends on the variant."""

    is_memory = True

    def __init__(self, cpu: object, record: object, kind: IntType, variant: str, modifies: bool, aligned: bool) -> None:
        super().__init__(cpu, record)
        self.kind, self.variant, self.modifies, self.aligned = kind, variant, modifies, aligned
        self.pointer: int | None = None

    @inline
    def address(self) -> int:
        value = read_register(self.cpu, u64, self.record.base)
        if self.variant != "b":
            value = value + (read_register(self.cpu, u64, self.record.index) << self.record.scale)
        value = value + self.record.displacement
        if self.variant == "s":
            return value & (u64(0xFFFFFFFFFFFFFFFF) >> self.record.address_shift)
        return value

    @inline
    def linear_of(self, address: int, size: int, write: bool = False) -> int:
        """Linear address of an effective address in this operand's segment."""
        if self.variant == "s":
            return fast_segment_linear(self.cpu, self.record.segment, address, size, write)
        return address

    @inline
    def linear(self, size: int, write: bool = False) -> int:
        return self.linear_of(self.address(), size, write)

    @inline
    def read(self) -> int:
        linear = self.linear(self.kind.bytes, self.modifies)
        if self.aligned:
            check_alignment(self.cpu, linear, 16)
        if self.modifies:
            self.pointer = modifiable(self.cpu, linear, self.kind.bytes, self.record.segment)
            return load(self.kind, self.pointer)
        return load(self.kind, readable(self.cpu, linear, self.kind.bytes, self.record.segment))

    @inline
    def write(self, value: int) -> None:
        if self.pointer is None:
            linear = self.linear(self.kind.bytes, True)
            if self.aligned:
                check_alignment(self.cpu, linear, 16)
            store(self.kind, writable(self.cpu, linear, self.kind.bytes, self.record.segment), value)
        else:
            store(self.kind, self.pointer, value)

    # A memory form of an XMM operand reads as the register does.
    @inline
    def read_low(self) -> int:
        """Bits 63:0 (or the whole of a narrower operand), as u64."""
        return u64(self.read())

    @inline
    def read_halves(self) -> tuple[int, int]:
        """Both 64-bit halves of a 16-byte operand."""
        linear = self.linear(16, self.modifies)
        if self.aligned:
            check_alignment(self.cpu, linear, 16)
        pointer = readable(self.cpu, linear, 16, self.record.segment)
        return load(u64, pointer), load(u64, pointer + 8)

    @inline
    def write_halves(self, low: int, high: int) -> None:
        """Write 16 bytes."""
        linear = self.linear(16, True)
        if self.aligned:
            check_alignment(self.cpu, linear, 16)
        pointer = writable(self.cpu, linear, 16, self.record.segment)
        store(u64, pointer, low)
        store(u64, pointer + 8, high)

    @inline
    def write_low(self, value: int) -> None:
        """Write the operand's own width from a u64."""
        self.write(self.kind(value))


@inline
def check_alignment(cpu: Cpu, linear: int, size: int) -> None:
    """#GP(0) unless the address is a multiple of `size` (Vol. 1 §4.1.1 “Alignment of Words, …”)."""
    if linear & (size - 1) != 0:
        general_protection(cpu, 0)


class XmmOperand(Operand):
    """An XMM register; scalar forms use its low part."""

    def __init__(self, cpu: object, record: object, kind: IntType, field: str) -> None:
        super().__init__(cpu, record)
        self.kind, self.field = kind, field

    @inline
    def number(self) -> int:
        """The register number, as u8."""
        if self.field == "destination":
            return self.record.destination
        return self.record.source

    @inline
    def read_low(self) -> int:
        """Bits 63:0, as u64."""
        return self.cpu.xmm[u64(self.number()) * 2]

    @inline
    def read_high(self) -> int:
        """Bits 127:64, as u64."""
        return self.cpu.xmm[u64(self.number()) * 2 + 1]

    @inline
    def read_halves(self) -> tuple[int, int]:
        """Both halves."""
        return self.read_low(), self.read_high()

    @inline
    def read(self) -> int:
        return self.kind(self.read_low())

    @inline
    def write_halves(self, low: int, high: int) -> None:
        """Replace the whole register."""
        self.cpu.xmm[u64(self.number()) * 2] = low
        self.cpu.xmm[u64(self.number()) * 2 + 1] = high

    @inline
    def write_low(self, value: int) -> None:
        """Replace bits 63:0."""
        self.cpu.xmm[u64(self.number()) * 2] = value

    @inline
    def write_high(self, value: int) -> None:
        """Replace bits 127:64."""
        self.cpu.xmm[u64(self.number()) * 2 + 1] = value


class MmxOperand(Operand):
    """An MMX register: the significand of the x87 register of its number."""

    kind = cast(IntType, u64)

    def __init__(self, cpu: object, record: object, field: str) -> None:
        super().__init__(cpu, record)
        self.field = field

    @inline
    def number(self) -> int:
        """The register number, as u8; REX has no part in it."""
        if self.field == "destination":
            return self.record.destination & 7
        return self.record.source & 7

    @inline
    def read_low(self) -> int:
        """All 64 bits, as u64."""
        return self.cpu.x87_significand[u64(self.number())]

    @inline
    def read(self) -> int:
        return self.read_low()

    def read_halves(self) -> tuple[int, int]:
        """There are none."""
        raise TypeError("an MMX register has no halves")

    @inline
    def write_low(self, value: int) -> None:
        """Replace the register, which makes a NaN of what the x87 sees there (Vol. 3A §13.2 “The MMX State …”)."""
        enter_mmx(self.cpu)
        self.cpu.x87_significand[u64(self.number())] = value
        self.cpu.x87_exponent[u64(self.number())] = u16(0xFFFF)


FIXED: dict[str, tuple[int | None, int]] = {
    "AL": (8, 0), "AX": (16, 0), "EAX": (32, 0), "RAX": (64, 0), "rAX": (None, 0), "CL": (8, 8), "DX": (16, 16),
}  # fmt: skip
