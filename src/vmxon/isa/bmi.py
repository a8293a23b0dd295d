"""BMI1 and BMI2: ANDN, BLSI, BLSR, BLSMSK, BEXTR, BZHI, PDEP, PEXT, MULX, RORX, SARX, SHLX, SHRX."""

from __future__ import annotations

from vmxon.isa.operands import Operand
from vmxon.isa.registers import RDX, read_register
from vmxon.isa.table import Form, instruction
from vmxon.microcode import IntType, inline, microcode, select, u8, u64
from vmxon.processor.flags import set_flags, set_flags_logic
from vmxon.processor.state import ProcessorState as Cpu


@instruction(
    "ANDN",
    Form("VEX.LZ.NP.0F38 F2 /r", "r32/64, r32/64v, r/m32/64"),
    writes="of sf zf af pf cf",
    undefined="af pf",
    feature="bmi1",
)
def andn(cpu: Cpu, destination: Operand, first: Operand, second: Operand) -> None:
    """destination := ~first & second (Vol. 2A “ANDN”)."""
    result = ~first.read() & second.read()
    destination.write(result)
    set_flags_logic(cpu, destination.kind, result)


@instruction(
    "BLSI",
    Form("VEX.LZ.NP.0F38 F3 /3", "r32/64v, r/m32/64"),
    writes="of sf zf af pf cf",
    undefined="af pf",
    feature="bmi1",
)
def blsi(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """destination := the lowest set bit alone; CF where there is one (Vol. 2A “BLSI”)."""
    value = source.read()
    result = value & (0 - value)
    destination.write(result)
    set_flags(cpu, source.kind, result, value != 0, False, False)


@instruction(
    "BLSR",
    Form("VEX.LZ.NP.0F38 F3 /1", "r32/64v, r/m32/64"),
    writes="of sf zf af pf cf",
    undefined="af pf",
    feature="bmi1",
)
def blsr(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """destination := source without its lowest set bit; CF where it has none (Vol. 2A “BLSR”)."""
    value = source.read()
    result = value & (value - 1)
    destination.write(result)
    set_flags(cpu, source.kind, result, value == 0, False, False)


@instruction(
    "BLSMSK",
    Form("VEX.LZ.NP.0F38 F3 /2", "r32/64v, r/m32/64"),
    writes="of sf zf af pf cf",
    undefined="af pf",
    feature="bmi1",
)
def blsmsk(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """destination := ones up to the lowest set bit; CF where there is none (Vol. 2A “BLSMSK”)."""
    value = source.read()
    result = value ^ (value - 1)
    destination.write(result)
    set_flags(cpu, source.kind, result, value == 0, False, False)


@instruction(
    "BEXTR",
    Form("VEX.LZ.NP.0F38 F7 /r", "r32/64, r/m32/64, r32/64v"),
    writes="of sf zf af pf cf",
    undefined="af sf pf",
    feature="bmi1",
)
def bextr(cpu: Cpu, destination: Operand, source: Operand, control: Operand) -> None:
    """destination := the field of source from bit control 7:0, control 15:8 bits long (Vol. 2A “BEXTR”)."""
    kind = source.kind
    value, field = source.read(), control.read()
    start, length = u8(field), u8(field >> 8)
    result = low_bits(kind, select(start < kind.bits, value >> start, kind(0)), length)
    destination.write(result)
    set_flags_logic(cpu, kind, result)


@instruction(
    "BZHI",
    Form("VEX.LZ.NP.0F38 F5 /r", "r32/64, r/m32/64, r32/64v"),
    writes="of sf zf af pf cf",
    undefined="af pf",
    feature="bmi2",
)
def bzhi(cpu: Cpu, destination: Operand, source: Operand, index: Operand) -> None:
    """destination := the low `index` bits of source; CF where the index is beyond them (Vol. 2A “BZHI”)."""
    kind = source.kind
    length = u8(index.read())
    result = low_bits(kind, source.read(), length)
    destination.write(result)
    set_flags(cpu, kind, result, length >= kind.bits, False, False)


@inline
def low_bits(kind: IntType, value: int, length: int) -> int:
    """The low `length` bits (u8) of value; all where it has no more."""
    return select(length < kind.bits, value & ~(kind(kind.mask) << length), value)


@instruction("PDEP", Form("VEX.LZ.F2.0F38 F5 /r", "r32/64, r32/64v, r/m32/64"), feature="bmi2")
def pdep(cpu: Cpu, destination: Operand, source: Operand, mask: Operand) -> None:
    """destination := the low bits of source, laid out on the ones of mask (Vol. 2B “PDEP—Parallel Bits Deposit”)."""
    destination.write(destination.kind(deposit(u64(source.read()), u64(mask.read()))))


@instruction("PEXT", Form("VEX.LZ.F3.0F38 F5 /r", "r32/64, r32/64v, r/m32/64"), feature="bmi2")
def pext(cpu: Cpu, destination: Operand, source: Operand, mask: Operand) -> None:
    """destination := the bits of source under mask, packed at the bottom (Vol. 2B “PEXT—Parallel Bits Extract”)."""
    destination.write(destination.kind(extract(u64(source.read()), u64(mask.read()))))


@microcode
def deposit(source: u64, mask: u64) -> u64:
    """PDEP: one round for each one of the mask, lowest first."""
    result, left, rest = u64(0), mask, source
    while left != 0:
        if rest & 1 != 0:
            result = result | (left & (0 - left))
        rest = rest >> 1
        left = left & (left - 1)
    return result


@microcode
def extract(source: u64, mask: u64) -> u64:
    """PEXT: one round for each one of the mask, lowest first."""
    result, left, place = u64(0), mask, u64(1)
    while left != 0:
        if source & (left & (0 - left)) != 0:
            result = result | place
        place = place << 1
        left = left & (left - 1)
    return result


@instruction("MULX", Form("VEX.LZ.F2.0F38 F6 /r", "r32/64, r32/64v, r/m32/64"), feature="bmi2")
def mulx(cpu: Cpu, high: Operand, low: Operand, source: Operand) -> None:
    """high:low := rDX * source, unsigned, no flags (Vol. 2B “MULX”)."""
    kind = source.kind
    product = kind.double(read_register(cpu, RDX, kind)) * kind.double(source.read())
    # In this order one register named twice keeps the high half.
    low.write(kind(product))
    high.write(kind(product >> kind.bits))


@instruction("RORX", Form("VEX.LZ.F2.0F3A F0 /r ib", "r32/64, r/m32/64, imm8"), feature="bmi2")
def rorx(cpu: Cpu, destination: Operand, source: Operand, count: Operand) -> None:
    """destination := source rotated right, no flags (Vol. 2B “RORX”)."""
    value, turns = source.read(), u8(count.read())
    destination.write(value >> turns | value << (0 - turns))


@instruction("SARX", Form("VEX.LZ.F3.0F38 F7 /r", "r32/64, r/m32/64, r32/64v"), feature="bmi2")
def sarx(cpu: Cpu, destination: Operand, source: Operand, count: Operand) -> None:
    """destination := source >> count, signed, no flags (Vol. 2B “SARX/SHLX/SHRX”)."""
    kind = source.kind
    destination.write(kind(kind.signed(source.read()) >> u8(count.read())))


@instruction("SHLX", Form("VEX.LZ.66.0F38 F7 /r", "r32/64, r/m32/64, r32/64v"), feature="bmi2")
def shlx(cpu: Cpu, destination: Operand, source: Operand, count: Operand) -> None:
    """destination := source << count, no flags (Vol. 2B “SARX/SHLX/SHRX”)."""
    destination.write(source.read() << u8(count.read()))


@instruction("SHRX", Form("VEX.LZ.F2.0F38 F7 /r", "r32/64, r/m32/64, r32/64v"), feature="bmi2")
def shrx(cpu: Cpu, destination: Operand, source: Operand, count: Operand) -> None:
    """destination := source >> count, unsigned, no flags (Vol. 2B “SARX/SHLX/SHRX”)."""
    destination.write(source.read() >> u8(count.read()))
