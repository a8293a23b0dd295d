"""The MSR table (Vol. 4 “Model-Specific Registers”): address, name, layout, reset value, storage, write rule.

`MSRS[address]` is a row. The VMX capability MSRs are in `msr_vmx`; importing this module completes the table.
"""

from vmxon.arch import msr_vmx
from vmxon.arch.bits import Word, field, flag
from vmxon.arch.control import Efer
from vmxon.arch.features import Feature
from vmxon.arch.msr_rules import ALL, MSRS, LinearAddress, Msr, Rule, Storage, declare, msr
from vmxon.arch.performance import (
    FIXED,
    FIXED_CONTROL_BITS,
    GENERAL,
    GLOBAL_BITS,
    WIDTH,
    EventSelect,
    GlobalStatus,
)

__all__ = ["MSRS", "Msr", "Rule", "Storage", "declare", "msr", "msr_vmx"]

VARIABLE_MTRRS = 8
MACHINE_CHECK_BANKS = 2
PAT_RESET = 0x0007_0406_0007_0406
"""IA32_PAT after reset: WB, WT, UC-, UC, twice."""


# Time, identification and features


declare(0x10, "IA32_TIME_STAMP_COUNTER", storage=Storage.REGISTER, feature=Feature.TSC)
declare(0x17, "IA32_PLATFORM_ID", storage=Storage.CONSTANT, rule=Rule.NEVER)
declare(0x79, "IA32_BIOS_UPDT_TRIG", LinearAddress, storage=Storage.COMMAND)
declare(0x9B, "IA32_SMM_MONITOR_CTL", storage=Storage.CONSTANT, rule=Rule.NEVER, feature=Feature.VMX)
declare(0x8B, "IA32_BIOS_SIGN_ID", storage=Storage.CELL)
declare(0x2A, "MSR_EBL_CR_POWERON", storage=Storage.CELL)
declare(0xE7, "IA32_MPERF", storage=Storage.CELL, feature=Feature.APERFMPERF)
declare(0xE8, "IA32_APERF", storage=Storage.CELL, feature=Feature.APERFMPERF)
declare(0xCF, "IA32_CORE_CAPABILITIES", storage=Storage.CONSTANT, rule=Rule.NEVER, feature=Feature.CORE_CAPABILITIES)
declare(0x3B, "IA32_TSC_ADJUST", storage=Storage.REGISTER, feature=Feature.TSC_ADJUST)
declare(0x6E0, "IA32_TSC_DEADLINE", storage=Storage.REGISTER, feature=Feature.TSC_DEADLINE)


@msr(0x1B, "IA32_APIC_BASE", reset=0xFEE0_0900, storage=Storage.REGISTER, feature=Feature.APIC)
class ApicBase(Word, width=64):
    """Address and mode of the local APIC."""

    bootstrap = flag(8, "this is the bootstrap processor")
    x2apic = flag(10, "x2APIC mode")
    enabled = flag(11, "local APIC enabled")
    frame = field(51, 12, "bits 51:12 of the physical address of the APIC page; up to MAXPHYADDR")


@msr(0x3A, "IA32_FEATURE_CONTROL", rule=Rule.LOCK, writable=0b111, feature=Feature.VMX)
class FeatureControl(Word, width=64):
    """Which VMX modes the firmware allows, and the lock over that choice."""

    locked = flag(0, "further writes fault until reset")
    vmx_in_smx = flag(1, "VMXON allowed inside SMX")
    vmx_outside_smx = flag(2, "VMXON allowed outside SMX")
    senter_local = field(14, 8, "SENTER functions")
    senter_global = flag(15, "SENTER enabled")
    sgx_launch_control = flag(17, "SGX launch control enabled")
    sgx = flag(18, "SGX enabled")
    lmce = flag(20, "local machine checks enabled")


