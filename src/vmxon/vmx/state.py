"""The VMCSs that the processor holds: a cache in host memory, one slot for each active VMCS, with who wrote each field.

Between VMPTRLD and VMCLEAR the fields live here; ordinary stores to the region in guest memory do not reach them. VMCLEAR, and
an active VMCS more than `ACTIVE`, write them back to the region in a format of our own (vmx/regions.py).
"""

from __future__ import annotations

from enum import IntEnum

from vmxon.microcode import inline, load, store, u64
from vmxon.microcode.layout import Memory, State, array, member_offset, scalar, structs
from vmxon.microcode.types import u16
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.vmx.fields import SLOTS, VmcsField

ACTIVE = 32
"""How many VMCSs may be active before the least recently loaded is written back; at least two."""
FIELDS = len(SLOTS)
ALL_ONES = (1 << 64) - 1
NO_VMCS = ALL_ONES
"""The current-VMCS pointer where there is no current VMCS."""
NOTIFY_FAILURES, NOTIFY_SWITCHES = 1, 2
"""Bits of cpu.vmx_notify: Python hears of entries that fail; of entries, exits and INVEPT."""


class Operation(IntEnum):
    """Values of cpu.vmx_operation (Vol. 3C §24.3 “Introduction to VMX Operation”)."""

    OUTSIDE, ROOT, NON_ROOT = range(3)


class VmcsCache(State):
    """One active VMCS."""

    region = scalar(u64)
    """Guest-physical address of its region | 1; 0 where the slot is free."""
    launched = scalar(u64)
    """The launch state: 0 clear, 1 launched."""
    loaded = scalar(u64)
    """cpu.vmx_clock of the last VMPTRLD."""
    shadow = scalar(u64)
    """1 for a shadow VMCS (bit 31 of the revision word)."""
    fields = array(u64, FIELDS)
    """Values by `VmcsField.slot`, zero-extended."""
    writer_rip = array(u64, FIELDS)
    """RIP of the VMWRITE that wrote the field last."""
    writer_number = array(u64, FIELDS)
    """Number of that instruction, counted from 1; 0 where no VMWRITE came since VMCLEAR."""


ENCODINGS = 1024


class VmxMemory(State):
    """The block of host memory at cpu.vmx_memory."""

    slots = array(u16, ENCODINGS)
    """Slot + 1 by `table_index` of the encoding; 0 for what the processor does not have."""
    caches = structs(VmcsCache, ACTIVE)


VMX_MEMORY_SIZE = VmxMemory.size
"""Bytes that the engine allocates, zeroed, for cpu.vmx_memory."""
CACHES = member_offset(VmxMemory, "caches")


def field_offset(which: VmcsField) -> int:
    """Where a field lies in a `VmcsCache`."""
    return member_offset(VmcsCache, "fields") + 8 * which.slot


def table_index(encoding: int) -> int:
    """The place of an encoding in `VmxMemory.slots`: width, kind and the low six bits of its index."""
    return (encoding >> 13 & 3) << 8 | (encoding >> 10 & 3) << 6 | encoding >> 1 & 63


def field_mask(which: VmcsField) -> int:
    """All ones of the field's width."""
    return (1 << which.bits) - 1


@inline
def read_field(cpu: Cpu, which: VmcsField) -> int:
    """A field of the current VMCS, as u64."""
    return load(u64, cpu.vmcs + field_offset(which))


@inline
def write_field(cpu: Cpu, which: VmcsField, value: int) -> None:
    """Set a field of the current VMCS on behalf of the processor; `value` is a u64."""
    if which.bits == 64:
        store(u64, cpu.vmcs + field_offset(which), value)
    else:
        store(u64, cpu.vmcs + field_offset(which), value & field_mask(which))


@inline
def has_vmcs(cpu: Cpu) -> bool:
    """There is a current VMCS."""
    return cpu.vmcs_pointer != NO_VMCS


def active_vmcss(memory: Memory) -> dict[int, VmcsCache]:
    """The active VMCSs by the physical address of their region, for Python; `memory` is the block at cpu.vmx_memory."""
    caches = (VmcsCache(memory, CACHES + number * VmcsCache.size) for number in range(ACTIVE))
    return {cache.region & ~1: cache for cache in caches if cache.region != 0}


def field_values(cache: VmcsCache) -> dict[VmcsField, int]:
    """Every field of a cached VMCS, for Python."""
    return {field: cache.fields[field.slot] for field in SLOTS}
