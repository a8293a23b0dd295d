"""Binary addition and subtraction: ADD, ADC, SUB, SBB, CMP, INC, DEC, NEG, XADD, ADCX, ADOX."""

from __future__ import annotations

from vmxon.isa.operands import Operand
from vmxon.isa.status import set_carry, set_overflow
from vmxon.isa.table import Form, instruction
from vmxon.microcode import IntType, inline
from vmxon.processor.flags import carry, overflow, set_flags, set_flags_add, set_flags_sub
from vmxon.processor.state import ProcessorState as Cpu


@inline
def sign_extended(operand: Operand, kind: IntType) -> int:
    """The operand at the width `kind`: an immediate byte beside a wider destination is sign-extended."""
    return kind(operand.kind.signed(operand.read()))


@instruction(
    "ADD",
    Form("04 ib", "AL, imm8"),
    Form("05 iz", "rAX, imm"),
    Form("80 /0 ib", "r/m8, imm8"),
    Form("81 /0 iz", "r/m, imm"),
    Form("82 /0 ib", "r/m8, imm8", modes="16 32"),
    Form("83 /0 ib", "r/m, imm8"),
    Form("00 /r", "r/m8, r8"),
    Form("01 /r", "r/m, r"),
    Form("02 /r", "r8, r/m8"),
    Form("03 /r", "r, r/m"),
    writes="of sf zf af pf cf",
    modifies=True,
    lockable=True,
)
def add(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """destination := destination + source (Vol. 2A “ADD—Add”)."""
    left = destination.read()
    right = sign_extended(source, destination.kind)
    total = left + right
    destination.write(total)
    set_flags_add(cpu, destination.kind, left, right, total)


@instruction(
    "ADC",
    Form("14 ib", "AL, imm8"),
    Form("15 iz", "rAX, imm"),
    Form("80 /2 ib", "r/m8, imm8"),
    Form("81 /2 iz", "r/m, imm"),
    Form("82 /2 ib", "r/m8, imm8", modes="16 32"),
    Form("83 /2 ib", "r/m, imm8"),
    Form("10 /r", "r/m8, r8"),
    Form("11 /r", "r/m, r"),
    Form("12 /r", "r8, r/m8"),
    Form("13 /r", "r, r/m"),
    writes="of sf zf af pf cf",
    modifies=True,
    lockable=True,
)
def adc(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """destination := destination + source + CF (Vol. 2A “ADC—Add With Carry”)."""
    left = destination.read()
    right = sign_extended(source, destination.kind)
    total = left + right + destination.kind(carry(cpu))
    destination.write(total)
    set_flags_add(cpu, destination.kind, left, right, total)


@instruction(
    "SUB",
    Form("2C ib", "AL, imm8"),
    Form("2D iz", "rAX, imm"),
    Form("80 /5 ib", "r/m8, imm8"),
    Form("81 /5 iz", "r/m, imm"),
    Form("82 /5 ib", "r/m8, imm8", modes="16 32"),
    Form("83 /5 ib", "r/m, imm8"),
    Form("28 /r", "r/m8, r8"),
    Form("29 /r", "r/m, r"),
    Form("2A /r", "r8, r/m8"),
    Form("2B /r", "r, r/m"),
    writes="of sf zf af pf cf",
    modifies=True,
    lockable=True,
)
def sub(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """destination := destination - source (Vol. 2B “SUB—Subtract”)."""
    left = destination.read()
    right = sign_extended(source, destination.kind)
    difference = left - right
    destination.write(difference)
    set_flags_sub(cpu, destination.kind, left, right, difference)


@instruction(
    "SBB",
    Form("1C ib", "AL, imm8"),
    Form("1D iz", "rAX, imm"),
    Form("80 /3 ib", "r/m8, imm8"),
    Form("81 /3 iz", "r/m, imm"),
    Form("82 /3 ib", "r/m8, imm8", modes="16 32"),
    Form("83 /3 ib", "r/m, imm8"),
    Form("18 /r", "r/m8, r8"),
    Form("19 /r", "r/m, r"),
    Form("1A /r", "r8, r/m8"),
    Form("1B /r", "r, r/m"),
    writes="of sf zf af pf cf",
    modifies=True,
    lockable=True,
)
def sbb(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """destination := destination - source - CF (Vol. 2B “SBB—Integer Subtraction With Borrow”)."""
    left = destination.read()
    right = sign_extended(source, destination.kind)
    difference = left - right - destination.kind(carry(cpu))
    destination.write(difference)
    set_flags_sub(cpu, destination.kind, left, right, difference)


@instruction(
    "CMP",
    Form("3C ib", "AL, imm8"),
    Form("3D iz", "rAX, imm"),
    Form("80 /7 ib", "r/m8, imm8"),
    Form("81 /7 iz", "r/m, imm"),
    Form("82 /7 ib", "r/m8, imm8", modes="16 32"),
    Form("83 /7 ib", "r/m, imm8"),
    Form("38 /r", "r/m8, r8"),
    Form("39 /r", "r/m, r"),
    Form("3A /r", "r8, r/m8"),
    Form("3B /r", "r, r/m"),
    writes="of sf zf af pf cf",
)
def cmp(cpu: Cpu, first: Operand, second: Operand) -> None:
    """The flags of first - second (Vol. 2A “CMP—Compare Two Operands”)."""
    left = first.read()
    right = sign_extended(second, first.kind)
    set_flags_sub(cpu, first.kind, left, right, left - right)


@instruction(
    "INC",
    Form("FE /0", "r/m8"),
    Form("FF /0", "r/m"),
    Form("40 +r", "r", modes="16 32"),
    writes="of sf zf af pf",
    modifies=True,
    lockable=True,
)
def inc(cpu: Cpu, destination: Operand) -> None:
    """destination := destination + 1; CF stays (Vol. 2A “INC—Increment by 1”)."""
    total = destination.read() + 1
    destination.write(total)
    kind = destination.kind
    set_flags(cpu, kind, total, carry(cpu), total == 1 << (kind.bits - 1), total & 15 == 0)


@instruction(
    "DEC",
    Form("FE /1", "r/m8"),
    Form("FF /1", "r/m"),
    Form("48 +r", "r", modes="16 32"),
    writes="of sf zf af pf",
    modifies=True,
    lockable=True,
)
def dec(cpu: Cpu, destination: Operand) -> None:
    """destination := destination - 1; CF stays (Vol. 2A “DEC—Decrement by 1”)."""
    difference = destination.read() - 1
    destination.write(difference)
    kind = destination.kind
    set_flags(cpu, kind, difference, carry(cpu), difference == kind.mask >> 1, difference & 15 == 15)


@instruction(
    "NEG",
    Form("F6 /3", "r/m8"),
    Form("F7 /3", "r/m"),
    writes="of sf zf af pf cf",
    modifies=True,
    lockable=True,
)
def neg(cpu: Cpu, destination: Operand) -> None:
    """destination := 0 - destination (Vol. 2B “NEG—Two’s Complement Negation”)."""
    kind = destination.kind
    right = destination.read()
    difference = kind(0) - right
    destination.write(difference)
    set_flags_sub(cpu, kind, kind(0), right, difference)


@instruction(
    "XADD",
    Form("0F C0 /r", "r/m8, r8"),
    Form("0F C1 /r", "r/m, r"),
    writes="of sf zf af pf cf",
    modifies=True,
    lockable=True,
)
def xadd(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """destination, source := destination + source, destination (Vol. 2D “XADD—Exchange and Add”)."""
    left, right = destination.read(), source.read()
    total = left + right
    # In this order `xadd rax, rax` leaves the sum.
    source.write(left)
    destination.write(total)
    set_flags_add(cpu, destination.kind, left, right, total)


@instruction("ADCX", Form("66 0F 38 F6 /r", "r32/64, r/m32/64"), writes="cf", feature="adx")
def adcx(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """destination := destination + source + CF; of the flags only CF changes (Vol. 2A “ADCX”)."""
    left, right = destination.read(), source.read()
    total, carried = sum_with_carry(destination.kind, left, right, carry(cpu))
    destination.write(total)
    set_carry(cpu, carried)


@instruction("ADOX", Form("F3 0F 38 F6 /r", "r32/64, r/m32/64"), writes="of", feature="adx")
def adox(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """destination := destination + source + OF; of the flags only OF changes (Vol. 2A “ADOX”)."""
    left, right = destination.read(), source.read()
    total, carried = sum_with_carry(destination.kind, left, right, overflow(cpu))
    destination.write(total)
    set_overflow(cpu, carried)


@inline
def sum_with_carry(kind: IntType, left: int, right: int, carried: bool) -> tuple[int, bool]:
    """left + right + carried, and the carry out of the top bit."""
    partial = left + right
    total = partial + kind(carried)
    return total, (partial < left) | (total < partial)
