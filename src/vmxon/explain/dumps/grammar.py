"""Where Linux KVM's `dump_vmcs` and Xen's `vmcs_dump` print which field: one pattern for each group of values.

In a pattern `#` is a number in hex and a blank any white space or none; the fields are those of the numbers, in order. Both
systems print the same three sections and mostly the same words; where they differ, each has its row.
"""

from __future__ import annotations

import re

from vmxon.vmx.fields import VmcsField as F

HEX = r"(?:0x)?([0-9a-fA-F]{1,16})\b"
Rule = tuple[re.Pattern[str], tuple[F, ...]]


def pattern(text: str, *fields: F) -> Rule:
    """A row of the grammar."""
    return re.compile(text.replace(" ", r"\s*").replace("#", HEX)), fields


def _segment(name: str) -> tuple[Rule, Rule]:
    """A segment register: KVM names the parts, Xen has columns."""
    parts = tuple(F[f"GUEST_{name}_{part}"] for part in ("SELECTOR", "ACCESS_RIGHTS", "LIMIT", "BASE"))
    number = HEX.replace("(?:0x)?", "")
    columns = rf"\b{name}:\s*{number}\s+{number}\s+{number}\s+{number}"
    return pattern(rf"\b{name}: sel=#, attr=#, limit=#, base=#", *parts), (re.compile(columns), parts)


def _table(name: str) -> tuple[Rule, Rule]:
    """GDTR and IDTR."""
    parts = F[f"GUEST_{name}_LIMIT"], F[f"GUEST_{name}_BASE"]
    return pattern(rf"\b{name}: limit=#, base=#", *parts), pattern(rf"\b{name}: ([0-9a-fA-F]{{8}})\s+([0-9a-fA-F]{{16}})\b", *parts)


GUEST: tuple[Rule, ...] = (
    pattern(r"CR0: actual=#, shadow=#, gh_mask=#", F.GUEST_CR0, F.CR0_READ_SHADOW, F.CR0_GUEST_HOST_MASK),
    pattern(r"CR4: actual=#, shadow=#, gh_mask=#", F.GUEST_CR4, F.CR4_READ_SHADOW, F.CR4_GUEST_HOST_MASK),
    pattern(r"CR3 = #", F.GUEST_CR3),
    pattern(r"CR3: actual=#, target_count=#", F.GUEST_CR3, F.CR3_TARGET_COUNT),
    *(pattern(rf"PDPT[RE]{n} = #", F[f"GUEST_PDPTE{n}"]) for n in range(4)),
    pattern(r"(?<!Sysenter\x20)\bRSP = #", F.GUEST_RSP),
    pattern(r"(?<!:)\bRIP = #", F.GUEST_RIP),
    pattern(r"RFLAGS = #", F.GUEST_RFLAGS),
    pattern(r"DR7 = #", F.GUEST_DR7),
    pattern(r"Sysenter RSP=# CS:RIP=#:#", F.GUEST_IA32_SYSENTER_ESP, F.GUEST_IA32_SYSENTER_CS, F.GUEST_IA32_SYSENTER_EIP),
    *(rule for name in ("CS", "DS", "SS", "ES", "FS", "GS", "LDTR", "TR") for rule in _segment(name)),
    *(rule for name in ("GDTR", "IDTR") for rule in _table(name)),
    pattern(r"EFER (?:\(VMCS\))? = #(?! \((?:autoload|effective)\))", F.GUEST_IA32_EFER),
    pattern(r"\bPAT = #", F.GUEST_IA32_PAT),
    pattern(r"PreemptionTimer = #", F.VMX_PREEMPTION_TIMER_VALUE),
    pattern(r"SM Base = #", F.GUEST_SMBASE),
    pattern(r"DebugCtl = #", F.GUEST_IA32_DEBUGCTL),
    pattern(r"DebugExceptions = #", F.GUEST_PENDING_DEBUG_EXCEPTIONS),
    pattern(r"PerfGlobCtl = #", F.GUEST_IA32_PERF_GLOBAL_CTRL),
    pattern(r"BndCfgS = #", F.GUEST_IA32_BNDCFGS),
    pattern(r"S_CET = #, SSP = #, SSP TABLE = #", F.GUEST_IA32_S_CET, F.GUEST_SSP, F.GUEST_IA32_INTERRUPT_SSP_TABLE_ADDR),
    pattern(r"Interruptibility = #", F.GUEST_INTERRUPTIBILITY_STATE),
    pattern(r"ActivityState = #", F.GUEST_ACTIVITY_STATE),
    pattern(r"InterruptStatus = #", F.GUEST_INTERRUPT_STATUS),
)

