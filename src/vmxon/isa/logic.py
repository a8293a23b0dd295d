"""Bitwise logic: AND, OR, XOR, TEST, NOT."""

from __future__ import annotations

from vmxon.isa.arithmetic import sign_extended
from vmxon.isa.operands import Operand
from vmxon.isa.table import Form, instruction
from vmxon.processor.flags import set_flags_logic
from vmxon.processor.state import ProcessorState as Cpu


@instruction(
    "AND",
    Form("24 ib", "AL, imm8"),
    Form("25 iz", "rAX, imm"),
    Form("80 /4 ib", "r/m8, imm8"),
    Form("81 /4 iz", "r/m, imm"),
    Form("82 /4 ib", "r/m8, imm8", modes="16 32"),
    Form("83 /4 ib", "r/m, imm8"),
    Form("20 /r", "r/m8, r8"),
    Form("21 /r", "r/m, r"),
    Form("22 /r", "r8, r/m8"),
    Form("23 /r", "r, r/m"),
    writes="of sf zf af pf cf",
    undefined="af",
    modifies=True,
    lockable=True,
)
def and_(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """destination := destination & source (Vol. 2A “AND—Logical AND”)."""
    result = destination.read() & sign_extended(source, destination.kind)
    destination.write(result)
    set_flags_logic(cpu, destination.kind, result)


@instruction(
    "OR",
    Form("0C ib", "AL, imm8"),
    Form("0D iz", "rAX, imm"),
    Form("80 /1 ib", "r/m8, imm8"),
    Form("81 /1 iz", "r/m, imm"),
    Form("82 /1 ib", "r/m8, imm8", modes="16 32"),
    Form("83 /1 ib", "r/m, imm8"),
    Form("08 /r", "r/m8, r8"),
    Form("09 /r", "r/m, r"),
    Form("0A /r", "r8, r/m8"),
    Form("0B /r", "r, r/m"),
    writes="of sf zf af pf cf",
    undefined="af",
    modifies=True,
    lockable=True,
)
def or_(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """destination := destination | source (Vol. 2B “OR—Logical Inclusive OR”)."""
    result = destination.read() | sign_extended(source, destination.kind)
    destination.write(result)
    set_flags_logic(cpu, destination.kind, result)


@instruction(
    "XOR",
    Form("34 ib", "AL, imm8"),
    Form("35 iz", "rAX, imm"),
    Form("80 /6 ib", "r/m8, imm8"),
    Form("81 /6 iz", "r/m, imm"),
    Form("82 /6 ib", "r/m8, imm8", modes="16 32"),
    Form("83 /6 ib", "r/m, imm8"),
    Form("30 /r", "r/m8, r8"),
    Form("31 /r", "r/m, r"),
    Form("32 /r", "r8, r/m8"),
    Form("33 /r", "r, r/m"),
    writes="of sf zf af pf cf",
    undefined="af",
    modifies=True,
    lockable=True,
)
def xor(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """destination := destination ^ source (Vol. 2D “XOR—Logical Exclusive OR”)."""
    result = destination.read() ^ sign_extended(source, destination.kind)
    destination.write(result)
    set_flags_logic(cpu, destination.kind, result)


@instruction(
    "TEST",
    Form("A8 ib", "AL, imm8"),
    Form("A9 iz", "rAX, imm"),
    Form("F6 /0 ib", "r/m8, imm8"),
    Form("F6 /1 ib", "r/m8, imm8"),
    Form("F7 /0 iz", "r/m, imm"),
    Form("F7 /1 iz", "r/m, imm"),
    Form("84 /r", "r/m8, r8"),
    Form("85 /r", "r/m, r"),
    writes="of sf zf af pf cf",
    undefined="af",
)
def test(cpu: Cpu, first: Operand, second: Operand) -> None:
    """The flags of first & second (Vol. 2D “TEST—Logical Compare”)."""
    set_flags_logic(cpu, first.kind, first.read() & sign_extended(second, first.kind))


@instruction("NOT", Form("F6 /2", "r/m8"), Form("F7 /2", "r/m"), modifies=True, lockable=True)
def not_(cpu: Cpu, destination: Operand) -> None:
    """destination := ~destination; no flags (Vol. 2B “NOT—One’s Complement Negation”)."""
    destination.write(~destination.read())
