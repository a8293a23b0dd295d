"""Access to guest memory: host pointers behind a software TLB.

The fast path is a tag compare. Everything else is out of line: page walks, accesses across two pages, device memory, stores into
code. Those that cannot be done through one pointer use bounce buffers: a load gets a copy; a store runs alone (FaultKind.ALONE, one
instruction as a block of its own) into a buffer that `commit_stores` writes when the instruction is complete.
"""

from __future__ import annotations

from vmxon.microcode import fault, inline, load, microcode, store, u8, u16, u32, u64
from vmxon.processor.breakpoints import page_is_watched, watch_data
from vmxon.processor.code_pages import invalidate_code, lines_of, touches_code
from vmxon.processor.debugger import page_has_watchpoint, watch_for_debugger
from vmxon.processor.exceptions import alignment_check, general_protection, stack_fault
from vmxon.processor.memory_map import NOWHERE, TO_WRITE, place
from vmxon.processor.paging import (
    EXECUTE,
    LARGE_1G,
    LARGE_2M,
    NO_EXECUTE_LINEAR,
    READ,
    USER_LINEAR,
    WRITABLE_LINEAR,
    WRITE,
    walk,
)
from vmxon.processor.segmentation import canonical, segment_linear
from vmxon.processor.slots import apic_access, second_stage_walk
from vmxon.processor.state import CodeSize, FaultKind, HostRequest, Segment
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.tlb import ADDEND, TLB_ENTRIES, USER, USER_ALIGNED, slot_address
from vmxon.processor.tlb import EXECUTE as EXECUTE_TAG
from vmxon.processor.tlb import READ as READ_TAG
from vmxon.processor.tlb import WRITE as WRITE_TAG
from vmxon.processor.tlb_fast import tlb_field
from vmxon.processor.tlb_pages import GLOBAL, note_global

MODIFY = READ | WRITE
APIC_WRITE = 1 << 16
"""Mark in cpu.store_size: the store goes to the virtual-APIC page by way of the APIC-access page."""
TWO_ALIGNED, FOUR_ALIGNED, EIGHT_ALIGNED = (2, 14, 94), (4, 6, 28, 108), (8, 10)
"""Sizes of operands by their boundaries: words and x87 images of 16-bit code; doublewords, far pointers and 32-bit images; the rest."""
BOUNCE = 64
"""Bytes of each bounce buffer in `scratch`."""


@inline
def readable(cpu: Cpu, linear: int, size: int, segment: int = Segment.DS) -> int:
    """Host pointer to read `size` bytes (up to 512) at the current privilege."""
    return through_tlb(cpu, linear, size, READ, cpu.tag_current, segment)


@inline
def writable(cpu: Cpu, linear: int, size: int, segment: int = Segment.DS) -> int:
    """Host pointer to write `size` bytes (up to 512) at the current privilege."""
    return through_tlb(cpu, linear, size, WRITE, cpu.tag_current, segment)


@inline
def modifiable(cpu: Cpu, linear: int, size: int, segment: int = Segment.DS) -> int:
    """Host pointer to read and then write `size` bytes at the current privilege."""
    return through_tlb(cpu, linear, size, MODIFY, cpu.tag_current, segment)


@inline
def readable_system(cpu: Cpu, linear: int, size: int) -> int:
    """The same as `readable`, as an implicit supervisor access (descriptor tables, TSS)."""
    return through_tlb(cpu, linear, size, READ, cpu.tag_system, Segment.DS)


@inline
def writable_system(cpu: Cpu, linear: int, size: int) -> int:
    """The same as `writable`, as an implicit supervisor access."""
    return through_tlb(cpu, linear, size, WRITE, cpu.tag_system, Segment.DS)


@inline
def modifiable_system(cpu: Cpu, linear: int, size: int) -> int:
    """The same as `modifiable`, as an implicit supervisor access."""
    return through_tlb(cpu, linear, size, MODIFY, cpu.tag_system, Segment.DS)


