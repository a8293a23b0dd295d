"""Exit reasons and the exit-reason word."""

import pytest

from vmxon.vmx.exit_reasons import EntryFailure, ExitReason, ExitReasonWord

UNUSED = {35, 38, 42, 71, 82, 83}


def test_every_number_but_the_unused_is_there() -> None:
    assert {int(reason) for reason in ExitReason} == set(range(86)) - UNUSED


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (0, "EXCEPTION_OR_NMI"),
        (7, "INTERRUPT_WINDOW"),
        (10, "CPUID"),
        (12, "HLT"),
        (18, "VMCALL"),
        (28, "CR_ACCESS"),
        (30, "IO_INSTRUCTION"),
        (33, "INVALID_GUEST_STATE"),
        (37, "MONITOR_TRAP_FLAG"),
        (48, "EPT_VIOLATION"),
        (49, "EPT_MISCONFIGURATION"),
        (52, "PREEMPTION_TIMER"),
        (58, "INVPCID"),
        (59, "VMFUNC"),
        (68, "TPAUSE"),
        (74, "BUS_LOCK"),
        (78, "RDMSRLIST"),
    ],
)
def test_numbers(number: int, name: str) -> None:
    assert ExitReason(number).name == name


def test_failed_entries() -> None:
    assert [int(reason) for reason in ExitReason if reason.entry_failed] == [33, 34, 41]
    word = ExitReasonWord(0x8000_0021)
    assert word.entry_failed
    assert ExitReason(word.basic) is ExitReason.INVALID_GUEST_STATE
    assert [int(failure) for failure in EntryFailure] == [0, 2, 3, 4]


def test_titles() -> None:
    assert all(reason.title for reason in ExitReason)
    assert len({reason.title for reason in ExitReason}) == len(ExitReason)
