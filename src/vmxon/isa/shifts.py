"""Shifts and rotates: SHL, SHR, SAR, ROL, ROR, RCL, RCR, SHLD, SHRD.

Counts are masked to 5 bits, 6 for 64-bit operands; a count of 0 leaves every flag alone. OF is defined for a count of 1
only; for other counts it follows the same formula.
"""

from __future__ import annotations

from vmxon.isa.operands import Operand
from vmxon.isa.status import set_carry_and_overflow
from vmxon.isa.table import Form, instruction
from vmxon.microcode import IntType, i32, inline, u8, u32, u64
from vmxon.processor.flags import carry, set_flags
from vmxon.processor.state import ProcessorState as Cpu


@inline
def masked_count(operand: Operand, kind: IntType) -> int:
    """The count as u8, modulo 32 or 64."""
    return u8(operand.read()) & (63 if kind.bits == 64 else 31)


@inline
def top_bit(kind: IntType, value: int) -> bool:
    """The most significant bit."""
    return value >> (kind.bits - 1) != 0


@instruction(
    "SHL",
    Form("D0 /4", "r/m8, 1"),
    Form("D2 /4", "r/m8, CL"),
    Form("C0 /4 ib", "r/m8, imm8"),
    Form("D1 /4", "r/m, 1"),
    Form("D3 /4", "r/m, CL"),
    Form("C1 /4 ib", "r/m, imm8"),
    Form("D0 /6", "r/m8, 1"),
    Form("D2 /6", "r/m8, CL"),
    Form("C0 /6 ib", "r/m8, imm8"),
    Form("D1 /6", "r/m, 1"),
    Form("D3 /6", "r/m, CL"),
    Form("C1 /6 ib", "r/m, imm8"),
    writes="of sf zf af pf cf",
    undefined="of af cf",
    modifies=True,
)
def shl(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """destination := destination << count (Vol. 2B “SAL/SAR/SHL/SHR—Shift”)."""
    kind = destination.kind
    left, count = destination.read(), masked_count(source, kind)
    if kind.bits == 64:
        result = left << count
        carried = (left >> (kind.bits - count)) & 1 != 0
    else:
        wide = u64(left) << count
        result = kind(wide)
        carried = (wide >> kind.bits) & 1 != 0
    destination.write(result)
    if count != 0:
        set_flags(cpu, kind, result, carried, carried != top_bit(kind, result), False)


@instruction(
    "SHR",
    Form("D0 /5", "r/m8, 1"),
    Form("D2 /5", "r/m8, CL"),
    Form("C0 /5 ib", "r/m8, imm8"),
    Form("D1 /5", "r/m, 1"),
    Form("D3 /5", "r/m, CL"),
    Form("C1 /5 ib", "r/m, imm8"),
    writes="of sf zf af pf cf",
    undefined="of af cf",
    modifies=True,
)
def shr(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """destination := destination >> count, unsigned (Vol. 2B “SAL/SAR/SHL/SHR—Shift”)."""
    kind = destination.kind
    wide = u64 if kind.bits == 64 else u32
    left, count = wide(destination.read()), masked_count(source, kind)
    result = kind(left >> count)
    destination.write(result)
    if count != 0:
        carried = (left >> (count - 1)) & 1 != 0
        set_flags(cpu, kind, result, carried, top_bit(kind, result ^ (result << 1)), False)


@instruction(
    "SAR",
    Form("D0 /7", "r/m8, 1"),
    Form("D2 /7", "r/m8, CL"),
    Form("C0 /7 ib", "r/m8, imm8"),
    Form("D1 /7", "r/m, 1"),
    Form("D3 /7", "r/m, CL"),
    Form("C1 /7 ib", "r/m, imm8"),
    writes="of sf zf af pf cf",
    undefined="of af",
    modifies=True,
)
def sar(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """destination := destination >> count, signed (Vol. 2B “SAL/SAR/SHL/SHR—Shift”)."""
    kind = destination.kind
    wide = kind.signed if kind.bits == 64 else i32
    left, count = wide(kind.signed(destination.read())), masked_count(source, kind)
    result = kind(left >> count)
    destination.write(result)
    if count != 0:
        set_flags(cpu, kind, result, (left >> (count - 1)) & 1 != 0, False, False)


@instruction(
    "ROL",
    Form("D0 /0", "r/m8, 1"),
    Form("D2 /0", "r/m8, CL"),
    Form("C0 /0 ib", "r/m8, imm8"),
    Form("D1 /0", "r/m, 1"),
    Form("D3 /0", "r/m, CL"),
    Form("C1 /0 ib", "r/m, imm8"),
    writes="of cf",
    undefined="of",
    modifies=True,
)
def rol(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """destination rotated left; only CF and OF change (Vol. 2B “RCL/RCR/ROL/ROR—Rotate”)."""
    kind = destination.kind
    left, count = destination.read(), masked_count(source, kind)
    result = left << count | left >> (kind.bits - count)
    destination.write(result)
    if count != 0:
        carried = result & 1 != 0
        set_carry_and_overflow(cpu, carried, carried != top_bit(kind, result))


@instruction(
    "ROR",
    Form("D0 /1", "r/m8, 1"),
    Form("D2 /1", "r/m8, CL"),
    Form("C0 /1 ib", "r/m8, imm8"),
    Form("D1 /1", "r/m, 1"),
    Form("D3 /1", "r/m, CL"),
    Form("C1 /1 ib", "r/m, imm8"),
    writes="of cf",
    undefined="of",
    modifies=True,
)
def ror(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """destination rotated right; only CF and OF change (Vol. 2B “RCL/RCR/ROL/ROR—Rotate”)."""
    kind = destination.kind
    left, count = destination.read(), masked_count(source, kind)
    result = left >> count | left << (kind.bits - count)
    destination.write(result)
    if count != 0:
        set_carry_and_overflow(cpu, top_bit(kind, result), top_bit(kind, result ^ (result << 1)))


@instruction(
    "RCL",
    Form("D0 /2", "r/m8, 1"),
    Form("D2 /2", "r/m8, CL"),
    Form("C0 /2 ib", "r/m8, imm8"),
    Form("D1 /2", "r/m, 1"),
    Form("D3 /2", "r/m, CL"),
    Form("C1 /2 ib", "r/m, imm8"),
    writes="of cf",
    undefined="of",
    modifies=True,
)
def rcl(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """CF:destination rotated left by one bit more than the operand has (Vol. 2B “RCL/RCR/ROL/ROR—Rotate”)."""
    kind = destination.kind
    left, count = destination.read(), rotation(masked_count(source, kind), kind)
    if kind.bits == 64:
        # Each half of the rotation is done in two steps, since a shift by 64 would be one by 0.
        turned = left << count | u64(carry(cpu)) << (count - 1) | (left >> 1) >> (kind.bits - count)
        result = turned if count != 0 else left
        carried = (left >> (kind.bits - count)) & 1 != 0
    else:
        ring = u64(carry(cpu)) << kind.bits | u64(left)
        turned = ring << count | ring >> (kind.bits + 1 - count)
        result = kind(turned)
        carried = (turned >> kind.bits) & 1 != 0
    destination.write(result)
    if count != 0:
        set_carry_and_overflow(cpu, carried, carried != top_bit(kind, result))


@instruction(
    "RCR",
    Form("D0 /3", "r/m8, 1"),
    Form("D2 /3", "r/m8, CL"),
    Form("C0 /3 ib", "r/m8, imm8"),
    Form("D1 /3", "r/m, 1"),
    Form("D3 /3", "r/m, CL"),
    Form("C1 /3 ib", "r/m, imm8"),
    writes="of cf",
    undefined="of",
    modifies=True,
)
def rcr(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """CF:destination rotated right (Vol. 2B “RCL/RCR/ROL/ROR—Rotate”)."""
    kind = destination.kind
    left, count = destination.read(), rotation(masked_count(source, kind), kind)
    if kind.bits == 64:
        turned = left >> count | u64(carry(cpu)) << (kind.bits - count) | (left << 1) << (kind.bits - count)
        result = turned if count != 0 else left
        carried = (left >> (count - 1)) & 1 != 0
    else:
        ring = u64(carry(cpu)) << kind.bits | u64(left)
        turned = ring >> count | ring << (kind.bits + 1 - count)
        result = kind(turned)
        carried = (turned >> kind.bits) & 1 != 0
    destination.write(result)
    if count != 0:
        set_carry_and_overflow(cpu, carried, top_bit(kind, result ^ (result << 1)))


@inline
def rotation(count: int, kind: IntType) -> int:
    """A masked count modulo the width of CF:operand (9, 17, 33 or 65 bits)."""
    if kind.bits < 32:
        return count % (kind.bits + 1)
    return count


@instruction(
    "SHLD",
    Form("0F A4 /r ib", "r/m, r, imm8"),
    Form("0F A5 /r", "r/m, r, CL"),
    writes="of sf zf af pf cf",
    undefined="of af",
    modifies=True,
)
def shld(cpu: Cpu, destination: Operand, filler: Operand, source: Operand) -> None:
    """destination shifted left, filled from the top of `filler` (Vol. 2B “SHLD—Double Precision Shift Left”).

    A 16-bit operand shifted by more than 16 goes on with the destination's own bits; the manual leaves that undefined.
    """
    kind = destination.kind
    left, right, count = destination.read(), filler.read(), masked_count(source, kind)
    if kind.bits == 64:
        result = left << count | (right >> 1) >> (63 - count)
        carried = (left >> (kind.bits - count)) & 1 != 0
    elif kind.bits == 32:
        result = u32(((u64(left) << 32 | u64(right)) << count) >> 32)
        carried = (left >> (kind.bits - count)) & 1 != 0
    else:
        ring = (u64(left) << 32 | u64(right) << 16 | u64(left)) << count
        result = kind(ring >> 32)
        carried = (ring >> 48) & 1 != 0
    destination.write(result)
    if count != 0:
        set_flags(cpu, kind, result, carried, top_bit(kind, left ^ result), False)


@instruction(
    "SHRD",
    Form("0F AC /r ib", "r/m, r, imm8"),
    Form("0F AD /r", "r/m, r, CL"),
    writes="of sf zf af pf cf",
    undefined="of af",
    modifies=True,
)
def shrd(cpu: Cpu, destination: Operand, filler: Operand, source: Operand) -> None:
    """destination shifted right, filled from the bottom of `filler` (Vol. 2B “SHRD—Double Precision Shift Right”)."""
    kind = destination.kind
    left, right, count = destination.read(), filler.read(), masked_count(source, kind)
    if kind.bits == 64:
        result = left >> count | (right << 1) << (63 - count)
        carried = (left >> (count - 1)) & 1 != 0
    else:
        ring = u64(right) << kind.bits | u64(left)
        if kind.bits == 16:
            ring = ring | u64(left) << 32
        result = kind(ring >> count)
        carried = (ring >> (count - 1)) & 1 != 0
    destination.write(result)
    if count != 0:
        set_flags(cpu, kind, result, carried, top_bit(kind, left ^ result), False)