@msr(0x1A0, "IA32_MISC_ENABLE", reset=0x1801, writable=1 << 0 | 1 << 7 | 1 << 11 | 1 << 12 | 1 << 16 | 1 << 18 | 1 << 22 | 1 << 34)
class MiscEnable(Word, width=64):
    """Processor features that firmware may switch."""

    fast_strings = flag(0, "fast REP MOVS and STOS")
    thermal_control = flag(3, "automatic thermal control")
    perfmon_available = flag(7, "performance monitoring available")
    bts_unavailable = flag(11, "no branch trace storage")
    pebs_unavailable = flag(12, "no precise event-based sampling")
    speedstep = flag(16, "enhanced SpeedStep")
    monitor = flag(18, "MONITOR and MWAIT")
    limit_cpuid = flag(22, "CPUID reports no leaf above 2")
    xtpr_disable = flag(23, "no task-priority messages")
    xd_disable = flag(34, "the execute-disable bit is hidden and EFER.NXE reserved")


# Speculation: the machine never speculates, so every *_NO bit is the truth


@msr(0x48, "IA32_SPEC_CTRL", feature=Feature.SPEC_CTRL, writable=0b111)
class SpecCtrl(Word, width=64):
    """Speculation control."""

    ibrs = flag(0, "indirect branches restricted")
    stibp = flag(1, "single-thread indirect-branch predictors")
    ssbd = flag(2, "speculative store bypass disabled")


@msr(0x49, "IA32_PRED_CMD", storage=Storage.COMMAND, feature=Feature.SPEC_CTRL)
class PredCmd(Word, width=64):
    """Prediction commands."""

    ibpb = flag(0, "indirect-branch prediction barrier")


@msr(0x10B, "IA32_FLUSH_CMD", storage=Storage.COMMAND, feature=Feature.FLUSH_L1D)
class FlushCmd(Word, width=64):
    """Cache flush commands."""

    l1d = flag(0, "write back and invalidate the L1 data cache")


class ArchCapabilities(Word, width=64):
    """IA32_ARCH_CAPABILITIES: vulnerabilities that the processor does not have."""

    rdcl_no = flag(0, "no rogue data-cache load")
    ibrs_all = flag(1, "enhanced IBRS")
    rsba = flag(2, "return predictions may come from other branches")
    skip_l1dfl_vmentry = flag(3, "no L1D flush needed at VM entry")
    ssb_no = flag(4, "no speculative store bypass")
    mds_no = flag(5, "no microarchitectural data sampling")
    pschange_mc_no = flag(6, "no machine check on page-size change")
    taa_no = flag(8, "no TSX asynchronous abort")
    sbdr_ssdp_no = flag(13, "no shared-buffers data read")
    fbsdp_no = flag(14, "no fill-buffer stale data propagator")
    psdp_no = flag(15, "no primary stale data propagator")
    bhi_no = flag(20, "no branch-history injection")
    pbrsb_no = flag(24, "no post-barrier return-stack underflow")
    gds_no = flag(26, "no gather data sampling")
    rfds_no = flag(27, "no register-file data sampling")


declare(
    0x10A,
    "IA32_ARCH_CAPABILITIES",
    ArchCapabilities,
    reset=ArchCapabilities.layout.named & ~(ArchCapabilities.ibrs_all.mask | ArchCapabilities.rsba.mask),
    storage=Storage.CONSTANT,
    rule=Rule.NEVER,
    feature=Feature.ARCH_CAPABILITIES,
)


@msr(0xE1, "IA32_UMWAIT_CONTROL", storage=Storage.REGISTER, feature=Feature.WAITPKG)
class UmwaitControl(Word, width=64):
    """How UMWAIT and TPAUSE sleep."""

    no_deep_sleep = flag(0, "the deeper sleep, C0.2, is not allowed")
    longest = field(31, 2, "bits 31:2 of the longest wait, in TSC counts; 0 for no limit")


declare(0x2F, "IA32_BARRIER", storage=Storage.CONSTANT, rule=Rule.NEVER, feature=Feature.MSRLIST)


