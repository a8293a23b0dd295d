"""-cpu: QEMU's names of processors and features, and the nearest that we have."""

from __future__ import annotations

from dataclasses import replace

from vmxon.arch.cpuid import Model
from vmxon.arch.features import Feature
from vmxon.arch.models import FIRST, MAX, NEHALEM, NEWEST
from vmxon.cli.qemu.option import Draft, nearest
from vmxon.errors import ConfigurationError

LATER = frozenset(
    {
        *(Feature.SMEP, Feature.SMAP, Feature.UMIP, Feature.PKU, Feature.PKS, Feature.FSGSBASE, Feature.BMI1, Feature.BMI2),
        *(Feature.ADX, Feature.ERMS, Feature.INVPCID, Feature.PCID, Feature.MOVBE, Feature.PDPE1GB, Feature.LZCNT),
    }
)
"""What qemu64 has only where +FEATURE asks for it."""
QEMU64 = replace(MAX, name="qemu64", summary="max without what needs to be asked for, VMX included", features=MAX.features - LATER)
EQUALS = {
    "max": MAX, "host": MAX, "base": FIRST, "qemu64": QEMU64, "kvm64": QEMU64, "core2duo": FIRST, "Conroe": FIRST, "Penryn": FIRST,
    "Nehalem": NEHALEM, "Westmere": NEHALEM, "SandyBridge": MAX, "IvyBridge": MAX, "Haswell": MAX, "Broadwell": MAX,
    "Skylake-Client": MAX, "Skylake-Server": MAX, "Cascadelake-Server": MAX, "Cooperlake": MAX, "Icelake-Server": MAX,
    "SapphireRapids": MAX, "first": FIRST, "nehalem": NEHALEM, "newest": NEWEST,
}  # fmt: skip
"""By QEMU's name, in the order of the list."""
VERSIONED = ("-v", "-noTSX", "-IBRS")
NAMES = {
    "pni": Feature.SSE3, "sse3": Feature.SSE3, "sse4.1": Feature.SSE4_1, "sse4-1": Feature.SSE4_1, "sse4.2": Feature.SSE4_2,
    "sse4-2": Feature.SSE4_2, "lahf-lm": Feature.LAHF, "abm": Feature.LZCNT, "3dnowprefetch": Feature.PREFETCHW,
    "invtsc": Feature.INVARIANT_TSC, "spec-ctrl": Feature.SPEC_CTRL, "arch-capabilities": Feature.ARCH_CAPABILITIES,
    "xsavec": Feature.XSAVES, "cx16": Feature.CX16, "cmpxchg16b": Feature.CX16, "fxsr": Feature.FXSR, "i64": Feature.LM,
}  # fmt: skip
NAMES |= {feature.name.lower().replace("_", "-"): feature for feature in Feature}
PASSED = frozenset(
    {
        *("check", "enforce", "migratable", "pmu", "kvm", "hypervisor", "level", "xlevel", "vendor", "l3-cache", "legacy-cache"),
        *("host-phys-bits", "host-cache-info", "topoext", "model-id", "family", "model", "stepping", "tcg-cpuid", "cpuid-0xb"),
        *("min-level", "min-xlevel", "tsc-freq", "tsc-frequency", "vmware-cpuid-freq", "x-force-features", "full-cpuid-auto-level"),
    }
)
"""Properties that change nothing here."""


def list_processors() -> str:
    """What `-cpu ?` prints."""
    rows = [f"x86 {name:<20} {model.summary}" for name, model in EQUALS.items()]
    supported = sorted(feature.name.lower().replace("_", "-") for feature in MAX.features)
    return "Available CPUs:\n" + "\n".join(rows) + "\n\nRecognized CPUID flags:\n  " + " ".join(supported) + "\n"


def find_processor(text: str, draft: Draft) -> Model:
    """The model of a -cpu argument."""
    name, *changes = text.split(",")
    base = name
    for ending in VERSIONED:
        base = base.partition(ending)[0]
    model = EQUALS.get(base)
    if model is None:
        raise ConfigurationError(f"-cpu: no processor is called {name!r}", advice=nearest(base, list(EQUALS)))
    features = set(model.features)
    for change in changes:
        _change(features, change, draft)
    if Feature.VMX not in features:
        return replace(model, features=frozenset(features), vmx=None)
    return replace(model, features=frozenset(features), vmx=model.vmx or MAX.vmx)


def _change(features: set[Feature], change: str, draft: Draft) -> None:
    """+FEATURE, -FEATURE, FEATURE, FEATURE=on|off."""
    wanted = not change.startswith("-")
    word, equals, value = change.lstrip("+-").partition("=")
    if equals:
        wanted = value in {"on", "true", "yes", "1"}
    name = word.lower().replace("_", "-")
    if name in PASSED or name.startswith(("hv-", "kvm-", "vmx-", "x-")):
        return
    feature = NAMES.get(name)
    if feature is None:
        raise ConfigurationError(f"-cpu: {word!r} is no feature", advice=nearest(name, list(NAMES)))
    if not wanted:
        features.discard(feature)
    elif feature in MAX.features:
        features.add(feature)
    else:
        draft.note(f"-cpu: the processor has no {feature.name.lower()} ({feature.doc})")
