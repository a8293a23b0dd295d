"""The decoder: bytes to a `Record`, in every mode, by the tables of `engine.encoding` (Vol. 2A ch. 2 “Instruction Format”)."""

from __future__ import annotations

from vmxon.engine.decode_opcode import MAXIMUM_LENGTH, match, read_opcode, read_prefixes
from vmxon.engine.decode_operands import ENDS_BLOCK, STRAIGHT, fill_record
from vmxon.engine.places import DecodeTables
from vmxon.isa.record import Record
from vmxon.microcode import microcode, u8, u64
from vmxon.processor.state import CodeSize
from vmxon.processor.state import ProcessorState as Cpu

TRUNCATED = 2
"""More bytes are needed than were at hand."""


@microcode
def decode(cpu: Cpu, pointer: u64, available: u64, rip: u64, record_address: u64) -> u64:
    """Decode one instruction of up to `available` bytes at host address `pointer` into a record; STRAIGHT, ENDS_BLOCK or TRUNCATED."""
    d = DecodeTables(cpu.decode_tables)
    record = Record(record_address)
    d.pointer = pointer
    d.available = available
    d.at = u64(0)
    d.short = u64(0)
    d.vex = u64(0)
    d.vvvv = u64(0)
    d.vex_long = u64(0)
    record.link_taken = u64(0)
    record.link_next = u64(0)
    read_prefixes(cpu)
    read_opcode(cpu)
    candidate_address = match(cpu)
    flow = u64(STRAIGHT)
    if candidate_address == 0:
        record.handler = d.undefined
        flow = u64(ENDS_BLOCK)
    else:
        flow = fill_record(cpu, candidate_address, rip, record_address)
    if d.short != 0:
        if d.available >= MAXIMUM_LENGTH:
            record.handler = d.too_long
            record.length = u8(0)
            record.next_rip = rip
            return u64(ENDS_BLOCK)
        return u64(TRUNCATED)
    if d.at > MAXIMUM_LENGTH:
        record.handler = d.too_long
        flow = u64(ENDS_BLOCK)
    record.length = u8(d.at)
    record.next_rip = rip + d.at
    if cpu.code_size != CodeSize.BITS64:
        record.next_rip = record.next_rip & 0xFFFF_FFFF
    record.prefixes = u8(d.prefixes)
    return flow