# System calls and segment bases


declare(0x174, "IA32_SYSENTER_CS", storage=Storage.REGISTER, writable=ALL, feature=Feature.SEP)
declare(0x175, "IA32_SYSENTER_ESP", LinearAddress, storage=Storage.REGISTER, rule=Rule.CANONICAL, feature=Feature.SEP)
declare(0x176, "IA32_SYSENTER_EIP", LinearAddress, storage=Storage.REGISTER, rule=Rule.CANONICAL, feature=Feature.SEP)
declare(
    0xC000_0080,
    "IA32_EFER",
    Efer,
    storage=Storage.REGISTER,
    # LMA is accepted and ignored; NXE is reserved where the processor lacks NX, which its microcode checks.
    writable=Efer.layout.named,
    feature=Feature.LM,
)


@msr(0xC000_0081, "IA32_STAR", storage=Storage.REGISTER, writable=ALL, feature=Feature.SYSCALL)
class Star(Word, width=64):
    """Selectors of SYSCALL and SYSRET."""

    syscall_eip = field(31, 0, "not used by Intel processors")
    syscall_cs = field(47, 32, "CS of SYSCALL; SS is 8 above")
    sysret_cs = field(63, 48, "base of the selectors of SYSRET")


for _address, _name in (
    (0xC000_0082, "IA32_LSTAR"),
    (0xC000_0083, "IA32_CSTAR"),
    (0xC000_0100, "IA32_FS_BASE"),
    (0xC000_0101, "IA32_GS_BASE"),
    (0xC000_0102, "IA32_KERNEL_GS_BASE"),
):
    declare(_address, _name, LinearAddress, storage=Storage.REGISTER, rule=Rule.CANONICAL, feature=Feature.LM)


@msr(0xC000_0084, "IA32_FMASK", storage=Storage.REGISTER, feature=Feature.SYSCALL)
class Fmask(Word, width=64):
    """Flags that SYSCALL clears."""

    flags = field(31, 0, "1 clears the flag")


@msr(0xC000_0103, "IA32_TSC_AUX", storage=Storage.REGISTER, feature=Feature.RDTSCP)
class TscAux(Word, width=64):
    """What RDTSCP and RDPID return besides the time."""

    value = field(31, 0, "chosen by the operating system, usually a processor number")


# Memory types


@msr(0xFE, "IA32_MTRRCAP", reset=0x500 | VARIABLE_MTRRS, storage=Storage.CONSTANT, rule=Rule.NEVER, feature=Feature.MTRR)
class MtrrCap(Word, width=64):
    """What MTRRs there are."""

    variable = field(7, 0, "number of variable ranges")
    fixed = flag(8, "fixed ranges exist")
    write_combining = flag(10, "memory type WC is supported")
    smrr = flag(11, "system-management range registers exist")


class MtrrBase(Word, width=64):
    """IA32_MTRR_PHYSBASEn: type and start of a variable range."""

    type = field(7, 0, "memory type")
    frame = field(51, 12, "bits 51:12 of the first address; up to MAXPHYADDR")


class MtrrMask(Word, width=64):
    """IA32_MTRR_PHYSMASKn: size of a variable range."""

    valid = flag(11, "the range is used")
    frame = field(51, 12, "address bits that must match; up to MAXPHYADDR")


for _n in range(VARIABLE_MTRRS):
    declare(0x200 + 2 * _n, f"IA32_MTRR_PHYSBASE{_n}", MtrrBase, rule=Rule.LOW_TYPE, feature=Feature.MTRR)
    declare(0x201 + 2 * _n, f"IA32_MTRR_PHYSMASK{_n}", MtrrMask, feature=Feature.MTRR)

for _address, _name in (
    (0x250, "64K_00000"),
    (0x258, "16K_80000"),
    (0x259, "16K_A0000"),
    *((0x268 + n, f"4K_{0xC0000 + n * 0x8000:X}") for n in range(8)),
):
    declare(_address, f"IA32_MTRR_FIX{_name}", rule=Rule.MEMORY_TYPES, feature=Feature.MTRR)

