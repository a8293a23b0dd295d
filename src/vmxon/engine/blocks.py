"""The block cache: decoded blocks keyed by the place of their bytes, RIP and code size."""

from __future__ import annotations

from vmxon.engine.decode_operands import ENDS_BLOCK
from vmxon.engine.decoder import TRUNCATED, decode
from vmxon.engine.places import JUMP_ENTRIES, TABLE_ENTRIES
from vmxon.isa.record import Record
from vmxon.microcode import inline, load, microcode, store, u8, u64
from vmxon.microcode.layout import member_offset
from vmxon.processor.code_pages import BLOCK_SIZE, Block, line_mask, page_entry
from vmxon.processor.debugger import begins_block
from vmxon.processor.exceptions import general_protection
from vmxon.processor.memory import copy_bytes, fill, translate
from vmxon.processor.memory_map import NOWHERE, TO_READ, place
from vmxon.processor.paging import EXECUTE
from vmxon.processor.segmentation import canonical
from vmxon.processor.slots import apic_access
from vmxon.processor.state import CodeSize, Segment
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.tlb import ADDEND, slot_address
from vmxon.processor.tlb import EXECUTE as EXECUTE_TAG

RECORD_SIZE = Record.size
MAXIMUM_COUNT = 64
NEXT_IN_TABLE = member_offset(Block, "next_in_table")


@inline
def jump_slot(cpu: Cpu, rip: int) -> int:
    """Host address of the jump-cache entry of a RIP."""
    return cpu.jump_cache + (((rip ^ (rip >> 12)) & (JUMP_ENTRIES - 1)) << 5)


@inline
def table_slot(cpu: Cpu, at: int, rip: int) -> int:
    """Host address of the head of a hash chain."""
    hashed = (at ^ (rip >> 12) ^ (at >> 14)) & (TABLE_ENTRIES - 1)
    return cpu.block_table + (hashed << 3)


@inline
def code_linear(cpu: Cpu, rip: int) -> int:
    """Linear address of an instruction pointer."""
    if cpu.code_size == CodeSize.BITS64:
        linear = rip
    else:
        linear = (cpu.segments[Segment.CS].base + rip) & 0xFFFF_FFFF
    return linear


@inline
def block_mode(cpu: Cpu) -> int:
    """What a block depends on besides its address: the code size, and outside 64-bit mode the limit that ends it."""
    mode = u64(cpu.code_size)
    if cpu.code_size != CodeSize.BITS64:
        mode = mode | u64(cpu.segments[Segment.CS].limit) << 8
    return mode


@inline
def bytes_to_limit(cpu: Cpu, rip: int) -> int:
    """How many bytes the code segment has from `rip` on, which is inside it."""
    left = ~u64(0)
    if cpu.code_size != CodeSize.BITS64:
        left = u64(cpu.segments[Segment.CS].limit) - rip + 1
    return left


@microcode
def fetch_place(cpu: Cpu, linear: u64) -> u64:
    """The place to fetch from, NOWHERE outside memory; #PF, or a second-stage fault."""
    entry = slot_address(cpu, linear)
    if load(u64, entry + EXECUTE_TAG) == linear & ~u64(0xFFF) | cpu.tag_current:
        return linear + load(u64, entry + ADDEND) - cpu.memory
    page = translate(cpu, linear, EXECUTE, cpu.tag_current, u64(1))
    physical = page & ~u64(0xFFF) | linear & 0xFFF
    if page & ~u64(0xFFF) == cpu.apic_access_page:
        apic_access(cpu, linear, u64(1), u64(EXECUTE))
    at = place(cpu, physical, TO_READ)
    if at != NOWHERE:
        fill(cpu, linear, at & ~u64(0xFFF) | page & 0xFFF, EXECUTE, cpu.tag_current)
    return at


@microcode
def find_block(cpu: Cpu, at: u64, rip: u64) -> u64:
    """Host address of a block's first record, 0 where it is not decoded yet.

    Dropped blocks on the way leave the chain: code that changes itself, such as GRUB's real-mode calls, would make it long.
    """
    mode = block_mode(cpu)
    link = table_slot(cpu, at, rip)
    pointer = load(u64, link)
    while pointer != 0:
        block = Block(pointer)
        if block.place == ~u64(0):
            store(u64, link, block.next_in_table)
        else:
            if block.place == at and block.rip == rip and block.mode == mode:
                return pointer + BLOCK_SIZE
            link = pointer + NEXT_IN_TABLE
        pointer = block.next_in_table
    return u64(0)


@microcode
def flush_blocks(cpu: Cpu) -> None:
    """Forget every decoded block."""
    index = u64(0)
    while index < TABLE_ENTRIES:
        store(u64, cpu.block_table + index * 8, u64(0))
        index = index + 1
    page = u64(0)
    end = cpu.low_memory + cpu.high_memory + cpu.rom_size
    while page < end:
        store(u64, page_entry(cpu, page), u64(0))
        store(u64, page_entry(cpu, page) + 8, u64(0))
        page = page + 0x1000
    index = u64(0)
    while index < JUMP_ENTRIES:
        store(u64, cpu.jump_cache + index * 32 + 8, ~u64(0))
        index = index + 1
    cpu.block_next = cpu.block_arena
    cpu.link_slot = u64(0)