HOST: tuple[Rule, ...] = (
    pattern(r"(?<!:)\bRIP = #", F.HOST_RIP),
    pattern(r"(?<!Sysenter\x20)\bRSP = #", F.HOST_RSP),
    pattern(
        r"\bCS=# SS=# DS=# ES=# FS=# GS=# TR=#",
        *(F[f"HOST_{name}_SELECTOR"] for name in ("CS", "SS", "DS", "ES", "FS", "GS", "TR")),
    ),
    pattern(r"FSBase=# GSBase=# TRBase=#", F.HOST_FS_BASE, F.HOST_GS_BASE, F.HOST_TR_BASE),
    pattern(r"GDTBase=# IDTBase=#", F.HOST_GDTR_BASE, F.HOST_IDTR_BASE),
    pattern(r"CR0=# CR3=# CR4=#", F.HOST_CR0, F.HOST_CR3, F.HOST_CR4),
    pattern(r"Sysenter RSP=# CS:RIP=#:#", F.HOST_IA32_SYSENTER_ESP, F.HOST_IA32_SYSENTER_CS, F.HOST_IA32_SYSENTER_EIP),
    pattern(r"EFER = #", F.HOST_IA32_EFER),
    pattern(r"\bPAT = #", F.HOST_IA32_PAT),
    pattern(r"PerfGlobCtl = #", F.HOST_IA32_PERF_GLOBAL_CTRL),
    pattern(r"S_CET = #, SSP = #, SSP TABLE = #", F.HOST_IA32_S_CET, F.HOST_SSP, F.HOST_IA32_INTERRUPT_SSP_TABLE_ADDR),
)

CONTROL: tuple[Rule, ...] = (
    pattern(r"PinBased=#", F.PIN_BASED_VM_EXECUTION_CONTROLS),
    pattern(r"CPUBased=#", F.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS),
    pattern(r"SecondaryExec=#", F.SECONDARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS),
    pattern(r"TertiaryExec=#", F.TERTIARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS),
    pattern(r"EntryControls=#", F.VM_ENTRY_CONTROLS),
    pattern(r"\bExitControls=#", F.PRIMARY_VM_EXIT_CONTROLS),
    pattern(r"SecondaryExitControls=#", F.SECONDARY_VM_EXIT_CONTROLS),
    pattern(r"ExceptionBitmap=# PFECmask=# PFECmatch=#", F.EXCEPTION_BITMAP, F.PAGE_FAULT_ERROR_CODE_MASK, F.PAGE_FAULT_ERROR_CODE_MATCH),
    pattern(
        r"VMEntry: intr_info=# errcode=# ilen=#",
        *(F.VM_ENTRY_INTERRUPTION_INFORMATION, F.VM_ENTRY_EXCEPTION_ERROR_CODE, F.VM_ENTRY_INSTRUCTION_LENGTH),
    ),
    pattern(
        r"VMExit: intr_info=# errcode=# ilen=#",
        *(F.VM_EXIT_INTERRUPTION_INFORMATION, F.VM_EXIT_INTERRUPTION_ERROR_CODE, F.VM_EXIT_INSTRUCTION_LENGTH),
    ),
    pattern(r"reason=# qualification=#", F.EXIT_REASON, F.EXIT_QUALIFICATION),
    pattern(r"IDTVectoring: info=# errcode=#", F.IDT_VECTORING_INFORMATION, F.IDT_VECTORING_ERROR_CODE),
    pattern(r"TSC Offset = #", F.TSC_OFFSET),
    pattern(r"TSC Multiplier = #", F.TSC_MULTIPLIER),
    pattern(r"TPR Threshold = #", F.TPR_THRESHOLD),
    pattern(r"APIC-access addr = #", F.APIC_ACCESS_ADDRESS),
    pattern(r"virt-APIC addr = #", F.VIRTUAL_APIC_ADDRESS),
    pattern(r"PostedIntrVec = #", F.POSTED_INTERRUPT_NOTIFICATION_VECTOR),
    pattern(r"EPT pointer = #", F.EPTP),
    pattern(r"EPTP index = #", F.EPTP_INDEX),
    *(pattern(rf"\btarget{n}=#", F[f"CR3_TARGET_VALUE_{n}"]) for n in range(4)),
    pattern(r"PLE Gap=# Window=#", F.PLE_GAP, F.PLE_WINDOW),
    pattern(r"Virtual processor ID = #", F.VPID),
    pattern(r"VMfunc controls = #", F.VM_FUNCTION_CONTROLS),
)

SECTIONS = {"Guest": GUEST, "Host": HOST, "Control": CONTROL}
"""The grammar of each section, by the word in its heading “*** … State ***”."""
