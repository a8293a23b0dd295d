"""What VM entry must not reject: no rule of the book may object."""

import pytest

from tests.vmx.witness import (
    EPT,
    LONG,
    PROTECTED,
    UNRESTRICTED,
    Entry,
    PinBased,
    PrimaryProcessorBased,
    SecondaryProcessorBased,
    Witness,
    changed,
    having,
    lacking,
)
from vmxon.vmx.fields import VmcsField as F
from vmxon.vmx.rules import broken_rules

ALL_ONES = (1 << 64) - 1
UNUSABLE = 0x1_0000

ACCEPTED = {
    "CD and NW of the guest": changed(LONG, {F.GUEST_CR0: 0xE000_0031}),
    "NW without CD in both": changed(LONG, {F.GUEST_CR0: 0xA000_0031, F.HOST_CR0: 0xA000_0031}),
    "undefined CR0 bits below 32": changed(LONG, {F.GUEST_CR0: 0x8FFF_FFFF & ~(1 << 29 | 1 << 30), F.HOST_CR0: 0x8FFF_FFFF}),
    "DR7 and DEBUGCTL that are not loaded": changed(
        lacking(LONG, Entry.load_debug_controls), {F.GUEST_DR7: ALL_ONES, F.GUEST_IA32_DEBUGCTL: ALL_ONES & ~2}
    ),
    "odd bits of DR7": changed(having(LONG, Entry.load_debug_controls), {F.GUEST_DR7: 0xFFFF_FFFF}),
    "SYSENTER_CS, RSP, SMBASE, timer": changed(
        LONG, {F.GUEST_IA32_SYSENTER_CS: 0xFFFF_FFFF, F.GUEST_RSP: 1 << 63, F.GUEST_SMBASE: 3, F.VMX_PREEMPTION_TIMER_VALUE: 7}
    ),
    "addresses without their control": changed(
        LONG, {F.IO_BITMAP_A_ADDRESS: 1, F.MSR_BITMAP_ADDRESS: ALL_ONES, F.EPTP: ALL_ONES, F.VM_ENTRY_MSR_LOAD_ADDRESS: 1}
    ),
    "secondary controls that are not activated": changed(LONG, {F.SECONDARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS: 0xFFFF_FFFF}),
    "unusable data segments of any shape": changed(
        LONG,
        {F[f"GUEST_{r}_ACCESS_RIGHTS"]: UNUSABLE | 0xFFFE_0F00 for r in ("DS", "ES", "FS", "GS", "LDTR")},
        {F[f"GUEST_{r}_BASE"]: ALL_ONES for r in ("DS", "ES", "LDTR")},
        {F[f"GUEST_{r}_LIMIT"]: 0x1234_5678 for r in ("DS", "ES", "FS", "GS", "LDTR")},
    ),
    "the unusable bit of CS": changed(LONG, {F.GUEST_CS_ACCESS_RIGHTS: LONG[F.GUEST_CS_ACCESS_RIGHTS] | UNUSABLE}),
    "AVL, and L and D/B of data segments": changed(LONG, {F.GUEST_DS_ACCESS_RIGHTS: 0xF093, F.GUEST_ES_ACCESS_RIGHTS: 0x9093}),
    "null selectors of TR and CS": changed(LONG, {F.GUEST_TR_SELECTOR: 0, F.GUEST_CS_SELECTOR: 0, F.GUEST_SS_SELECTOR: 0}),
    "a RIP that is not canonical in its top bit": changed(LONG, {F.GUEST_RIP: 1 << 47}),
    "an NMI with IF clear": changed(LONG, {F.VM_ENTRY_INTERRUPTION_INFORMATION: 0x8000_0202}),
    "an NMI under NMI blocking without virtual NMIs": changed(
        LONG, {F.VM_ENTRY_INTERRUPTION_INFORMATION: 0x8000_0202, F.GUEST_INTERRUPTIBILITY_STATE: 8}
    ),
    "pending breakpoints": changed(LONG, {F.GUEST_PENDING_DEBUG_EXCEPTIONS: 0x100F}),
    "PDPTEs of a guest without PAE paging": changed(EPT, {F.GUEST_PDPTE0: ALL_ONES}),
    "event fields without the valid bit": changed(
        LONG,
        {F.VM_ENTRY_INTERRUPTION_INFORMATION: 0x7FFF_FFFF, F.VM_ENTRY_EXCEPTION_ERROR_CODE: ALL_ONES, F.VM_ENTRY_INSTRUCTION_LENGTH: 99},
    ),
    "an error code that is not delivered": changed(
        LONG, {F.VM_ENTRY_INTERRUPTION_INFORMATION: 0x8000_0306, F.VM_ENTRY_EXCEPTION_ERROR_CODE: ALL_ONES}
    ),
    "masks, shadows, bitmaps and targets of any value": changed(
        LONG,
        {
            F.CR0_GUEST_HOST_MASK: ALL_ONES,
            F.CR4_READ_SHADOW: ALL_ONES,
            F.EXCEPTION_BITMAP: ALL_ONES,
            F.CR3_TARGET_VALUE_0: ALL_ONES,
            F.TSC_OFFSET: ALL_ONES,
        },
    ),
    "all CR3 targets": changed(LONG, {F.CR3_TARGET_COUNT: 4}),
    "HLT with an interrupt": changed(
        LONG, {F.GUEST_ACTIVITY_STATE: 1, F.VM_ENTRY_INTERRUPTION_INFORMATION: 0x8000_0030, F.GUEST_RFLAGS: 0x202}
    ),
    "shutdown with an NMI": changed(LONG, {F.GUEST_ACTIVITY_STATE: 2, F.VM_ENTRY_INTERRUPTION_INFORMATION: 0x8000_0202}),
    "an exit area that ends at the last byte": changed(LONG, {F.VM_EXIT_MSR_LOAD_COUNT: 2, F.VM_EXIT_MSR_LOAD_ADDRESS: (1 << 46) - 32}),
    "virtual NMIs with their window": having(LONG, PinBased.nmi_exiting, PinBased.virtual_nmis, PrimaryProcessorBased.nmi_window_exiting),
    "conforming code below the stack's privilege": changed(
        PROTECTED,
        {
            F.GUEST_CS_ACCESS_RIGHTS: 0xC09F,
            F.GUEST_SS_ACCESS_RIGHTS: 0xC0F3,
            F.GUEST_SS_SELECTOR: 0x13,
            F.GUEST_CS_SELECTOR: 0x0B,
        },
    ),
    "a null stack segment of a 64-bit host": changed(LONG, {F.HOST_SS_SELECTOR: 0}),
    "an unrestricted guest in protected mode without paging": changed(
        lacking(UNRESTRICTED, Entry.ia32e_mode_guest),
        {F.GUEST_CR0: 0x31, F.GUEST_CR4: 0x2000, F.GUEST_CS_ACCESS_RIGHTS: 0xC09B},
    ),
    "#VE without EPT": having(LONG, SecondaryProcessorBased.ept_violation_ve),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_no_rule_objects(case):
    assert [rule.name for rule in broken_rules(Witness(ACCEPTED[case]).snapshot())] == []
