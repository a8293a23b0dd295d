"""Port I/O: IN, OUT, INS, OUTS."""

from __future__ import annotations

from vmxon.isa.information import address_size, segment_number
from vmxon.isa.operands import FormVariant, Operand
from vmxon.isa.record import Prefix, Record
from vmxon.isa.registers import RAX, RCX, RDI, RDX, RSI, read_register, step_register, write_register
from vmxon.isa.strings import extra_segment, offset_of, stride
from vmxon.isa.table import Form, instruction
from vmxon.microcode import IntType, inline, load, store, u8, u16, u32, u64
from vmxon.processor.memory import fast_segment_linear, readable, writable
from vmxon.processor.port_access import check_port, port_in, port_out
from vmxon.processor.slots import intercept_port
from vmxon.processor.state import ProcessorState as Cpu

IS_IN, IS_STRING, IS_REPEATED, IS_IMMEDIATE, PORT = 1 << 3, 1 << 4, 1 << 5, 1 << 6, 16
"""Bits of the exit qualification (Vol. 3C Table 28-5), besides the size minus one."""


@inline
def size_of(form: FormVariant) -> IntType:
    """u16 or u32: REX.W makes no 64-bit port access."""
    return u16 if form.operand_bits == 16 else u32


@inline
def input_(cpu: Cpu, kind: IntType, port: int, flags: int) -> None:
    """rAX := port."""
    check_port(cpu, port, kind.bytes)
    intercept_port(cpu, port, u64(kind.bytes), port << PORT | (kind.bytes - 1 | IS_IN | flags), u32(0), u64(0))
    write_register(cpu, RAX, kind, kind(port_in(cpu, port, kind.bytes)))


@inline
def output(cpu: Cpu, kind: IntType, port: int, flags: int) -> None:
    """port := rAX."""
    check_port(cpu, port, kind.bytes)
    intercept_port(cpu, port, u64(kind.bytes), port << PORT | (kind.bytes - 1 | flags), u32(0), u64(0))
    port_out(cpu, port, kind.bytes, u64(read_register(cpu, RAX, kind)))


@inline
def port_in_dx(cpu: Cpu) -> int:
    """The port in DX."""
    return cpu.gpr[RDX] & 0xFFFF


@instruction("IN AL, imm8", Form("E4 ib", "imm8"), flow="system")
def in_byte(cpu: Cpu, port: Operand) -> None:
    """AL := port (Vol. 2A “IN—Input from Port”)."""
    input_(cpu, u8, u64(u8(port.read())), IS_IMMEDIATE)


@instruction("IN rAX, imm8", Form("E5 ib", "imm8"), flow="system")
def in_word(cpu: Cpu, port: Operand, form: FormVariant) -> None:
    """AX or EAX := port (Vol. 2A “IN—Input from Port”)."""
    input_(cpu, size_of(form), u64(u8(port.read())), IS_IMMEDIATE)


@instruction("IN AL, DX", Form("EC"), flow="system")
def in_byte_dx(cpu: Cpu) -> None:
    """AL := port DX (Vol. 2A “IN—Input from Port”)."""
    input_(cpu, u8, port_in_dx(cpu), 0)


@instruction("IN rAX, DX", Form("ED"), flow="system")
def in_word_dx(cpu: Cpu, form: FormVariant) -> None:
    """AX or EAX := port DX (Vol. 2A “IN—Input from Port”)."""
    input_(cpu, size_of(form), port_in_dx(cpu), 0)


@instruction("OUT imm8, AL", Form("E6 ib", "imm8"), flow="system")
def out_byte(cpu: Cpu, port: Operand) -> None:
    """port := AL (Vol. 2B “OUT—Output to Port”)."""
    output(cpu, u8, u64(u8(port.read())), IS_IMMEDIATE)


@instruction("OUT imm8, rAX", Form("E7 ib", "imm8"), flow="system")
def out_word(cpu: Cpu, port: Operand, form: FormVariant) -> None:
    """port := AX or EAX (Vol. 2B “OUT—Output to Port”)."""
    output(cpu, size_of(form), u64(u8(port.read())), IS_IMMEDIATE)


@instruction("OUT DX, AL", Form("EE"), flow="system")
def out_byte_dx(cpu: Cpu) -> None:
    """Port DX := AL (Vol. 2B “OUT—Output to Port”)."""
    output(cpu, u8, port_in_dx(cpu), 0)