declare(0x277, "IA32_PAT", reset=PAT_RESET, storage=Storage.REGISTER, rule=Rule.PAT, feature=Feature.PAT)


@msr(0x2FF, "IA32_MTRR_DEF_TYPE", rule=Rule.LOW_TYPE, feature=Feature.MTRR)
class MtrrDefType(Word, width=64):
    """Default memory type and the switches of the MTRRs."""

    type = field(7, 0, "type of memory that no range covers")
    fixed_enabled = flag(10, "fixed ranges are used")
    enabled = flag(11, "MTRRs are used; otherwise all memory is UC")


# Machine check


@msr(0x179, "IA32_MCG_CAP", reset=MACHINE_CHECK_BANKS, storage=Storage.CONSTANT, rule=Rule.NEVER, feature=Feature.MCA)
class McgCap(Word, width=64):
    """Machine-check capabilities."""

    banks = field(7, 0, "number of reporting banks")
    ctl = flag(8, "IA32_MCG_CTL exists")
    extended = flag(9, "extended state registers exist")
    cmci = flag(10, "corrected-error interrupts")


declare(0x0, "IA32_P5_MC_ADDR", feature=Feature.MCE)
declare(0x1, "IA32_P5_MC_TYPE", feature=Feature.MCE)
declare(0x17A, "IA32_MCG_STATUS", writable=0b111, feature=Feature.MCA)
for _n in range(MACHINE_CHECK_BANKS):
    declare(0x400 + 4 * _n, f"IA32_MC{_n}_CTL", feature=Feature.MCA)
    for _offset, _name in ((1, "STATUS"), (2, "ADDR"), (3, "MISC")):
        # Software can only clear them: any other value raises #GP.
        declare(0x400 + 4 * _n + _offset, f"IA32_MC{_n}_{_name}", writable=0, feature=Feature.MCA)


# Debugging and performance


@msr(0x1D9, "IA32_DEBUGCTL", storage=Storage.REGISTER, writable=1 << 12 | 1 << 11 | 0b11)
class DebugCtl(Word, width=64):
    """Tracing and branch stepping; software may set LBR (which records nothing), BTF, and what a performance interrupt freezes."""

    lbr = flag(0, "record last branches")
    btf = flag(1, "single-step on branches")
    bus_lock_detect = flag(2, "#DB on bus locks")
    tr = flag(6, "trace messages")
    bts = flag(7, "branch trace store")
    btint = flag(8, "interrupt on a full branch buffer")
    bts_off_os = flag(9, "no branch trace at CPL 0")
    bts_off_usr = flag(10, "no branch trace above CPL 0")
    freeze_lbrs_on_pmi = flag(11, "stop recording at a performance interrupt")
    freeze_perfmon_on_pmi = flag(12, "stop counting at a performance interrupt")
    freeze_while_smm = flag(14, "stop counting in SMM")
    rtm_debug = flag(15, "debugging of transactional regions")


for _address, _name in ((0x1DB, "FROM_IP"), (0x1DC, "TO_IP")):
    declare(_address, f"MSR_LASTBRANCH{_name}", storage=Storage.CONSTANT, rule=Rule.NEVER)
for _address, _name in ((0x1DD, "FROM_IP"), (0x1DE, "TO_IP")):
    declare(_address, f"MSR_LASTINT{_name}", storage=Storage.CONSTANT, rule=Rule.NEVER)

for _n in range(GENERAL):
    declare(0xC1 + _n, f"IA32_PMC{_n}", storage=Storage.REGISTER, writable=ALL, feature=Feature.PERFMON)
    declare(0x186 + _n, f"IA32_PERFEVTSEL{_n}", EventSelect, storage=Storage.REGISTER, feature=Feature.PERFMON)
