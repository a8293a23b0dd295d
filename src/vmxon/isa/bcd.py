"""Decimal adjustment: DAA, DAS, AAA, AAS, AAM, AAD (all #UD in 64-bit mode)."""

from __future__ import annotations

from vmxon.isa.operands import Operand
from vmxon.isa.registers import RAX, read_ah, write_register
from vmxon.isa.table import Form, instruction
from vmxon.microcode import inline, u8, u16, unsigned
from vmxon.processor.exceptions import divide_error
from vmxon.processor.flags import adjust, carry, set_flags, set_flags_logic
from vmxon.processor.state import ProcessorState as Cpu

BYTE, WORD = unsigned(8), unsigned(16)


@instruction("DAA", Form("27", "", modes="16 32"), writes="of sf zf af pf cf", undefined="of")
def daa(cpu: Cpu) -> None:
    """AL := AL adjusted after an addition of packed decimals (Vol. 2A “DAA—Decimal Adjust AL after Addition”)."""
    old = u8(cpu.gpr[RAX])
    low, high = packed_corrections(cpu, old)
    write_decimal(cpu, old + (u8(low) * 6 + u8(high) * 0x60), high, low)


@instruction("DAS", Form("2F", "", modes="16 32"), writes="of sf zf af pf cf", undefined="of")
def das(cpu: Cpu) -> None:
    """AL := AL adjusted after a subtraction of packed decimals (Vol. 2A “DAS—Decimal Adjust AL after Subtraction”)."""
    old = u8(cpu.gpr[RAX])
    low, high = packed_corrections(cpu, old)
    write_decimal(cpu, old - (u8(low) * 6 + u8(high) * 0x60), high | (low & (old < 6)), low)


@inline
def packed_corrections(cpu: Cpu, old: int) -> tuple[bool, bool]:
    """Whether the low and the high digit of AL need correction."""
    low = (old & 15 > 9) | adjust(cpu)
    high = (old > 0x99) | carry(cpu)
    return low, high


@inline
def write_decimal(cpu: Cpu, value: int, carried: bool, adjusted: bool) -> None:
    """AL and its flags; OF is undefined and cleared."""
    write_register(cpu, RAX, BYTE, value)
    set_flags(cpu, BYTE, value, carried, False, adjusted)


@instruction("AAA", Form("37", "", modes="16 32"), writes="of sf zf af pf cf", undefined="of sf zf pf")
def aaa(cpu: Cpu) -> None:
    """AX := AX adjusted after an addition of unpacked decimals (Vol. 2A “AAA—ASCII Adjust After Addition”)."""
    old = u16(cpu.gpr[RAX])
    wrong = (old & 15 > 9) | adjust(cpu)
    value = (old + u16(wrong) * 0x106) & 0xFF0F
    write_register(cpu, RAX, WORD, value)
    set_flags(cpu, BYTE, u8(value), wrong, False, wrong)


@instruction("AAS", Form("3F", "", modes="16 32"), writes="of sf zf af pf cf", undefined="of sf zf pf")
def aas(cpu: Cpu) -> None:
    """AX := AX adjusted after a subtraction of unpacked decimals (Vol. 2A “AAS—ASCII Adjust AL After Subtraction”)."""
    old = u16(cpu.gpr[RAX])
    wrong = (old & 15 > 9) | adjust(cpu)
    value = (old - u16(wrong) * 0x106) & 0xFF0F
    write_register(cpu, RAX, WORD, value)
    set_flags(cpu, BYTE, u8(value), wrong, False, wrong)


@instruction("AAM", Form("D4 ib", "imm8", modes="16 32"), writes="of sf zf af pf cf", undefined="of af cf")
def aam(cpu: Cpu, base: Operand) -> None:
    """AH, AL := AL / base, AL % base; #DE for base 0 (Vol. 2A “AAM—ASCII Adjust AX After Multiply”)."""
    divisor = base.read()
    if divisor == 0:
        divide_error(cpu)
    value = u8(cpu.gpr[RAX])
    remainder = value % divisor
    write_register(cpu, RAX, WORD, u16(value // divisor) << 8 | u16(remainder))
    set_flags_logic(cpu, BYTE, remainder)


@instruction("AAD", Form("D5 ib", "imm8", modes="16 32"), writes="of sf zf af pf cf", undefined="of af cf")
def aad(cpu: Cpu, base: Operand) -> None:
    """AL := AL + AH * base, AH := 0 (Vol. 2A “AAD—ASCII Adjust AX Before Division”)."""
    value = u8(cpu.gpr[RAX]) + read_ah(cpu) * base.read()
    write_register(cpu, RAX, WORD, u16(value))
    set_flags_logic(cpu, BYTE, value)
