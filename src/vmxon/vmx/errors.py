"""VM-instruction error numbers (Vol. 3C §31.4 “VM Instruction Error Numbers”)."""

from __future__ import annotations

from enum import IntEnum
from typing import Self


class InstructionError(IntEnum):
    """Why a VMX instruction failed with VMfailValid: the number, what it means, and what is usually behind it."""

    meaning: str
    cause: str

    def __new__(cls, number: int, meaning: str = "", cause: str = "") -> Self:
        error = int.__new__(cls, number)
        error._value_ = number
        error.meaning, error.cause = meaning, cause
        return error

    VMCALL_IN_ROOT = 1, "VMCALL was executed in VMX root operation", "VMCALL is for guests; the host has no use for it"
    VMCLEAR_ADDRESS = (
        2,
        "VMCLEAR got an address that is not 4-KiB aligned or too wide",
        "a linear address was passed instead of a physical one",
    )
    VMCLEAR_VMXON_POINTER = 3, "VMCLEAR got the address of the VMXON region", "one page serves as VMXON region and VMCS"
    VMLAUNCH_NOT_CLEAR = (
        4,
        "VMLAUNCH found a VMCS whose launch state is not clear",
        "the guest was launched before: use VMRESUME, or VMCLEAR it first; or VMCLEAR was forgotten on a new VMCS",
    )
    VMRESUME_NOT_LAUNCHED = (
        5,
        "VMRESUME found a VMCS whose launch state is not launched",
        "the first entry must be VMLAUNCH, and so must the first after VMCLEAR",
    )
    VMRESUME_AFTER_VMXOFF = (
        6,
        "VMRESUME after VMXOFF and VMXON without a new VMPTRLD in between",
        "VMX operation was left and entered again while the VMCS stayed active",
    )
    ENTRY_CONTROLS = (
        7,
        "VM entry found a control field that is not allowed",
        "a reserved control bit disagrees with its capability MSR, or an address is not aligned",
    )
    ENTRY_HOST_STATE = (
        8,
        "VM entry found a host-state field that is not allowed",
        "a host field was never written, HOST_TR is null, or CR0 or CR4 break the FIXED MSRs",
    )
    VMPTRLD_ADDRESS = (
        9,
        "VMPTRLD got an address that is not 4-KiB aligned or too wide",
        "a linear address was passed instead of a physical one",
    )
    VMPTRLD_VMXON_POINTER = (
        10,
        "VMPTRLD got the address of the VMXON region",
        "one page serves as VMXON region and VMCS",
    )
    VMPTRLD_REVISION = (
        11,
        "VMPTRLD found a region whose revision identifier is wrong",
        "the first four bytes must be IA32_VMX_BASIC bits 30:0, with bit 31 clear",
    )
    UNSUPPORTED_FIELD = (
        12,
        "VMREAD or VMWRITE named a field that this processor does not have",
        "a feature that the capability MSRs do not report, or a wrong encoding",
    )
    VMWRITE_READ_ONLY = (
        13,
        "VMWRITE named a field of the exit information",
        "those fields can be written only where IA32_VMX_MISC bit 29 is 1",
    )
    VMXON_IN_ROOT = 15, "VMXON was executed in VMX root operation", "VMX operation was entered twice"
    ENTRY_EXECUTIVE_POINTER = (
        16,
        "VM entry found an executive-VMCS pointer that is not allowed",
        "dual-monitor SMM: the pointer is not 4-KiB aligned or is too wide",
    )
    ENTRY_EXECUTIVE_NOT_LAUNCHED = (
        17,
        "VM entry found an executive VMCS that was not launched",
        "dual-monitor SMM: the executive VMCS must have been launched",
    )
    ENTRY_EXECUTIVE_NOT_VMXON = (
        18,
        "VM entry found an executive-VMCS pointer that is not the VMXON pointer",
        "dual-monitor SMM: deactivation wants the VMXON pointer there",
    )
    VMCALL_NOT_CLEAR = (
        19,
        "VMCALL to activate dual-monitor treatment found a VMCS that is not clear",
        "dual-monitor SMM: VMCLEAR the VMCS first",
    )
    VMCALL_EXIT_CONTROLS = (
        20,
        "VMCALL to activate dual-monitor treatment found exit controls that are not allowed",
        "dual-monitor SMM: check the exit controls against the capability MSRs",
    )
    VMCALL_MSEG_REVISION = (
        22,
        "VMCALL found an MSEG whose revision identifier is wrong",
        "dual-monitor SMM: compare with IA32_VMX_MISC bits 63:32",
    )
    VMXOFF_DUAL_MONITOR = (
        23,
        "VMXOFF was executed under dual-monitor treatment",
        "dual-monitor treatment must be deactivated first",
    )
    VMCALL_SMM_FEATURES = (
        24,
        "VMCALL found an MSEG that asks for unknown SMM features",
        "dual-monitor SMM: the SMM-monitor features field is not allowed",
    )
    ENTRY_EXECUTION_CONTROLS_SMM = (
        25,
        "VM entry that returns from SMM found execution controls that are not allowed",
        "dual-monitor SMM: check the executive VMCS's controls",
    )
    ENTRY_MOV_SS_BLOCKING = (
        26,
        "VM entry came right after MOV SS or POP SS",
        "put another instruction between the load of SS and VMLAUNCH or VMRESUME",
    )
    INVALID_OPERAND = (
        28,
        "INVEPT or INVVPID got a type or descriptor that is not allowed",
        "the type is not in IA32_VMX_EPT_VPID_CAP, the VPID is 0, or reserved bits of the descriptor are set",
    )
