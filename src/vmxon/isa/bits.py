"""Single bits, bit counts and byte order: BT, BTS, BTR, BTC, BSF, BSR, TZCNT, LZCNT, POPCNT, BSWAP, MOVBE, CRC32."""

from __future__ import annotations

from vmxon.isa.displaced import DisplacedOperand
from vmxon.isa.operands import Operand
from vmxon.isa.status import set_carry
from vmxon.isa.table import Form, instruction
from vmxon.microcode import byte_swap, inline, leading_zeros, microcode, popcount, trailing_zeros, u8, u32, u64
from vmxon.processor.flags import ZERO, set_flags, set_flags_logic, write_status
from vmxon.processor.state import ProcessorState as Cpu


@inline
def addressed(base: Operand, offset: Operand) -> Operand:
    """The word that holds the bit: a register offset reaches up to 2**63 bits around a memory operand."""
    if not base.is_memory or offset.kind.bits == 8:
        return base
    bits = base.kind.bits
    word = offset.kind.signed(offset.read()) >> (bits.bit_length() - 1)
    return DisplacedOperand(base, u64(word) * (bits // 8))


@instruction("BT", Form("0F A3 /r", "r/m, r"), Form("0F BA /4 ib", "r/m, imm8"), writes="cf", undefined="of sf af pf")
def bt(cpu: Cpu, base: Operand, offset: Operand) -> None:
    """CF := the bit of `base` at `offset` (Vol. 2A “BT—Bit Test”)."""
    value = addressed(base, offset).read()
    set_carry(cpu, (value >> offset.read()) & 1 != 0)


@instruction(
    "BTS",
    Form("0F AB /r", "r/m, r"),
    Form("0F BA /5 ib", "r/m, imm8"),
    writes="cf",
    undefined="of sf af pf",
    modifies=True,
    lockable=True,
)
def bts(cpu: Cpu, base: Operand, offset: Operand) -> None:
    """CF := the bit, and the bit := 1 (Vol. 2A “BTS—Bit Test and Set”)."""
    word, count = addressed(base, offset), offset.read()
    value = word.read()
    word.write(value | word.kind(1) << count)
    set_carry(cpu, (value >> count) & 1 != 0)


@instruction(
    "BTR",
    Form("0F B3 /r", "r/m, r"),
    Form("0F BA /6 ib", "r/m, imm8"),
    writes="cf",
    undefined="of sf af pf",
    modifies=True,
    lockable=True,
)
def btr(cpu: Cpu, base: Operand, offset: Operand) -> None:
    """CF := the bit, and the bit := 0 (Vol. 2A “BTR—Bit Test and Reset”)."""
    word, count = addressed(base, offset), offset.read()
    value = word.read()
    word.write(value & ~(word.kind(1) << count))
    set_carry(cpu, (value >> count) & 1 != 0)


@instruction(
    "BTC",
    Form("0F BB /r", "r/m, r"),
    Form("0F BA /7 ib", "r/m, imm8"),
    writes="cf",
    undefined="of sf af pf",
    modifies=True,
    lockable=True,
)
def btc(cpu: Cpu, base: Operand, offset: Operand) -> None:
    """CF := the bit, and the bit := its complement (Vol. 2A “BTC—Bit Test and Complement”)."""
    word, count = addressed(base, offset), offset.read()
    value = word.read()
    word.write(value ^ word.kind(1) << count)
    set_carry(cpu, (value >> count) & 1 != 0)


@instruction("BSF", Form("0F BC /r", "r, r/m"), writes="of sf zf af pf cf", undefined="of sf af pf cf")
def bsf(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """destination := the lowest one's number; ZF and no write where there is none (Vol. 2A “BSF—Bit Scan Forward”)."""
    value = source.read()
    if value != 0:
        destination.write(trailing_zeros(value))
    set_flags_logic(cpu, source.kind, value)


@instruction("BSR", Form("0F BD /r", "r, r/m"), writes="of sf zf af pf cf", undefined="of sf af pf cf")
def bsr(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """destination := the highest one's number; ZF and no write where there is none (Vol. 2A “BSR—Bit Scan Reverse”)."""
    value = source.read()
    if value != 0:
        destination.write(leading_zeros(value) ^ (source.kind.bits - 1))
    set_flags_logic(cpu, source.kind, value)


@instruction("TZCNT", Form("F3 0F BC /r", "r, r/m"), writes="of sf zf af pf cf", undefined="of sf af pf", feature="bmi1")
def tzcnt(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """destination := number of trailing zeros, the operand size for 0 (Vol. 2D “TZCNT”)."""
    value = source.read()
    count = trailing_zeros(value)
    destination.write(count)
    set_flags(cpu, source.kind, count, value == 0, False, False)


@instruction("LZCNT", Form("F3 0F BD /r", "r, r/m"), writes="of sf zf af pf cf", undefined="of sf af pf", feature="lzcnt")
def lzcnt(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """destination := number of leading zeros, the operand size for 0 (Vol. 2A “LZCNT”)."""
    value = source.read()
    count = leading_zeros(value)
    destination.write(count)
    set_flags(cpu, source.kind, count, value == 0, False, False)


@instruction("POPCNT", Form("F3 0F B8 /r", "r, r/m"), writes="of sf zf af pf cf", feature="popcnt")
def popcnt(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """destination := number of ones; ZF for none, the other flags 0 (Vol. 2B “POPCNT”)."""
    value = source.read()
    destination.write(popcount(value))
    write_status(cpu, u64(ZERO) if value == 0 else u64(0))


@instruction("BSWAP", Form("0F C8 +r", "r"))
def bswap(cpu: Cpu, destination: Operand) -> None:
    """Reverse the bytes (Vol. 2A “BSWAP—Byte Swap”); for 16 bits undefined, and cleared as on real processors."""
    if destination.kind.bits == 16:
        destination.write(destination.kind(0))
    else:
        destination.write(byte_swap(destination.read()))


@instruction("MOVBE", Form("NFx 0F 38 F0 /r", "r, m"), Form("NFx 0F 38 F1 /r", "m, r"), feature="movbe")
def movbe(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """destination := source with its bytes reversed (Vol. 2B “MOVBE”)."""
    destination.write(byte_swap(source.read()))


@instruction("CRC32", Form("F2 0F 38 F0 /r", "r32, r/m8"), Form("F2 0F 38 F1 /r", "r32, r/m"), feature="sse4_2")
def crc32(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """destination := its low half carried on over the source; the upper half is cleared (Vol. 2A “CRC32”)."""
    destination.write(crc32c(destination.read(), u64(source.read()), source.kind.bytes))


@microcode
def crc32c(seed: u32, data: u64, count: int) -> u32:
    """The CRC of polynomial 11EDC6F41H, bit-reflected, over `count` bytes of data from the lowest."""
    state = u64(seed) ^ data
    if count < 8:
        state = u64(seed) ^ (data & ((1 << count * 8) - 1))
    index = u8(0)
    while index < count * 8:
        state = (state >> 1) ^ ((0 - (state & 1)) & 0x82F63B78)
        index = index + 1
    return u32(state)
