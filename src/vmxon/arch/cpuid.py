"""Processor models as data, and the CPUID leaves that follow from one (Vol. 2A “CPUID—CPU Identification”)."""

from __future__ import annotations

from dataclasses import dataclass

from vmxon.arch.control import Xcr0
from vmxon.arch.features import Feature, Register
from vmxon.arch.performance import FIXED, GENERAL, UNAVAILABLE, WIDTH

Leaves = dict[tuple[int, int], tuple[int, int, int, int]]
"""(leaf, subleaf) → (EAX, EBX, ECX, EDX)."""

EXTENDED = 0x8000_0000
LEAVES_WITH_SUBLEAVES = frozenset({4, 7, 11, 13})
EXTENDED_FEATURES, COUNTERS, TOPOLOGY = 7, 10, 11
XSAVE_HEADER_END = 512 + 64
"""The FXSAVE image and the header of XSAVE."""
PKRU_PLACE, PKRU_SIZE = XSAVE_HEADER_END + 256, 8
"""PKRU in the standard form of XSAVE, behind the place of AVX state, as on processors that have both."""
LINE = 64
"""Bytes of a cache line, also the unit of CLFLUSH."""


@dataclass(frozen=True, slots=True)
class Cache:
    """One cache as leaf 4 describes it; `kind` is 1 data, 2 instruction, 3 unified; sizes in bytes."""

    level: int
    kind: int
    size: int
    ways: int

    @property
    def sets(self) -> int:
        """Number of sets."""
        return self.size // (self.ways * LINE)


CACHES = (Cache(1, 1, 32 << 10, 8), Cache(1, 2, 32 << 10, 8), Cache(2, 3, 1 << 20, 16), Cache(3, 3, 8 << 20, 16))


@dataclass(frozen=True, slots=True)
class VmxModel:
    """The VMX side of a model: names of controls as in `vmxon.vmx.controls`, of EPT features as in `msr_vmx`."""

    revision: int
    """VMCS revision identifier, 31 bits."""
    pin: frozenset[str]
    primary: frozenset[str]
    exit: frozenset[str]
    entry: frozenset[str]
    secondary: frozenset[str] = frozenset()
    tertiary: frozenset[str] = frozenset()
    secondary_exit: frozenset[str] = frozenset()
    vm_functions: frozenset[str] = frozenset()
    ept: frozenset[str] = frozenset()
    true_controls: bool = True
    """The TRUE capability MSRs exist, so that default-1 controls can be cleared."""
    optional_defaults: frozenset[str] = frozenset()
    """Default-1 controls that can be cleared, as “vector.name”; empty where `true_controls` is False."""
    activity_states: frozenset[str] = frozenset({"hlt_state", "shutdown_state", "wait_for_sipi_state"})
    cr3_targets: int = 4
    timer_shift: int = 5
    """The preemption timer counts at the rate of the TSC divided by 2 to this power."""
    region_size: int = 4096
    io_information: bool = True
    writes_any_field: bool = False
    """VMWRITE reaches the VM-exit information fields, too."""
    any_error_code: bool = False
    """Injected hardware exceptions may have an error code or none, whatever their vector."""
    zero_length_injection: bool = False
    """Injected software events may have an instruction length of 0."""

    def has(self, control: str) -> bool:
        """True where “vector.name” may be 1, as in `has("secondary.enable_ept")`."""
        vector, name = control.split(".")
        names: frozenset[str] = getattr(self, vector)
        return name in names


@dataclass(frozen=True, slots=True)
class Model:
    """A processor: what CPUID and the capability MSRs say follows from this alone."""

    name: str
    summary: str
    brand: str
    family: int
    model: int
    stepping: int
    features: frozenset[Feature]
    physical_width: int
    """MAXPHYADDR in bits."""
    vmx: VmxModel | None
    linear_width: int = 48
    vendor: str = "GenuineIntel"

    def __post_init__(self) -> None:
        if len(self.vendor.encode()) != 12 or len(self.brand.encode()) > 47:
            raise ValueError(f"model {self.name}: the vendor must have 12 bytes, the brand at most 47")
        if (Feature.VMX in self.features) != (self.vmx is not None):
            raise ValueError(f"model {self.name}: the feature VMX and the VMX description must come together")

    @property
    def signature(self) -> int:
        """EAX of leaf 1: family, model and stepping with their extended parts."""
        family, extended_family = (self.family, 0) if self.family < 15 else (15, self.family - 15)
        return self.stepping | (self.model & 15) << 4 | family << 8 | (self.model >> 4) << 16 | extended_family << 20

    def __contains__(self, feature: object) -> bool:
        return feature in self.features


