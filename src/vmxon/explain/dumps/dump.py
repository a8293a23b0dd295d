"""What a dump holds, whatever its format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from vmxon.arch.control import Efer
from vmxon.arch.cpuid import Model
from vmxon.explain.decode import brief
from vmxon.explain.document import Line, Style, counted
from vmxon.explain.record import EntryRecord, Writer, model_capabilities
from vmxon.vmx.controls import PrimaryExit
from vmxon.vmx.exit_reasons import ExitReasonWord
from vmxon.vmx.fields import VmcsField


@dataclass(frozen=True, slots=True)
class Processor:
    """What is known of the processor that the dump comes from; None where nothing is."""

    capabilities: Mapping[int, int]
    physical_width: int | None = None
    linear_width: int | None = None


@dataclass(frozen=True, slots=True)
class Dump:
    """The fields of one VMCS; those that the dump does not show are absent."""

    format: str
    """“Linux KVM”, “Xen” or “JSON”."""
    fields: Mapping[VmcsField, int]
    writers: Mapping[VmcsField, Writer] | None = None
    processor: Processor | None = None
    number: int = 1
    """Its place among the dumps of the file, from 1."""
    count: int = 1

    def lines(self) -> Iterator[Line]:
        """What was read, and what the dump itself says about the entry."""
        place = f", dump {self.number} of {self.count}" if self.count > 1 else ""
        yield Line(f"{self.format}{place}: {counted(len(self.fields), 'field')} shown", 0, Style.QUIET)
        reason = ExitReasonWord(self.fields.get(VmcsField.EXIT_REASON, 0))
        if reason.entry_failed:
            said = f"the dump's exit reason {int(reason):#x} says that VM entry failed: {brief(VmcsField.EXIT_REASON, reason, {})}"
            yield Line(f"{said}, qualification {self.fields.get(VmcsField.EXIT_QUALIFICATION, 0)}")

    def record(self) -> EntryRecord:
        """The dump as an entry; a 64-bit host address of the exit tells that the host was in IA-32e mode."""
        processor = self.processor or Processor({})
        long = self.fields.get(VmcsField.HOST_RIP, 0) >> 32 != 0
        long |= self.fields.get(VmcsField.PRIMARY_VM_EXIT_CONTROLS, 0) & PrimaryExit.host_address_space_size.mask != 0
        return EntryRecord(
            self.fields,
            processor.capabilities,
            self.writers,
            processor.physical_width,
            processor.linear_width,
            efer=Efer.lme.mask | Efer.lma.mask if long else None,
        )

    def on_model(self, model: Model) -> EntryRecord:
        """The same on one of our processor models."""
        return replace(
            self.record(),
            capabilities=model_capabilities(model),
            physical_width=model.physical_width,
            linear_width=model.linear_width,
            complete_processor=True,
        )
