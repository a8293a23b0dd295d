"""Stack instructions: PUSH, POP, PUSHA, POPA, ENTER, LEAVE."""

from __future__ import annotations

from vmxon.isa.displaced import DisplacedOperand
from vmxon.isa.operands import FormVariant, Operand
from vmxon.isa.record import Record
from vmxon.isa.registers import RBP, RSP, read_register, write_register
from vmxon.isa.table import Form, instruction
from vmxon.microcode import IntType, inline, microcode, select, store, u8, u64
from vmxon.microcode.layout import member_offset
from vmxon.processor.stack import (
    move_stack,
    pop,
    pop_long,
    push,
    push_long,
    set_stack_pointer,
    stack_read,
    stack_read_long,
    stack_slot,
    with_stack_pointer,
)
from vmxon.processor.state import ProcessorState as Cpu

STACK_POINTER = member_offset(Cpu, "gpr") + 8 * RSP
"""RSP as records name it."""


@inline
def push_value(cpu: Cpu, form: FormVariant, value: int) -> None:
    """Push at the operand size."""
    if form.long:
        push_long(cpu, form.kind, value)
    else:
        push(cpu, form.kind, value)


@inline
def pop_value(cpu: Cpu, form: FormVariant) -> int:
    """Pop at the operand size."""
    if form.long:
        return pop_long(cpu, form.kind)
    return pop(cpu, form.kind)


@inline
def top_value(cpu: Cpu, form: FormVariant) -> int:
    """What a pop would give; the stack pointer stays."""
    if form.long:
        return stack_read_long(cpu, form.kind)
    return stack_read(cpu, form.kind, u64(0))


@inline
def release(cpu: Cpu, form: FormVariant, size: int) -> None:
    """Move the stack pointer up by `size` (u64) bytes."""
    if form.long:
        cpu.gpr[RSP] = cpu.gpr[RSP] + size
    else:
        move_stack(cpu, size)


@instruction(
    "PUSH",
    Form("50 +r", "r", default64=True),
    Form("FF /6", "r/m", default64=True),
    Form("68 iz", "imm", default64=True),
    Form("6A ib", "imm8", default64=True),
    stack=True,
)
def push_(cpu: Cpu, source: Operand, form: FormVariant) -> None:
    """Push source; PUSH rSP pushes its old value (Vol. 2B “PUSH”)."""
    push_value(cpu, form, form.kind(source.kind.signed(source.read())))


@instruction("POP", Form("58 +r", "r", default64=True), Form("8F /0", "r/m", default64=True), stack=True)
def pop_(cpu: Cpu, destination: Operand, form: FormVariant, record: Record) -> None:
    """destination := the popped value; an address that uses rSP sees it moved already (Vol. 2B “POP”)."""
    if destination.is_memory:
        kind = form.kind
        value = stack_read(cpu, kind, u64(0))
        moved = select(record.base == STACK_POINTER, u64(kind.bytes), u64(0))
        DisplacedOperand(destination, moved).write(value)
        move_stack(cpu, u64(kind.bytes))
    else:
        destination.write(pop_value(cpu, form))


@instruction("PUSHA", Form("60", "", modes="16 32"))
def pusha(cpu: Cpu, form: FormVariant) -> None:
    """Push rAX, rCX, rDX, rBX, the old rSP, rBP, rSI, rDI (Vol. 2B “PUSHA/PUSHAD”)."""
    kind = form.kind
    slots: tuple[int, ...] = ()
    for number in range(8):
        slots += (stack_slot(cpu, kind, u64(-kind.bytes * (number + 1))),)
    for number in range(8):
        store(kind, slots[number], read_register(cpu, number, kind))
    move_stack(cpu, u64(-8 * kind.bytes))


@instruction("POPA", Form("61", "", modes="16 32"))
def popa(cpu: Cpu, form: FormVariant) -> None:
    """Pop rDI, rSI, rBP, nothing for rSP, rBX, rDX, rCX, rAX (Vol. 2B “POPA/POPAD”)."""
    kind = form.kind
    values: tuple[int, ...] = ()
    for number in range(8):
        values += (stack_read(cpu, kind, u64(kind.bytes * (7 - number))),)
    for number in (0, 1, 2, 3, 5, 6, 7):
        write_register(cpu, number, kind, values[number])
    move_stack(cpu, u64(8 * kind.bytes))


@instruction("LEAVE", Form("C9", "", default64=True), stack=True)
def leave(cpu: Cpu, form: FormVariant) -> None:
    """rSP := rBP, then pop rBP (Vol. 2A “LEAVE—High Level Procedure Exit”)."""
    kind = form.kind
    frame = cpu.gpr[RBP]
    value = stack_read(cpu, kind, frame - cpu.gpr[RSP])
    write_register(cpu, RBP, kind, value)
    set_stack_pointer(cpu, frame + kind.bytes)


@instruction("ENTER", Form("C8 iw ib", "imm16, imm8", default64=True))
def enter(cpu: Cpu, size: Operand, level: Operand, form: FormVariant) -> None:
    """Make a stack frame of `size` bytes with a display of `level` (modulo 32) frame pointers (Vol. 2A “ENTER”)."""
    kind = form.kind
    bytes_ = kind.bytes
    depth = u64(u8(level.read()) & 31)
    old_frame = cpu.gpr[RBP]
    top = stack_slot(cpu, kind, u64(-bytes_))
    frame = with_stack_pointer(cpu, cpu.gpr[RSP] - bytes_)
    final = frame - depth * bytes_ - u64(size.read())
    # The page at the new top must be writable, since the next push goes there.
    stack_slot(cpu, kind, final - cpu.gpr[RSP])
    store(kind, top, kind(old_frame))
    if depth != 0:
        copy_display(cpu, kind, frame, depth)
    write_register(cpu, RBP, kind, kind(frame))
    set_stack_pointer(cpu, final)


@microcode
def copy_display(cpu: Cpu, kind: IntType, frame: u64, depth: u64) -> None:
    """Copy depth - 1 frame pointers below the new frame and add the new one; registers stay for a repetition."""
    distance = frame - cpu.gpr[RSP]
    source = cpu.gpr[RBP]
    index = u64(1)
    while index < depth:
        source = source - kind.bytes
        distance = distance - kind.bytes
        value = stack_read(cpu, kind, source - cpu.gpr[RSP])
        store(kind, stack_slot(cpu, kind, distance), value)
        index = index + 1
    store(kind, stack_slot(cpu, kind, distance - kind.bytes), kind(frame))
