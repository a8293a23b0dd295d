"""What people ask for help with in public, provoked on the machine: the real failure, and the text that answers it."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from tests.explain.formats import kvm_text
from tests.explain.guest import CODE, OTHER, TARGET, VMCS, SmallGuest
from tests.hypervisor.guests import Guest, image_of
from vmxon.errors import TripleFault
from vmxon.explain import explain_entry
from vmxon.explain.differ import compare
from vmxon.explain.dumps import read_dump
from vmxon.explain.topics.lookup import look_up
from vmxon.machine.outcome import Exited, FailedValid
from vmxon.vmx.errors import InstructionError
from vmxon.vmx.exit_reasons import ExitReason
from vmxon.vmx.fields import VmcsField as F

READ = f"mov eax, [{TARGET:#x}]\nvmcall\nmov eax, [{TARGET:#x}]\nvmcall"


def failed_entry(changes: dict[F, int], error: InstructionError | None = None) -> str:
    """What the outcome of VMLAUNCH says after the changes; without `error` it is an exit with reason 33."""
    guest = SmallGuest()
    guest.write(changes)
    outcome = guest.root.vmlaunch()
    if error is None:
        assert isinstance(outcome, Exited)
        assert (outcome.reason, outcome.entry_failed) == (ExitReason.INVALID_GUEST_STATE, True)
    else:
        assert isinstance(outcome, FailedValid)
        assert outcome.error is error
    assert outcome.explanation is not None
    assert outcome.explanation.reported is not None
    assert outcome.rule.startswith(outcome.explanation.reported.name + ":")
    return str(outcome)


def test_error_7_from_reserved_control_bits() -> None:
    text = failed_entry({F.PIN_BASED_VM_EXECUTION_CONTROLS: 1}, InstructionError.ENTRY_CONTROLS)
    assert text.startswith("VMLAUNCH: VMfailValid 7, VM entry found a control field that is not allowed; broken rule pin.must_be_one: ")
    assert "1. pin.must_be_one (hardware reports this one)" in text
    assert "written by the Python program at guest.py:" in text
    assert "must be 1 but 0: bits 1 (reserved), 2 (reserved) and 4 (reserved) (IA32_VMX_TRUE_PINBASED_CTLS = 0x" in text
    assert "What to do: write (wanted | low half) & high half of the capability MSR; with IA32_VMX_BASIC bit 55 use the TRUE MSR." in text


def test_error_8_names_the_field() -> None:
    text = failed_entry({F.HOST_TR_SELECTOR: 0}, InstructionError.ENTRY_HOST_STATE)
    assert "1. host_tr_selector.null (hardware reports this one)" in text
    assert "HOST_TR_SELECTOR is not 0." in text
    assert "What to do: make a TSS descriptor in the GDT, run LTR, and write its selector." in text


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        (
            {F.GUEST_TR_ACCESS_RIGHTS: 0x89},
            (
                "1. guest.tr.type_long (hardware reports this one)",
                "GUEST_TR_ACCESS_RIGHTS = 0x00000089: available TSS, DPL 0, present",
                "What to do: write access rights 0x8B (busy TSS, present), limit 0x67, base 0.",
            ),
        ),
        (
            {F.GUEST_CR3: 1 << 63 | 0x1000},
            (
                "1. guest.cr3.width (hardware reports this one)",
                "Usual cause: CR3 came from a MOV operand with bit 63, from a linear address, or was never written.",
            ),
        ),
        (
            {F.VM_ENTRY_INTERRUPTION_INFORMATION: 1 << 31 | 0x20},
            (
                "1. guest.rflags.if (hardware reports this one)",
                "VM_ENTRY_INTERRUPTION_INFORMATION = 0x80000020: external interrupt, vector 32",
                "What to do: set “interrupt-window exiting” and inject at that exit.",
            ),
        ),
    ],
)
def test_reason_33(changes: dict[F, int], lines: tuple[str, ...]) -> None:
    text = failed_entry(changes)
    assert text.startswith("VMLAUNCH: VM exit 33, ")
    assert [line for line in lines if line not in text] == []


def test_reason_33_from_an_activity_state_that_was_never_written() -> None:
    """The region held another guest's VMCS: VMCLEAR keeps its fields."""
    guest = SmallGuest()
    guest[F.GUEST_ACTIVITY_STATE] = 0xCCCC
    kept = guest.fields
    guest.load(VMCS)
    guest.write({which: kept[which] for which in kept if not which.read_only and which is not F.GUEST_ACTIVITY_STATE and kept[which]})
    outcome = guest.root.vmlaunch()
    assert isinstance(outcome, Exited)
    text = str(outcome)
    assert "1. guest.activity.defined (hardware reports this one)" in text
    assert "GUEST_ACTIVITY_STATE = 0x0000cccc: undefined\n      never written since VMCLEAR" in text
    assert "Usual cause: GUEST_ACTIVITY_STATE was never written since VMCLEAR." in text


