"""VMCS regions in guest memory and their cached fields: activation, write-back, clearing.

Our format of a region (the processor's own affair, Vol. 3C §25.2 “Format of the VMCS Region”): revision identifier and abort
indicator in the first 8 bytes, the launch state in the next 8, the fields by slot from byte 64 on.
"""

from __future__ import annotations

from itertools import groupby

from vmxon.microcode import load, microcode, store, u32, u64
from vmxon.microcode.layout import member_offset
from vmxon.processor.code_pages import invalidate_code
from vmxon.processor.memory_map import NOWHERE, TO_WRITE, place
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.vmx.fields import SLOTS
from vmxon.vmx.physical import read_physical, read_quad, write_physical
from vmxon.vmx.state import ACTIVE, CACHES, FIELDS, NO_VMCS, VmcsCache, field_mask

LAUNCH_STATE, DATA = 8, 64
FIELD_VALUES = member_offset(VmcsCache, "fields")
WRITERS = member_offset(VmcsCache, "writer_rip")
PAGE = 4096


def runs_of_equal_width() -> tuple[tuple[int, int, int], ...]:
    """First slot, last slot and mask of each run of fields of one width; the table is sorted by width."""
    groups = [list(group) for _, group in groupby(SLOTS, lambda field: field.width)]
    return tuple((group[0].slot, group[-1].slot, field_mask(group[0])) for group in groups)


RUNS = runs_of_equal_width()


@microcode
def find_cache(cpu: Cpu, region: u64) -> u64:
    """Host address of the cache slot of an active VMCS; 0 where it is not active."""
    pointer = cpu.vmx_memory + CACHES
    left = u64(ACTIVE)
    while left != 0:
        if VmcsCache(pointer).region == region | 1:
            return pointer
        pointer += VmcsCache.size
        left -= 1
    return u64(0)


@microcode
def free_cache(cpu: Cpu) -> u64:
    """A free slot; where all are taken, the one that was loaded longest ago but is not current, written back."""
    pointer = cpu.vmx_memory + CACHES
    oldest = pointer
    if pointer == cpu.vmcs:
        oldest = pointer + VmcsCache.size
    left = u64(ACTIVE)
    while left != 0:
        if VmcsCache(pointer).region == 0:
            return pointer
        if VmcsCache(pointer).loaded < VmcsCache(oldest).loaded and pointer != cpu.vmcs:
            oldest = pointer
        pointer += VmcsCache.size
        left -= 1
    write_back(cpu, oldest)
    return oldest


@microcode
def activate(cpu: Cpu, region: u64) -> u64:
    """The slot of a VMCS, filled from its region unless it is active already."""
    pointer = find_cache(cpu, region)
    if pointer == 0:
        pointer = free_cache(cpu)
        fill_cache(cpu, pointer, region)
    cpu.vmx_clock += 1
    cache = VmcsCache(pointer)
    cache.loaded = cpu.vmx_clock
    return pointer


@microcode
def fill_cache(cpu: Cpu, pointer: u64, region: u64) -> None:
    """Read the fields of a region; whatever its bytes are, each field keeps to its width. No field was written yet."""
    cache = VmcsCache(pointer)
    cache.region = region | 1
    cache.shadow = u64(read_physical(cpu, u32, region) >> 31)
    cache.launched = u64(0)
    if read_physical(cpu, u64, region + LAUNCH_STATE) == 1:
        cache.launched = u64(1)
    for first, last, mask in RUNS:
        place = u64(8 * first)
        while place <= 8 * last:
            store(u64, pointer + FIELD_VALUES + place, read_quad(cpu, region + DATA + place) & mask)
            place += 8
    place = pointer + WRITERS
    end = place + 16 * FIELDS
    while place < end:
        store(u64, place, u64(0))
        place += 8


@microcode
def write_back(cpu: Cpu, pointer: u64) -> None:
    """Write launch state and fields to the region and free the slot."""
    cache = VmcsCache(pointer)
    region = cache.region & ~u64(1)
    at = place(cpu, region, TO_WRITE)
    if at != NOWHERE:
        invalidate_code(cpu, at, u64(PAGE))
        target = cpu.memory + at
        store(u64, target + LAUNCH_STATE, cache.launched)
        done = u64(0)
        while done < 8 * FIELDS:
            store(u64, target + DATA + done, load(u64, pointer + FIELD_VALUES + done))
            done += 8
    cache.region = u64(0)


@microcode
def clear_region(cpu: Cpu, region: u64) -> None:
    """VMCLEAR: not active, not current, launch state clear."""
    pointer = find_cache(cpu, region)
    if pointer != 0:
        cache = VmcsCache(pointer)
        cache.launched = u64(0)
        write_back(cpu, pointer)
    else:
        write_physical(cpu, u64, region + LAUNCH_STATE, u64(0))
    if cpu.vmcs_pointer == region:
        cpu.vmcs_pointer = u64(NO_VMCS)
        cpu.vmcs = u64(0)
