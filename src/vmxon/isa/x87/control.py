"""Control and status words, the stack pointer, state images, WAIT (Vol. 1 §8.3.11 “x87 FPU Control Instructions”)."""

from __future__ import annotations

from vmxon.isa.operands import FormVariant, NumberOperand, Operand
from vmxon.isa.record import Record
from vmxon.isa.table import Form, instruction
from vmxon.isa.x87.step import enter, remember
from vmxon.microcode import IntType, inline, u32
from vmxon.processor.exceptions import device_not_available
from vmxon.processor.memory import readable, writable
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.x87.environment import (
    REGISTER_BYTES,
    environment_bytes,
    initialize,
    load_control,
    load_environment,
    load_registers,
    status_word,
    store_environment,
    store_registers,
)
from vmxon.processor.x87.registers import (
    CONDITIONS,
    CR0_MP,
    CR0_TS,
    FLAGS,
    check_available,
    check_pending,
    clear_c1,
    free,
    pop,
    rotate,
    summarize,
)

PROTECTION = 1 << 0
VIRTUAL_8086 = 1 << 17


@instruction("FWAIT", Form("9B"))
def fwait(cpu: Cpu) -> None:
    """#NM where CR0.MP and CR0.TS are 1, #MF where an unmasked exception waits (Vol. 2D “WAIT/FWAIT—Wait”)."""
    if cpu.cr0 & (CR0_MP | CR0_TS) == CR0_MP | CR0_TS:
        device_not_available(cpu)
    check_pending(cpu)


@instruction("FNINIT", Form("DB E3"))
def fninit(cpu: Cpu) -> None:
    """Reset the x87 FPU (Vol. 2A “FINIT/FNINIT—Initialize Floating-Point Unit”)."""
    check_available(cpu)
    initialize(cpu)


@instruction("FNCLEX", Form("DB E2"))
def fnclex(cpu: Cpu) -> None:
    """Clear the exception flags, SF, ES and B (Vol. 2A “FCLEX/FNCLEX—Clear Exceptions”)."""
    check_available(cpu)
    cpu.x87_status = cpu.x87_status & CONDITIONS


@instruction("FNSETPM", Form("DB E4"), Form("DB E0"), Form("DB E1"))
def fnsetpm(cpu: Cpu) -> None:
    """Nothing: FSETPM of the 80287, FENI and FDISI of the 8087 (Vol. 3B §23.18.6 “x87 FPU Instruction Differences”)."""
    check_available(cpu)


@instruction("FLDCW", Form("D9 /5", "m16"))
def fldcw(cpu: Cpu, source: Operand) -> None:
    """Control word := source; flags that it unmasks become pending (Vol. 2A “FLDCW—Load x87 FPU Control Word”)."""
    enter(cpu)
    load_control(cpu, source.read())


@instruction("FNSTCW", Form("D9 /7", "m16"))
def fnstcw(cpu: Cpu, destination: Operand) -> None:
    """destination := control word (Vol. 2A “FSTCW/FNSTCW—Store x87 FPU Control Word”)."""
    check_available(cpu)
    destination.write(cpu.x87_control)


@instruction("FNSTSW", Form("DD /7", "m16"), Form("DF E0", "AX"))
def fnstsw(cpu: Cpu, destination: Operand) -> None:
    """destination := status word (Vol. 2A “FSTSW/FNSTSW—Store x87 FPU Status Word”)."""
    check_available(cpu)
    destination.write(status_word(cpu))


@instruction("FNOP", Form("D9 D0"))
def fnop(cpu: Cpu, record: Record) -> None:
    """Nothing but the exceptions of a waiting instruction (Vol. 2A “FNOP—No Operation”)."""
    enter(cpu)
    remember(cpu, record, 0xD9)


@instruction("FDECSTP", Form("D9 F6"))
def fdecstp(cpu: Cpu, record: Record) -> None:
    """TOP := TOP - 1 (Vol. 2A “FDECSTP—Decrement Stack-Top Pointer”)."""
    enter(cpu)
    clear_c1(cpu)
    rotate(cpu, 7)
    remember(cpu, record, 0xD9)