@instruction("OUT DX, rAX", Form("EF"), flow="system")
def out_word_dx(cpu: Cpu, form: FormVariant) -> None:
    """Port DX := AX or EAX (Vol. 2B “OUT—Output to Port”)."""
    output(cpu, size_of(form), port_in_dx(cpu), 0)


@inline
def is_repeated(record: Record) -> bool:
    """A REP prefix; REPNE counts as one here."""
    return record.prefixes & (Prefix.REP | Prefix.REPNE) != 0


@inline
def nothing_left(cpu: Cpu, record: Record) -> bool:
    """REP with a count of zero."""
    return is_repeated(record) and (cpu.gpr[RCX] << record.address_shift) >> record.address_shift == 0


@inline
def count_down(cpu: Cpu, record: Record) -> None:
    """Each iteration is one instruction: while the count is not used up, it runs again."""
    if is_repeated(record):
        if step_register(cpu, RCX, record.address_shift, ~u64(0)) != 0:
            cpu.next_rip = cpu.rip


@inline
def qualification(kind: IntType, port: int, record: Record, direction: int) -> int:
    """Exit qualification of INS and OUTS, as u64."""
    repeated = u64(is_repeated(record)) << 5
    return port << PORT | repeated | (kind.bytes - 1 | IS_STRING | direction)


@inline
def unchecked_linear(cpu: Cpu, segment: int, offset: int) -> int:
    """The linear address for a VM exit, which outranks the faults of the segment (Vol. 3C §26.1.1)."""
    return (cpu.segments[u64(segment)].base + offset) & cpu.linear_mask


@inline
def input_string(cpu: Cpu, kind: IntType, record: Record) -> None:
    """ES:rDI := port DX, then step; the store is checked before the port is read."""
    if nothing_left(cpu, record):
        return
    port = port_in_dx(cpu)
    segment = extra_segment(cpu)
    offset = offset_of(cpu, RDI, record)
    check_port(cpu, port, kind.bytes)
    what = qualification(kind, port, record, IS_IN)
    intercept_port(cpu, port, u64(kind.bytes), what, address_size(record), unchecked_linear(cpu, segment, offset))
    linear = fast_segment_linear(cpu, segment, offset, kind.bytes, True)
    pointer = writable(cpu, linear, kind.bytes, segment)
    store(kind, pointer, kind(port_in(cpu, port, kind.bytes)))
    step_register(cpu, RDI, record.address_shift, stride(cpu, kind))
    count_down(cpu, record)


@inline
def output_string(cpu: Cpu, kind: IntType, record: Record) -> None:
    """Port DX := DS:rSI, then step."""
    if nothing_left(cpu, record):
        return
    port = port_in_dx(cpu)
    offset = offset_of(cpu, RSI, record)
    check_port(cpu, port, kind.bytes)
    what = qualification(kind, port, record, 0)
    information = address_size(record) | segment_number(record)
    intercept_port(cpu, port, u64(kind.bytes), what, information, unchecked_linear(cpu, record.segment, offset))
    linear = fast_segment_linear(cpu, record.segment, offset, kind.bytes, False)
    value = load(kind, readable(cpu, linear, kind.bytes, record.segment))
    port_out(cpu, port, kind.bytes, u64(value))
    step_register(cpu, RSI, record.address_shift, stride(cpu, kind))
    count_down(cpu, record)


@instruction("INSB", Form("6C"), flow="system")
def insb(cpu: Cpu, record: Record) -> None:
    """One byte from port DX to ES:rDI (Vol. 2A “INS/INSB/INSW/INSD—Input from Port to String”)."""
    input_string(cpu, u8, record)


@instruction("INS", Form("6D"), flow="system")
def ins(cpu: Cpu, record: Record, form: FormVariant) -> None:
    """Two or four bytes from port DX to ES:rDI (Vol. 2A “INS/INSB/INSW/INSD”)."""
    input_string(cpu, size_of(form), record)


@instruction("OUTSB", Form("6E"), flow="system")
def outsb(cpu: Cpu, record: Record) -> None:
    """One byte from DS:rSI to port DX (Vol. 2B “OUTS/OUTSB/OUTSW/OUTSD—Output String to Port”)."""
    output_string(cpu, u8, record)


@instruction("OUTS", Form("6F"), flow="system")
def outs(cpu: Cpu, record: Record, form: FormVariant) -> None:
    """Two or four bytes from DS:rSI to port DX (Vol. 2B “OUTS/OUTSB/OUTSW/OUTSD”)."""
    output_string(cpu, size_of(form), record)
