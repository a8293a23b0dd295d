"""Forgetting single pages, and all but global ones, as strictly as the manual allows (Vol. 3A §4.10.4.1, Vol. 3C §29.4.3.1)."""

from __future__ import annotations

from vmxon.microcode import inline, load, microcode, store, u64
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.tlb import (
    EXECUTE,
    LAST_NUMBER,
    PCIDE,
    READ,
    TLB_ENTRIES,
    TLB_SIZE,
    WRITE,
    clear,
    empty_entry,
    select_class,
    select_space,
    slot_address,
    slot_offset,
)

EVERY_PCID = 0x1000
"""Where a PCID is asked for."""
EMPTY = (1 << 64) - 1
NUMBER = 0xFFC
"""The bits of a tag that name the space; the others of the low 12 are the class of access."""
GLOBAL = 1 << 8
"""Mark of a translation of a global page, where the paging entry has its own bit."""
PGE = 1 << 7


@inline
def present_pcid(cpu: Cpu) -> int:
    """The current PCID; 0 without CR4.PCIDE."""
    pcid = u64(0)
    if cpu.cr4 & PCIDE != 0:
        pcid = cpu.cr3 & 0xFFF
    return pcid


@inline
def note_global(cpu: Cpu, linear: int, translated: int) -> None:
    """Remember of the entry of a linear address whether its page is global."""
    index = slot_offset(linear) >> 5
    bit = u64(1) << (index & 63)
    known = cpu.tag_global[index >> 6] & ~bit
    if translated & GLOBAL != 0:
        known = known | bit
    cpu.tag_global[index >> 6] = known


@inline
def is_global(cpu: Cpu, entry: int) -> bool:
    """The entry at a host address is of a global page."""
    index = (entry - cpu.tlb_address) >> 5
    return cpu.tag_global[index >> 6] >> (index & 63) & 1 != 0


@inline
def tag_of(entry: int) -> int:
    """Page and number that an entry is for; all ones where it is empty. Its three tags are alike or empty."""
    return load(u64, entry + READ) & load(u64, entry + WRITE) & load(u64, entry + EXECUTE)


# One page.


@microcode
def invalidate_page(cpu: Cpu, linear: u64) -> None:
    """Forget a linear page of the present VPID: of the current PCID, and as a global page of every one (INVLPG)."""
    forget_page(cpu, linear, cpu.vpid, present_pcid(cpu))
    select_class(cpu)


@microcode
def forget_page(cpu: Cpu, linear: u64, vpid: u64, pcid: u64) -> None:
    """Forget a linear page of a VPID, through whatever EPT root; the caller selects the class again."""
    cpu.jump_generation = cpu.jump_generation + 1
    if cpu.large_regions >> ((linear >> 21) & 63) & 1 == 0:
        forget_entry(cpu, slot_address(cpu, linear), linear >> 12, u64(12), vpid, pcid)
        return
    # A large page over it may have filled many entries: 4 MiB around it, 1 GiB where such pages were used.
    shift = u64(22)
    if cpu.large_regions + 1 == 0:
        shift = u64(30)
    pointer = cpu.tlb_address
    end = pointer + TLB_SIZE
    while pointer < end:
        if tag_of(pointer) >> shift == linear >> shift:
            forget_entry(cpu, pointer, linear >> shift, shift, vpid, pcid)
        pointer = pointer + 32


@microcode
def forget_entry(cpu: Cpu, entry: u64, page: u64, shift: u64, vpid: u64, pcid: u64) -> None:
    """Empty an entry that is for `page` (a linear address without its low `shift` bits), the VPID, and the PCID unless it is global."""
    tag = tag_of(entry)
    if tag >> shift != page:
        return
    index = u64(0)
    while index < cpu.tag_count:
        if cpu.tag_values[index] == tag & NUMBER and cpu.tag_keys[index] != 0:
            named = pcid == EVERY_PCID or cpu.tag_keys[index] >> 52 == pcid or is_global(cpu, entry)
            if named and cpu.tag_vpids[index] == vpid:
                empty_entry(entry)
            return
        index = index + 1


@microcode
def forget_faulting(cpu: Cpu, linear: u64) -> None:
    """A fault ends the translation of its page that it contradicts (Vol. 3A §4.10.4.1 “Operations that Invalidate TLBs …”)."""
    entry = slot_address(cpu, linear)
    if tag_of(entry) >> 12 == linear >> 12:
        if load(u64, entry + EXECUTE) != EMPTY:
            cpu.jump_generation = cpu.jump_generation + 1
        empty_entry(entry)


# All but global pages.


@microcode
def invalidate_space(cpu: Cpu) -> None:
    """Forget the current PCID's translations but for global pages: MOV to CR3 (Vol. 3A §4.10.4.1 “Operations that Invalidate TLBs …”)."""
    forget_but_globals(cpu, cpu.vpid, present_pcid(cpu))
    select_space(cpu)


@microcode
def forget_but_globals(cpu: Cpu, vpid: u64, pcid: u64) -> None:
    """Forget a VPID's translations of one PCID, or of every one, but for global pages; the caller selects the space again."""
    index = u64(0)
    while index < cpu.tag_count:
        key = cpu.tag_keys[index]
        if key != 0 and cpu.tag_vpids[index] == vpid and (pcid == EVERY_PCID or key >> 52 == pcid):
            if cpu.tag_next > LAST_NUMBER:
                clear(cpu)
                return
            old = cpu.tag_values[index]
            cpu.tag_values[index] = cpu.tag_next
            cpu.tag_next = cpu.tag_next + 4
            move_globals(cpu, old, cpu.tag_values[index])
        index = index + 1


@microcode
def move_globals(cpu: Cpu, old: u64, new: u64) -> None:
    """Give the entries of global pages their space's new number."""
    word = u64(0)
    while word < TLB_ENTRIES // 64:
        if cpu.tag_global[word] != 0:
            pointer = cpu.tlb_address + word * (64 * 32)
            end = pointer + 64 * 32
            while pointer < end:
                tag = tag_of(pointer)
                if is_global(cpu, pointer) and tag & NUMBER == old and tag != EMPTY:
                    for place in (READ, WRITE, EXECUTE):
                        held = load(u64, pointer + place)
                        if held != EMPTY:
                            store(u64, pointer + place, held - old + new)
                pointer = pointer + 32
        word = word + 1

