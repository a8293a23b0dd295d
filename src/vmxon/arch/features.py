"""CPUID feature bits: each declared once, with the leaf, subleaf, register and bit that report it (Vol. 2A “CPUID”)."""

from __future__ import annotations

from enum import Enum, IntEnum


class Register(IntEnum):
    """The registers that CPUID writes, in the order of a leaf's tuple."""

    EAX = 0
    EBX = 1
    ECX = 2
    EDX = 3


class Feature(Enum):
    """A feature that one CPUID bit reports; `feature in model.features` asks for it."""

    def __init__(self, leaf: int, subleaf: int, register: Register, bit: int, doc: str) -> None:
        self.leaf, self.subleaf, self.register, self.bit, self.doc = leaf, subleaf, register, bit, doc

    FPU = 1, 0, Register.EDX, 0, "x87 on chip"
    VME = 1, 0, Register.EDX, 1, "virtual-8086 mode extensions"
    DE = 1, 0, Register.EDX, 2, "debugging extensions: CR4.DE"
    PSE = 1, 0, Register.EDX, 3, "4-MiB pages"
    TSC = 1, 0, Register.EDX, 4, "RDTSC"
    MSR = 1, 0, Register.EDX, 5, "RDMSR and WRMSR"
    PAE = 1, 0, Register.EDX, 6, "64-bit paging entries"
    MCE = 1, 0, Register.EDX, 7, "machine-check exception"
    CX8 = 1, 0, Register.EDX, 8, "CMPXCHG8B"
    APIC = 1, 0, Register.EDX, 9, "local APIC"
    SEP = 1, 0, Register.EDX, 11, "SYSENTER and SYSEXIT"
    MTRR = 1, 0, Register.EDX, 12, "memory-type range registers"
    PGE = 1, 0, Register.EDX, 13, "global pages"
    MCA = 1, 0, Register.EDX, 14, "machine-check architecture"
    CMOV = 1, 0, Register.EDX, 15, "CMOVcc"
    PAT = 1, 0, Register.EDX, 16, "page-attribute table"
    PSE36 = 1, 0, Register.EDX, 17, "4-MiB pages above 4 GiB"
    CLFLUSH = 1, 0, Register.EDX, 19, "CLFLUSH"
    MMX = 1, 0, Register.EDX, 23, "MMX"
    FXSR = 1, 0, Register.EDX, 24, "FXSAVE and FXRSTOR"
    SSE = 1, 0, Register.EDX, 25, "SSE"
    SSE2 = 1, 0, Register.EDX, 26, "SSE2"
    SS = 1, 0, Register.EDX, 27, "self-snoop"

    SSE3 = 1, 0, Register.ECX, 0, "SSE3"
    PCLMULQDQ = 1, 0, Register.ECX, 1, "PCLMULQDQ"
    MONITOR = 1, 0, Register.ECX, 3, "MONITOR and MWAIT"
    VMX = 1, 0, Register.ECX, 5, "virtual-machine extensions"
    SMX = 1, 0, Register.ECX, 6, "safer-mode extensions"
    SSSE3 = 1, 0, Register.ECX, 9, "SSSE3"
    FMA = 1, 0, Register.ECX, 12, "fused multiply-add"
    CX16 = 1, 0, Register.ECX, 13, "CMPXCHG16B"
    PDCM = 1, 0, Register.ECX, 15, "IA32_PERF_CAPABILITIES"
    PCID = 1, 0, Register.ECX, 17, "process-context identifiers"
    SSE4_1 = 1, 0, Register.ECX, 19, "SSE4.1"
    SSE4_2 = 1, 0, Register.ECX, 20, "SSE4.2"
    X2APIC = 1, 0, Register.ECX, 21, "APIC registers as MSRs"
    MOVBE = 1, 0, Register.ECX, 22, "MOVBE"
    POPCNT = 1, 0, Register.ECX, 23, "POPCNT"
    TSC_DEADLINE = 1, 0, Register.ECX, 24, "APIC timer in TSC-deadline mode"
    AES = 1, 0, Register.ECX, 25, "AES instructions"
    XSAVE = 1, 0, Register.ECX, 26, "XSAVE and XCR0"
    AVX = 1, 0, Register.ECX, 28, "AVX"
    F16C = 1, 0, Register.ECX, 29, "half-precision conversions"
    RDRAND = 1, 0, Register.ECX, 30, "RDRAND"

    APERFMPERF = 6, 0, Register.ECX, 0, "IA32_APERF and IA32_MPERF"
    EPB = 6, 0, Register.ECX, 3, "IA32_ENERGY_PERF_BIAS"

    FSGSBASE = 7, 0, Register.EBX, 0, "RDFSBASE, WRFSBASE and the same for GS"
    TSC_ADJUST = 7, 0, Register.EBX, 1, "IA32_TSC_ADJUST"
    BMI1 = 7, 0, Register.EBX, 3, "bit manipulation, first group"
    AVX2 = 7, 0, Register.EBX, 5, "AVX2"
    SMEP = 7, 0, Register.EBX, 7, "supervisor-mode execution prevention"
    BMI2 = 7, 0, Register.EBX, 8, "bit manipulation, second group"
    ERMS = 7, 0, Register.EBX, 9, "fast REP MOVSB and STOSB"
    INVPCID = 7, 0, Register.EBX, 10, "INVPCID"
    MPX = 7, 0, Register.EBX, 14, "memory protection extensions"
    RDSEED = 7, 0, Register.EBX, 18, "RDSEED"
    ADX = 7, 0, Register.EBX, 19, "ADCX and ADOX"
    SMAP = 7, 0, Register.EBX, 20, "supervisor-mode access prevention"
    CLFLUSHOPT = 7, 0, Register.EBX, 23, "CLFLUSHOPT"
    CLWB = 7, 0, Register.EBX, 24, "CLWB"
    SHA = 7, 0, Register.EBX, 29, "SHA instructions"

    UMIP = 7, 0, Register.ECX, 2, "user-mode instruction prevention"
    PKU = 7, 0, Register.ECX, 3, "protection keys for user pages"
    WAITPKG = 7, 0, Register.ECX, 5, "UMONITOR, UMWAIT and TPAUSE"
    SHSTK = 7, 0, Register.ECX, 7, "shadow stacks"
    LA57 = 7, 0, Register.ECX, 16, "5-level paging"
    RDPID = 7, 0, Register.ECX, 22, "RDPID"
    PKS = 7, 0, Register.ECX, 31, "protection keys for supervisor pages"

    UINTR = 7, 0, Register.EDX, 5, "user interrupts"
    IBT = 7, 0, Register.EDX, 20, "indirect-branch tracking"
    STIBP = 7, 0, Register.EDX, 27, "IA32_SPEC_CTRL.STIBP"
    SSBD = 7, 0, Register.EDX, 31, "IA32_SPEC_CTRL.SSBD"
    SPEC_CTRL = 7, 0, Register.EDX, 26, "IA32_SPEC_CTRL and IA32_PRED_CMD"
    FLUSH_L1D = 7, 0, Register.EDX, 28, "IA32_FLUSH_CMD"
    ARCH_CAPABILITIES = 7, 0, Register.EDX, 29, "IA32_ARCH_CAPABILITIES"
    CORE_CAPABILITIES = 7, 0, Register.EDX, 30, "IA32_CORE_CAPABILITIES"

    WRMSRNS = 7, 1, Register.EAX, 19, "WRMSRNS"
    MSRLIST = 7, 1, Register.EAX, 27, "RDMSRLIST, WRMSRLIST and IA32_BARRIER"

    PERFMON = 10, 0, Register.EAX, 1, "architectural performance monitoring, version 2"

    XSAVEOPT = 13, 1, Register.EAX, 0, "XSAVEOPT"
    XSAVEC = 13, 1, Register.EAX, 1, "XSAVEC and the compacted form of XRSTOR"
    XINUSE = 13, 1, Register.EAX, 2, "XGETBV of the state components in use"
    XSAVES = 13, 1, Register.EAX, 3, "XSAVES, XRSTORS and IA32_XSS"

    LAHF = 0x8000_0001, 0, Register.ECX, 0, "LAHF and SAHF in 64-bit mode"
    LZCNT = 0x8000_0001, 0, Register.ECX, 5, "LZCNT"
    PREFETCHW = 0x8000_0001, 0, Register.ECX, 8, "PREFETCHW"
    SYSCALL = 0x8000_0001, 0, Register.EDX, 11, "SYSCALL and SYSRET in 64-bit mode"
    NX = 0x8000_0001, 0, Register.EDX, 20, "execute-disable bit"
    PDPE1GB = 0x8000_0001, 0, Register.EDX, 26, "1-GiB pages"
    RDTSCP = 0x8000_0001, 0, Register.EDX, 27, "RDTSCP and IA32_TSC_AUX"
    LM = 0x8000_0001, 0, Register.EDX, 29, "64-bit mode"

    INVARIANT_TSC = 0x8000_0007, 0, Register.EDX, 8, "the TSC runs at a constant rate"

    @property
    def mask(self) -> int:
        """The bit in its register."""
        return 1 << self.bit