@inline
def through_tlb(cpu: Cpu, linear: int, size: int, access: int, tag: int, segment: int) -> int:
    """Compare the tag of the last byte's page with the entry of the first byte's; a crossing access misses."""
    offset = (linear >> 7) & ((TLB_ENTRIES - 1) << 5)
    wanted = (linear + (size - 1)) & ~u64(0xFFF) | tag
    held = tlb_field(cpu, offset, WRITE_TAG if access & WRITE != 0 else READ_TAG)
    if held == wanted:
        pointer = linear + tlb_field(cpu, offset, ADDEND)
    else:
        pointer = miss(cpu, linear, u64(size), access, tag, u64(segment))
    return pointer


@microcode
def miss(cpu: Cpu, linear: u64, size: u64, access: int, tag: u64, segment: u64) -> u64:
    """The slow path of `through_tlb`."""
    if cpu.code_size == CodeSize.BITS64 or cpu.long_mode != 0 and tag == cpu.tag_system:
        if not canonical(cpu, linear) or not canonical(cpu, linear + size - 1):
            if segment == Segment.SS or segment == Segment.FLAT_STACK:
                stack_fault(cpu, 0)
            general_protection(cpu, 0)
    if tag & 3 == USER_ALIGNED:
        check_aligned(cpu, linear, size)
    if cpu.data_breakpoints != 0:
        watch_data(cpu, linear, size, access & WRITE != 0)
    if cpu.debugger_watch_count != 0:
        watch_for_debugger(cpu, linear, size, u64(access & MODIFY))
    room = u64(0x1000) - (linear & 0xFFF)
    if size <= room:
        physical = translate(cpu, linear, access, tag, size)
        return at_physical(cpu, linear, physical, size, access, tag)
    first = translate(cpu, linear, access, tag, room) & ~u64(0xFFF) | linear & 0xFFF
    next_page = linear + room
    if next_page == 0x1_0000_0000 and cpu.code_size != CodeSize.BITS64:
        next_page = u64(0)
    second = translate(cpu, next_page, access, tag, size - room) & ~u64(0xFFF)
    return across(cpu, first, second, room, size, access)


@inline
def check_aligned(cpu: Cpu, linear: int, size: int) -> None:
    """#AC(0) for an operand of `size` bytes that is not on its boundary (Vol. 3A Table 6-7 “Alignment Requirements by Data Type”)."""
    for sizes, boundary in ((TWO_ALIGNED, 2), (FOUR_ALIGNED, 4), (EIGHT_ALIGNED, 8)):
        for known in sizes:
            if size == known and linear & (boundary - 1) != 0:
                alignment_check(cpu)


@microcode
def translate(cpu: Cpu, linear: u64, access: int, tag: u64, size: u64) -> u64:
    """Host-physical page of `size` bytes inside one linear page | permissions and marks of `walk`, through both stages."""
    found = walk(cpu, linear, u64(access), u64(USER) if tag & 3 == USER_ALIGNED else tag & 3)
    if cpu.second_stage == 0:
        return found
    cpu.fault_address = linear
    kind = u64(access | 16) | found & (USER_LINEAR | WRITABLE_LINEAR | NO_EXECUTE_LINEAR) | (size - 1) << 16
    stage = second_stage_walk(cpu, found & ~u64(0xFFF) | linear & 0xFFF, kind)
    return stage & ~u64(0xFFF) | stage & found & 7 | found & (LARGE_1G | LARGE_2M | GLOBAL)


@microcode
def at_physical(cpu: Cpu, linear: u64, translated: u64, size: u64, access: int, tag: u64) -> u64:
    """Host pointer for an access inside one page; fills the TLB where later accesses may go the fast way."""
    page = translated & ~u64(0xFFF)
    physical = page | linear & 0xFFF
    if page == cpu.apic_access_page:
        return apic_register(cpu, linear, size, access)
    at = place(cpu, physical, access)
    if at == NOWHERE:
        return device_memory(cpu, physical, size, access)
    pointer = cpu.memory + at
    if access & WRITE != 0:
        if touches_code(cpu, at, size):
            if cpu.alone == 0:
                cpu.fault_kind = u32(FaultKind.ALONE)
                fault()
            invalidate_code(cpu, at, size)
        if lines_of(cpu, at) != 0 or translated & WRITE == 0:
            # Only this write is allowed, not every one to the page.
            return pointer
    fill(cpu, linear, at & ~u64(0xFFF) | translated & 0xFFF, access, tag)
    return pointer