def test_the_line_that_wrote_the_field_is_named() -> None:
    guest = SmallGuest()
    guest.root.vmwrite(F.HOST_TR_SELECTOR, 0)
    outcome = guest.root.vmlaunch()
    assert isinstance(outcome, FailedValid)
    line = test_the_line_that_wrote_the_field_is_named.__code__.co_firstlineno + 2
    assert f"written by the Python program at test_pains_on_the_machine.py:{line}, instruction " in str(outcome)


def test_a_failure_shows_in_a_terminal_and_in_jupyter() -> None:
    guest = SmallGuest()
    guest[F.HOST_TR_SELECTOR] = 0
    outcome = guest.root.vmlaunch()
    assert isinstance(outcome, FailedValid)
    stream = StringIO()
    Console(file=stream, width=200).print(outcome)
    assert "1. host_tr_selector.null (hardware reports this one)" in stream.getvalue()
    assert stream.getvalue().startswith(outcome.line[:100])
    assert outcome._repr_html_().startswith("<p>VMLAUNCH: VMfailValid 8, ")
    assert "1. host_tr_selector.null (hardware reports this one)</p>" in outcome._repr_html_()


def test_an_explanation_is_of_the_vmcs_as_it_was() -> None:
    guest = SmallGuest()
    guest[F.HOST_TR_SELECTOR] = 0
    outcome = guest.root.vmlaunch()
    guest[F.HOST_TR_SELECTOR] = 0x18
    assert "host_tr_selector.null" in str(outcome)
    later = guest.root.vmread(0x7777)
    assert isinstance(later, FailedValid)
    assert (later.rule, later.explanation) == ("", None)
    assert guest.root.vmlaunch().succeeded


def test_a_dump_with_nobody_to_read_it() -> None:
    guest = SmallGuest()
    guest[F.GUEST_TR_ACCESS_RIGHTS] = 0x10000
    outcome = guest.root.vmlaunch()
    dump = read_dump(kvm_text(guest.fields))
    text = str(explain_entry(dump.on_model(guest.root.processor.model)))
    assert "1. guest.tr.type_long" in text
    assert "guest.tr.usable" in text
    assert isinstance(outcome, Exited)
    assert outcome.rule.startswith("guest.tr.type_long:")
    assert any("33: VM entry failed: the guest state breaks a rule" in line.text for line in dump.lines())


def test_a_hypervisor_that_works_on_one_machine_only() -> None:
    works = SmallGuest()
    assert works.root.vmlaunch().succeeded
    fields = works.fields
    works.load(OTHER)
    works.write({which: value for which, value in fields.items() if not which.read_only and value})
    works[F.PIN_BASED_VM_EXECUTION_CONTROLS] |= 1 << 31
    outcome = works.root.vmlaunch()
    assert isinstance(outcome, FailedValid)
    assert "1. pin.may_be_one (hardware reports this one)" in str(outcome)
    text = str(compare(fields, works.fields_of(OTHER)))
    assert "PIN_BASED_VM_EXECUTION_CONTROLS" in text
    assert "bit 31" in text


def test_an_ept_violation_loop() -> None:
    guest = SmallGuest(READ, ept=True)
    guest.set_leaf(0)
    outcome = guest.root.vmlaunch()
    for _ in range(2):
        assert isinstance(outcome, Exited)
        assert outcome.reason is ExitReason.EPT_VIOLATION
        assert guest.hints == {}
        outcome = guest.root.vmresume()
    text = guest.hints["ept-violation-loop"]
    assert text.startswith("Hint: the same EPT violation comes again without progress\n  3 exits in a row for a read of ")
    assert "guest-physical 0x800000 at RIP 0x300000" in text
    assert "Why: nothing was mapped between the exits, or another address was" in text


def test_an_ept_misconfiguration_from_a_write_only_entry() -> None:
    guest = SmallGuest(READ, ept=True)
    entry = TARGET | 0x32
    guest.set_leaf(entry)
    outcome = guest.root.vmlaunch()
    assert isinstance(outcome, Exited)
    assert (outcome.reason, outcome.guest_physical) == (ExitReason.EPT_MISCONFIGURATION, TARGET)
    (reason,) = look_up([str(int(outcome.reason))])
    assert "an entry allows writes without reads" in str(reason)
    (topic,) = look_up(["ept-entry", hex(entry)])
    assert "Misconfigured: writes without reads" in str(topic)


