"""Hints: each silent mistake is found, and the right way to do it is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmxon.explain.hints import Entry, EptWrite, Exit, Invept, entry_of, exit_of, find_hints
from vmxon.vmx.exit_reasons import ExitReason as R
from vmxon.vmx.fields import VmcsField as F

GPRS = tuple(range(0x100, 0x110))


def names(*history):
    return [hint.name for hint in find_hints(history)]


def violation(address=0x5000, qualification=0x181, rip=0x1000, vectoring=0):
    return Exit(R.EPT_VIOLATION, rip, qualification, address, vectoring)


AGAIN = (violation(), Entry(0x1000))


def test_a_violation_that_comes_three_times_is_a_loop_and_told_once():
    assert names(*AGAIN * 2) == []
    assert names(*AGAIN * 3) == ["ept-violation-loop"]
    assert names(*AGAIN * 9) == ["ept-violation-loop"]


@pytest.mark.parametrize(
    "between", [violation(address=0x6000), violation(rip=0x1003), violation(qualification=0x182), Exit(R.CPUID, 0x1000)]
)
def test_other_exits_between_are_progress(between):
    assert names(*AGAIN * 2, between, *AGAIN * 2) == []


def test_the_cause_of_a_loop_depends_on_what_was_done():
    def cause(*history):
        (hint,) = find_hints(history)
        return hint.cause

    assert cause(*AGAIN * 3).startswith("nothing was mapped")
    read_only = (violation(qualification=0x18A), Entry(0x1000))
    assert cause(*read_only * 3).startswith("the entry exists but lacks the permission")
    mapped = (violation(), EptWrite(0x5000, 0, 0x9001), Entry(0x1000))
    assert cause(*mapped * 3).startswith("the EPT entry was changed, but it still does not allow the access")
    elsewhere = (violation(), EptWrite(0x8000, 0, 0x9001), Entry(0x1000))
    assert cause(*elsewhere * 3).startswith("nothing was mapped")


@pytest.mark.parametrize(
    ("vectoring", "entry", "expected"),
    [
        (0x8000_0020, Entry(0x1000), ["lost-event"]),
        (0x8000_0202, Entry(0x1000), ["lost-event"]),
        (0x8000_0B0E, Entry(0x1000), ["lost-event"]),
        (0x8000_0020, Entry(0x1000, injected=0x8000_0020), []),
        (0x8000_0B0E, Entry(0x1000, injected=0x8000_0B08), []),
        (0x0000_0020, Entry(0x1000), []),
        (0x8000_0480, Entry(0x1000), []),
        (0x8000_0480, Entry(0x1002), ["lost-event"]),
    ],
)
def test_an_event_whose_delivery_exited_must_be_injected_again(vectoring, entry, expected):
    assert names(violation(vectoring=vectoring), entry) == expected


def test_task_switches_deliver_the_event_in_software():
    assert names(Exit(R.TASK_SWITCH, 0x1000, idt_vectoring=0x8000_0008), Entry(0x2000)) == []


@pytest.mark.parametrize("reason", [R.CPUID, R.VMCALL, R.RDMSR, R.IO_INSTRUCTION, R.HLT])
def test_an_instruction_that_exits_twice_at_one_place(reason):
    exit_ = Exit(reason, 0x1000)
    assert names(exit_, Entry(0x1000), exit_, Entry(0x1000), exit_) == ["stuck-instruction"]
    assert names(exit_, Entry(0x1003), exit_, Entry(0x1003)) == []
    assert names(exit_, Entry(0x1000, injected=0x8000_0306), exit_, Entry(0x1000, injected=0x8000_0306)) == []


def test_the_text_of_a_stuck_instruction():
    exit_ = Exit(R.VMCALL, 0x1234)
    (hint,) = find_hints([exit_, Entry(0x1234), exit_])
    assert str(hint) == (
        "Hint: RIP was not advanced past VMCALL\n"
        "  VMCALL at RIP 0x1234 exited, the guest was entered at the same RIP, and it exited again\n"
        "  Why: the exit comes before the instruction: GUEST_RIP still points at it.\n"
        "  What to do: add the VM-exit instruction length to GUEST_RIP,"
        " and clear blocking by STI and MOV SS in the interruptibility state.\n"
        "  Vol. 3C §28.3.3 “Saving RIP, RSP, RFLAGS, and SSP”"
    )


def test_an_exit_that_is_no_instruction_may_come_again_at_one_place():
    exit_ = Exit(R.EXTERNAL_INTERRUPT, 0x1000)
    assert names(exit_, Entry(0x1000), exit_, Entry(0x1000), exit_) == []


def changed(*numbers):
    return tuple(value ^ 0xFF if n in numbers else value for n, value in enumerate(GPRS))


@pytest.mark.parametrize(
    ("exit_", "now", "expected"),
    [
        (Exit(R.EXTERNAL_INTERRUPT, 0x1000, registers=GPRS), GPRS, []),
        (Exit(R.EXTERNAL_INTERRUPT, 0x1000, registers=GPRS), changed(12), ["lost-registers"]),
        (Exit(R.EXTERNAL_INTERRUPT, 0x1000, registers=GPRS), changed(4), []),
        (Exit(R.CPUID, 0x1000, registers=GPRS), changed(0, 1, 2, 3), []),
        (Exit(R.CPUID, 0x1000, registers=GPRS), changed(6), ["lost-registers"]),
        (Exit(R.CR_ACCESS, 0x1000, 0x513, registers=GPRS), changed(5), []),
        (Exit(R.CR_ACCESS, 0x1000, 0x503, registers=GPRS), changed(5), ["lost-registers"]),
        (Exit(R.MOV_DR, 0x1000, 0x517, registers=GPRS), changed(5), []),
        (Exit(R.IO_INSTRUCTION, 0x1000, 0x03F8_0008, registers=GPRS), changed(0), []),
        (Exit(R.IO_INSTRUCTION, 0x1000, 0x03F8_0000, registers=GPRS), changed(0), ["lost-registers"]),
        (Exit(R.IO_INSTRUCTION, 0x1000, 0x03F8_0038, registers=GPRS), changed(1, 6, 7), []),
        (Exit(R.EPT_VIOLATION, 0x1000, registers=GPRS), changed(0), ["lost-registers"]),
        (Exit(R.ENCLS, 0x1000, registers=GPRS), changed(9), []),
    ],
)
def test_registers_that_no_instruction_wrote(exit_, now, expected):
    assert names(exit_, Entry(0x1000, registers=now)) == expected


def test_an_emulated_access_may_write_registers():
    assert names(Exit(R.EPT_VIOLATION, 0x1000, registers=GPRS), Entry(0x1004, registers=changed(0))) == []


def test_the_registers_are_named():
    (hint,) = find_hints([Exit(R.HLT, 0x1000, registers=GPRS), Entry(0x1001, registers=changed(0, 1, 2, 3, 5, 15))])
    assert hint.evidence.endswith(
        "the guest went on with RAX 0x100 → 0x1ff, RCX 0x101 → 0x1fe, RDX 0x102 → 0x1fd, RBX 0x103 → 0x1fc and 2 more"
    )


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (0x9037, 0x9031, ["stale-mapping"]),
        (0x9037, 0xA037, ["stale-mapping"]),
        (0x9037, 0, ["stale-mapping"]),
        (0x9037, 0x9007, ["stale-mapping"]),
        (0x9031, 0x9037, []),
        (0, 0x9037, []),
        (0x9037, 0x9337, []),
        (0x9337, 0x9037, []),
    ],
)
def test_a_present_entry_that_says_less_needs_invept(before, after, expected):
    write = EptWrite(0x5000, before, after)
    assert names(write, Entry(0x1000)) == expected
    assert names(write, Invept(), Entry(0x1000)) == []
    assert names(write) == []


def test_hints_are_plain_data_too():
    (hint,) = find_hints([EptWrite(0x5000, 7, 0), Entry(0x1000)])
    assert hint.to_json() == {
        "hint": "stale-mapping",
        "title": "an EPT entry was changed and INVEPT is missing",
        "evidence": "the entry for guest-physical 0x5000 went from 0x7 to 0x0, and the guest was entered at RIP 0x1000",
        "cause": hint.cause,
        "action": hint.action,
        "source": str(hint.source),
        "position": 1,
    }


def test_a_history_from_the_fields_of_a_vmcs():
    fields = {
        F.EXIT_REASON: 48,
        F.GUEST_RIP: 0x1000,
        F.EXIT_QUALIFICATION: 0x181,
        F.GUEST_PHYSICAL_ADDRESS: 0x5000,
        F.IDT_VECTORING_INFORMATION: 0x8000_0020,
        F.VM_ENTRY_INTERRUPTION_INFORMATION: 0x8000_0021,
    }
    assert exit_of(fields, GPRS) == Exit(R.EPT_VIOLATION, 0x1000, 0x181, 0x5000, 0x8000_0020, GPRS)
    assert entry_of(fields, GPRS) == Entry(0x1000, 0x8000_0021, GPRS)
    assert exit_of({F.EXIT_REASON: 0x7FFF}) is None


@given(st.lists(st.builds(Exit, st.sampled_from(R), *[st.integers(0, 2**64 - 1)] * 4) | st.builds(Entry, *[st.integers(0, 2**64 - 1)] * 2)))
def test_any_history_has_hints_that_can_be_shown(history):
    assert all(str(hint) and hint.position < len(history) for hint in find_hints(history))
