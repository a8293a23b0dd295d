"""Flags as operands: CMC, CLC, STC, CLD, STD, LAHF, SAHF."""

from __future__ import annotations

from vmxon.arch.flags import Rflags
from vmxon.isa.registers import read_ah, write_ah
from vmxon.isa.status import set_carry
from vmxon.isa.table import Form, instruction
from vmxon.microcode import u8, u64
from vmxon.processor.flags import ADJUST, CARRY, OVERFLOW, PARITY, SIGN, ZERO, carry, read_status, write_status
from vmxon.processor.state import ProcessorState as Cpu

IN_AH = SIGN | ZERO | ADJUST | PARITY | CARRY
DIRECTION = Rflags.df.mask


@instruction("CMC", Form("F5", ""), writes="cf")
def cmc(cpu: Cpu) -> None:
    """CF := not CF (Vol. 2A “CMC—Complement Carry Flag”)."""
    set_carry(cpu, not carry(cpu))


@instruction("CLC", Form("F8", ""), writes="cf")
def clc(cpu: Cpu) -> None:
    """CF := 0 (Vol. 2A “CLC—Clear Carry Flag”)."""
    set_carry(cpu, False)


@instruction("STC", Form("F9", ""), writes="cf")
def stc(cpu: Cpu) -> None:
    """CF := 1 (Vol. 2B “STC—Set Carry Flag”)."""
    set_carry(cpu, True)


@instruction("CLD", Form("FC", ""), writes="df")
def cld(cpu: Cpu) -> None:
    """DF := 0 (Vol. 2A “CLD—Clear Direction Flag”)."""
    cpu.rflags_other = cpu.rflags_other & ~DIRECTION


@instruction("STD", Form("FD", ""), writes="df")
def std(cpu: Cpu) -> None:
    """DF := 1 (Vol. 2B “STD—Set Direction Flag”)."""
    cpu.rflags_other = cpu.rflags_other | DIRECTION


@instruction("LAHF", Form("9F", ""))
def lahf(cpu: Cpu) -> None:
    """AH := SF ZF 0 AF 0 PF 1 CF (Vol. 2A “LAHF—Load Status Flags into AH Register”)."""
    write_ah(cpu, u8(read_status(cpu) & IN_AH) | 2)


@instruction("SAHF", Form("9E", ""), writes="sf zf af pf cf")
def sahf(cpu: Cpu) -> None:
    """SF, ZF, AF, PF, CF := AH; OF stays (Vol. 2B “SAHF—Store AH Into Flags”)."""
    write_status(cpu, (read_status(cpu) & OVERFLOW) | (u64(read_ah(cpu)) & IN_AH))