@microcode
def build_block(cpu: Cpu, start: u64, rip: u64) -> u64:
    """Decode a block inside one page and the segment; gives its first record, or 0 where the first instruction does not fit."""
    if cpu.block_next + BLOCK_SIZE + (MAXIMUM_COUNT + 2) * RECORD_SIZE > cpu.block_end:
        flush_blocks(cpu)
    header = cpu.block_next
    first = header + BLOCK_SIZE
    record_address = first
    room = u64(0x1000) - (start & 0xFFF)
    if bytes_to_limit(cpu, rip) < room:
        room = bytes_to_limit(cpu, rip)
    at = u64(0)
    count = u64(0)
    flow = u64(0)
    while count < MAXIMUM_COUNT and at < room:
        if count != 0 and begins_block(cpu, start + at):
            break
        flow = decode(cpu, cpu.memory + start + at, room - at, rip + at, record_address)
        if flow == TRUNCATED:
            break
        record = Record(record_address)
        record.position = u8(count)
        at = at + u64(record.length)
        count = count + 1
        record_address = record_address + RECORD_SIZE
        if flow == ENDS_BLOCK:
            break
    if count == 0:
        return u64(0)
    if flow != ENDS_BLOCK:
        stop_record(cpu, record_address, rip + at, count)
        record_address = record_address + RECORD_SIZE
    if at == 0:
        at = u64(1)
    opening = Record(first)
    opening.count = u8(count)
    block = Block(header)
    block.place = start
    block.rip = rip
    block.mode = block_mode(cpu)
    block.bytes = at
    block.lines = line_mask(start, at)
    chain = table_slot(cpu, start, rip)
    block.next_in_table = load(u64, chain)
    store(u64, chain, header)
    page = page_entry(cpu, start)
    block.next_in_page = load(u64, page)
    store(u64, page, header)
    known = load(u64, page + 8)
    store(u64, page + 8, known | block.lines)
    if known == 0:
        protect_page(cpu, start)
    cpu.block_next = (record_address + 63) & ~u64(63)
    return first


@microcode
def stop_record(cpu: Cpu, address: u64, rip: u64, count: u64) -> None:
    """End a block that has no branch: go on at `rip`."""
    record = Record(address)
    record.handler = cpu.stop_handler
    record.next_rip = rip if cpu.code_size == CodeSize.BITS64 else rip & 0xFFFF_FFFF
    record.displacement = record.next_rip
    record.length = u8(0)
    record.position = u8(count)
    record.link_taken = u64(0)
    record.link_next = u64(0)


@microcode
def protect_page(cpu: Cpu, start: u64) -> None:
    """A page got its first code: no TLB entry may write to it behind our back."""
    host = cpu.memory + (start & ~u64(0xFFF))
    pointer = cpu.tlb_address
    end = pointer + 2048 * 32
    while pointer < end:
        tag = load(u64, pointer + 8)
        if tag != ~u64(0) and (tag & ~u64(0xFFF)) + load(u64, pointer + ADDEND) == host:
            store(u64, pointer + 8, ~u64(0))
        pointer = pointer + 32


@microcode
def build_crossing(cpu: Cpu, start: u64, rip: u64, linear: u64) -> u64:
    """One instruction across two pages: decoded from a copy of its bytes each time it runs; faults where the second page does.

    #GP(0) where it goes on beyond the limit of CS, or into addresses that are not canonical.
    """
    room = u64(0x1000) - (start & 0xFFF)
    if bytes_to_limit(cpu, rip) <= room or cpu.code_size == CodeSize.BITS64 and not canonical(cpu, linear + room):
        general_protection(cpu, 0)
    buffer = cpu.bounce_base
    cpu.bounce_next = u64(64)
    copy_bytes(cpu.memory + start, buffer, room)
    second = fetch_place(cpu, (linear + room) & cpu.linear_mask)
    if second != NOWHERE:
        copy_bytes(cpu.memory + second, buffer + room, u64(16))
    else:
        fill_ones(buffer + room, u64(16))
    first = cpu.crossing_record
    flow = decode(cpu, buffer, room + 16, rip, first)
    record = Record(first)
    if u64(record.length) > bytes_to_limit(cpu, rip):
        general_protection(cpu, 0)
    record.position = u8(0)
    record.count = u8(1)
    if flow != ENDS_BLOCK:
        stop_record(cpu, first + RECORD_SIZE, rip + u64(record.length), u64(1))
    return first


@microcode
def build_outside(cpu: Cpu, rip: u64) -> u64:
    """An instruction fetched from outside memory reads as ones, which is no instruction."""
    buffer = cpu.bounce_base
    fill_ones(buffer, u64(16))
    first = cpu.crossing_record
    decode(cpu, buffer, u64(16), rip, first)
    record = Record(first)
    record.position = u8(0)
    record.count = u8(1)
    return first


@microcode
def build_given(cpu: Cpu, code: u64, rip: u64) -> u64:
    """One instruction whose bytes Python gave, 16 at host address `code`."""
    first = cpu.crossing_record
    flow = decode(cpu, code, u64(16), rip, first)
    record = Record(first)
    record.position = u8(0)
    record.count = u8(1)
    if flow != ENDS_BLOCK:
        stop_record(cpu, first + RECORD_SIZE, rip + u64(record.length), u64(1))
    cpu.run_alone = u64(1)
    return first


@microcode
def fill_ones(pointer: u64, size: u64) -> None:
    """Write 0xFF bytes."""
    done = u64(0)
    while done < size:
        store(u8, pointer + done, u8(0xFF))
        done = done + 1