@instruction("FINCSTP", Form("D9 F7"))
def fincstp(cpu: Cpu, record: Record) -> None:
    """TOP := TOP + 1 (Vol. 2A “FINCSTP—Increment Stack-Top Pointer”)."""
    enter(cpu)
    clear_c1(cpu)
    rotate(cpu, 1)
    remember(cpu, record, 0xD9)


@instruction("FFREE", Form("DD /0", "sti"))
def ffree(cpu: Cpu, register: NumberOperand, record: Record) -> None:
    """Tag ST(i) empty; C1, which the manual leaves undefined, becomes 0 (Vol. 2A “FFREE”)."""
    enter(cpu)
    clear_c1(cpu)
    free(cpu, u32(register.number()))
    remember(cpu, record, 0xDD)


@instruction("FFREEP", Form("DF /0", "sti"))
def ffreep(cpu: Cpu, register: NumberOperand, record: Record) -> None:
    """Tag ST(i) empty, pop: undocumented, used by compilers of the 387's time (Vol. 3B §23.18 “x87 FPU”)."""
    enter(cpu)
    clear_c1(cpu)
    free(cpu, u32(register.number()))
    pop(cpu)
    remember(cpu, record, 0xDF)


@inline
def is_protected(cpu: Cpu) -> bool:
    """Whether images have the protected-mode layout."""
    return ((cpu.cr0 & PROTECTION) != 0) & ((cpu.rflags_other & VIRTUAL_8086) == 0)


def image_kind(form: FormVariant) -> IntType:
    """The unit of an image's environment: u16 or u32, by operand size."""
    return form.kind if form.operand_bits == 16 else U32


U32: IntType = u32  # type: ignore[assignment]  # for mypy the integer types are aliases of int


@instruction("FNSTENV", Form("D9 /6", "mem"))
def fnstenv(cpu: Cpu, destination: Operand, record: Record, form: FormVariant) -> None:
    """destination := environment, then mask all exceptions (Vol. 2A “FSTENV/FNSTENV—Store x87 FPU Environment”)."""
    check_available(cpu)
    size = environment_bytes(image_kind(form))
    pointer = writable(cpu, destination.linear(size, True), size, record.segment)
    store_environment(cpu, image_kind(form), is_protected(cpu), pointer)
    cpu.x87_control = cpu.x87_control | FLAGS
    summarize(cpu)


@instruction("FLDENV", Form("D9 /4", "mem"))
def fldenv(cpu: Cpu, source: Operand, record: Record, form: FormVariant) -> None:
    """Environment := source (Vol. 2A “FLDENV—Load x87 FPU Environment”)."""
    enter(cpu)
    size = environment_bytes(image_kind(form))
    load_environment(cpu, image_kind(form), is_protected(cpu), readable(cpu, source.linear(size), size, record.segment))


@instruction("FNSAVE", Form("DD /6", "mem"))
def fnsave(cpu: Cpu, destination: Operand, record: Record, form: FormVariant) -> None:
    """destination := environment and registers, then initialize (Vol. 2A “FSAVE/FNSAVE—Store x87 FPU State”)."""
    check_available(cpu)
    size = environment_bytes(image_kind(form))
    whole = size + 8 * REGISTER_BYTES
    pointer = writable(cpu, destination.linear(whole, True), whole, record.segment)
    store_environment(cpu, image_kind(form), is_protected(cpu), pointer)
    store_registers(cpu, pointer + size, REGISTER_BYTES)
    initialize(cpu)


@instruction("FRSTOR", Form("DD /4", "mem"))
def frstor(cpu: Cpu, source: Operand, record: Record, form: FormVariant) -> None:
    """Environment and registers := source (Vol. 2A “FRSTOR—Restore x87 FPU State”)."""
    enter(cpu)
    size = environment_bytes(image_kind(form))
    whole = size + 8 * REGISTER_BYTES
    pointer = readable(cpu, source.linear(whole), whole, record.segment)
    load_environment(cpu, image_kind(form), is_protected(cpu), pointer)
    load_registers(cpu, pointer + size, REGISTER_BYTES)