@microcode
def apic_register(cpu: Cpu, linear: u64, size: u64, access: int) -> u64:
    """A virtualized access to the APIC-access page: a copy of the virtual-APIC page's bytes; a store is marked for VMX to see."""
    target = apic_access(cpu, linear, size, u64(access))
    if access & WRITE != 0 and cpu.alone == 0:
        cpu.fault_kind = u32(FaultKind.ALONE)
        fault()
    buffer = bounce(cpu, size)
    copy_in(cpu, target, buffer, size, access)
    if access & WRITE != 0:
        defer_store(cpu, target, buffer, size | APIC_WRITE)
    return buffer


@microcode
def fill(cpu: Cpu, linear: u64, translated: u64, access: int, tag: u64) -> None:
    """Enter a translation, which is a place | marks of `walk`, for this kind of access, unless somebody watches the page."""
    if access & EXECUTE == 0 and cpu.data_breakpoints != 0 and page_is_watched(cpu, linear):
        return
    if access & EXECUTE == 0 and cpu.debugger_watch_count != 0 and page_has_watchpoint(cpu, linear):
        return
    if access & EXECUTE == 0 and tag & 3 == USER_ALIGNED:
        return
    entry = slot_address(cpu, linear)
    wanted = linear & ~u64(0xFFF) | tag
    addend = cpu.memory + (translated & ~u64(0xFFF)) - (linear & ~u64(0xFFF))
    if load(u64, entry + ADDEND) != addend or not (
        load(u64, entry + READ_TAG) == wanted or load(u64, entry + WRITE_TAG) == wanted or load(u64, entry + EXECUTE_TAG) == wanted
    ):
        store(u64, entry + READ_TAG, ~u64(0))
        store(u64, entry + WRITE_TAG, ~u64(0))
        store(u64, entry + EXECUTE_TAG, ~u64(0))
        store(u64, entry + ADDEND, addend)
        note_global(cpu, linear, translated)
    if access & EXECUTE != 0:
        store(u64, entry + EXECUTE_TAG, wanted)
    if access & READ != 0:
        store(u64, entry + READ_TAG, wanted)
    if access & WRITE != 0:
        store(u64, entry + WRITE_TAG, wanted)
        if access & READ == 0 and translated & READ != 0:
            # What is writable memory is readable memory.
            store(u64, entry + READ_TAG, wanted)
    if translated & LARGE_1G != 0:
        cpu.large_regions = ~u64(0)
    elif translated & LARGE_2M != 0:
        cpu.large_regions = cpu.large_regions | u64(3) << (linear >> 21 & 62)  # a page of 4 MiB is two regions


@microcode
def across(cpu: Cpu, first: u64, second: u64, room: u64, size: u64, access: int) -> u64:
    """An access across two pages: copy both parts into a bounce buffer; a store is committed after the instruction."""
    if access & WRITE != 0 and cpu.alone == 0:
        cpu.fault_kind = u32(FaultKind.ALONE)
        fault()
    for part in (first, second):
        if part & ~u64(0xFFF) == cpu.apic_access_page:
            apic_access(cpu, part, size, u64(access))
    buffer = bounce(cpu, size)
    copy_in(cpu, first, buffer, room, access)
    copy_in(cpu, second, buffer + room, size - room, access)
    if access & WRITE != 0:
        defer_store(cpu, first, buffer, room)
        defer_store(cpu, second, buffer + room, size - room)
    return buffer


@inline
def bounce(cpu: Cpu, size: int) -> int:
    """The next free bounce buffer; they turn round, an instruction makes few accesses."""
    at = cpu.bounce_next
    if at + size > cpu.bounce_size:
        at = u64(0)
    cpu.bounce_next = (at + size + 15) & ~u64(15)
    return cpu.bounce_base + at


@microcode
def copy_in(cpu: Cpu, physical: u64, buffer: u64, size: u64, access: int) -> None:
    """Copy bytes of one page into a buffer; device memory is read through the latch."""
    source = u64(0)
    at = place(cpu, physical, access)
    if at != NOWHERE:
        source = cpu.memory + at
    elif access & READ != 0:
        source = device_memory(cpu, physical, size, READ)
    else:
        return
    copy_bytes(source, buffer, size)


