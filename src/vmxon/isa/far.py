"""Far transfers: JMP, CALL and RET between segments, software interrupts and their return, fast system calls."""

from __future__ import annotations

from vmxon.arch.exceptions import Vector
from vmxon.isa.operands import FormVariant, Operand
from vmxon.isa.record import Record
from vmxon.isa.table import Form, instruction
from vmxon.microcode import inline, load, u8, u16, u32, u64
from vmxon.processor.exceptions import general_protection, raise_software
from vmxon.processor.fast_calls import system_call, system_enter, system_exit, system_return
from vmxon.processor.flags import overflow
from vmxon.processor.interrupt_return import return_from_interrupt
from vmxon.processor.memory import readable
from vmxon.processor.returns import return_far
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.transfers import call_far, jump_far
from vmxon.processor.virtual_8086 import is_redirected, lacks_iopl

SOFTWARE_INTERRUPT, PRIVILEGED_SOFTWARE, SOFTWARE_EXCEPTION = 4, 5, 6
"""Interruption types."""


@inline
def read_far_pointer(cpu: Cpu, target: Operand, form: FormVariant, record: Record) -> tuple[int, int]:
    """Selector and offset (u64 both) of a far pointer in memory: the offset first."""
    size = form.kind.bytes + 2
    pointer = readable(cpu, target.linear(size), size, record.segment)
    return u64(load(u16, pointer + form.kind.bytes)), u64(load(form.kind, pointer))


@instruction("JMP far", Form("EA cp", "far", modes="16 32"), flow="system")
def jmp_far(cpu: Cpu, record: Record, form: FormVariant) -> None:
    """Go to another segment (Vol. 2A “JMP—Jump”)."""
    jump_far(cpu, record.displacement, u64(form.kind(record.immediate)))


@instruction("JMP far m", Form("FF /5", "m"), flow="system")
def jmp_far_memory(cpu: Cpu, target: Operand, record: Record, form: FormVariant) -> None:
    """The same through a far pointer in memory (Vol. 2A “JMP—Jump”)."""
    selector, offset = read_far_pointer(cpu, target, form, record)
    jump_far(cpu, selector, offset)


@instruction("CALL far", Form("9A cp", "far", modes="16 32"), flow="system")
def call_far_pointer(cpu: Cpu, record: Record, form: FormVariant) -> None:
    """Push CS:rIP and go to another segment (Vol. 2A “CALL—Call Procedure”)."""
    call_far(cpu, form.kind, record.displacement, u64(form.kind(record.immediate)))


@instruction("CALL far m", Form("FF /3", "m"), flow="system")
def call_far_memory(cpu: Cpu, target: Operand, record: Record, form: FormVariant) -> None:
    """The same through a far pointer in memory (Vol. 2A “CALL—Call Procedure”)."""
    selector, offset = read_far_pointer(cpu, target, form, record)
    call_far(cpu, form.kind, selector, offset)


@instruction("RETF", Form("CB"), flow="system")
def retf(cpu: Cpu, form: FormVariant) -> None:
    """Pop rIP and CS, and SS:rSP where the level changes (Vol. 2B “RET—Return From Procedure”)."""
    return_far(cpu, form.kind, u64(0))


@instruction("RETF imm16", Form("CA iw", "imm16"), flow="system")
def retf_release(cpu: Cpu, release: Operand, form: FormVariant) -> None:
    """The same, and release bytes of parameters (Vol. 2B “RET—Return From Procedure”)."""
    return_far(cpu, form.kind, u64(u16(release.read())))


@instruction("IRET", Form("CF"), flow="system")
def iret(cpu: Cpu, form: FormVariant) -> None:
    """Return from an interrupt handler (Vol. 2A “IRET/IRETD/IRETQ—Interrupt Return”)."""
    return_from_interrupt(cpu, form.kind)


@instruction("INT3", Form("CC"), flow="system")
def int3(cpu: Cpu, record: Record) -> None:
    """#BP as a trap (Vol. 2A “INT n/INTO/INT3/INT1—Call to Interrupt Procedure”)."""
    raise_software(cpu, u32(Vector.BP), SOFTWARE_EXCEPTION, record.length)


@instruction("INT1", Form("F1"), flow="system")
def int1(cpu: Cpu, record: Record) -> None:
    """#DB as a trap, without touching DR6; gate privilege is not checked (Vol. 2A “INT n/INTO/INT3/INT1”)."""
    raise_software(cpu, u32(Vector.DB), PRIVILEGED_SOFTWARE, record.length)


@instruction("INTO", Form("CE", modes="16 32"), flow="system")
def into(cpu: Cpu, record: Record) -> None:
    """#OF as a trap where OF is set (Vol. 2A “INT n/INTO/INT3/INT1”)."""
    if overflow(cpu):
        raise_software(cpu, u32(Vector.OF), SOFTWARE_EXCEPTION, record.length)


@instruction("INT", Form("CD ib", "imm8"), flow="system")
def int_n(cpu: Cpu, vector: Operand, record: Record) -> None:
    """Interrupt `vector`; virtual-8086 mode needs IOPL 3, or CR4.VME and its bitmap (Vol. 2A “INT n/INTO/INT3/INT1”)."""
    if lacks_iopl(cpu) and not is_redirected(cpu, u64(u8(vector.read()))):
        general_protection(cpu, 0)
    raise_software(cpu, u32(u8(vector.read())), SOFTWARE_INTERRUPT, record.length)


@instruction("SYSCALL", Form("0F 05"), flow="system")
def syscall(cpu: Cpu) -> None:
    """To level 0 at IA32_LSTAR; 64-bit mode only (Vol. 2B “SYSCALL—Fast System Call”)."""
    system_call(cpu)


@instruction("SYSRET", Form("0F 07", size="w"), flow="system")
def sysret(cpu: Cpu, form: FormVariant) -> None:
    """Back to level 3, to 64-bit code with REX.W (Vol. 2B “SYSRET—Return From Fast System Call”)."""
    system_return(cpu, form.operand_bits == 64)


@instruction("SYSENTER", Form("0F 34"), flow="system", feature="sep")
def sysenter(cpu: Cpu) -> None:
    """To level 0 at IA32_SYSENTER_CS:EIP (Vol. 2B “SYSENTER—Fast System Call”)."""
    system_enter(cpu)


@instruction("SYSEXIT", Form("0F 35", size="w"), flow="system", feature="sep")
def sysexit(cpu: Cpu, form: FormVariant) -> None:
    """Back to level 3, to 64-bit code with REX.W (Vol. 2B “SYSEXIT—Fast Return from Fast System Call”)."""
    system_exit(cpu, form.operand_bits == 64)
