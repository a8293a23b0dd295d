"""Control and status words, and the images of FNSTENV and FNSAVE (Vol. 1 §8.1.10 “Saving the x87 FPU's State”)."""

from __future__ import annotations

from vmxon.microcode import IntType, inline, load, microcode, store, u16, u32, u64
from vmxon.processor.floating.extended import is_denormal, is_infinite, is_ordinary, is_zero
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.x87.registers import TOP_SHIFT, physical, put, summarize

INITIAL_CONTROL = 0x037F
FIXED_CONTROL = 0x0040
"""Bit 6 of the control word always reads 1; bits 7 and 15:13 read 0."""
WRITABLE_CONTROL = 0x1F3F
TOP_MASK = 7 << TOP_SHIFT
OPCODE_MASK = 0x7FF
REGISTER_BYTES = 10


@inline
def initialize(cpu: Cpu) -> None:
    """FNINIT: all masked, nearest, 64 bits, stack empty."""
    cpu.x87_control = u16(INITIAL_CONTROL)
    cpu.x87_status = u16(0)
    cpu.x87_top = u32(0)
    cpu.x87_tag = u16(0)
    cpu.x87_opcode = u16(0)
    cpu.x87_ip = u64(0)
    cpu.x87_dp = u64(0)
    cpu.x87_cs = u16(0)
    cpu.x87_ds = u16(0)


@inline
def load_control(cpu: Cpu, value: int) -> None:
    """Set the control word; newly unmasked flags become pending."""
    cpu.x87_control = (u16(value) & WRITABLE_CONTROL) | FIXED_CONTROL
    summarize(cpu)


@inline
def status_word(cpu: Cpu) -> int:
    """The status word with TOP, as u16."""
    return (cpu.x87_status & ~u16(TOP_MASK)) | u16(cpu.x87_top << TOP_SHIFT)


@inline
def load_status(cpu: Cpu, value: int) -> None:
    """Set the status word with TOP; ES follows from flags and masks."""
    cpu.x87_status = u16(value) & ~u16(TOP_MASK)
    cpu.x87_top = (u32(value) >> TOP_SHIFT) & 7
    summarize(cpu)


@microcode
def tag_word(cpu: Cpu) -> u32:
    """The 16-bit tag word: for each physical register 0 valid, 1 zero, 2 special, 3 empty."""
    tags = u32(0)
    register = u32(0)
    while register != 8:
        head = u32(cpu.x87_exponent[register])
        significand = cpu.x87_significand[register]
        tag = u32(0)
        if (u32(cpu.x87_tag) >> register) & 1 == 0:
            tag = u32(3)
        elif is_zero(head, significand):
            tag = u32(1)
        elif (not is_ordinary(head, significand)) | is_infinite(head, significand) | is_denormal(head, significand):
            tag = u32(2)
        tags = tags | (tag << (register << 1))
        register = register + 1
    return tags


@microcode
def load_tags(cpu: Cpu, tags: u32) -> None:
    """Set the tag bits from a 16-bit tag word: only “empty” matters."""
    present = u32(0)
    register = u32(0)
    while register != 8:
        if (tags >> (register << 1)) & 3 != 3:
            present = present | (u32(1) << register)
        register = register + 1
    cpu.x87_tag = u16(present)


@inline
def environment_bytes(kind: IntType) -> int:
    """Size of the environment in units of u16 or u32: 14 or 28."""
    return 7 * kind.bytes


@microcode
def store_environment(cpu: Cpu, kind: IntType, protected: bool, pointer: u64) -> None:
    """Write the environment in its 16-bit or 32-bit layout, for protected or real mode (Vol. 1 Figures 8-9 to 8-12)."""
    filler = 0 if kind.bits == 16 else 0xFFFF0000
    opcode = u32(cpu.x87_opcode) & OPCODE_MASK
    instruction = u32(cpu.x87_ip)
    data = u32(cpu.x87_dp)
    put_word(kind, pointer, 0, u32(cpu.x87_control) | filler)
    put_word(kind, pointer, 1, u32(status_word(cpu)) | filler)
    put_word(kind, pointer, 2, tag_word(cpu) | filler)
    if protected:
        put_word(kind, pointer, 3, instruction)
        put_word(kind, pointer, 4, u32(cpu.x87_cs) | (opcode << 16))
        put_word(kind, pointer, 5, data)
        put_word(kind, pointer, 6, u32(cpu.x87_ds) | filler)
    else:
        # Real mode keeps linear addresses, split into 16 low bits and the rest from bit 12 on.
        instruction = instruction + (u32(cpu.x87_cs) << 4)
        data = data + (u32(cpu.x87_ds) << 4)
        put_word(kind, pointer, 3, (instruction & 0xFFFF) | filler)
        put_word(kind, pointer, 4, ((instruction >> 16) << 12) | opcode)
        put_word(kind, pointer, 5, (data & 0xFFFF) | filler)
        put_word(kind, pointer, 6, (data >> 16) << 12)


@inline
def put_word(kind: IntType, pointer: int, index: int, value: int) -> None:
    """Write entry `index` of an environment."""
    store(kind, pointer + index * kind.bytes, kind(value))


@inline
def get_word(kind: IntType, pointer: int, index: int) -> int:
    """Entry `index` of an environment, as u32."""
    return u32(load(kind, pointer + index * kind.bytes))


@microcode
def load_environment(cpu: Cpu, kind: IntType, protected: bool, pointer: u64) -> None:
    """Read what `store_environment` wrote."""
    fourth = get_word(kind, pointer, 4)
    sixth = get_word(kind, pointer, 6)
    cpu.x87_ip = u64(get_word(kind, pointer, 3))
    cpu.x87_dp = u64(get_word(kind, pointer, 5))
    if protected:
        cpu.x87_cs = u16(fourth)
        cpu.x87_ds = u16(sixth)
        if kind.bits == 32:
            cpu.x87_opcode = u16(fourth >> 16) & OPCODE_MASK
    else:
        cpu.x87_ip = u64((get_word(kind, pointer, 3) & 0xFFFF) | ((fourth >> 12) << 16))
        cpu.x87_dp = u64((get_word(kind, pointer, 5) & 0xFFFF) | ((sixth >> 12) << 16))
        cpu.x87_cs = u16(0)
        cpu.x87_ds = u16(0)
        cpu.x87_opcode = u16(fourth) & OPCODE_MASK
    load_tags(cpu, get_word(kind, pointer, 2))
    cpu.x87_control = (u16(get_word(kind, pointer, 0)) & WRITABLE_CONTROL) | FIXED_CONTROL
    load_status(cpu, get_word(kind, pointer, 1))


@microcode
def store_registers(cpu: Cpu, pointer: u64, stride: int) -> None:
    """Write ST(0)–ST(7), ten bytes each, `stride` bytes apart."""
    index = u32(0)
    while index != 8:
        register = physical(cpu, index)
        place = pointer + u64(index) * stride
        store(u64, place, cpu.x87_significand[register])
        store(u16, place + 8, cpu.x87_exponent[register])
        index = index + 1


@microcode
def load_registers(cpu: Cpu, pointer: u64, stride: int) -> None:
    """Read ST(0)–ST(7); the tags stay."""
    tags = cpu.x87_tag
    index = u32(0)
    while index != 8:
        place = pointer + u64(index) * stride
        put(cpu, index, u32(load(u16, place + 8)), load(u64, place))
        index = index + 1
    cpu.x87_tag = tags
