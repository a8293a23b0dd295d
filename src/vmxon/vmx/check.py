"""The rule book compiled: the checks that VM entry runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmxon.microcode import inline, microcode, staged, u32, u64
from vmxon.microcode.values import StateRef
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.vmx.fields import VmcsField
from vmxon.vmx.physical import read_physical
from vmxon.vmx.rules import RULES, Area, EntryRule, EntryView, rules_of
from vmxon.vmx.state import read_field

if TYPE_CHECKING:
    from vmxon.microcode.translator import Translator


class MachineView(EntryView):
    """An entry as the processor sees it; exists at compile time only."""

    def __init__(self, cpu: Cpu) -> None:
        self.cpu = cpu

    @inline
    def field(self, which: VmcsField) -> int:
        return read_field(self.cpu, which)

    @inline
    def capability(self, address: int) -> int:
        return self.cpu.vmx_capability[address - 0x480]

    @inline
    def efer(self) -> int:
        return self.cpu.efer

    @inline
    def cr3(self) -> int:
        return self.cpu.cr3

    @inline
    def vmcs_pointer(self) -> int:
        return self.cpu.vmcs_pointer

    @inline
    def physical_width(self) -> int:
        return u64(self.cpu.physical_width)

    @inline
    def linear_width(self) -> int:
        return u64(self.cpu.linear_width)

    @inline
    def word(self, address: int) -> int:
        return u64(read_physical(self.cpu, u32, address))

    @inline
    def quad(self, address: int) -> int:
        return read_physical(self.cpu, u64, address)


@staged
def machine_view(translator: Translator, cpu: StateRef) -> MachineView:
    """The view of this processor."""
    return MachineView(cpu)


@inline
def holds(entry: EntryView, rule: EntryRule) -> bool:
    """The rule is obeyed."""
    if rule.subject is None:
        return rule.predicate(entry)
    return rule.predicate(entry, rule.subject)


@microcode
def first_broken_in(cpu: Cpu, area: Area) -> u32:
    """Number of the first broken rule of an area, in the order of the book; 0 where all hold."""
    entry = machine_view(cpu)
    for rule in rules_of(area):
        if not holds(entry, rule):
            return u32(rule.number)
    return u32(0)


@microcode
def first_broken(cpu: Cpu) -> u32:
    """Number of the rule that decides how an entry of the current VMCS would fail; 0 where it would succeed."""
    for area in Area:
        broken = first_broken_in(cpu, area)
        if broken != 0:
            return broken
    return u32(0)


QUALIFIED = tuple(rule for rule in RULES if rule.qualification != 0)


@microcode
def failure_qualification(cpu: Cpu, number: u32) -> u64:
    """Exit qualification of an entry that fails by the guest-state rule `number`."""
    for rule in QUALIFIED:
        if number == rule.number:
            return u64(rule.qualification)
    return u64(0)