@pytest.mark.parametrize("invept", [False, True])
def test_a_missing_invept(invept: bool) -> None:
    guest = SmallGuest(READ, ept=True)
    assert "VMCALL" in str(guest.root.vmlaunch())
    guest.skip()
    guest.set_leaf(0)
    if invept:
        assert guest.root.invept(2).succeeded
    outcome = guest.root.vmresume()
    assert isinstance(outcome, Exited)
    if invept:
        assert (outcome.reason, guest.hints) == (ExitReason.EPT_VIOLATION, {})
        return
    assert outcome.reason is ExitReason.VMCALL, "the guest read through a mapping that is gone"
    text = guest.hints["stale-mapping"]
    assert text.startswith(
        "Hint: an EPT entry was changed and INVEPT is missing\n  the entry for guest-physical 0x800000 went from 0x800037 to 0x0, "
    )
    assert text.endswith("Vol. 3C §29.4.3.4 “Guidelines for Use of the INVEPT Instruction”")


@pytest.mark.parametrize("again", [False, True])
def test_an_event_lost_because_idt_vectoring_was_not_injected_again(again: bool) -> None:
    guest = SmallGuest("vmcall", ept=True)
    leaf = TARGET | 0x37
    guest.write({F.GUEST_IDTR_BASE: TARGET, F.GUEST_RFLAGS: 0x202, F.VM_ENTRY_INTERRUPTION_INFORMATION: 0x8000_0031})
    gate = (0x08 << 16 | CODE & 0xFFFF) | (CODE & 0xFFFF_0000 | 0x8E00) << 32
    guest.root.write(TARGET + 16 * 0x31, gate.to_bytes(16, "little"))
    guest.set_leaf(0)
    outcome = guest.root.vmlaunch()
    assert isinstance(outcome, Exited)
    assert (outcome.reason, guest[F.IDT_VECTORING_INFORMATION]) == (ExitReason.EPT_VIOLATION, 0x8000_0031)
    guest.set_leaf(leaf)
    if again:
        guest[F.VM_ENTRY_INTERRUPTION_INFORMATION] = guest[F.IDT_VECTORING_INFORMATION]
    guest.root.vmresume()
    if again:
        assert guest.hints == {}
        return
    text = guest.hints["lost-event"]
    assert text.startswith("Hint: an event was lost: its delivery caused the exit, and it was not injected again")
    assert "at RIP 0x300000 came while the processor delivered: external interrupt, vector 49." in text


def test_rip_that_was_not_advanced() -> None:
    guest = SmallGuest("cpuid\nvmcall")
    guest.root.vmlaunch()
    assert guest.hints == {}
    guest.root.vmresume()
    assert guest.hints["stuck-instruction"].startswith("Hint: RIP was not advanced past CPUID\n  CPUID at RIP 0x300000 exited")


def test_general_registers_that_were_not_saved() -> None:
    guest = SmallGuest("mov ebx, 7\nhlt\nvmcall")
    guest.root.vmlaunch()
    guest.root.registers[3] = 0x99
    guest.skip()
    guest.root.vmresume()
    assert "after exit 12 (HLT) at RIP 0x300005 the guest went on with RBX 0x7 → 0x99" in guest.hints["lost-registers"]


def test_what_a_right_hypervisor_does_has_no_hints() -> None:
    guest = SmallGuest("mov ecx, 5\nagain: cpuid\nhlt\nmov ecx, 5\ndec ebp\njmp again", ept=True)
    outcome = guest.root.vmlaunch()
    for _ in range(100):
        assert outcome.succeeded
        guest.skip()
        outcome = guest.root.vmresume()
    assert guest.hints == {}


def test_a_triple_fault_keeps_its_registers() -> None:
    guest = Guest(image_of("mov eax, 0x1234567\nlidt [nothing]\nsub esp, 0x40\nud2\nnothing: .fill 6, 1, 0\n"))
    with pytest.raises(TripleFault) as error:
        guest.run()
    first, last = error.value.faults[0], error.value.faults[-1]
    assert str(first).startswith("#GP(0x33) at "), "the gate of #UD, vector 6, is beyond the limit of the IDT"
    assert (last.registers["RAX"], last.registers["RSP"]) == (0x123_4567, 0x80000 - 0x40)
    text = "\n".join(look_up(["triple-fault"])[0].document().text().splitlines())
    assert "set bits 8, 13 and 14 of the exception bitmap to see the first fault with the registers still intact" in text
