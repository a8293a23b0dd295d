"""What can go wrong in the second stage (Vol. 3C §29.3.3 “EPT-Induced VM Exits”): violation, misconfiguration, full log, sub-pages.

The walk faults with SECOND_STAGE, and `second_stage_exit` makes the VM exit of it, or a virtualization exception.
"""

from __future__ import annotations

from typing import NoReturn

from vmxon.arch.flags import Rflags
from vmxon.arch.msr_vmx import EptVpidCapabilities
from vmxon.microcode import fault, implements, inline, microcode, u32, u64
from vmxon.processor.guest_physical import forget_mapping
from vmxon.processor.interrupt_gates import pushed_flags
from vmxon.processor.slots import second_stage_exit
from vmxon.processor.state import FaultKind
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.tlb_pages import forget_faulting
from vmxon.vmx.controls import SecondaryProcessorBased
from vmxon.vmx.ept_entries import EptEntry, EptPage
from vmxon.vmx.exit import vm_exit
from vmxon.vmx.exit_reasons import ExitReason
from vmxon.vmx.fields import VmcsField
from vmxon.vmx.qualifications import EptViolationQualification as Violation
from vmxon.vmx.state import write_field
from vmxon.vmx.virtualization_exception import raise_if_possible

READ, WRITE, EXECUTE, WALK, LINEAR, USER_LINEAR = 1, 2, 4, 8, 16, 32
"""Bits of `access`."""
LINEAR_PAGE = 7 << 5
ACCESSES = READ | WRITE | EXECUTE
USER_EXECUTE = EptEntry.user_execute.mask
EPT_CAPABILITIES = 0x48C - 0x480

# Marks in cpu.fault_qualification, above the bits of every qualification.
MISCONFIGURATION, LOG_FULL, SUB_PAGE, CONVERTIBLE, APIC_ACCESS = 1 << 63, 1 << 62, 1 << 61, 1 << 60, 1 << 59
MARKS = MISCONFIGURATION | LOG_FULL | SUB_PAGE | CONVERTIBLE | APIC_ACCESS


@inline
def mode_based(cpu: Cpu) -> bool:
    """“mode-based execute control for EPT” is 1."""
    return cpu.vmx_secondary & SecondaryProcessorBased.mode_based_execute.mask != 0


@microcode
def violate(cpu: Cpu, physical: u64, access: u64, wanted: u64, allowed: u64, entry: u64) -> NoReturn:
    """Fault with an EPT violation; bits 2:0 of the qualification are the access, 6:3 what the entries allow, the last being `entry`."""
    qualification = wanted | (allowed & ACCESSES) << Violation.readable.low
    if mode_based(cpu) and allowed & USER_EXECUTE != 0:
        qualification = qualification | Violation.user_executable.mask
    if access & (WALK | LINEAR) != 0:
        qualification = qualification | Violation.linear_valid.mask
    if access & LINEAR != 0:
        qualification = qualification | Violation.translated.mask
        if cpu.vmx_capability[EPT_CAPABILITIES] & EptVpidCapabilities.advanced_exit_information.mask != 0:
            qualification = qualification | (access & LINEAR_PAGE) << 4
    if entry & EptPage.suppress_ve.mask == 0:
        qualification = qualification | CONVERTIBLE
    second_stage_fault(cpu, physical, qualification)


@microcode
def misconfigure(cpu: Cpu, physical: u64) -> NoReturn:
    """Fault with an EPT misconfiguration."""
    second_stage_fault(cpu, physical, u64(MISCONFIGURATION))


@microcode
def fill_log(cpu: Cpu) -> NoReturn:
    """Fault with a page-modification log that is full."""
    second_stage_fault(cpu, u64(0), u64(LOG_FULL))


@microcode
def second_stage_fault(cpu: Cpu, physical: u64, qualification: u64) -> NoReturn:
    """Fault for `ept_exit`."""
    cpu.fault_physical = physical
    cpu.fault_qualification = qualification
    cpu.fault_kind = u32(FaultKind.SECOND_STAGE)
    fault()


@implements(second_stage_exit)
def ept_exit(cpu: Cpu) -> None:
    """The VM exit of the event in cpu.fault_*, or a fault with #VE; RF is saved as 1, or as the event being delivered pushes it.

    The mappings of the address that faulted are forgotten (Vol. 3C §29.4.3.1 “Operations that Invalidate Cached Mappings”).
    """
    marks = cpu.fault_qualification & MARKS
    qualification = cpu.fault_qualification & ~u64(MARKS) | u64(cpu.vmx_iret) << Violation.nmi_unblocking.low
    forget_mapping(cpu, cpu.fault_physical)
    if qualification & Violation.linear_valid.mask != 0:
        forget_faulting(cpu, cpu.fault_address)
    if marks == CONVERTIBLE:
        raise_if_possible(cpu, qualification)
    if cpu.delivering == 0:
        cpu.rflags_other = cpu.rflags_other | Rflags.rf.mask
    else:
        cpu.rflags_other = cpu.rflags_other | (pushed_flags(cpu) & Rflags.rf.mask)
    if marks == APIC_ACCESS:
        vm_exit(cpu, u32(ExitReason.APIC_ACCESS), cpu.fault_qualification & ~u64(MARKS), u32(0))
        return
    if marks == LOG_FULL:
        vm_exit(cpu, u32(ExitReason.PML_FULL), qualification, u32(0))
        return
    write_field(cpu, VmcsField.GUEST_PHYSICAL_ADDRESS, cpu.fault_physical)
    if marks == MISCONFIGURATION:
        vm_exit(cpu, u32(ExitReason.EPT_MISCONFIGURATION), u64(0), u32(0))
        return
    write_field(cpu, VmcsField.GUEST_LINEAR_ADDRESS, cpu.fault_address)
    reason = u32(ExitReason.EPT_VIOLATION)
    if marks == SUB_PAGE:
        reason = u32(ExitReason.SPP_EVENT)
    vm_exit(cpu, reason, qualification, u32(0))