for _n in range(FIXED):
    declare(0x309 + _n, f"IA32_FIXED_CTR{_n}", storage=Storage.REGISTER, writable=(1 << WIDTH) - 1, feature=Feature.PERFMON)
declare(0x38D, "IA32_FIXED_CTR_CTRL", storage=Storage.REGISTER, writable=FIXED_CONTROL_BITS, feature=Feature.PERFMON)
declare(0x38E, "IA32_PERF_GLOBAL_STATUS", GlobalStatus, storage=Storage.REGISTER, rule=Rule.NEVER, feature=Feature.PERFMON)
declare(
    0x38F,
    "IA32_PERF_GLOBAL_CTRL",
    reset=(1 << GENERAL) - 1,
    storage=Storage.REGISTER,
    writable=GLOBAL_BITS,
    feature=Feature.PERFMON,
)
declare(0x390, "IA32_PERF_GLOBAL_OVF_CTRL", GlobalStatus, storage=Storage.CONSTANT, feature=Feature.PERFMON)
declare(0x345, "IA32_PERF_CAPABILITIES", storage=Storage.CONSTANT, rule=Rule.NEVER, feature=Feature.PDCM)


@msr(0x1B0, "IA32_ENERGY_PERF_BIAS", reset=6, feature=Feature.EPB)
class EnergyPerfBias(Word, width=64):
    """A hint between speed and economy."""

    hint = field(3, 0, "0 fastest, 15 most economical")


# Extended state and control flow


@msr(0xD90, "IA32_BNDCFGS", feature=Feature.MPX)
class BndCfgs(Word, width=64):
    """Supervisor configuration of MPX."""

    enabled = flag(0, "bounds checked in supervisor mode")
    preserve = flag(1, "branches keep the bound registers")
    directory = field(63, 12, "bits 63:12 of the linear address of the bound directory")


@msr(0xDA0, "IA32_XSS", writable=0, feature=Feature.XSAVES)
class Xss(Word, width=64):
    """Supervisor state components that XSAVES handles."""

    pt = flag(8, "processor trace")
    pasid = flag(10, "PASID")
    cet_user = flag(11, "user shadow stack")
    cet_supervisor = flag(12, "supervisor shadow stacks")
    uintr = flag(14, "user interrupts")
    lbr = flag(15, "last-branch records")


class CetControl(Word, width=64):
    """IA32_U_CET and IA32_S_CET: shadow stacks and indirect-branch tracking."""

    shadow_stack = flag(0, "shadow stack enabled")
    shadow_stack_writes = flag(1, "WRSS enabled")
    branch_tracking = flag(2, "indirect branches must reach ENDBRANCH")
    legacy_treatment = flag(3, "legacy code page bitmap used")
    no_track_enabled = flag(4, "the no-track prefix is honoured")
    suppress_disabled = flag(5, "suppression of tracking on legacy compatibility is off")
    suppress = flag(10, "tracking suppressed")
    tracker = flag(11, "waiting for ENDBRANCH")
    legacy_bitmap = field(63, 12, "bits 63:12 of the linear address of the legacy bitmap")


declare(0x6A0, "IA32_U_CET", CetControl, feature=Feature.SHSTK)
declare(0x6A2, "IA32_S_CET", CetControl, feature=Feature.SHSTK)
for _n in range(4):
    declare(0x6A4 + _n, f"IA32_PL{_n}_SSP", LinearAddress, rule=Rule.CANONICAL, feature=Feature.SHSTK)
declare(0x6A8, "IA32_INTERRUPT_SSP_TABLE_ADDR", LinearAddress, rule=Rule.CANONICAL, feature=Feature.SHSTK)


@msr(0x6E1, "IA32_PKRS", storage=Storage.REGISTER, feature=Feature.PKS)
class Pkrs(Word, width=64):
    """Rights of the protection keys of supervisor pages."""

    rights = field(31, 0, "for key n, bit 2n forbids every data access, bit 2n + 1 forbids writes")
