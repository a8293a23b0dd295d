"""What the MSRs without named parts are for (Vol. 4 ch. 2 “Model-Specific Registers (MSRs)”); the layouts say it of the others."""

from __future__ import annotations

import re

from vmxon.arch.msr import Msr
from vmxon.arch.msr_rules import LinearAddress, Whole

PURPOSES: dict[str, str] = {
    r"IA32_VMX_CR([04])_FIXED0": "Bits of CR{} that must be 1 in VMX operation.",
    r"IA32_VMX_CR([04])_FIXED1": "Bits of CR{} that may be 1 in VMX operation; the others must be 0.",
    r"IA32_TIME_STAMP_COUNTER": "The time-stamp counter, which RDTSC reads.",
    r"IA32_TSC_ADJUST": "What was added to the time-stamp counter by writes since reset.",
    r"IA32_TSC_DEADLINE": "The value of the time-stamp counter at which the local APIC's timer interrupts; 0 disarms it.",
    r"IA32_MPERF": "Counts at a fixed rate while the processor is not halted.",
    r"IA32_APERF": "Counts at the actual rate; divided by IA32_MPERF it tells how fast the processor really runs.",
    r"IA32_PLATFORM_ID": "The platform for which microcode updates are chosen.",
    r"IA32_BIOS_UPDT_TRIG": "A write loads the microcode update at this linear address.",
    r"IA32_BIOS_SIGN_ID": "The revision of the loaded microcode update.",
    r"IA32_SMM_MONITOR_CTL": "Dual-monitor treatment of SMIs: the address of the SMM monitor.",
    r"MSR_EBL_CR_POWERON": "How the processor was configured at power-on.",
    r"IA32_CORE_CAPABILITIES": "Features of the core that CPUID does not announce.",
    r"IA32_BARRIER": "Reads as 0; in a list of RDMSRLIST it keeps the reads before and after it in order.",
    r"IA32_SYSENTER_CS": "The code segment that SYSENTER loads.",
    r"IA32_SYSENTER_E([SI])P": "What SYSENTER loads into R{}P.",
    r"IA32_LSTAR": "Where SYSCALL enters the system from 64-bit code.",
    r"IA32_CSTAR": "Where SYSCALL enters the system from compatibility mode; Intel's processors do not use it.",
    r"IA32_([FG])S_BASE": "The base address of {}S.",
    r"IA32_KERNEL_GS_BASE": "The base address that SWAPGS exchanges with that of GS.",
    r"IA32_PL([0-3])_SSP": "The shadow-stack pointer of privilege level {}.",
    r"IA32_INTERRUPT_SSP_TABLE_ADDR": "The table of shadow-stack pointers for interrupts that use the IST.",
    r"IA32_MTRR_FIX(\d+K)_([0-9A-F]+)": "Memory types of the eight ranges of {} from {}H.",
    r"IA32_PAT": "The memory types among which PAT, PCD and PWT of a paging entry choose.",
    r"IA32_P5_MC_(?:ADDR|TYPE)": "What the machine check of a Pentium reported.",
    r"IA32_MCG_STATUS": "Whether a machine check is being handled, and whether the program can go on.",
    r"IA32_MC(\d)_CTL": "Which errors machine-check bank {} reports.",
    r"IA32_MC(\d)_STATUS": "The last error of machine-check bank {}.",
    r"IA32_MC(\d)_ADDR": "The address that belongs to the last error of machine-check bank {}.",
    r"IA32_MC(\d)_MISC": "More about the last error of machine-check bank {}.",
    r"MSR_LASTBRANCHFROM_IP": "The address of the last branch that was taken.",
    r"MSR_LASTBRANCHTO_IP": "The target of the last branch that was taken.",
    r"MSR_LASTINTFROM_IP": "The address of the last branch before the last interrupt or exception.",
    r"MSR_LASTINTTO_IP": "The target of the last branch before the last interrupt or exception.",
    r"IA32_PMC(\d)": "General performance counter {}.",
    r"IA32_FIXED_CTR0": "Fixed performance counter 0: retired instructions.",
    r"IA32_FIXED_CTR1": "Fixed performance counter 1: clocks of the core while it is not halted.",
    r"IA32_FIXED_CTR2": "Fixed performance counter 2: reference clocks while the core is not halted.",
    r"IA32_FIXED_CTR_CTRL": "At which privilege levels the fixed performance counters count, and whether they interrupt.",
    r"IA32_PERF_GLOBAL_CTRL": "Which performance counters are enabled: bits 0 and up general ones, bits 32 and up fixed ones.",
    r"IA32_PERF_CAPABILITIES": "What performance monitoring can do besides counting.",
}
"""By the name, as a pattern; what the pattern's groups match stands in the sentence."""


def purpose(msr: Msr) -> str:
    """One sentence about an MSR: of its layout, or of the table where the layout names no part."""
    if msr.layout is Whole or msr.layout is LinearAddress:
        for pattern, sentence in PURPOSES.items():
            if found := re.fullmatch(pattern, msr.name):
                return sentence.format(*found.groups())
    return " ".join((msr.layout.__doc__ or "").split())
