"""Data movement: MOV, MOVZX, MOVSX, LEA, XCHG, CMOVcc, SETcc, XLAT, sign extension of rAX."""

from __future__ import annotations

from vmxon.isa.conditions import CONDITIONS
from vmxon.isa.operands import FormVariant, Operand
from vmxon.isa.record import Record
from vmxon.isa.registers import RAX, RBX, RDX, write_register
from vmxon.isa.table import Form, instruction
from vmxon.microcode import i8, i16, i32, i64, load, select, u8, u16, u32, u64, unsigned
from vmxon.processor.flags import condition
from vmxon.processor.memory import fast_segment_linear, readable
from vmxon.processor.state import ProcessorState as Cpu


@instruction(
    "MOV",
    Form("88 /r", "r/m8, r8"),
    Form("89 /r", "r/m, r"),
    Form("8A /r", "r8, r/m8"),
    Form("8B /r", "r, r/m"),
    Form("A0 moffs", "AL, moffs8"),
    Form("A1 moffs", "rAX, moffs"),
    Form("A2 moffs", "moffs8, AL"),
    Form("A3 moffs", "moffs, rAX"),
    Form("B0 +r ib", "r8, imm8"),
    Form("B8 +r iv", "r, imm"),
    Form("C6 /0 ib", "r/m8, imm8"),
    Form("C7 /0 iz", "r/m, imm"),
)
def mov(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """destination := source (Vol. 2B “MOV—Move”)."""
    destination.write(source.read())


@instruction("MOVZX", Form("0F B6 /r", "r, r/m8"), Form("0F B7 /r", "r, r/m16"))
def movzx(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """destination := source, zero-extended (Vol. 2B “MOVZX—Move With Zero-Extend”)."""
    destination.write(destination.kind(source.read()))


@instruction("MOVSX", Form("0F BE /r", "r, r/m8"), Form("0F BF /r", "r, r/m16"), Form("63 /r", "r, r/m32", modes="64"))
def movsx(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """destination := source, sign-extended (Vol. 2B “MOVSX/MOVSXD—Move With Sign-Extension”)."""
    destination.write(destination.kind(source.kind.signed(source.read())))


@instruction("LEA", Form("8D /r", "r, mem"))
def lea(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """destination := the effective address of source (Vol. 2A “LEA—Load Effective Address”)."""
    destination.write(destination.kind(source.address()))


@instruction(
    "XCHG",
    Form("86 /r", "r/m8, r8"),
    Form("87 /r", "r/m, r"),
    modifies=True,
    lockable=True,
)
def xchg(cpu: Cpu, first: Operand, second: Operand) -> None:
    """first, second := second, first; a memory operand is locked (Vol. 2D “XCHG”)."""
    left, right = first.read(), second.read()
    first.write(right)
    second.write(left)


@instruction("XCHG rAX", Form("90 +r", "rAX, r"))
def xchg_accumulator(cpu: Cpu, first: Operand, second: Operand, record: Record) -> None:
    """The same with rAX; 90H itself is NOP, which leaves the upper half of RAX alone (Vol. 2B “NOP—No Operation”)."""
    left, right = first.read(), second.read()
    if record.destination != RAX:
        first.write(right)
        second.write(left)


for _code, _name in enumerate(CONDITIONS):

    @instruction(f"CMOV{_name}", Form(f"0F {0x40 + _code:02X} /r", "r, r/m"))
    def cmov(cpu: Cpu, destination: Operand, source: Operand, code: int = _code) -> None:
        """destination := source if the condition holds; source is always read (Vol. 2A “CMOVcc—Conditional Move”)."""
        value, old = source.read(), destination.read()
        destination.write(select(condition(cpu, code), value, old))

    @instruction(f"SET{_name}", Form(f"0F {0x90 + _code:02X} /r", "r/m8"))
    def setcc(cpu: Cpu, destination: Operand, code: int = _code) -> None:
        """destination := 1 where the condition holds, else 0 (Vol. 2B “SETcc—Set Byte on Condition”)."""
        destination.write(u8(condition(cpu, code)))


@instruction("XLAT", Form("D7", ""))
def xlat(cpu: Cpu, record: Record) -> None:
    """AL := the byte at rBX + AL (Vol. 2D “XLAT/XLATB—Table Look-up Translation”)."""
    shift = record.address_shift
    offset = ((cpu.gpr[RBX] + (cpu.gpr[RAX] & 0xFF)) << shift) >> shift
    linear = fast_segment_linear(cpu, record.segment, offset, 1, False)
    write_register(cpu, RAX, unsigned(8), load(u8, readable(cpu, linear, 1, record.segment)))


@instruction("CBW", Form("98", ""))
def cbw(cpu: Cpu, form: FormVariant) -> None:
    """CBW, CWDE, CDQE: rAX := its low half, sign-extended (Vol. 2A “CBW/CWDE/CDQE”)."""
    value = cpu.gpr[RAX]
    if form.operand_bits == 16:
        write_register(cpu, RAX, unsigned(16), u16(i8(value)))
    elif form.operand_bits == 32:
        write_register(cpu, RAX, unsigned(32), u32(i16(value)))
    else:
        cpu.gpr[RAX] = u64(i32(value))


@instruction("CWD", Form("99", ""))
def cwd(cpu: Cpu, form: FormVariant) -> None:
    """CWD, CDQ, CQO: rDX := copies of the sign of rAX (Vol. 2A “CWD/CDQ/CQO”)."""
    if form.operand_bits == 16:
        write_register(cpu, RDX, unsigned(16), u16(i16(cpu.gpr[RAX]) >> 15))
    elif form.operand_bits == 32:
        write_register(cpu, RDX, unsigned(32), u32(i32(cpu.gpr[RAX]) >> 31))
    else:
        cpu.gpr[RDX] = u64(i64(cpu.gpr[RAX]) >> 63)
