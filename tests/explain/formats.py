"""VMCS dumps in the formats of the field, written from fields: what the readers must read back."""

from __future__ import annotations

from collections.abc import Mapping

from vmxon.vmx.fields import VmcsField as F

SEGMENTS = ("CS", "DS", "SS", "ES", "FS", "GS")
PARTS = ("SELECTOR", "ACCESS_RIGHTS", "LIMIT", "BASE")


def _hex(fields: Mapping[F, int], name: str, digits: int, prefix: str = "") -> str:
    return f"{prefix}{fields.get(F[name], 0):0{digits}x}"


def kvm_text(fields: Mapping[F, int], *, prefix: str = "[ 2311.499051] kvm_intel: ") -> str:
    """The dump of Linux KVM, kernels 5.x and 6.x, every conditional line included."""

    def x(name: str, digits: int = 16) -> str:
        return _hex(fields, name, digits, "0x")

    def h(name: str, digits: int = 16) -> str:
        return _hex(fields, name, digits)

    def segment(name: str) -> str:
        selector, rights, limit, base = (f"GUEST_{name}_{part}" for part in PARTS)
        return f"{name + ':':<5} sel={x(selector, 4)}, attr={x(rights, 5)}, limit={x(limit, 8)}, base={x(base)}"

    def table(name: str) -> str:
        return f"{name}:                           limit={x(f'GUEST_{name}_LIMIT', 8)}, base={x(f'GUEST_{name}_BASE')}"

    lines = [
        "VMCS 00000000336523a9, last attempted VM-entry on CPU 8",
        "*** Guest State ***",
        f"CR0: actual={x('GUEST_CR0')}, shadow={x('CR0_READ_SHADOW')}, gh_mask={h('CR0_GUEST_HOST_MASK')}",
        f"CR4: actual={x('GUEST_CR4')}, shadow={x('CR4_READ_SHADOW')}, gh_mask={h('CR4_GUEST_HOST_MASK')}",
        f"CR3 = {x('GUEST_CR3')}",
        f"PDPTR0 = {x('GUEST_PDPTE0')}  PDPTR1 = {x('GUEST_PDPTE1')}",
        f"PDPTR2 = {x('GUEST_PDPTE2')}  PDPTR3 = {x('GUEST_PDPTE3')}",
        f"RSP = {x('GUEST_RSP')}  RIP = {x('GUEST_RIP')}",
        f"RFLAGS={x('GUEST_RFLAGS', 8)}         DR7 = {x('GUEST_DR7')}",
        f"Sysenter RSP={h('GUEST_IA32_SYSENTER_ESP')} CS:RIP={h('GUEST_IA32_SYSENTER_CS', 4)}:{h('GUEST_IA32_SYSENTER_EIP')}",
        *(segment(name) for name in SEGMENTS),
        table("GDTR"),
        segment("LDTR"),
        table("IDTR"),
        segment("TR"),
        f"EFER= {x('GUEST_IA32_EFER')}" if F.GUEST_IA32_EFER in fields else "EFER= 0x0000000000000d01 (effective)",
        f"PAT = {x('GUEST_IA32_PAT')}",
        f"DebugCtl = {x('GUEST_IA32_DEBUGCTL')}  DebugExceptions = {x('GUEST_PENDING_DEBUG_EXCEPTIONS')}",
        f"PerfGlobCtl = {x('GUEST_IA32_PERF_GLOBAL_CTRL')}",
        f"BndCfgS = {x('GUEST_IA32_BNDCFGS')}",
        f"Interruptibility = {h('GUEST_INTERRUPTIBILITY_STATE', 8)}  ActivityState = {h('GUEST_ACTIVITY_STATE', 8)}",
        f"InterruptStatus = {h('GUEST_INTERRUPT_STATUS', 4)}",
        "*** Host State ***",
        f"RIP = {x('HOST_RIP')}  RSP = {x('HOST_RSP')}",
        " ".join(f"{name}={h(f'HOST_{name}_SELECTOR', 4)}" for name in ("CS", "SS", "DS", "ES", "FS", "GS", "TR")),
        f"FSBase={h('HOST_FS_BASE')} GSBase={h('HOST_GS_BASE')} TRBase={h('HOST_TR_BASE')}",
        f"GDTBase={h('HOST_GDTR_BASE')} IDTBase={h('HOST_IDTR_BASE')}",
        f"CR0={h('HOST_CR0')} CR3={h('HOST_CR3')} CR4={h('HOST_CR4')}",
        f"Sysenter RSP={h('HOST_IA32_SYSENTER_ESP')} CS:RIP={h('HOST_IA32_SYSENTER_CS', 4)}:{h('HOST_IA32_SYSENTER_EIP')}",
        f"EFER= {x('HOST_IA32_EFER')}",
        f"PAT = {x('HOST_IA32_PAT')}",
        f"PerfGlobCtl = {x('HOST_IA32_PERF_GLOBAL_CTRL')}",
        "*** Control State ***",
        (
            f"CPUBased={x('PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS', 8)}"
            f" SecondaryExec={x('SECONDARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS', 8)}"
            f" TertiaryExec={x('TERTIARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS')}"
        ),
        (
            f"PinBased={x('PIN_BASED_VM_EXECUTION_CONTROLS', 8)} EntryControls={h('VM_ENTRY_CONTROLS', 8)}"
            f" ExitControls={h('PRIMARY_VM_EXIT_CONTROLS', 8)}"
        ),
        (
            f"ExceptionBitmap={h('EXCEPTION_BITMAP', 8)} PFECmask={h('PAGE_FAULT_ERROR_CODE_MASK', 8)}"
            f" PFECmatch={h('PAGE_FAULT_ERROR_CODE_MATCH', 8)}"
        ),
        (
            f"VMEntry: intr_info={h('VM_ENTRY_INTERRUPTION_INFORMATION', 8)} errcode={h('VM_ENTRY_EXCEPTION_ERROR_CODE', 8)}"
            f" ilen={h('VM_ENTRY_INSTRUCTION_LENGTH', 8)}"
        ),
        (
            f"VMExit: intr_info={h('VM_EXIT_INTERRUPTION_INFORMATION', 8)} errcode={h('VM_EXIT_INTERRUPTION_ERROR_CODE', 8)}"
            f" ilen={h('VM_EXIT_INSTRUCTION_LENGTH', 8)}"
        ),
        f"        reason={h('EXIT_REASON', 8)} qualification={h('EXIT_QUALIFICATION')}",
        f"IDTVectoring: info={h('IDT_VECTORING_INFORMATION', 8)} errcode={h('IDT_VECTORING_ERROR_CODE', 8)}",
        f"TSC Offset = {x('TSC_OFFSET')}",
        f"TSC Multiplier = {x('TSC_MULTIPLIER')}",
        f"SVI|RVI = 00|00 TPR Threshold = {x('TPR_THRESHOLD', 2)}",
        f"APIC-access addr = {x('APIC_ACCESS_ADDRESS')} virt-APIC addr = {x('VIRTUAL_APIC_ADDRESS')}",
        f"PostedIntrVec = {x('POSTED_INTERRUPT_NOTIFICATION_VECTOR', 2)}",
        f"EPT pointer = {x('EPTP')}",
        f"PLE Gap={h('PLE_GAP', 8)} Window={h('PLE_WINDOW', 8)}",
        f"Virtual processor ID = {x('VPID', 4)}",
    ]
    return "".join(f"{prefix}{line}\n" for line in lines)


