"""Sub-page write permissions (Vol. 3C §29.3.4 “Sub-Page Write Permissions”): one bit for each 128 bytes of a page.

Four levels of tables as those of EPT; the last entry has the permission of sub-page n in bit 2n.
"""

from __future__ import annotations

from vmxon.microcode import microcode, u64
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.vmx.ept_events import SUB_PAGE, second_stage_fault
from vmxon.vmx.fields import VmcsField
from vmxon.vmx.physical import read_quad
from vmxon.vmx.qualifications import SppQualification
from vmxon.vmx.state import read_field

VALID = 1
FRAME = 0x000F_FFFF_FFFF_F000
RESERVED = 0xFFF0_0000_0000_0FFE
"""Bits of an entry that refers to a table; besides, those beyond the physical-address width."""
RESERVED_PERMISSIONS = 0xAAAA_AAAA_AAAA_AAAA
SUB_PAGE_SHIFT = 7
TOP_SHIFT, LAST_SHIFT = 39, 12
SIZE_SHIFT = 16
"""Where `access` has the size."""


@microcode
def sub_page_writable(cpu: Cpu, physical: u64, access: u64) -> bool:
    """The write lies in one sub-page that may be written. Faults where the tables have no permissions for the page."""
    last = physical + (access >> SIZE_SHIFT)
    if last >> SUB_PAGE_SHIFT != physical >> SUB_PAGE_SHIFT:
        return False
    table = read_field(cpu, VmcsField.SPPTP)
    shift = u64(TOP_SHIFT)
    while shift != LAST_SHIFT:
        entry = read_quad(cpu, table + (physical >> shift & 511) * 8)
        if entry & VALID == 0:
            second_stage_fault(cpu, physical, u64(SUB_PAGE | SppQualification.miss.mask))
        if entry & (cpu.physical_reserved | RESERVED) != 0:
            second_stage_fault(cpu, physical, u64(SUB_PAGE))
        table = entry & FRAME
        shift -= 9
    permissions = read_quad(cpu, table + (physical >> LAST_SHIFT & 511) * 8)
    if permissions & RESERVED_PERMISSIONS != 0:
        second_stage_fault(cpu, physical, u64(SUB_PAGE))
    number = physical >> SUB_PAGE_SHIFT & 31
    return permissions >> (2 * number) & 1 != 0