def cpuid_leaves(model: Model, apic_id: int = 0) -> Leaves:
    """Every leaf of `model`; `answer` looks one up the way CPUID does.

    Bits that follow the processor's state (OSXSAVE from CR4, the APIC bit from IA32_APIC_BASE) are left to it.
    """
    highest = max((4, *(feature.leaf for feature in model.features if feature.leaf < EXTENDED)))
    if Feature.XSAVE in model.features:
        highest = max(highest, 13)
    if Feature.X2APIC in model.features:
        highest = max(highest, TOPOLOGY)
    leaves: Leaves = {(leaf, 0): (0, 0, 0, 0) for leaf in (*range(highest + 1), *range(EXTENDED, EXTENDED + 9))}
    vendor = [int.from_bytes(model.vendor[n : n + 4].encode(), "little") for n in (0, 8, 4)]
    leaves[0, 0] = (highest, *vendor)  # type: ignore[assignment]  # three words: EBX, ECX, EDX
    leaves[1, 0] = (model.signature, LINE // 8 << 8 | 1 << 16 | apic_id << 24, 0, 0)
    leaves[2, 0] = (0xFF01, 0, 0, 0)  # one descriptor: “see leaf 4”
    for n, cache in enumerate(CACHES):
        leaves[4, n] = (cache.kind | cache.level << 5 | 1 << 8, (cache.ways - 1) << 22 | LINE - 1, cache.sets - 1, 0)
    leaves[4, len(CACHES)] = (0, 0, 0, 0)
    leaves[EXTENDED, 0] = (EXTENDED + 8, 0, 0, 0)
    brand = model.brand.encode().ljust(48, b"\0")
    for n in range(3):
        eax, ebx, ecx, edx = (int.from_bytes(brand[at : at + 4], "little") for at in range(16 * n, 16 * n + 16, 4))
        leaves[EXTENDED + 2 + n, 0] = (eax, ebx, ecx, edx)
    leaves[EXTENDED + 6, 0] = (0, 0, LINE | 8 << 12 | CACHES[2].size >> 10 << 16, 0)  # 8 means 16 ways
    leaves[EXTENDED + 8, 0] = (model.physical_width | model.linear_width << 8, 0, 0, 0)
    if Feature.PERFMON in model.features:
        # The version, 2, is the feature's own bit.
        sizes = GENERAL << 8 | WIDTH << 16 | UNAVAILABLE.bit_length() << 24
        leaves[COUNTERS, 0] = (sizes, UNAVAILABLE, 0, FIXED | WIDTH << 5)
    if Feature.XSAVE in model.features:
        leaves |= _state_components(model)
    if Feature.X2APIC in model.features:
        # One thread in one core; the level types 1 (SMT) and 2 (core) stand in ECX[15:8].
        for level, kind in enumerate((1, 2, 0)):
            leaves[TOPOLOGY, level] = (0, 1 if kind else 0, level | kind << 8, apic_id)
    for feature in model.features:
        _report(leaves, feature)
    if (EXTENDED_FEATURES, 1) in leaves:
        # EAX of subleaf 0 is the highest subleaf.
        leaves[EXTENDED_FEATURES, 0] = (1, *leaves[EXTENDED_FEATURES, 0][1:])
    return leaves


def _state_components(model: Model) -> Leaves:
    """Leaf 13: what XSAVE saves, and where; the sizes are those after RESET."""
    present, size = Xcr0.x87.mask | Xcr0.sse.mask, XSAVE_HEADER_END
    leaves: Leaves = {}
    if Feature.PKU in model.features:
        present, size = present | Xcr0.pkru.mask, PKRU_PLACE + PKRU_SIZE
        leaves[13, Xcr0.pkru.low] = (PKRU_SIZE, PKRU_PLACE, 0, 0)
    leaves[13, 0] = (present, XSAVE_HEADER_END, size, 0)
    leaves[13, 1] = (0, XSAVE_HEADER_END, 0, 0)
    return leaves


def _report(leaves: Leaves, feature: Feature) -> None:
    words = list(leaves.get((feature.leaf, feature.subleaf), (0, 0, 0, 0)))
    words[feature.register] |= feature.mask
    eax, ebx, ecx, edx = words
    leaves[feature.leaf, feature.subleaf] = (eax, ebx, ecx, edx)


def answer(leaves: Leaves, leaf: int, subleaf: int) -> tuple[int, int, int, int]:
    """What CPUID returns for EAX = `leaf`, ECX = `subleaf`; beyond the highest leaf, the highest basic leaf."""
    top = leaves[EXTENDED if leaf >= EXTENDED else 0, 0][Register.EAX]
    if leaf > top:
        leaf = leaves[0, 0][Register.EAX]
    return leaves.get((leaf, subleaf if leaf in LEAVES_WITH_SUBLEAVES else 0), (0, 0, 0, 0))


def reported(leaves: Leaves) -> frozenset[Feature]:
    """The features whose bits are set in `leaves`."""
    return frozenset(f for f in Feature if leaves.get((f.leaf, f.subleaf), (0, 0, 0, 0))[f.register] & f.mask)
