"""What CPUID tells the guest: of the processor's own leaves what two tables let through, and leaves about us."""

from __future__ import annotations

from vmxon.arch.features import Feature
from vmxon.machine.root import RootProcessor

Leaf = tuple[int, int, int, int]
HYPERVISOR = 0x4000_0000
INTERFACE = 0x4000_0001
FREQUENCIES = 0x4000_0010
LAST = FREQUENCIES
SIGNATURE = (b"vmxo", b"nvmx", b"onvm")
HYPERVISOR_PRESENT = 1 << 31
"""CPUID.1:ECX[31], always 0 on a processor, for hypervisors to say that they are there."""
HAS_HYPERCALL = 1
SHOWN = frozenset(
    (
        *(Feature.FPU, Feature.VME, Feature.DE, Feature.PSE, Feature.TSC, Feature.MSR, Feature.PAE, Feature.CX8, Feature.APIC),
        *(Feature.SEP, Feature.PGE, Feature.CMOV, Feature.PAT, Feature.PSE36, Feature.CLFLUSH, Feature.MMX, Feature.FXSR),
        *(Feature.SSE, Feature.SSE2, Feature.SS, Feature.SSE3, Feature.PCLMULQDQ, Feature.SSSE3, Feature.CX16, Feature.PCID),
        *(Feature.SSE4_1, Feature.SSE4_2, Feature.MOVBE, Feature.POPCNT, Feature.AES, Feature.RDRAND),
        *(Feature.FSGSBASE, Feature.BMI1, Feature.SMEP, Feature.BMI2, Feature.ERMS, Feature.INVPCID, Feature.RDSEED, Feature.ADX),
        *(Feature.SMAP, Feature.CLFLUSHOPT, Feature.CLWB, Feature.SHA, Feature.UMIP, Feature.RDPID),
        *(Feature.LAHF, Feature.LZCNT, Feature.PREFETCHW, Feature.SYSCALL, Feature.NX, Feature.PDPE1GB, Feature.RDTSCP, Feature.LM),
        Feature.INVARIANT_TSC,
    )
)
"""What a guest may have where the processor has it; a feature that is not here, such as VMX, does not exist for guests."""
LEAVES = frozenset((0, 1, 2, 4, 7, *range(0x8000_0000, 0x8000_0009)))
"""Leaves with an answer; all others read 0."""
WORDS = frozenset((feature.leaf, feature.subleaf, feature.register) for feature in Feature)
"""Registers that hold features: what is not shown there is 0."""
WITHOUT_SUBLEAVES = frozenset({0, 1, 2, 3, 5, 6})


class CpuidPolicy:
    """Answers are taken from the processor once and remembered."""

    def __init__(self, root: RootProcessor, kilohertz: int, hidden: tuple[Feature, ...] = ()) -> None:
        self.root, self.kilohertz, self.shown = root, kilohertz, SHOWN - frozenset(hidden)
        self._known: dict[tuple[int, int], Leaf] = {}

    def answer(self, leaf: int, subleaf: int) -> Leaf:
        """EAX, EBX, ECX, EDX for the guest."""
        key = leaf, 0 if leaf in WITHOUT_SUBLEAVES else min(subleaf, 64)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._decide(*key)
        return known

    def _decide(self, leaf: int, subleaf: int) -> Leaf:
        if leaf == HYPERVISOR:
            first, second, third = (int.from_bytes(part, "little") for part in SIGNATURE)
            return LAST, first, second, third
        if leaf == INTERFACE:
            return HAS_HYPERCALL, 0, 0, 0
        if leaf == FREQUENCIES:
            return self.kilohertz, 0, 0, 0
        if leaf not in LEAVES:
            return 0, 0, 0, 0
        values = list(self.root.cpuid(leaf, subleaf))
        for register in range(4):
            if (leaf, subleaf, register) in WORDS:
                values[register] &= self._mask(leaf, subleaf, register)
        if leaf == 1:
            values[Feature.VMX.register] |= HYPERVISOR_PRESENT
        eax, ebx, ecx, edx = values
        return eax, ebx, ecx, edx

    def _mask(self, leaf: int, subleaf: int, register: int) -> int:
        place = leaf, subleaf, register
        return sum(feature.mask for feature in self.shown if (feature.leaf, feature.subleaf, feature.register) == place)
