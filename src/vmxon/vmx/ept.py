"""Extended page tables: the second stage of address translation (Vol. 3C §29.3 “The Extended Page Table Mechanism (EPT)”).

A walk gives host-physical | permissions; a violation or misconfiguration faults with SECOND_STAGE, and `second_stage_exit`
makes the VM exit of it. With accessed and dirty flags, accesses to the guest's paging structures count as writes.
"""

from __future__ import annotations

from typing import NoReturn

from vmxon.arch.flags import Rflags
from vmxon.arch.msr_vmx import EptVpidCapabilities
from vmxon.microcode import fault, implements, microcode, u32, u64
from vmxon.processor.slots import second_stage_exit, second_stage_walk
from vmxon.processor.state import FaultKind
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.vmx.controls import EptPointer
from vmxon.vmx.ept_entries import MUST_BE_ZERO, EptEntry, EptPage, EptPage1G, EptPage2M, EptTableEntry
from vmxon.vmx.exit import vm_exit
from vmxon.vmx.exit_reasons import ExitReason
from vmxon.vmx.fields import VmcsField
from vmxon.vmx.physical import read_quad, write_physical
from vmxon.vmx.qualifications import EptViolationQualification as Violation
from vmxon.vmx.state import write_field

READ, WRITE, EXECUTE, WALK, LINEAR = 1, 2, 4, 8, 16
"""Bits of `access`."""
ACCESSES = READ | WRITE | EXECUTE
EPT_CAPABILITIES = 0x48C - 0x480
FRAME = EptTableEntry.table.mask
MISCONFIGURATION = 1 << 63
"""Mark in cpu.fault_qualification, which has no such bit."""
RESERVED_TYPES = 1 << 2 | 1 << 3 | 1 << 7
"""Memory types that no leaf may have, as a set."""
TOP_SHIFT = 39


@implements(second_stage_walk)
def ept_walk(cpu: Cpu, physical: u64, access: u64) -> u64:
    """Translate one guest-physical address for one access; sets accessed and dirty flags where EPTP enables them."""
    flags = cpu.ept_pointer & EptPointer.accessed_dirty.mask != 0
    wanted = access & ACCESSES
    if flags and access & WALK != 0:
        wanted = wanted | READ | WRITE
    table = cpu.ept_pointer & FRAME
    shift = u64(TOP_SHIFT)
    allowed = u64(ACCESSES)
    place = u64(0)
    entry = u64(0)
    if physical >> 48 != 0:
        violate(cpu, physical, access, wanted, u64(0))
    while True:
        place = table + (physical >> shift & 511) * 8
        entry = read_quad(cpu, place)
        if entry & ACCESSES == 0:
            violate(cpu, physical, access, wanted, u64(0))
        leaf = shift == 12 or (entry & EptPage.page_size.mask != 0 and shift != TOP_SHIFT)
        if misconfigured(cpu, entry, shift, leaf):
            misconfigure(cpu, physical)
        allowed = allowed & entry
        if leaf:
            break
        if flags and entry & EptEntry.accessed.mask == 0:
            write_physical(cpu, u64, place, entry | EptEntry.accessed.mask)
        table = entry & FRAME
        shift -= 9
    if wanted & ~allowed != 0:
        violate(cpu, physical, access, wanted, allowed)
    if flags:
        marked = entry | EptEntry.accessed.mask
        if wanted & WRITE != 0:
            marked = marked | EptPage.dirty.mask
        if marked != entry:
            write_physical(cpu, u64, place, marked)
        if marked & EptPage.dirty.mask == 0:
            # A later write must come here again, to set the dirty flag.
            allowed = allowed & ~u64(WRITE)
    offset = (u64(1) << shift) - 1
    return (entry & FRAME & ~offset) | (physical & offset & ~u64(0xFFF)) | allowed


@microcode
def misconfigured(cpu: Cpu, entry: u64, shift: u64, leaf: bool) -> bool:
    """An entry that no EPT may hold (Vol. 3C §29.3.3.1 “EPT Misconfigurations”)."""
    capabilities = cpu.vmx_capability[EPT_CAPABILITIES]
    permissions = entry & ACCESSES
    if permissions & (READ | WRITE) == WRITE:
        return True
    if permissions == EXECUTE and capabilities & EptVpidCapabilities.execute_only.mask == 0:
        return True
    if (entry & FRAME) >> u64(cpu.physical_width) != 0:
        return True
    if not leaf:
        reserved = u64(MUST_BE_ZERO[EptTableEntry])
        if shift == TOP_SHIFT:
            reserved = reserved | EptPage.page_size.mask
        return entry & reserved != 0
    if shift == 30 and (capabilities & EptVpidCapabilities.pages_1g.mask == 0 or entry & MUST_BE_ZERO[EptPage1G] != 0):
        return True
    if shift == 21 and (capabilities & EptVpidCapabilities.pages_2m.mask == 0 or entry & MUST_BE_ZERO[EptPage2M] != 0):
        return True
    return u64(RESERVED_TYPES) >> (entry >> EptPage.memory_type.low & 7) & 1 != 0


@microcode
def violate(cpu: Cpu, physical: u64, access: u64, wanted: u64, allowed: u64) -> NoReturn:
    """Fault with an EPT violation; bits 2:0 of the qualification are the access, 5:3 what the entries allow."""
    qualification = wanted | (allowed & ACCESSES) << Violation.readable.low
    if access & (WALK | LINEAR) != 0:
        qualification = qualification | Violation.linear_valid.mask
    if access & WALK == 0:
        qualification = qualification | Violation.translated.mask
    cpu.fault_physical = physical
    cpu.fault_qualification = qualification
    cpu.fault_kind = u32(FaultKind.SECOND_STAGE)
    fault()


@microcode
def misconfigure(cpu: Cpu, physical: u64) -> NoReturn:
    """Fault with an EPT misconfiguration."""
    cpu.fault_physical = physical
    cpu.fault_qualification = u64(MISCONFIGURATION)
    cpu.fault_kind = u32(FaultKind.SECOND_STAGE)
    fault()


@implements(second_stage_exit)
def ept_exit(cpu: Cpu) -> None:
    """The VM exit of the violation or misconfiguration in cpu.fault_*; RF is saved as 1, as for other faults."""
    write_field(cpu, VmcsField.GUEST_PHYSICAL_ADDRESS, cpu.fault_physical)
    if cpu.delivering == 0:
        cpu.rflags_other = cpu.rflags_other | Rflags.rf.mask
    if cpu.fault_qualification & MISCONFIGURATION != 0:
        vm_exit(cpu, u32(ExitReason.EPT_MISCONFIGURATION), u64(0), u32(0))
    else:
        qualification = cpu.fault_qualification | u64(cpu.vmx_iret) << Violation.nmi_unblocking.low
        write_field(cpu, VmcsField.GUEST_LINEAR_ADDRESS, cpu.fault_address)
        vm_exit(cpu, u32(ExitReason.EPT_VIOLATION), qualification, u32(0))
