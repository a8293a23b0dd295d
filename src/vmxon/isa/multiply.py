"""Multiplication and division: MUL, IMUL, DIV, IDIV."""

from __future__ import annotations

from vmxon.isa.arithmetic import sign_extended
from vmxon.isa.operands import Operand
from vmxon.isa.registers import RAX, RDX, read_ah, read_register, write_register
from vmxon.isa.table import Form, instruction
from vmxon.microcode import IntType, inline, leading_zeros, microcode, u8, u16, u64, unsigned
from vmxon.processor.exceptions import divide_error
from vmxon.processor.flags import set_flags
from vmxon.processor.state import ProcessorState as Cpu


@instruction("MUL", Form("F6 /4", "r/m8"), Form("F7 /4", "r/m"), writes="of sf zf af pf cf", undefined="sf zf af pf")
def mul(cpu: Cpu, source: Operand) -> None:
    """rDX:rAX or AX := rAX * source, unsigned; CF = OF = high half counts (Vol. 2B “MUL—Unsigned Multiply”)."""
    kind = source.kind
    product = kind.double(read_register(cpu, RAX, kind)) * kind.double(source.read())
    write_product(cpu, kind, product)
    large = product >> kind.bits != 0
    set_flags(cpu, kind, kind(product), large, large, False)


@instruction("IMUL", Form("F6 /5", "r/m8"), Form("F7 /5", "r/m"), writes="of sf zf af pf cf", undefined="sf zf af pf")
def imul(cpu: Cpu, source: Operand) -> None:
    """rDX:rAX or AX := rAX * source, signed; CF = OF = high half counts (Vol. 2A “IMUL—Signed Multiply”)."""
    kind = source.kind
    write_product(cpu, kind, signed_product(cpu, kind, read_register(cpu, RAX, kind), source.read()))


