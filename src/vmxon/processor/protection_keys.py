"""Protection keys: what PKRU and IA32_PKRS say of data accesses (Vol. 3A §4.6.2 “Protection Keys”).

They count in IA-32e mode only. The rights in force stand in cpu.tag_rights_now, which is part of the name of an address space: another
value of PKRU has translations of its own.
"""

from __future__ import annotations

from vmxon.microcode import microcode, u32, u64
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.tlb import USER

WRITE, EXECUTE = 2, 4
USER_PAGE = 4
CR0_WP = 1 << 16
KEY, KEYS = 59, 15
"""Lowest bit of the key in a paging entry, and how far it counts."""
SUPERVISOR_KEYS = 32
"""Where IA32_PKRS stands in the rights."""
ACCESS_DISABLE, WRITE_DISABLE = 1, 2
KEY_FAULT = 32
"""Bit 5 of a page fault's error code."""


@microcode
def denied_by_key(cpu: Cpu, access: u64, space: u64, rights: u64, entry: u64) -> u32:
    """`KEY_FAULT` where the key of the page denies a data access; `rights` are those of the walk, `entry` its last."""
    if access & EXECUTE != 0:
        return u32(0)
    place = (entry >> KEY & KEYS) * 2
    if rights & USER_PAGE == 0:
        place = place + SUPERVISOR_KEYS
    key = cpu.tag_rights_now >> place
    denied = key & ACCESS_DISABLE != 0
    if key & WRITE_DISABLE != 0 and access & WRITE != 0 and (space == USER or cpu.cr0 & CR0_WP != 0):
        denied = True
    return u32(KEY_FAULT) if denied else u32(0)
