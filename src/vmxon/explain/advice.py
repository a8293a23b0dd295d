"""What usually breaks an entry rule, and what to do: one row for each pattern of rule names, the first match counts."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from vmxon.explain.document import listed


class Advice(NamedTuple):
    """What is usually behind a failure, and how to get rid of it."""

    cause: str
    action: str


ADVICE: tuple[tuple[str, Advice], ...] = (
    ("link.*", Advice("the link pointer is not all ones: after VMCLEAR it is 0, which is an address", "write all ones to it")),
    (
        "entry.[td]*",
        Advice("a control of dual-monitor SMM was set outside SMM", "clear it: only the SMM monitor sets it"),
    ),
    (
        "*fred*",
        Advice(
            "FRED state was not set up, or the guest is not a 64-bit one",
            "write the FRED fields, or clear CR4.FRED and the load and save controls",
        ),
    ),
    (
        "*.cr4.cet",
        Advice("CR4.CET was set without CR0.WP", "set CR0.WP first"),
    ),
    (
        "*cet.*",
        Advice("IA32_S_CET was copied from elsewhere, or never written", "write 0, or what RDMSR of IA32_S_CET gives"),
    ),
    (
        "*ssp*.*",
        Advice(
            "a shadow-stack pointer was never written, or does not fit the mode",
            "write an address of the right mode and alignment, or clear “load CET state”",
        ),
    ),
    (
        "*.cr4.pcide",
        Advice("CR4.PCIDE was set for a mode that is not IA-32e", "clear it until long mode is on"),
    ),
    (
        "host.cr4.pae",
        Advice("HOST_CR4 was not copied from the running CR4", "write what MOV from CR4 gives"),
    ),
    (
        "guest.debugctl",
        Advice("GUEST_IA32_DEBUGCTL was never written or has a bit that the processor does not know", "write 0"),
    ),
    *(
        (
            pattern,
            Advice("the MSR's value has a bit that this processor does not have", "clear the bit, or clear the control that loads the MSR"),
        )
        for pattern in ("*.perf_global_ctrl", "*.spec_ctrl", "*.pkrs", "guest.bndcfgs.reserved", "guest.rtit_ctl", "guest.lbr_ctl")
    ),
    ("guest.dr7", Advice("GUEST_DR7 was never written or sign-extended", "write 0x400")),
    *((pattern, Advice("a vector has more than 8 bits", "write a number up to 255")) for pattern in ("*.vector", "guest.uinv")),
    (
        "cr3_target.count",
        Advice(
            "the count was never written, or is above what IA32_VMX_MISC allows", "write 0 where no CR3 target is used, otherwise up to 4"
        ),
    ),
    (
        "tpr_threshold.*",
        Advice(
            "the threshold is above the guest's task priority class, or more than 4 bits wide",
            "write 0, or the class of the interrupt that waits",
        ),
    ),
    (
        "x2apic.*",
        Advice(
            "both ways to virtualize the APIC were switched on",
            "choose x2APIC mode or the APIC-access page, as IA32_APIC_BASE of the guest says",
        ),
    ),
    (
        "pid_pointer_table.end",
        Advice("LAST_PID_POINTER_INDEX is too large", "write the number of virtual processors minus one"),
    ),
    (
        "hlatp.reserved",
        Advice("HLATP has flags in bits that are reserved", "write the table's address with bits 4:3 at most"),
    ),
    ("tsc_multiplier.zero", Advice("the multiplier is 0, as after VMCLEAR", "write 1 << 48 for the real speed")),
    ("apic_timer.rdtsc", Advice("“APIC-timer virtualization” and “RDTSC exiting” exclude each other", "clear one")),
    (
        "guest.rflags.reserved",
        Advice("GUEST_RFLAGS was never written or holds garbage", "write 2, with the flags that the guest shall start with"),
    ),
    (
        "guest.rflags.vm_*",
        Advice("RFLAGS.VM is set for a guest in long mode or real mode", "clear bit 17 of GUEST_RFLAGS"),
    ),
    (
        "*.rip.*",
        Advice(
            "RIP does not fit the mode: CS.L, “IA-32e mode guest” or “host address-space size” is 0, or the address is not canonical",
            "set L in the rights of CS (0xA09B) together with the control for 64-bit code, or give a RIP below 4 GiB",
        ),
    ),
    (
        "guest_?dtr_limit.width",
        Advice("the limit was written as a segment limit", "GDTR and IDTR limits have 16 bits: 0xFFFF at most"),
    ),
    (
        "guest.?s.base_*",
        Advice(
            "the base holds an address that the mode does not allow",
            "write 0 for flat segments; FS and GS take any canonical address in 64-bit mode",
        ),
    ),
    (
        "guest.?s.*[dr]p[l]*",
        Advice(
            "the privilege levels disagree: RPL of the selectors, DPL of CS and of SS",
            "for a kernel make them all 0; for user mode RPL and DPL of CS and SS all 3",
        ),
    ),
    (
        "*.must_be_one",
        Advice(
            "only the wanted controls were written, without those that the processor keeps at 1",
            "write (wanted | low half) & high half of the capability MSR; with IA32_VMX_BASIC bit 55 use the TRUE MSR",
        ),
    ),
    (
        "*.may_be_one",
        Advice(
            "the control is for a feature that this processor does not have",
            "test the control's bit in the high half of the capability MSR first, and do without the feature where it is 0",
        ),
    ),
    (
        "vm_functions.supported",
        Advice("a VM function that this processor does not have was enabled", "keep to the bits of IA32_VMX_VMFUNC"),
    ),
    (
        "*.needs_*",
        Advice("a control was set without the one that it stands on", "set both, or clear the first"),
    ),
    (
        "*_msr_*.*",
        Advice(
            "the count of an MSR area is not 0 but its address is not that of a list",
            "write address and count together; count 0 for no list",
        ),
    ),
    (
        "*.aligned",
        Advice(
            "the address of a structure was taken from an allocator that does not align, or a flag was left in it", "allocate a whole page"
        ),
    ),
    (
        "eptp.*",
        Advice(
            "the physical address of the top table was written without its format bits",
            "write address | 3 << 3 (four levels) | 6 (write-back), and bit 6 only where IA32_VMX_EPT_VPID_CAP bit 21 is 1",
        ),
    ),
    (
        "guest.cr3.width",
        Advice(
            "CR3 came from a MOV operand with bit 63, from a linear address, or was never written",
            "write the physical address of the guest's top table; clear bit 63",
        ),
    ),
    (
        "*.width",
        Advice(
            "a linear address was written where a physical one belongs, or the field holds garbage",
            "translate the address first; check MAXPHYADDR (CPUID 80000008H)",
        ),
    ),
    ("vpid.zero", Advice("“enable VPID” was set before a VPID was chosen", "write a number from 1 to VPID")),
    (
        "injection.code*",
        Advice(
            "the deliver-error-code bit does not fit the vector",
            "set bit 11 exactly for hardware exceptions 8, 10–14 and 17 in protected mode",
        ),
    ),
    (
        "injection.length*",
        Advice(
            "software interrupts and exceptions advance RIP by the instruction length",
            "copy the VM-exit instruction length to the VM-entry one",
        ),
    ),
    (
        "injection.*",
        Advice(
            "the interruption information was put together by hand, or copied from the exit with its bit 12",
            "bit 31 valid, bits 10:8 type, bits 7:0 vector; clear bit 12 when copying IDT-vectoring information",
        ),
    ),
    (
        "host.mode.*",
        Advice("“host address-space size” must say in which mode the hypervisor itself runs", "set it exactly where IA32_EFER.LMA is 1"),
    ),
    (
        "*.cr?.fixed0",
        Advice(
            "CR0 or CR4 was written without the bits that VMX operation demands", "OR in the FIXED0 MSR: PE, NE, PG for CR0, VMXE for CR4"
        ),
    ),
    ("*.cr?.fixed1", Advice("CR0 or CR4 has a bit that this processor does not know", "AND with the FIXED1 MSR")),
    (
        "guest.cr0.p*",
        Advice(
            "a guest was started in real mode or without paging on a processor that needs “unrestricted guest” for it",
            "enable EPT and unrestricted guest, or start the guest with CR0.PE and CR0.PG set",
        ),
    ),
    (
        "guest.long.*",
        Advice("“IA-32e mode guest” was set for a guest that is not in long mode yet", "clear it, or set CR0.PG and CR4.PAE"),
    ),
    (
        "*.efer.*",
        Advice(
            "LMA and LME must both follow the mode control, as the processor does not compute them at VM entry",
            "for a 64-bit guest or host set both, otherwise clear both (0x500)",
        ),
    ),
    (
        "host_*_selector.rpl",
        Advice("the selector was copied with its RPL, or from the guest", "clear bits 2:0 of host selectors"),
    ),
    ("host_*_selector.ti", Advice("the selector refers to the LDT", "clear bits 2:0 of host selectors")),
    (
        "host_tr_selector.null",
        Advice("the hypervisor never loaded a task register", "make a TSS descriptor in the GDT, run LTR, and write its selector"),
    ),
    (
        "host_*_selector.null",
        Advice(
            "the field was never written, or the hypervisor runs with a null selector", "write the selector that the hypervisor runs with"
        ),
    ),
    (
        "*.canonical",
        Advice(
            "an address was sign-extended wrongly, or the field was never written",
            "copy bit 47 (56 with 5-level paging) to all bits above it",
        ),
    ),
    (
        "guest.tr.*",
        Advice(
            "every guest has a task register, even one that never uses it; after VMCLEAR its rights are 0",
            "write access rights 0x8B (busy TSS, present), limit 0x67, base 0",
        ),
    ),
    (
        "guest.ldtr.*",
        Advice("LDTR was left as if usable", "write 0x10000 (unusable) to its access rights, or 0x82 for a real LDT"),
    ),
    (
        "guest.*.granularity*",
        Advice(
            "limit and G do not fit: the field holds the limit in bytes",
            "limit 0xFFFFFFFF needs G = 1; a limit up to 0xFFFFF needs G = 0 unless its low 12 bits are ones",
        ),
    ),
    (
        "guest.*.v86_*",
        Advice(
            "RFLAGS.VM is set for a guest that is not in virtual-8086 mode, or the segments are not real-mode ones",
            "base = selector × 16, limit 0xFFFF, rights 0xF3",
        ),
    ),
    (
        "guest.cs.*",
        Advice(
            "CS has the rights of a descriptor that was shifted wrongly, or was never written",
            "0xA09B for 64-bit code, 0xC09B for 32-bit, 0x9B for 16-bit",
        ),
    ),
    (
        "guest.[sdefg]s.*",
        Advice(
            "the rights were never written, or copied from a descriptor whose accessed bit is 0",
            "0xC093 for flat data, 0x10000 for a register that is not used",
        ),
    ),
    (
        "guest.rflags.bit_1",
        Advice(
            "GUEST_RFLAGS was never written, or without the bit that is always 1", "write 2, with the flags that the guest shall start with"
        ),
    ),
    (
        "guest.rflags.if",
        Advice("an interrupt was injected while the guest has interrupts off", "set “interrupt-window exiting” and inject at that exit"),
    ),
    (
        "guest.activity.*",
        Advice(
            "GUEST_ACTIVITY_STATE was never written or holds what an exit left there",
            "write 0 (active); after an exit in HLT, 1 wakes by an event only",
        ),
    ),
    (
        "guest.blocking.*",
        Advice(
            "the interruptibility state still shows what blocked at the last exit",
            "clear blocking by STI and by MOV SS when you advance RIP past an instruction or inject an interrupt",
        ),
    ),
    (
        "guest.pending_debug.*",
        Advice(
            "the single-step trap and RFLAGS.TF disagree",
            "set bit 14 exactly where TF is 1 and BTF 0 while STI, MOV SS or HLT holds the trap",
        ),
    ),
    (
        "guest*pdpte*",
        Advice(
            "a PAE guest under EPT has its four PDPTEs in the VMCS",
            "when the guest loads CR3, read the table and write GUEST_PDPTE0–3; bits 2:1 and 8:5 are 0",
        ),
    ),
    (
        "*.pat",
        Advice("the PAT field was never written, or holds memory types 2 or 3", "write 0x0007040600070406, or clear the load control"),
    ),
)

GENERAL = Advice("the value was computed or copied wrongly", "compare the field with what the section demands")


def advice_for(rule: str, unwritten: Sequence[str] = ()) -> Advice:
    """The advice for a rule by name; `unwritten` fields that it read, since VMCLEAR, explain more than any pattern."""
    found = next((advice for pattern, advice in ADVICE if fnmatchcase(rule, pattern)), GENERAL)
    if not unwritten:
        return found
    action = "write every field of its area once after VMCLEAR" if found is GENERAL else found.action
    return Advice(f"{listed(unwritten)} {'was' if len(unwritten) == 1 else 'were'} never written since VMCLEAR", action)
