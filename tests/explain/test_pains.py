"""What people ask for help with in public: each mistake made on purpose, and the text that answers it."""

from dataclasses import replace

import pytest

from tests.explain.formats import kvm_text
from tests.vmx.witness import LONG, having
from vmxon.arch.models import FIRST, NEHALEM
from vmxon.explain import EntryRecord, Writer, explain_entry, model_capabilities
from vmxon.explain.differ import compare
from vmxon.explain.dumps import read_dump
from vmxon.explain.hints import Entry, EptWrite, Exit, find_hints
from vmxon.explain.topics.lookup import look_up
from vmxon.vmx.controls import PinBased, PrimaryExit, PrimaryProcessorBased
from vmxon.vmx.exit_reasons import ExitReason
from vmxon.vmx.fields import VmcsField as F

VALID = {**dict.fromkeys(F, 0), **LONG}


def record(changes=None, *, model=NEHALEM, writers=None):
    """A valid VMCS on a processor model, with changes."""
    return EntryRecord(
        {**VALID, **(changes or {})},
        model_capabilities(model),
        writers,
        model.physical_width,
        model.linear_width,
        efer=0x500,
        pointer=0x41000,
        read_quad=lambda address: 0,
        complete_processor=True,
    )


def said(changes, **options):
    """The explanation of a VMCS with changes, as text."""
    return str(explain_entry(record(changes, **options)))


def test_the_base_is_valid():
    explanation = explain_entry(record())
    assert str(explanation) == "VM entry succeeds: no rule is broken"
    assert explanation.reported is None


def test_error_7_from_reserved_control_bits():
    text = said({F.PIN_BASED_VM_EXECUTION_CONTROLS: PinBased.external_interrupt_exiting.mask})
    assert text.startswith("VM entry fails: VMfailValid with error 7: VM entry with invalid control fields\n\n")
    assert "  1. pin.must_be_one (hardware reports this one)\n" in text
    assert "must be 1 but 0: bits 1 (reserved), 2 (reserved) and 4 (reserved) (IA32_VMX_TRUE_PINBASED_CTLS = 0x0000007f00000016)" in text
    assert "What to do: write (wanted | low half) & high half of the capability MSR; with IA32_VMX_BASIC bit 55 use the TRUE MSR." in text


def test_error_7_from_a_control_that_the_processor_lacks():
    fields = {F.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS: LONG[F.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS] | 1 << 21}
    text = said(fields)
    assert "1. primary.may_be_one (hardware reports this one)" in text
    assert "must be 0 but 1: bit 21 (“use TPR shadow”) (IA32_VMX_TRUE_PROCBASED_CTLS = 0x" in text
    assert "Usual cause: the control is for a feature that this processor does not have." in text


def test_error_8_names_the_field():
    text = said({F.HOST_TR_SELECTOR: 0})
    assert text.startswith("VM entry fails: VMfailValid with error 8: VM entry with invalid host-state fields")
    assert "1. host_tr_selector.null (hardware reports this one)" in text
    assert "HOST_TR_SELECTOR is not 0." in text
    assert "Vol. 3C §27.2.3 “Checks on Host Segment and Descriptor-Table Registers”, row 27.2.3#3 of the list" in text
    assert "What to do: make a TSS descriptor in the GDT, run LTR, and write its selector." in text


def test_reason_33_from_a_segment_field():
    text = said({F.GUEST_TR_ACCESS_RIGHTS: 0x89})
    assert text.startswith("VM entry fails: VM exit with reason 33: VM-entry failure due to invalid guest state")
    assert "1. guest.tr.type_long (hardware reports this one)" in text
    assert "GUEST_TR_ACCESS_RIGHTS = 0x00000089: available TSS, DPL 0, present" in text
    assert "What to do: write access rights 0x8B (busy TSS, present), limit 0x67, base 0." in text


def test_reason_33_from_an_activity_state_that_was_never_written():
    writers = {which: Writer(0x1000, 5) for which in F if which is not F.GUEST_ACTIVITY_STATE}
    text = said({F.GUEST_ACTIVITY_STATE: 0xCCCC}, writers=writers)
    assert "1. guest.activity.defined (hardware reports this one)" in text
    assert "GUEST_ACTIVITY_STATE = 0x0000cccc: undefined\n      never written since VMCLEAR" in text
    assert "Usual cause: GUEST_ACTIVITY_STATE was never written since VMCLEAR." in text
    assert "Never written since VMCLEAR: 1 field that rules look at\n  GUEST_ACTIVITY_STATE" in text


def test_reason_33_from_cr3_beyond_maxphyaddr():
    text = said({F.GUEST_CR3: 1 << 63 | 0x1000})
    assert "1. guest.cr3.width (hardware reports this one)" in text
    assert "Usual cause: CR3 came from a MOV operand with bit 63, from a linear address, or was never written." in text


