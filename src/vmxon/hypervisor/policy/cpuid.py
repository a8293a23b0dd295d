"""What CPUID tells the guest: the processor's own leaves without what the hypervisor keeps, and a leaf about us."""

from __future__ import annotations

from vmxon.arch.cpuid import COUNTERS, STATE_COMPONENTS, TOPOLOGY
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
HIDDEN = (
    *(Feature.VMX, Feature.MTRR, Feature.MCE, Feature.MCA, Feature.X2APIC, Feature.TSC_DEADLINE),
    *(Feature.PKU, Feature.PKS, Feature.XSAVE),
    *(Feature.SPEC_CTRL, Feature.STIBP, Feature.SSBD, Feature.MSRLIST, Feature.WRMSRNS),
    *(Feature.WAITPKG, Feature.LA57),
)
"""VMX, and what has registers or MSRs that no guest is given."""
EMPTY = (TOPOLOGY, COUNTERS, STATE_COMPONENTS)
"""Leaves about what a guest has not."""
WITHOUT_SUBLEAVES = frozenset({0, 1, 2, 3, 5, 6})


class CpuidPolicy:
    """Answers are taken from the processor once and remembered."""

    def __init__(self, root: RootProcessor, kilohertz: int, hidden: tuple[Feature, ...] = ()) -> None:
        self.root, self.kilohertz, self.hidden = root, kilohertz, HIDDEN + hidden
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
        if leaf in EMPTY:
            return 0, 0, 0, 0
        if HYPERVISOR < leaf < HYPERVISOR + 0x1000_0000:
            return 0, 0, 0, 0
        values = list(self.root.cpuid(leaf, subleaf))
        for feature in self.hidden:
            if (feature.leaf, feature.subleaf) == (leaf, subleaf):
                values[feature.register] &= ~feature.mask
        if leaf == 1:
            values[Feature.VMX.register] |= HYPERVISOR_PRESENT
        eax, ebx, ecx, edx = values
        return eax, ebx, ecx, edx