def xen_text(fields: Mapping[F, int], *, prefix: str = "(XEN) ") -> str:
    """The dump of Xen, as of 4.13 and later."""

    def x(name: str, digits: int = 16) -> str:
        return _hex(fields, name, digits, "0x")

    def h(name: str, digits: int = 16) -> str:
        return _hex(fields, name, digits)

    def segment(name: str) -> str:
        selector, rights, limit, base = (f"GUEST_{name}_{part}" for part in PARTS)
        return f"{name:>4}: {h(selector, 4)} {h(rights, 5)} {h(limit, 8)} {h(base)}"

    def table(name: str) -> str:
        return f"{name}:            {h(f'GUEST_{name}_LIMIT', 8)} {h(f'GUEST_{name}_BASE')}"

    lines = [
        "*********** VMCS Areas **************",
        "",
        ">>> Domain 3 <<<",
        "\tVCPU 0",
        "*** Guest State ***",
        f"CR0: actual={x('GUEST_CR0')}, shadow={x('CR0_READ_SHADOW')}, gh_mask={h('CR0_GUEST_HOST_MASK')}",
        f"CR4: actual={x('GUEST_CR4')}, shadow={x('CR4_READ_SHADOW')}, gh_mask={h('CR4_GUEST_HOST_MASK')}",
        f"CR3 = {x('GUEST_CR3')}",
        f"PDPTE0 = {x('GUEST_PDPTE0')}  PDPTE1 = {x('GUEST_PDPTE1')}",
        f"PDPTE2 = {x('GUEST_PDPTE2')}  PDPTE3 = {x('GUEST_PDPTE3')}",
        f"RSP = {x('GUEST_RSP')} (0x000000000badbad0)  RIP = {x('GUEST_RIP')} (0x000000000badbad1)",
        f"RFLAGS={x('GUEST_RFLAGS', 8)} (0x0badbad2)  DR7 = {x('GUEST_DR7')}",
        f"Sysenter RSP={h('GUEST_IA32_SYSENTER_ESP')} CS:RIP={h('GUEST_IA32_SYSENTER_CS', 4)}:{h('GUEST_IA32_SYSENTER_EIP')}",
        "       sel  attr  limit   base",
        *(segment(name) for name in SEGMENTS),
        table("GDTR"),
        segment("LDTR"),
        table("IDTR"),
        segment("TR"),
        f"EFER(VMCS) = {x('GUEST_IA32_EFER')}  PAT = {x('GUEST_IA32_PAT')}",
        f"PreemptionTimer = {x('VMX_PREEMPTION_TIMER_VALUE', 8)}  SM Base = {x('GUEST_SMBASE', 8)}",
        f"DebugCtl = {x('GUEST_IA32_DEBUGCTL')}  DebugExceptions = {x('GUEST_PENDING_DEBUG_EXCEPTIONS')}",
        f"PerfGlobCtl = {x('GUEST_IA32_PERF_GLOBAL_CTRL')}  BndCfgS = {x('GUEST_IA32_BNDCFGS')}",
        f"Interruptibility = {h('GUEST_INTERRUPTIBILITY_STATE', 8)}  ActivityState = {h('GUEST_ACTIVITY_STATE', 8)}",
        f"InterruptStatus = {h('GUEST_INTERRUPT_STATUS', 4)}",
        "*** Host State ***",
        f"RIP = {x('HOST_RIP')} (vmx_asm_vmexit_handler)  RSP = {x('HOST_RSP')}",
        " ".join(f"{name}={h(f'HOST_{name}_SELECTOR', 4)}" for name in ("CS", "SS", "DS", "ES", "FS", "GS", "TR")),
        f"FSBase={h('HOST_FS_BASE')} GSBase={h('HOST_GS_BASE')} TRBase={h('HOST_TR_BASE')}",
        f"GDTBase={h('HOST_GDTR_BASE')} IDTBase={h('HOST_IDTR_BASE')}",
        f"CR0={h('HOST_CR0')} CR3={h('HOST_CR3')} CR4={h('HOST_CR4')}",
        f"Sysenter RSP={h('HOST_IA32_SYSENTER_ESP')} CS:RIP={h('HOST_IA32_SYSENTER_CS', 4)}:{h('HOST_IA32_SYSENTER_EIP')}",
        f"EFER = {x('HOST_IA32_EFER')}  PAT = {x('HOST_IA32_PAT')}",
        f"PerfGlobCtl = {x('HOST_IA32_PERF_GLOBAL_CTRL')}",
        "*** Control State ***",
        (
            f"PinBased={h('PIN_BASED_VM_EXECUTION_CONTROLS', 8)} CPUBased={h('PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS', 8)}"
            f" SecondaryExec={h('SECONDARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS', 8)}"
        ),
        f"EntryControls={h('VM_ENTRY_CONTROLS', 8)} ExitControls={h('PRIMARY_VM_EXIT_CONTROLS', 8)}",
        (
            f"ExceptionBitmap={h('EXCEPTION_BITMAP', 8)} PFECmask={h('PAGE_FAULT_ERROR_CODE_MASK', 8)}"
            f" PFECmatch={h('PAGE_FAULT_ERROR_CODE_MATCH', 8)}"
        ),
        (
            f"VMEntry: intr_info={h('VM_ENTRY_INTERRUPTION_INFORMATION', 8)} errcode={h('VM_ENTRY_EXCEPTION_ERROR_CODE', 8)}"
            f" ilen={h('VM_ENTRY_INSTRUCTION_LENGTH', 8)}"
        ),
        (
            f"VMExit: intr_info={h('VM_EXIT_INTERRUPTION_INFORMATION', 8)} errcode={h('VM_EXIT_INTERRUPTION_ERROR_CODE', 8)}"
            f" ilen={h('VM_EXIT_INSTRUCTION_LENGTH', 8)}"
        ),
        f"        reason={h('EXIT_REASON', 8)} qualification={h('EXIT_QUALIFICATION')}",
        f"IDTVectoring: info={h('IDT_VECTORING_INFORMATION', 8)} errcode={h('IDT_VECTORING_ERROR_CODE', 8)}",
        f"TSC Offset = {x('TSC_OFFSET')}  TSC Multiplier = {x('TSC_MULTIPLIER')}",
        f"TPR Threshold = {x('TPR_THRESHOLD', 2)}  PostedIntrVec = {x('POSTED_INTERRUPT_NOTIFICATION_VECTOR', 2)}",
        f"EPT pointer = {x('EPTP')}  EPTP index = {x('EPTP_INDEX', 4)}",
        f"CR3 target0={h('CR3_TARGET_VALUE_0')} target1={h('CR3_TARGET_VALUE_1')}",
        f"CR3 target2={h('CR3_TARGET_VALUE_2')} target3={h('CR3_TARGET_VALUE_3')}",
        f"PLE Gap={h('PLE_GAP', 8)} Window={h('PLE_WINDOW', 8)}",
        f"Virtual processor ID = {x('VPID', 4)} VMfunc controls = {h('VM_FUNCTION_CONTROLS')}",
        "**************************************",
    ]
    return "".join(f"{prefix}{line}\n" for line in lines)


KVM_SHOWS = 115
XEN_SHOWS = 120
"""How many fields each format shows when every conditional line is there."""
