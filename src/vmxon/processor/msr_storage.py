"""Where the values of MSRs live: members of the processor's state, named in one table."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from vmxon.arch.model_registers import msrs_of
from vmxon.arch.msr import MSRS
from vmxon.arch.msr_rules import Msr, Storage
from vmxon.arch.performance import FIXED, GENERAL
from vmxon.microcode import IntType, staged, u64
from vmxon.microcode.layout import Array
from vmxon.processor.state import ProcessorState

if TYPE_CHECKING:
    from vmxon.arch.cpuid import Model
    from vmxon.microcode.translator import Translator
    from vmxon.microcode.values import StateRef, Value

Place = tuple[str, int]
"""A member of the state, and the index within it."""

NAMED: dict[int, Place] = {
    0x1B: ("apic_base", 0),
    0x3A: ("feature_control", 0),
    0x3B: ("tsc_adjust", 0),
    0x48: ("spec_ctrl", 0),
    0x8B: ("bios_sign_id", 0),
    0xE1: ("umwait_control", 0),
    0x174: ("sysenter_cs", 0),
    0x175: ("sysenter_esp", 0),
    0x176: ("sysenter_eip", 0),
    0x17A: ("mcg_status", 0),
    0x1A0: ("misc_enable", 0),
    0x1D9: ("debugctl", 0),
    0x277: ("pat", 0),
    0x2FF: ("mtrr_def_type", 0),
    0x6E0: ("tsc_deadline", 0),
    0x6E1: ("pkrs", 0),
    0xDA0: ("xss", 0),
    0xC000_0080: ("efer", 0),
    0xC000_0081: ("star", 0),
    0xC000_0082: ("lstar", 0),
    0xC000_0083: ("cstar", 0),
    0xC000_0084: ("fmask", 0),
    0xC000_0102: ("kernel_gs_base", 0),
    0xC000_0103: ("tsc_aux", 0),
    0x38D: ("counter_fixed_control", 0),
    0x38E: ("counter_global_status", 0),
    0x38F: ("counter_global_control", 0),
    **{0xC1 + n: ("counters", n) for n in range(GENERAL)},
    **{0x186 + n: ("counter_select", n) for n in range(GENERAL)},
    **{0x309 + n: ("counters", GENERAL + n) for n in range(FIXED)},
    **{0x200 + 2 * n: ("mtrr_base", n) for n in range(8)},
    **{0x201 + 2 * n: ("mtrr_mask", n) for n in range(8)},
    **{address: ("mtrr_fixed", n) for n, address in enumerate((0x250, 0x258, 0x259, *range(0x268, 0x270)))},
}
"""MSRs with a member of their own."""

ROWS: tuple[Msr, ...] = tuple(row for row in MSRS.values() if row.storage is not Storage.MODEL)
"""The MSRs that this layer knows, in the order of their bits in `msr_absent`; the VMX capability MSRs are a slot's."""

ELSEWHERE = (0x10, 0xC000_0100, 0xC000_0101)
"""TSC, FS and GS base: not members, but computed or part of a segment register."""


def _places() -> dict[int, Place]:
    """A place for each MSR that holds a value."""
    unnamed = [row for row in ROWS if row.storage in (Storage.CELL, Storage.REGISTER)]
    others = [row.address for row in unnamed if row.address not in NAMED and row.address not in ELSEWHERE]
    return NAMED | {address: ("msr_cells", n) for n, address in enumerate(others)}


PLACES = _places()


def _offset(place: Place) -> int:
    member, index = place
    return ProcessorState.members[member].offset + 8 * index


@staged
def read_place(t: Translator, cpu: StateRef, place: Place) -> Value:
    """The value at a static place."""
    return t.emitter.load_field(cpu.base, _offset(place), None, cast(IntType, u64), cpu.is_cpu)


@staged
def write_place(t: Translator, cpu: StateRef, place: Place, value: Value) -> None:
    """Replace the value at a static place."""
    t.emitter.store_field(cpu.base, _offset(place), None, value, cpu.is_cpu)


def reset_msrs(state: ProcessorState, model: Model) -> None:
    """Give every MSR its reset value and note which ones `model` lacks."""
    for row in ROWS:
        place = PLACES.get(row.address)
        if place is not None:
            _put(state, place, row.reset)
    present = msrs_of(model)
    for word in range(len(state.msr_absent)):
        rows = enumerate(ROWS[64 * word : 64 * word + 64])
        state.msr_absent[word] = sum(1 << bit for bit, row in rows if row.address not in present)


def _put(state: ProcessorState, place: Place, value: int) -> None:
    member, index = place
    if isinstance(ProcessorState.members[member], Array):
        getattr(state, member)[index] = value
    else:
        setattr(state, member, value)
