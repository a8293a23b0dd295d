"""A processor of a named model, ready to run: the engine with its facts filled in."""

from __future__ import annotations

import struct
from functools import cache

from vmxon.arch.apic import DEFAULT_BASE, ApicMode
from vmxon.arch.cpuid import Model, cpuid_leaves
from vmxon.arch.features import Feature
from vmxon.arch.model_registers import cr4_bits, efer_bits
from vmxon.arch.msr import MiscEnable
from vmxon.engine.build import Image, Progress, obtain
from vmxon.engine.memory_layout import MemoryLayout
from vmxon.engine.native import Engine, Library
from vmxon.machine.modes import reset
from vmxon.machine.translations import parse_policy
from vmxon.microcode.layout import member_offset
from vmxon.processor.apic import NO_PAGE
from vmxon.processor.architectural_state import ArchitecturalState
from vmxon.processor.counters import NEVER
from vmxon.processor.msr_storage import reset_msrs
from vmxon.processor.state import HostRequest, ProcessorState
from vmxon.processor.time import MULTIPLIER_FRACTION
from vmxon.processor.tlb_policy import SEED_BITS
from vmxon.vmx.model import describe_vmx, reset_vmx

INSTRUCTIONS, GRANTED, BUDGET, IDLE = (
    member_offset(ProcessorState, name) // 8 for name in ("instructions", "budget_granted", "budget", "idle_ticks")
)
REQUEST = member_offset(ProcessorState, "request") // 4
"""Places in the state as words, for what every stretch of native code touches."""
TIME = ("instructions", "budget", "budget_granted", "idle_ticks")
"""Members that a RESET leaves alone."""


@cache
def library() -> Library:
    """The engine's code, loaded once in a process."""
    return Library(obtain(_progress[-1] if _progress else None))


_progress: list[Progress] = []


def on_build(progress: Progress) -> None:
    """Who is told when the engine has to be built first."""
    _progress.append(progress)


class Processor:
    """One logical processor and its memory."""

    def __init__(self, model: Model, memory: int | MemoryLayout, code: Library | None = None) -> None:
        self.model = model
        self.engine = Engine(code or library(), memory)
        self.state: ProcessorState = self.engine.state
        self._words, self._halves = (self.state.bound_memory.words[size] for size in (8, 4))
        self._describe()
        self.keep_translations("keep")
        self.reset()

    @property
    def image(self) -> Image:
        """The built engine."""
        return self.engine.library.image

    def _describe(self) -> None:
        state, model = self.state, self.model
        state.physical_width, state.linear_width = model.physical_width, model.linear_width
        state.physical_reserved = ((1 << 52) - 1) & ~((1 << model.physical_width) - 1)
        state.gigabyte_pages = Feature.PDPE1GB in model.features
        state.cr4_allowed, state.efer_allowed = cr4_bits(model), efer_bits(model)
        names = self.image.facts["features"]
        assert isinstance(names, list)  # written by engine.build
        for number, name in enumerate(names):
            if name and Feature[str(name).upper()] in model.features:
                state.features[number >> 6] |= 1 << (number & 63)
        rows = sorted(cpuid_leaves(model).items())
        part = self.engine.arena.part("cpuid", 24 * len(rows))
        for index, ((leaf, subleaf), registers) in enumerate(rows):
            part[24 * index : 24 * index + 24] = struct.pack("<6I", leaf, subleaf, *registers)
        state.cpuid_table, state.cpuid_count = self.engine.arena.address("cpuid"), len(rows)
        describe_vmx(state, self.engine.vmx_memory, model)

    def keep_translations(self, policy: str) -> None:
        """Which translations it keeps of those that it may keep: `keep` all, `nothing`, `random` or `random:SEED`.

        Raises:
            ConfigurationError: no such policy.
        """
        self.state.tlb_policy, seed = parse_policy(policy)
        self.state.tlb_random = seed << SEED_BITS

    def reset(self) -> None:
        """RESET; only time goes on."""
        self._clear()
        self.state.tsc_multiplier = 1 << MULTIPLIER_FRACTION
        reset_msrs(self.state, self.model)
        self._reset_apic()
        self._reset_counters()
        reset(self.state, self.model.signature)
        reset_vmx(self.state, self.engine.vmx_memory)
        self.refresh()

    def _clear(self) -> None:
        """Zeros in every register and every pending event."""
        kept = {name: getattr(self.state, name) for name in TIME}
        self.engine.arena.part("state", ArchitecturalState.size)[:] = bytes(ArchitecturalState.size)
        for name, value in kept.items():
            setattr(self.state, name, value)

    def _reset_counters(self) -> None:
        """No counter runs; IA32_MISC_ENABLE tells whether there are any."""
        self.state.counter_deadline = NEVER
        if Feature.PERFMON in self.model.features:
            self.state.misc_enable |= MiscEnable.perfmon_available.mask

    def _reset_apic(self) -> None:
        """xAPIC mode at the usual address, where the model has an APIC."""
        present = Feature.APIC in self.model.features
        self.state.apic_mode = ApicMode.XAPIC if present else ApicMode.DISABLED
        self.state.apic_page = DEFAULT_BASE if present else NO_PAGE
        self.state.apic_access_page = NO_PAGE

    def refresh(self) -> None:
        """Recompute what the engine derives from registers that Python changed."""
        self.engine.call("refresh_segments")
        self.engine.call("refresh_mode")
        self.engine.call("refresh_segments")
        self.engine.call("invalidate_everything")
        self.state.attention = 1

    @property
    def rflags(self) -> int:
        """RFLAGS as a whole."""
        value = self.engine.call("read_rflags")
        assert value is not None  # cannot fault
        return value

    @rflags.setter
    def rflags(self, value: int) -> None:
        self.engine.call("write_rflags", value, (1 << 64) - 1)

    @property
    def instructions(self) -> int:
        """Retired instructions."""
        words = self._words
        return int(words[INSTRUCTIONS] + words[GRANTED] - words[BUDGET] & (1 << 64) - 1)

    @property
    def ticks(self) -> int:
        """Retired instructions and skipped idle time."""
        words = self._words
        return int(words[INSTRUCTIONS] + words[GRANTED] - words[BUDGET] + words[IDLE] & (1 << 64) - 1)

    def run(self, budget: int) -> HostRequest:
        """Run up to `budget` instructions; says why it stopped."""
        return HostRequest(self.run_native(budget))

    def run_native(self, budget: int) -> int:
        """The same with the bare number of the request, for loops that count microseconds."""
        words, halves = self._words, self._halves
        words[INSTRUCTIONS] = words[INSTRUCTIONS] + words[GRANTED] - words[BUDGET] & (1 << 64) - 1
        words[BUDGET] = words[GRANTED] = budget
        halves[REQUEST] = HostRequest.NONE
        self.engine.run()
        return int(halves[REQUEST])
