"""What an entry rule may look at: the VMCS, the capability MSRs, and the state of the processor that enters.

The methods here serve two readers: rules run as plain Python over a `Snapshot`, and as microcode over the processor's
own state (`vmx/check.py`). So they keep to the restricted language, and every number is a u64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vmxon.arch.bits import Bits, Word
from vmxon.arch.control import Efer
from vmxon.arch.msr_vmx import VmxBasic
from vmxon.microcode import inline, u64
from vmxon.vmx.controls import (
    Entry,
    PinBased,
    PrimaryExit,
    PrimaryProcessorBased,
    SecondaryExit,
    SecondaryProcessorBased,
    TertiaryProcessorBased,
    VmFunctions,
)
from vmxon.vmx.fields import VmcsField

ALL_ONES = (1 << 64) - 1
BASIC, MISC = 0x480, 0x485
TRUE_DISTANCE = 0x48D - 0x481
"""From a control-capability MSR to its TRUE version."""

VECTORS: dict[type[Word], VmcsField] = {
    PinBased: VmcsField.PIN_BASED_VM_EXECUTION_CONTROLS,
    PrimaryProcessorBased: VmcsField.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS,
    SecondaryProcessorBased: VmcsField.SECONDARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS,
    TertiaryProcessorBased: VmcsField.TERTIARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS,
    PrimaryExit: VmcsField.PRIMARY_VM_EXIT_CONTROLS,
    SecondaryExit: VmcsField.SECONDARY_VM_EXIT_CONTROLS,
    Entry: VmcsField.VM_ENTRY_CONTROLS,
    VmFunctions: VmcsField.VM_FUNCTION_CONTROLS,
}
"""The field that holds each control vector."""

ACTIVATORS: dict[type[Word], Bits[bool]] = {
    SecondaryProcessorBased: PrimaryProcessorBased.activate_secondary,
    TertiaryProcessorBased: PrimaryProcessorBased.activate_tertiary,
    SecondaryExit: PrimaryExit.activate_secondary,
    VmFunctions: SecondaryProcessorBased.enable_vm_functions,
}
"""The control without which a vector counts as 0."""

VECTOR_OF: dict[Bits[object], type[Word]] = {control: vector for vector in VECTORS for control in vector.layout.fields}
"""The vector of each control."""


def vector_of(control: Bits[bool]) -> type[Word]:
    """The vector that a control belongs to."""
    return VECTOR_OF[control]  # type: ignore[index]  # Bits is invariant in what it reads as


class EntryView:
    """The questions that rules ask; subclasses answer those that have no body here."""

    def field(self, which: VmcsField) -> int:
        """A field of the VMCS that is entered, zero-extended."""
        raise NotImplementedError

    def capability(self, address: int) -> int:
        """A VMX capability MSR; 0 where the processor does not have it."""
        raise NotImplementedError

    def efer(self) -> int:
        """IA32_EFER while the entry instruction runs."""
        raise NotImplementedError

    def cr3(self) -> int:
        """CR3 while the entry instruction runs."""
        raise NotImplementedError

    def vmcs_pointer(self) -> int:
        """Physical address of the current VMCS."""
        raise NotImplementedError

    def physical_width(self) -> int:
        """MAXPHYADDR."""
        raise NotImplementedError

    def linear_width(self) -> int:
        """Bits of a linear address."""
        raise NotImplementedError

    def word(self, address: int) -> int:
        """The 32 bits at a physical address, as u64."""
        raise NotImplementedError

    def quad(self, address: int) -> int:
        """The 64 bits at a physical address."""
        raise NotImplementedError

    @inline
    def vector(self, which: type[Word]) -> int:
        """A control vector; 0 where it is not activated."""
        if which in ACTIVATORS:
            return self.field(VECTORS[which]) if self.has(ACTIVATORS[which]) else u64(0)
        return self.field(VECTORS[which])

    @inline
    def has(self, control: Bits[bool]) -> bool:
        """True where the control is 1 and its vector is activated."""
        return self.vector(vector_of(control)) & control.mask != 0

    @inline
    def settings(self, address: int) -> int:
        """The capability pair of a control vector: its TRUE version where there is one."""
        if self.capability(BASIC) & VmxBasic.true_controls.mask != 0:
            return self.capability(address + TRUE_DISTANCE)
        return self.capability(address)

    @inline
    def long_mode(self) -> bool:
        """IA32_EFER.LMA while the entry instruction runs."""
        return self.efer() & Efer.lma.mask != 0

    @inline
    def fits(self, address: int) -> bool:
        """No bit at or above the physical-address width, nor above bit 31 where structures must lie below 4 GiB."""
        if self.capability(BASIC) & VmxBasic.address_32.mask != 0:
            return address >> 32 == 0
        return address >> self.physical_width() == 0

    @inline
    def canonical(self, address: int) -> bool:
        """All bits from the top bit of a linear address upward are alike."""
        top = address >> (self.linear_width() - 1)
        return top == 0 or top == u64(ALL_ONES) >> (self.linear_width() - 1)

    @inline
    def alike_above(self, address: int) -> bool:
        """All bits above a linear address are alike; its own top bit may differ from them."""
        top = address >> self.linear_width()
        return top == 0 or top == u64(ALL_ONES) >> self.linear_width()


def _no_memory(address: int) -> int:
    """What a snapshot without memory reads."""
    return 0


@dataclass(frozen=True)
class Snapshot(EntryView):
    """An entry as plain data: fields by encoding (absent ones are 0), capability MSRs by address, processor state."""

    fields: Mapping[VmcsField, int]
    capabilities: Mapping[int, int]
    efer_now: int = Efer.lme.mask | Efer.lma.mask
    cr3_now: int = 0
    pointer: int = ALL_ONES
    maximum_physical: int = 40
    maximum_linear: int = 48
    read_quad: Callable[[int], int] = _no_memory
    """Physical memory, 64 bits at an address."""

    def field(self, which: VmcsField) -> int:
        return self.fields.get(which, 0)

    def capability(self, address: int) -> int:
        return self.capabilities.get(address, 0)

    def efer(self) -> int:
        return self.efer_now

    def cr3(self) -> int:
        return self.cr3_now

    def vmcs_pointer(self) -> int:
        return self.pointer

    def physical_width(self) -> int:
        return self.maximum_physical

    def linear_width(self) -> int:
        return self.maximum_linear

    def word(self, address: int) -> int:
        return self.read_quad(address) & 0xFFFF_FFFF

    def quad(self, address: int) -> int:
        return self.read_quad(address)