def test_reason_33_from_an_interrupt_into_a_guest_with_interrupts_off():
    text = said({F.VM_ENTRY_INTERRUPTION_INFORMATION: 1 << 31 | 0x20})
    assert "1. guest.rflags.if (hardware reports this one)" in text
    assert "VM_ENTRY_INTERRUPTION_INFORMATION = 0x80000020: external interrupt, vector 32" in text
    assert "What to do: set “interrupt-window exiting” and inject at that exit." in text


def test_every_failed_rule_is_named_with_its_writer():
    writers = dict.fromkeys(F, Writer(0xFFFF_8000_0010_2030, 1_234_567))
    changes = {F.HOST_TR_SELECTOR: 0, F.GUEST_RFLAGS: 0}
    explanation = explain_entry(record(changes, writers=writers), lambda rip: f"setup+{rip & 0xFF:#x} (vmx.c:12)")
    assert [failure.rule.name for failure in explanation.failures] == ["host_tr_selector.null", "guest.rflags.bit_1"]
    origin = "written at RIP 0xffff800000102030 setup+0x30 (vmx.c:12), instruction 1,234,567"
    assert str(explanation).count(origin) == 2
    writer = explanation.failures[0].fields[0].to_json()["writer"]
    assert writer == {"rip": "0xffff800000102030", "instruction": 1_234_567, "symbol": "setup+0x30 (vmx.c:12)"}


def test_a_dump_with_nobody_to_read_it():
    """A KVM dump in dmesg: the guest started with TR unusable."""
    fields = {**VALID, F.GUEST_TR_ACCESS_RIGHTS: 0x10000, F.EXIT_REASON: 0x8000_0021, F.HOST_RIP: 0xFFFF_FFFF_8100_0000}
    dump = read_dump(kvm_text(fields))
    explanation = explain_entry(dump.on_model(NEHALEM))
    assert "guest.tr.usable" in {failure.rule.name for failure in explanation.failures}
    assert [line.text for line in dump.lines()] == [
        "Linux KVM: 115 fields shown",
        "the dump's exit reason 0x80000021 says that VM entry failed: 33: VM entry failed: the guest state breaks a rule, qualification 0",
    ]


def test_a_hypervisor_that_works_on_one_machine_only():
    controls = having(VALID, PrimaryProcessorBased.hlt_exiting, PrimaryExit.load_efer)
    text = str(compare(VALID, controls))
    assert "+ HLT exiting (bit 7): HLT exits" in text
    assert "+ load IA32_EFER (bit 21): that MSR is loaded for the host" in text
    fails = explain_entry(replace(record(), fields=controls, capabilities=model_capabilities(FIRST), physical_width=36))
    assert "exit.may_be_one" in {failure.rule.name for failure in fails.failures}


def violation(**changes):
    return replace(Exit(ExitReason.EPT_VIOLATION, 0x1000, 0x181, 0x20_0000), **changes)


def test_an_ept_violation_loop():
    (hint,) = find_hints([violation(), Entry(0x1000)] * 5)
    assert hint.name == "ept-violation-loop"
    assert hint.evidence == "3 exits in a row for a read of guest-physical 0x200000 at RIP 0x1000, qualification 0x181"
    assert "nothing was mapped between the exits, or another address was" in hint.cause


def test_an_ept_misconfiguration_from_a_write_only_entry():
    (topic,) = look_up(["ept-entry", "0x5002"])
    assert "Misconfigured: writes without reads" in str(topic)
    (reason,) = look_up(["ept-misconfiguration"])
    assert "an entry allows writes without reads" in str(reason)


def test_a_missing_invept():
    history = [violation(), EptWrite(0x20_0000, 0x20_0037, 0x20_0031), Entry(0x1000)]
    (hint,) = find_hints(history)
    assert hint.title == "an EPT entry was changed and INVEPT is missing"
    assert str(hint).endswith("Vol. 3C §29.4.3.4 “Guidelines for Use of the INVEPT Instruction”")


def test_an_event_lost_because_idt_vectoring_was_not_injected_again():
    (hint,) = find_hints([violation(idt_vectoring=0x8000_0031), Entry(0x1000)])
    assert hint.title == "an event was lost: its delivery caused the exit, and it was not injected again"
    assert "came while the processor delivered: external interrupt, vector 49." in hint.evidence


@pytest.mark.parametrize("words", [["triple-fault"], ["2"]])
def test_a_triple_fault_whose_registers_are_already_reset(words):
    text = "\n".join(map(str, look_up(words)))
    assert "set bits 8, 13 and 14 of the exception bitmap to see the first fault with the registers still intact" in text


def test_fields_of_controls_that_are_0_are_not_missed():
    explanation = explain_entry(record(writers={}))
    assert F.GUEST_ACTIVITY_STATE in explanation.unwritten
    assert not {F.GUEST_IA32_EFER, F.HOST_IA32_PAT, F.GUEST_IA32_FRED_CONFIG} & set(explanation.unwritten)
    loading = having(VALID, PrimaryExit.load_efer)
    assert F.HOST_IA32_EFER in explain_entry(replace(record(writers={}), fields=loading)).unwritten