@instruction("IMUL r", Form("0F AF /r", "r, r/m"), writes="of sf zf af pf cf", undefined="sf zf af pf")
def imul_two(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """destination := destination * source (Vol. 2A “IMUL—Signed Multiply”)."""
    kind = destination.kind
    destination.write(kind(signed_product(cpu, kind, destination.read(), source.read())))


@instruction(
    "IMUL imm",
    Form("69 /r iz", "r, r/m, imm"),
    Form("6B /r ib", "r, r/m, imm8"),
    writes="of sf zf af pf cf",
    undefined="sf zf af pf",
)
def imul_three(cpu: Cpu, destination: Operand, source: Operand, factor: Operand) -> None:
    """destination := source * immediate (Vol. 2A “IMUL—Signed Multiply”)."""
    kind = destination.kind
    destination.write(kind(signed_product(cpu, kind, source.read(), sign_extended(factor, kind))))


@inline
def signed_product(cpu: Cpu, kind: IntType, left: int, right: int) -> int:
    """The double-width product; CF and OF are set where it is not the sign extension of its low half."""
    wide = kind.double.signed
    product = wide(kind.signed(left)) * wide(kind.signed(right))
    large = wide(kind.signed(product)) != product
    set_flags(cpu, kind, kind(product), large, large, False)
    return kind.double(product)


@inline
def write_product(cpu: Cpu, kind: IntType, product: int) -> None:
    """Into AX, or rDX:rAX."""
    if kind.bits == 8:
        write_register(cpu, RAX, unsigned(16), product)
    else:
        write_register(cpu, RAX, kind, kind(product))
        write_register(cpu, RDX, kind, kind(product >> kind.bits))


@instruction("DIV", Form("F6 /6", "r/m8"), Form("F7 /6", "r/m"), writes="of sf zf af pf cf", undefined="of sf zf af pf cf")
def div(cpu: Cpu, source: Operand) -> None:
    """rAX, rDX := quotient and remainder of rDX:rAX / source; #DE (Vol. 2A “DIV—Unsigned Divide”)."""
    kind = source.kind
    high, low = read_dividend(cpu, kind)
    quotient, remainder = divide(cpu, kind, high, low, source.read())
    write_quotient(cpu, kind, quotient, remainder)


@instruction("IDIV", Form("F6 /7", "r/m8"), Form("F7 /7", "r/m"), writes="of sf zf af pf cf", undefined="of sf zf af pf cf")
def idiv(cpu: Cpu, source: Operand) -> None:
    """The same, signed: the quotient is truncated toward zero (Vol. 2A “IDIV—Signed Divide”)."""
    kind = source.kind
    high, low = read_dividend(cpu, kind)
    divisor = source.read()
    # All ones where negative: (x ^ sign) - sign is the magnitude of x, and negates a magnitude again.
    sign = kind(kind.signed(high) >> (kind.bits - 1))
    divisor_sign = kind(kind.signed(divisor) >> (kind.bits - 1))
    quotient_sign = sign ^ divisor_sign
    magnitude = (low ^ sign) - sign
    borrow = kind((sign & 1 != 0) & (low == 0))
    quotient, remainder = divide(cpu, kind, (high ^ sign) + borrow, magnitude, (divisor ^ divisor_sign) - divisor_sign)
    if quotient > (kind.mask >> 1) + (quotient_sign & 1):
        divide_error(cpu)
    write_quotient(cpu, kind, (quotient ^ quotient_sign) - quotient_sign, (remainder ^ sign) - sign)


@inline
def read_dividend(cpu: Cpu, kind: IntType) -> tuple[int, int]:
    """High and low half: AH and AL, or rDX and rAX."""
    if kind.bits == 8:
        return read_ah(cpu), u8(cpu.gpr[RAX])
    return read_register(cpu, RDX, kind), read_register(cpu, RAX, kind)


@inline
def write_quotient(cpu: Cpu, kind: IntType, quotient: int, remainder: int) -> None:
    """Into AL and AH, or rAX and rDX."""
    if kind.bits == 8:
        write_register(cpu, RAX, unsigned(16), u16(remainder) << 8 | u16(quotient))
    else:
        write_register(cpu, RAX, kind, quotient)
        write_register(cpu, RDX, kind, remainder)


@inline
def divide(cpu: Cpu, kind: IntType, high: int, low: int, divisor: int) -> tuple[int, int]:
    """Quotient and remainder of high:low / divisor, unsigned; #DE where the quotient does not fit, so for 0, too."""
    if high >= divisor:
        divide_error(cpu)
    if kind.bits < 64:
        wide = kind.double
        dividend = wide(high) << kind.bits | wide(low)
        return kind(dividend // wide(divisor)), kind(dividend % wide(divisor))
    if high == 0:
        return low // divisor, low % divisor
    return divide_128(high, low, divisor)


@microcode
def divide_128(high: u64, low: u64, divisor: u64) -> tuple[u64, u64]:
    """Quotient and remainder of high:low / divisor, high < divisor: long division by 32-bit digits (Knuth's D)."""
    shift = leading_zeros(divisor)
    normal = divisor << shift
    # A shift by 64 - 0 would be one by 0, so it is done in two steps.
    first = high << shift | (low >> 1) >> (63 - shift)
    rest = low << shift
    upper = quotient_digit(first, rest >> 32, normal)
    second = (first << 32 | rest >> 32) - upper * normal
    lower = quotient_digit(second, rest & 0xFFFFFFFF, normal)
    remainder = (second << 32 | rest & 0xFFFFFFFF) - lower * normal
    return upper << 32 | lower, remainder >> shift


@microcode
def quotient_digit(remainder: u64, following: u64, divisor: u64) -> u64:
    """(remainder << 32 | following) / divisor: one 32-bit digit, for a divisor with its top bit set."""
    high, low = divisor >> 32, divisor & 0xFFFFFFFF
    digit = remainder // high
    rest = remainder - digit * high
    # The estimate from the leading digits is at most two too large.
    while digit >> 32 != 0 or digit * low > (rest << 32 | following):
        digit = digit - 1
        rest = rest + high
        if rest >> 32 != 0:
            break
    return digit
