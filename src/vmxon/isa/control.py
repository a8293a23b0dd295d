"""Near transfers of control: JMP, CALL, RET, Jcc, JrCXZ, LOOP."""

from __future__ import annotations

from vmxon.isa.conditions import CONDITIONS
from vmxon.isa.flow import jump_indirect, jump_relative
from vmxon.isa.operands import FormVariant, Operand
from vmxon.isa.record import Record
from vmxon.isa.registers import RCX, step_register
from vmxon.isa.stack import push_value, release, top_value
from vmxon.isa.table import Form, instruction
from vmxon.microcode import inline, u64
from vmxon.processor.exceptions import general_protection
from vmxon.processor.flags import condition, zero
from vmxon.processor.segmentation import canonical
from vmxon.processor.state import CodeSize, Segment
from vmxon.processor.state import ProcessorState as Cpu


@instruction("JMP", Form("EB cb", "rel", force64=True), Form("E9 cz", "rel", force64=True), flow="branch")
def jmp(cpu: Cpu, target: Operand, record: Record) -> None:
    """Go to the target (Vol. 2A “JMP—Jump”)."""
    jump_relative(cpu, record, True)


@instruction("JMP r/m", Form("FF /4", "r/m", force64=True), flow="branch")
def jmp_indirect(cpu: Cpu, target: Operand, form: FormVariant) -> None:
    """Go to the offset in a register or in memory (Vol. 2A “JMP—Jump”)."""
    jump_indirect(cpu, near_target(cpu, form, target.read()))


for _code, _name in enumerate(CONDITIONS):

    @instruction(
        f"J{_name}",
        Form(f"{0x70 + _code:02X} cb", "rel", force64=True),
        Form(f"0F {0x80 + _code:02X} cz", "rel", force64=True),
        flow="branch",
    )
    def jcc(cpu: Cpu, target: Operand, record: Record, code: int = _code) -> None:
        """Go to the target where the condition holds (Vol. 2A “Jcc—Jump if Condition Is Met”)."""
        jump_relative(cpu, record, condition(cpu, code))


@instruction("CALL", Form("E8 cz", "rel", force64=True), flow="branch", stack=True)
def call(cpu: Cpu, target: Operand, record: Record, form: FormVariant) -> None:
    """Push the address of the next instruction and go to the target (Vol. 2A “CALL—Call Procedure”)."""
    push_value(cpu, form, form.kind(record.next_rip))
    jump_relative(cpu, record, True)


@instruction("CALL r/m", Form("FF /2", "r/m", force64=True), flow="branch", stack=True)
def call_indirect(cpu: Cpu, target: Operand, record: Record, form: FormVariant) -> None:
    """The same, to the offset in a register or in memory (Vol. 2A “CALL—Call Procedure”)."""
    offset = near_target(cpu, form, target.read())
    push_value(cpu, form, form.kind(record.next_rip))
    jump_indirect(cpu, offset)


@instruction("RET", Form("C3", "", force64=True), flow="branch", stack=True)
def ret(cpu: Cpu, form: FormVariant) -> None:
    """Go to the address popped from the stack (Vol. 2B “RET—Return From Procedure”)."""
    target = near_target(cpu, form, top_value(cpu, form))
    release(cpu, form, u64(form.kind.bytes))
    jump_indirect(cpu, target)


@instruction("RET imm", Form("C2 iw", "imm16", force64=True), flow="branch", stack=True)
def ret_releasing(cpu: Cpu, released: Operand, form: FormVariant) -> None:
    """The same, then release that many bytes of the stack (Vol. 2B “RET—Return From Procedure”)."""
    target = near_target(cpu, form, top_value(cpu, form))
    release(cpu, form, u64(released.read()) + form.kind.bytes)
    jump_indirect(cpu, target)


@inline
def near_target(cpu: Cpu, form: FormVariant, target: int) -> int:
    """The target as u64; #GP(0) at the branch itself unless it is canonical or within the limit of CS."""
    offset = u64(target)
    outside = not canonical(cpu, offset)
    if not form.long:
        beyond = offset > u64(cpu.segments[Segment.CS].limit)
        outside = beyond if cpu.code_size != CodeSize.BITS64 else outside
    if outside:
        general_protection(cpu, 0)
    return offset


@instruction("JrCXZ", Form("E3 cb", "rel", force64=True), flow="branch")
def jrcxz(cpu: Cpu, target: Operand, record: Record) -> None:
    """JCXZ, JECXZ, JRCXZ: go to the target where the count register is 0 (Vol. 2A “Jcc—Jump if Condition Is Met”)."""
    jump_relative(cpu, record, cpu.gpr[RCX] << record.address_shift == 0)


@instruction("LOOP", Form("E2 cb", "rel", force64=True), flow="branch")
def loop(cpu: Cpu, target: Operand, record: Record) -> None:
    """Count down, and go to the target until the count register is 0 (Vol. 2A “LOOP/LOOPcc”)."""
    jump_relative(cpu, record, count_down(cpu, record) != 0)


@instruction("LOOPE", Form("E1 cb", "rel", force64=True), flow="branch")
def loope(cpu: Cpu, target: Operand, record: Record) -> None:
    """The same while ZF = 1 (Vol. 2A “LOOP/LOOPcc”)."""
    jump_relative(cpu, record, (count_down(cpu, record) != 0) & zero(cpu))


@instruction("LOOPNE", Form("E0 cb", "rel", force64=True), flow="branch")
def loopne(cpu: Cpu, target: Operand, record: Record) -> None:
    """The same while ZF = 0 (Vol. 2A “LOOP/LOOPcc”)."""
    jump_relative(cpu, record, (count_down(cpu, record) != 0) & (not zero(cpu)))


@inline
def count_down(cpu: Cpu, record: Record) -> int:
    """CX, ECX or RCX - 1, by the address size."""
    return step_register(cpu, RCX, record.address_shift, u64(-1))