@microcode
def copy_bytes(source: u64, target: u64, size: u64) -> None:
    """Copy bytes between host addresses."""
    done = u64(0)
    while done < size:
        store(u8, target + done, load(u8, source + done))
        done = done + 1


@microcode
def defer_store(cpu: Cpu, physical: u64, source: u64, size: u64) -> None:
    """Remember a store that `commit_stores` makes when the instruction is complete; the longest, FXSAVE, needs 65."""
    index = u64(cpu.store_count)
    cpu.store_target[index] = physical
    cpu.store_source[index] = source
    cpu.store_size[index] = u32(size)
    cpu.store_count = cpu.store_count + 1
    cpu.attention = u8(1)


@microcode
def device_memory(cpu: Cpu, physical: u64, size: u64, access: int) -> u64:
    """An access outside RAM: reads come from the latch that Python fills, stores are deferred; in parts of up to 8 bytes."""
    if access & WRITE != 0 and cpu.alone == 0:
        cpu.fault_kind = u32(FaultKind.ALONE)
        fault()
    buffer = bounce(cpu, size)
    done = u64(0)
    while done < size:
        part = size - done
        if part > 8:
            part = u64(8)
        if access & READ != 0:
            store_part(buffer + done, latched(cpu, physical + done, part), part)
        if access & WRITE != 0:
            defer_store(cpu, physical + done, buffer + done, part)
        done = done + part
    return buffer


@microcode
def latched(cpu: Cpu, physical: u64, size: u64) -> u64:
    """The answer of a device read, or a request for it."""
    index = u64(0)
    while index < cpu.memory_latch_count:
        if cpu.memory_latch_address[index] == physical:
            return cpu.memory_latch_value[index]
        index = index + 1
    cpu.request = u32(HostRequest.MEMORY_READ)
    cpu.request_address = physical
    cpu.request_size = u32(size)
    cpu.fault_kind = u32(FaultKind.HOST)
    fault()


@microcode
def store_part(pointer: u64, value: u64, size: u64) -> None:
    """Store the low `size` bytes of a value."""
    done = u64(0)
    rest = value
    while done < size:
        store(u8, pointer + done, u8(rest))
        rest = rest >> 8
        done = done + 1


@microcode
def load_part(pointer: u64, size: u64) -> u64:
    """Load `size` bytes, up to 8."""
    value = u64(0)
    left = size
    while left != 0:
        left = left - 1
        value = value << 8 | u64(load(u8, pointer + left))
    return value


@microcode
def commit_stores(cpu: Cpu) -> bool:
    """Make the deferred stores; False when one goes to a device (the request is set) and the rest must wait."""
    while cpu.store_done < cpu.store_count:
        index = u64(cpu.store_done)
        cpu.store_done = cpu.store_done + 1
        physical = cpu.store_target[index]
        size = u64(cpu.store_size[index] & (APIC_WRITE - 1))
        source = cpu.store_source[index]
        if cpu.store_size[index] & APIC_WRITE != 0:
            cpu.virtual_apic_written = u8(1)
            cpu.virtual_apic_offset = u16(physical & 0xFFF)
            cpu.attention = u8(1)
        at = place(cpu, physical, TO_WRITE)
        if at != NOWHERE:
            invalidate_code(cpu, at, size)
            copy_bytes(source, cpu.memory + at, size)
        else:
            cpu.request = u32(HostRequest.MEMORY_WRITE)
            cpu.request_address = physical
            cpu.request_size = u32(size)
            cpu.request_value = load_part(source, size)
            return False
    cpu.store_count = u32(0)
    cpu.store_done = u32(0)
    return True


# Segmented accesses.
@inline
def fast_segment_linear(cpu: Cpu, segment: int, offset: int, size: int, write: bool) -> int:
    """Linear address of `offset` in a segment: one range check, everything else out of line."""
    register = cpu.segments[u64(segment)]
    first = register.write_first if write else register.read_first
    span = register.write_span if write else register.read_span
    distance = offset - first
    if (distance <= span) & (span - distance >= u64(size - 1)):
        linear = (register.base + offset) & cpu.linear_mask
    else:
        linear = segment_linear(cpu, u64(segment), offset, u64(size), write)
    return linear
