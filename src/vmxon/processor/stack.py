"""The stack: pushes and pops at the width of the stack pointer (Vol. 1 §6.2 “Stacks”).

A stack pointer is 64, 32 or 16 bits wide (`cpu.stack_shift` 0, 32, 48); the bits of RSP above it never change. A push
is `stack_slot` (translate, may fault), a store, and `move_stack` (commit RSP); `push` does all three. Instructions that
push more than one value, or that can fault after the first, take the slots first.
"""

from __future__ import annotations

from vmxon.microcode import IntType, inline, load, select, store, u64
from vmxon.processor.memory import fast_segment_linear, readable, writable
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.state import Segment

RSP = 4


@inline
def push(cpu: Cpu, kind: IntType, value: int) -> None:
    """Push one value; #SS(0), #PF."""
    store(kind, stack_slot(cpu, kind, u64(-kind.bytes)), value)
    move_stack(cpu, u64(-kind.bytes))


@inline
def pop(cpu: Cpu, kind: IntType) -> int:
    """Pop one value; #SS(0), #PF."""
    value = stack_read(cpu, kind, u64(0))
    move_stack(cpu, u64(kind.bytes))
    return value


@inline
def push_long(cpu: Cpu, kind: IntType, value: int) -> None:
    """Push in 64-bit mode, where the whole of RSP counts and SS has neither base nor limit."""
    top = cpu.gpr[RSP] - kind.bytes
    store(kind, writable(cpu, top, kind.bytes, Segment.FLAT_STACK), value)
    cpu.gpr[RSP] = top


@inline
def pop_long(cpu: Cpu, kind: IntType) -> int:
    """Pop in 64-bit mode."""
    value = stack_read_long(cpu, kind)
    cpu.gpr[RSP] = cpu.gpr[RSP] + kind.bytes
    return value


@inline
def stack_read_long(cpu: Cpu, kind: IntType) -> int:
    """The top of the stack in 64-bit mode; RSP stays; #SS(0), #PF."""
    return load(kind, readable(cpu, cpu.gpr[RSP], kind.bytes, Segment.FLAT_STACK))


@inline
def stack_slot(cpu: Cpu, kind: IntType, distance: int) -> int:
    """Host pointer to write a `kind` at `distance` (u64, two's complement) bytes above the top; #SS(0), #PF."""
    segment = stack_segment(cpu)
    linear = fast_segment_linear(cpu, segment, stack_offset(cpu, cpu.gpr[RSP] + distance), kind.bytes, True)
    return writable(cpu, linear, kind.bytes, segment)


@inline
def stack_write(cpu: Cpu, kind: IntType, offset_down: int, value: int) -> None:
    """Store at `offset_down` bytes (static) below the top of the stack; RSP stays."""
    store(kind, stack_slot(cpu, kind, u64(-offset_down)), value)


@inline
def stack_read(cpu: Cpu, kind: IntType, distance: int) -> int:
    """The `kind` at `distance` (u64) bytes above the top of the stack; RSP stays; #SS(0), #PF."""
    segment = stack_segment(cpu)
    linear = fast_segment_linear(cpu, segment, stack_offset(cpu, cpu.gpr[RSP] + distance), kind.bytes, False)
    return load(kind, readable(cpu, linear, kind.bytes, segment))


@inline
def move_stack(cpu: Cpu, distance: int) -> None:
    """Move the stack pointer by `distance` bytes (u64, two's complement)."""
    set_stack_pointer(cpu, cpu.gpr[RSP] + distance)


@inline
def set_stack_pointer(cpu: Cpu, value: int) -> None:
    """Replace as many low bits of RSP as the stack pointer has."""
    cpu.gpr[RSP] = with_stack_pointer(cpu, value)


@inline
def with_stack_pointer(cpu: Cpu, value: int) -> int:
    """What RSP would be with `value` in the stack pointer."""
    old = cpu.gpr[RSP]
    return old ^ stack_offset(cpu, old ^ value)


@inline
def stack_offset(cpu: Cpu, address: int) -> int:
    """`address` (u64) reduced to the width of the stack pointer."""
    shift = cpu.stack_shift
    return (address << shift) >> shift


@inline
def stack_segment(cpu: Cpu) -> int:
    """SS as u64, or in 64-bit mode the flat segment that faults like it."""
    return select(cpu.stack_shift == 0, u64(Segment.FLAT_STACK), u64(Segment.SS))
